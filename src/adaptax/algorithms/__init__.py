"""Algorithms: meta-learners, and the classical agents that they are compared with; imported when first used.

The names are those in the families' tables, which need no JAX.
"""

from adaptax.algorithms.belief import pearl_settings as _pearl
from adaptax.algorithms.belief import settings as _belief
from adaptax.algorithms.classical.entries import CLASSICAL
from adaptax.algorithms.gradient import entries as _gradient
from adaptax.algorithms.memory import off_policy_settings as _off_policy
from adaptax.algorithms.memory import settings as _memory
from adaptax.algorithms.standard_rl import entries as _standard_rl
from adaptax.core.entry import modules_of
from adaptax.core.lazy import imported_when_used

TRAINABLE = {
    **_memory.TRAINABLE,
    **_gradient.TRAINABLE,
    **_memory.EXPLORERS,
    **_standard_rl.TRAINABLE,
    **_off_policy.TRAINABLE,
    **_belief.TRAINABLE,
    **_pearl.TRAINABLE,
}
"""What meta-learns, by name."""
FROM_SCRATCH = {**_standard_rl.FROM_SCRATCH}
"""What learns every task from nothing: there is nothing to meta-train."""

__getattr__, __dir__, __all__ = imported_when_used(__name__, modules_of(TRAINABLE, FROM_SCRATCH, CLASSICAL))
