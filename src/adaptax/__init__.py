"""adaptax: agents that learn how to learn."""
