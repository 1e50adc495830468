"""Does an environment keep its contract? What `adaptax check-env` asks."""
