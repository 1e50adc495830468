"""The library's families that tests build by the dozen: not Meta-World's, which have tests of their own."""

from adaptax.problems import METAWORLD
from adaptax.registry import registry

PROBLEMS = {name: entry for name, entry in registry.PROBLEMS.items() if name not in METAWORLD}
