"""The command line, as `python -m adaptax`."""

from adaptax.cli import main

if __name__ == "__main__":
    main()
