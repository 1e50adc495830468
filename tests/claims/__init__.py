"""Self-tests: what the package claims of itself, measured where it was installed (`adaptax selftest NAME`)."""
