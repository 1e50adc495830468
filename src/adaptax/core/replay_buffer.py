"""Past experience, in places that the newest takes from the oldest."""

from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from adaptax.core.errors import UseError


class ReplayBuffer(eqx.Module):
    """The newest steps of experience, a ring; leaves `[capacity, ...]`. What `draw` returns has `[num, ...]`.

    Attributes:
        before: Encoded observations.
        action: What was done.
        reward: What it brought.
        after: Encoded observations where it led.
        terminated: Whether nothing comes after it.
        count: Steps ever put in.
    """

    before: Float[Array, "capacity size"]
    action: Int[Array, " capacity"]
    reward: Float[Array, " capacity"]
    after: Float[Array, "capacity size"]
    terminated: Bool[Array, " capacity"]
    count: Int[Array, ""]

    @classmethod
    def empty(cls, capacity: int, size: int) -> Self:
        """A buffer for observations of `size` numbers, with nothing in it."""
        nothing, places = jnp.zeros(capacity), jnp.zeros((capacity, size))
        return cls(places, nothing.astype(jnp.int32), nothing, places, nothing > 0, jnp.asarray(0, jnp.int32))

    def add(
        self,
        before: Float[Array, "time size"],
        action: Int[Array, " time"],
        reward: Float[Array, " time"],
        after: Float[Array, "time size"],
        terminated: Bool[Array, " time"],
        valid: Bool[Array, " time"],
    ) -> Self:
        """Put the steps that happened, which are valid, into the places of the oldest ones.

        Raises:
            UseError: if there are more steps than places: two would be put into one.
        """
        capacity = len(self.reward)
        if len(valid) > capacity:
            raise UseError(f"ReplayBuffer.add: expected at most {capacity} steps, its capacity; found {len(valid)}")
        index = self.count + jnp.cumsum(valid, dtype=jnp.int32) - 1
        places = jnp.where(valid, index % capacity, capacity)  # out of range: dropped

        def put(store: Array, values: Array) -> Array:
            return store.at[places].set(values, mode="drop")

        return type(self)(
            put(self.before, before),
            put(self.action, action),
            put(self.reward, reward),
            put(self.after, after),
            put(self.terminated, terminated),
            self.count + jnp.sum(valid, dtype=jnp.int32),
        )

    def draw(self, key: Key[Array, ""], num: int) -> Self:
        """Steps drawn uniformly, with replacement, from those that are in it; an empty one gives its zeros."""
        places = jax.random.randint(key, (num,), 0, jnp.clip(self.count, 1, len(self.reward)))
        return jax.tree.map(lambda x: x[places] if x.ndim else x, self)


class TrialBuffer(eqx.Module):
    """The newest trials, a ring; leaves `[capacity, time, ...]`, or without time what is said once of a trial.

    Attributes:
        trials: Any pytree of arrays: transitions, features of tasks.
        count: Trials ever put in.
    """

    trials: PyTree[Array]
    count: Int[Array, ""]

    @classmethod
    def empty(cls, capacity: int, trial: PyTree[Any]) -> Self:
        """A buffer for trials that are like `trial` (arrays, or their shapes and types), with nothing in it."""
        places = jax.tree.map(lambda x: jnp.zeros((capacity, *x.shape), x.dtype), trial)
        return cls(places, jnp.asarray(0, jnp.int32))

    @property
    def capacity(self) -> int:
        """Trials that there are places for."""
        return len(jax.tree.leaves(self.trials)[0])

    def add(self, trials: PyTree[Array]) -> Self:
        """Put trials, leaves `[trial, ...]`, into the places of the oldest ones.

        Of more than there are places for, the last are kept.
        """
        number = len(jax.tree.leaves(trials)[0])
        kept = min(number, self.capacity)
        places = (self.count + jnp.arange(number - kept, number, dtype=jnp.int32)) % self.capacity
        put = jax.tree.map(lambda store, x: store.at[places].set(x[number - kept :]), self.trials, trials)
        return type(self)(put, self.count + number)

    def places(self, key: Key[Array, ""], num: int) -> Int[Array, " num"]:
        """Places drawn uniformly, with replacement, from those that hold a trial; of an empty buffer, the first."""
        return jax.random.randint(key, (num,), 0, jnp.clip(self.count, 1, self.capacity))

    def at(self, places: Int[Array, " num"]) -> PyTree[Array]:
        """The trials in some places, leaves `[num, ...]`."""
        return jax.tree.map(lambda x: x[places], self.trials)

    def draw(self, key: Key[Array, ""], num: int) -> PyTree[Array]:
        """Trials drawn uniformly, with replacement, leaves `[num, ...]`; an empty buffer gives its zeros."""
        return self.at(self.places(key, num))
