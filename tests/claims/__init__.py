"""What the package claims of itself, measured where it is installed: `python -m tests.claims NAME`."""
