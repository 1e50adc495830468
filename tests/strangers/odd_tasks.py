"""A problem whose tasks hold all that an array may: keys, raw keys, infinity, NaN, masks, whole numbers, truth values.

Which of two buttons pays is drawn from a key of the task's own; so only who is told the rest of it can know nothing.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from adaptax.core.problem import Environment, Problem, Step, TaskDistribution, make_problem
from adaptax.core.spaces import Box, Discrete


class Buttons(Environment):
    """Two buttons, of which one pays 1; besides, each part of the task pays a little, whatever is done."""

    horizon: int = eqx.field(static=True)
    continuous: bool = eqx.field(static=True)
    ends_early: bool = eqx.field(static=True, default=False)

    @property
    def observation_space(self):
        return Box((2,))

    @property
    def action_space(self):
        return Box((1,), -1.0, 1.0) if self.continuous else Discrete(2)

    def reset(self, task, key):
        return jnp.asarray(0), jnp.zeros(2)

    def step(self, state, action, task, key):
        right = jax.random.bernoulli(jax.random.fold_in(task["key"], 0))
        right ^= jax.random.bernoulli(task["keys"][1, 0])
        right ^= jax.random.bernoulli(jax.random.fold_in(jax.random.wrap_key_data(task["raw"]), 1))
        pressed = action[0] > 0 if self.continuous else action == 1
        # All is what the family drew, or there is nothing to earn (trap E34).
        whole = (task["limit"] > 9) & jnp.isnan(task["none"]) & (task["three"] == 3) & (task["zero"] == 0)
        whole &= ((task["mask"] == 0) | (task["mask"] == 1)).all() & (task["many"] < 7).all()
        reward = jnp.where(whole, (pressed == right).astype(jnp.float32), -100.0)
        more = [jnp.isinf(task["sometimes"]), task["yes"], task["mask"], task["many"], task["small"], task["half"]]
        bonus = sum(jnp.mean(x.astype(jnp.float32)) for x in more) + task["goal"] + task["wave"].imag
        bonus += jnp.where(task["huge"] > 1e38, 1.0, 0.0)
        seen = jnp.stack([task["sometimes"] > 0.5, state > 0]).astype(jnp.float32)
        return Step(state + 1, seen, reward + 0.01 * bonus, jnp.asarray(False))


class Odd(TaskDistribution):
    """Tasks with leaves of every kind."""

    split: str = eqx.field(static=True)
    finite: int | None = eqx.field(static=True, default=None)

    def draw(self, key):
        keys = jax.random.split(key, 8)
        return {
            "key": keys[0],
            "keys": jax.random.split(keys[1], (2, 2)),
            "raw": jax.random.key_data(keys[2]),
            "goal": jax.random.uniform(keys[3]),
            "limit": jnp.asarray(jnp.inf),
            "sometimes": jnp.where(jax.random.bernoulli(keys[4]), jnp.inf, jax.random.uniform(keys[4])),
            "none": jnp.asarray(jnp.nan),
            "three": jnp.asarray(3.0),
            "zero": jnp.asarray(0.0),
            "mask": jax.random.bernoulli(keys[5], 0.5, (4,)).astype(jnp.float32),
            "many": jax.random.randint(keys[6], (2,), 0, 7),
            "small": jax.random.randint(keys[6], (1,), 0, 100).astype(jnp.uint8),
            "yes": jax.random.bernoulli(keys[7]),
            "half": jax.random.normal(keys[7], (1,)).astype(jnp.bfloat16),
            "huge": jnp.asarray(3e38) * jax.random.uniform(keys[7]),
            "wave": jax.lax.complex(jax.random.uniform(keys[7]), jax.random.uniform(keys[6])),
            "nothing": jnp.zeros((0,)),
        }

    def oracle(self, task):
        return jnp.asarray(jnp.nan)


def buttons(num_episodes: int = 4, horizon: int = 2, continuous: bool = False) -> Problem:
    """Which button pays? Tasks are of every kind."""
    return make_problem(Buttons(horizon, continuous), Odd, num_episodes)
