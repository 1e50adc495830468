"""The command line. JAX is imported only after everything that was typed has been checked."""

from adaptax.cli.main import main as main
