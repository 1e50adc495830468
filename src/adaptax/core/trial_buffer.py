"""Past trials, each whole and of one task, in places that the newest take from the oldest."""

from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key, PyTree


class TrialBuffer(eqx.Module):
    """A ring of trials. A place holds all that is kept of one, so that no trial is mixed with another's task.

    Attributes:
        trials: What is kept, leaves `[capacity, ...]`.
        count: Trials ever put in.
    """

    trials: PyTree[Array]
    count: Int[Array, ""]

    @classmethod
    def empty(cls, capacity: int, like: PyTree) -> Self:
        """A buffer with nothing in it.

        Args:
            capacity: Places.
            like: Trials, or their shapes and dtypes, leaves `[trial, ...]`.
        """
        places = jax.tree.map(lambda x: jnp.zeros((capacity, *x.shape[1:]), x.dtype), like)
        return cls(places, jnp.asarray(0, jnp.int32))

    @property
    def capacity(self) -> int:
        """Places."""
        return int(jax.tree.leaves(self.trials)[0].shape[0])

    def add(self, trials: PyTree[Array]) -> Self:
        """Put trials, leaves `[trial, ...]`, into the places of the oldest; of more than there are places, the last."""
        number = min(int(jax.tree.leaves(trials)[0].shape[0]), self.capacity)
        places = (self.count + jnp.arange(number, dtype=jnp.int32)) % self.capacity
        put = jax.tree.map(lambda store, new: store.at[places].set(new[-number:]), self.trials, trials)
        return type(self)(put, self.count + number)

    def places(self, key: Key[Array, ""], num: int) -> Int[Array, " num"]:
        """Places drawn uniformly, with replacement, from those that hold a trial; of an empty buffer, the first."""
        return jax.random.randint(key, (num,), 0, jnp.clip(self.count, 1, self.capacity))

    def at(self, places: Int[Array, " num"]) -> PyTree[Array]:
        """The trials in some places, leaves `[num, ...]`."""
        return jax.tree.map(lambda x: x[places], self.trials)
