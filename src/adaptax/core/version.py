"""The package's version: the one place where it stands. The distribution and what runs write down have it from here."""

__version__ = "0.1.0"
