"""A problem of a stranger: guess where a hidden target is. Written with public names only."""

import equinox as eqx
import jax
import jax.numpy as jnp

from adaptax.core.problem import Environment, Problem, Step, TaskDistribution, make_problem
from adaptax.core.spaces import Box, Discrete


def rewards(num_actions, task):
    return 1.0 - jnp.abs((jnp.arange(num_actions, dtype=jnp.float32) + 0.5) / num_actions - task)


class HiddenTarget(Environment):
    """Each action pays as much as it is near to a target that is not shown; an episode is one guess."""

    num_actions: int = eqx.field(static=True)
    observation_space: Box = eqx.field(static=True, default=Box((0,)))
    horizon: int = eqx.field(static=True, default=1)
    ends_early: bool = eqx.field(static=True, default=False)

    @property
    def action_space(self):
        return Discrete(self.num_actions)

    def reset(self, task, key):
        return None, jnp.zeros(0)

    def step(self, state, action, task, key):
        return Step(None, jnp.zeros(0), rewards(self.num_actions, task)[action], jnp.asarray(True))


class Targets(TaskDistribution):
    """A target between 0 and 1."""

    num_actions: int = eqx.field(static=True)
    split: str = eqx.field(static=True)
    finite: int | None = eqx.field(static=True, default=None)

    def draw(self, key):
        return jax.random.uniform(key)

    def oracle(self, task):
        return jnp.max(rewards(self.num_actions, task))


def hidden_target(num_actions: int = 5, num_episodes: int = 8) -> Problem:
    """Guess `num_episodes` times where a target is, with `num_actions` guesses to choose from."""
    return make_problem(
        HiddenTarget(num_actions), lambda split: Targets(num_actions=num_actions, split=split), num_episodes
    )
