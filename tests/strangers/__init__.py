"""What a stranger may write: an algorithm and a problem that no line of adaptax knows of."""
