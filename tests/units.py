"""A point robot in other units of what it sees and earns, with bounds that promise nothing; and how it is learned.

Units are arrays: one program serves for all of them, and `jax.vmap` goes through them side by side.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from adaptax.algorithms import RL2
from adaptax.core.algorithm import FromScratch
from adaptax.core.problem import Environment, Step, make_problem
from adaptax.core.rollout import run_trial
from adaptax.core.spaces import Box, Discrete, Space
from adaptax.problems.point_robots import MAX_STEP, SquareGoals
from tests.sample_problems import quick_jit

LARGEST = 3.4e38
"""What simulators state as bounds that are none."""


class Units(eqx.Module):
    """x → offset + scale · x, of observations, entry by entry, and of rewards."""

    seen_offset: Array
    seen_scale: Array
    reward_offset: Array
    reward_scale: Array

    def undone(self, returns, horizon):
        """The return of an episode in plain units."""
        return (returns - horizon * self.reward_offset) / self.reward_scale


def units(seen_offset=0.0, seen_scale=(1.0, 1.0), reward_offset=0.0, reward_scale=1.0):
    """Units, of numbers."""
    offset, scale = np.broadcast_to(np.float32(seen_offset), 2), np.asarray(seen_scale, np.float32)
    return Units(*(jnp.asarray(x, jnp.float32) for x in (offset, scale, reward_offset, reward_scale)))


VARIANTS = {
    "plain": units(),
    "reward + 5.5": units(reward_offset=5.5),
    "reward × 1e6": units(reward_scale=1e6),
    "observation + 1000": units(seen_offset=1000.0),
    "observation × 1e4": units(seen_scale=(1e4, 2e3)),
}


def stacked(variants=VARIANTS):
    """All of them along a leading axis."""
    return jax.tree.map(lambda *x: jnp.stack(x), *variants.values())


class InUnits(Environment):
    """Moves to a hidden goal, for `horizon` steps; each earns minus the distance. In units of one's own."""

    units: Units
    observation_space: Space = eqx.field(static=True)
    action_space: Space = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    ends_early: bool = eqx.field(static=True)

    def __init__(self, units, horizon, *, discrete=False):
        self.units = units
        self.observation_space = Box((2,), -LARGEST, LARGEST)
        self.action_space = Discrete(4) if discrete else Box((2,), -MAX_STEP, MAX_STEP)
        self.horizon, self.ends_early = horizon, False

    def _see(self, position):
        return self.units.seen_offset + self.units.seen_scale * position

    def reset(self, task, key):
        return jnp.zeros(2), self._see(jnp.zeros(2))

    def step(self, state, action, task, key):
        if isinstance(self.action_space, Discrete):
            action = MAX_STEP * jnp.asarray([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])[action]
        position = state + jnp.clip(action, -MAX_STEP, MAX_STEP)
        reward = -jnp.sqrt(jnp.sum((position - task.position) ** 2))
        reward = self.units.reward_offset + self.units.reward_scale * reward
        return Step(position, self._see(position), reward, jnp.asarray(False))


def in_units(units, *, horizon, episodes, discrete=False):
    """Goals ~ U[−0.5, 0.5]², `episodes` episodes of `horizon` steps in a trial."""
    env = InUnits(units, horizon, discrete=discrete)
    return make_problem(env, lambda split: SquareGoals(horizon=horizon, split=split), episodes)


def curves(algorithm, *, horizon, episodes, discrete=False, seeds=3, tasks=8, variants=VARIANTS):
    """Returns of an episode in plain units as it is learned, `[variant, seed, update or group of episodes]`.

    Of what learns from nothing, the mean over the episodes that it learns from at a time in `tasks` tasks.
    """

    def one(units, key):
        problem = in_units(units, horizon=horizon, episodes=episodes, discrete=discrete)
        if isinstance(algorithm, FromScratch):
            meta = algorithm.describe(problem)

            def trial(key):
                task_key, trial_key = jax.random.split(key)
                reward = run_trial(algorithm, problem, meta, problem.train.sample(task_key), trial_key).reward
                return reward.reshape(-1, horizon, reward.shape[1]).sum(1).mean(1)

            return units.undone(jax.vmap(trial)(jax.random.split(key, tasks)).mean(0), horizon)
        state = algorithm.init(problem, key)
        update = lambda state, _: algorithm.update(problem, state)  # noqa: E731
        earned = jax.lax.scan(update, state, None, length=algorithm.num_updates)[1]["return"]
        whole_trials = isinstance(algorithm, RL2)
        return units.undone(earned / (episodes if whole_trials else 1), horizon)

    run = quick_jit(jax.vmap(jax.vmap(one, (None, 0)), (0, None)))
    return np.asarray(run(stacked(variants), jax.random.split(jax.random.key(0), seeds)))
