"""Shops: every day some things are sold out. Whoever takes one of those gets NaN, so that a training notices it."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from adaptax.core.composite_spaces import ActionMask, Dict, Image
from adaptax.core.problem import Environment, Problem, Step, TaskDistribution
from adaptax.core.spaces import Box, Discrete, MultiDiscrete, Space

THINGS = 6
COUNTERS = (2, 4)
SIDE = 5


class Shop(Environment):
    """A day is a step. What a thing is worth is the task; what is there is seen, and place, weather and a picture."""

    observation_space: Dict = eqx.field(static=True)
    action_space: Space = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    ends_early: bool = eqx.field(static=True)
    pictures: bool = eqx.field(static=True)

    def __init__(self, counters: Literal["one", "two"], *, pictures: bool):
        self.action_space = Discrete(THINGS) if counters == "one" else MultiDiscrete(COUNTERS)
        parts = {"place": Box((2,), [-1, -10], [1, 1000]), "weather": Discrete(3), "action_mask": ActionMask(THINGS)}
        self.observation_space = Dict({**parts, "picture": Image((SIDE, SIDE, 2))} if pictures else parts)
        self.horizon, self.ends_early, self.pictures = 3, False, pictures

    def _morning(self, key):
        there_key, place_key, weather_key, picture_key = jax.random.split(key, 4)
        there = jnp.concatenate(
            [
                jax.random.permutation(k, jnp.arange(n) % 2)
                for k, n in zip(jax.random.split(there_key), self._sizes(), strict=True)
            ]
        )
        parts = {
            "place": jax.random.uniform(place_key, (2,)) * jnp.asarray([1.0, 1000.0]),
            "weather": jax.random.randint(weather_key, (), 0, 3),
            "action_mask": there,
        }
        if self.pictures:
            parts["picture"] = jax.random.randint(picture_key, (SIDE, SIDE, 2), 0, 256)
        return self.observation_space.flatten(parts)

    def _sizes(self):
        return COUNTERS if isinstance(self.action_space, MultiDiscrete) else (2, THINGS - 2)

    def reset(self, task, key):
        morning = self._morning(key)
        return morning, morning

    def step(self, state, action, task, key):
        taken = self.action_space.encode(action)
        there = self.observation_space.legal(self.observation_space.encode(state))
        worth = jnp.where(jnp.all(there | (taken == 0)), jnp.sum(taken * task), jnp.nan)
        morning = self._morning(key)
        return Step(morning, morning, worth, jnp.asarray(False))


class Worth(TaskDistribution):
    split: str = eqx.field(static=True)
    finite: int | None = eqx.field(static=True, default=None)

    def draw(self, key):
        return jax.random.uniform(key, (THINGS,))

    def oracle(self, task):
        return jnp.asarray(jnp.nan)


def shops(counters: Literal["one", "two"] = "one", episodes: int = 4, *, pictures: bool = False) -> Problem:
    """Shops with one counter of six things, or with two of two and four."""
    return Problem(Shop(counters, pictures=pictures), Worth("train"), Worth("validation"), Worth("test"), episodes)
