"""The command line, as `python -m adaptax`."""

import sys

from adaptax.cli import main

if __name__ == "__main__":
    sys.exit(main())
