"""Bugs that people really make in meta-reinforcement learning, one at a time, to be caught by the tests.

They were chosen by what goes wrong in public code and papers (traps by their names), not by what is tested here.
"""

from tests.mutants import figures, gradients, learners, trials
from tests.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (*gradients.BUGS, *trials.BUGS, *learners.BUGS, *figures.BUGS)
