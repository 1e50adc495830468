"""Another problem of a stranger: bring a weight to a mark with a motor whose gain is unknown, sign included."""

import equinox as eqx
import jax
import jax.numpy as jnp

from adaptax.core.problem import Environment, Problem, Step, TaskDistribution, make_problem
from adaptax.core.spaces import Box

MARK = 1.0


class Motor(Environment):
    """The weight moves by gain × action, is seen, and pays minus its distance from the mark."""

    horizon: int = eqx.field(static=True)
    observation_space: Box = eqx.field(static=True, default=Box((1,)))
    action_space: Box = eqx.field(static=True, default=Box((1,), -1.0, 1.0))
    ends_early: bool = eqx.field(static=True, default=False)

    def reset(self, task, key):
        return jnp.zeros(1), jnp.zeros(1)

    def step(self, state, action, task, key):
        position = state + task * jnp.clip(action, -1.0, 1.0)
        return Step(position, position, -jnp.abs(position[0] - MARK), jnp.asarray(False))


class Gains(TaskDistribution):
    """A gain between .2 and .6 in size, of either sign."""

    split: str = eqx.field(static=True)
    finite: int | None = eqx.field(static=True, default=None)

    def draw(self, key):
        size, sign = jax.random.split(key)
        return jax.random.uniform(size, minval=0.2, maxval=0.6) * jnp.where(jax.random.bernoulli(sign), 1.0, -1.0)


def unknown_gain(num_episodes: int = 10, horizon: int = 12) -> Problem:
    """Bring a weight to a mark in `horizon` steps, `num_episodes` times, with a motor that is to be found out."""
    return make_problem(Motor(horizon), lambda split: Gains(split=split), num_episodes)
