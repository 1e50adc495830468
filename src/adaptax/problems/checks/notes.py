"""What breaks no rule and makes an environment hard to learn all the same: observations that networks hardly see."""

import jax
import numpy as np
from jaxtyping import Array, Key

from adaptax.core.problem import Problem
from adaptax.core.spaces import WIDEST, Box
from adaptax.problems.checks.recording import Recorder, tasks_of

STEPS, TASKS = 200, 16
FILLED = 0.05
"""Less than this share of a promised range is worth a line."""
FAR = 10.0
"""So many deviations from 0, an observation's changes are lost beside its size."""


def observation_notes(problem: Problem, key: Key[Array, ""]) -> list[str]:
    """How much of the range of observations random actions fill, and how far from 0 they lie; a line for each."""
    space = problem.env.observation_space
    if type(space) is not Box or not space.encoded_size:  # parts of composite ones have ranges of their own
        return []
    seen = Recorder(problem.env, key, STEPS)(tasks_of(problem.train, TASKS, key))
    numbers = np.asarray(seen.observation, np.float64).reshape(-1, space.encoded_size)
    found = []
    if space.bounded:
        low, high = (limit.ravel() for limit in space.limits())
        filled = float((np.ptp(numbers, 0) / (high - low)).max())
        if filled < FILLED:
            how = "as they are" if np.max(space.scale) > WIDEST else "in units of the range"
            found.append(
                f"observations fill {100 * filled:.2g} % of their range, {low.min():g} to {high.max():g}; networks "
                f"read them {how}. State the range that they have"
            )
    read = np.asarray(jax.vmap(space.encode)(seen.observation.reshape(-1, *space.shape)), np.float64)
    mean, std = np.abs(read.mean(0)), read.std(0)
    far = (std > 0) & (mean > FAR * std) & (mean > 1)
    if far.any():
        worst = int(np.argmax(np.where(far, mean / np.where(std > 0, std, 1), 0)))
        found.append(
            f"observation[{worst}] is {mean[worst]:.3g} ± {std[worst]:.2g} as networks read it: its changes are small "
            "beside its size. Subtract what is usual, or bound the space"
        )
    return found
