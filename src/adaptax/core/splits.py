"""Which split a task belongs to: a property of its bits, so that no task is in two splits and none is changed.

A task's 32-bit words are mixed into one number, and every split has a share of the numbers. A draw that falls into the
share of another split is drawn again, with another key. What comes out is what the family drew, bit for bit.
"""

import zlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Key, UInt32

from adaptax.core.types import Task, key_data

SHARES = {"train": (0, 12), "validation": (12, 14), "test": (14, 16)}
"""Where each split's share of `split_number` begins, and where it ends."""
NUMBERS = 16
SPLITS = tuple(SHARES)
SHIFTED = "shifted"
"""The split of tasks from another family: whatever is not training's, drawn with other keys."""
MOST_DRAWS = 200
"""For one task. A family of so few tasks that none is in a split's share has nothing to hold out, and says `finite`."""


def fold_in_name(key: Key[Array, ""], name: str) -> Key[Array, ""]:
    """The key for a purpose: `fold_in` of a number that no step, task or seed has.

    `jax.random.split(key)[i]` is `fold_in(key, i)`, so that two uses of one key share what they draw unless a purpose
    keeps them apart (trap E48).
    """
    return jax.random.fold_in(key, zlib.crc32(name.encode()) | 1 << 31)


def words(task: Task) -> UInt32[Array, " words"]:
    """A task's bits. Numbers that are equal have equal ones: 0 and −0 too."""

    def of_leaf(x: Array) -> Array:
        x = jnp.asarray(key_data(x))
        if jnp.issubdtype(x.dtype, jnp.complexfloating):
            x = jnp.stack([x.real, x.imag])
        if jnp.issubdtype(x.dtype, jnp.inexact):
            x = jnp.where(x == 0, jnp.zeros_like(x), x)
        if x.dtype.itemsize < 4:
            x = x.astype(jnp.float32 if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.int32)
        return jax.lax.bitcast_convert_type(x, jnp.uint32).ravel()

    return jnp.concatenate([jnp.zeros(1, jnp.uint32), *map(of_leaf, jax.tree.leaves(task))])


def _mixed(x: Array) -> Array:
    """All bits of a word in all bits of another: the last steps of MurmurHash3 (Appleby 2011)."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def split_number(task: Task) -> UInt32[Array, ""]:
    """A number below `NUMBERS` that depends on all bits of a task and on nothing else."""
    bits = words(task)
    places = jnp.arange(1, len(bits) + 1, dtype=jnp.uint32) * jnp.uint32(0x9E3779B9)
    return _mixed(jnp.sum(_mixed(_mixed(bits) + places), dtype=jnp.uint32)) >> 28


def is_in_split(task: Task, split: str) -> Bool[Array, ""]:
    """Whether a task falls into the share of a split."""
    low, high = (SHARES["train"][1], NUMBERS) if split == SHIFTED else SHARES[split]
    number = split_number(task)
    return (number >= low) & (number < high)


def draw_in_split(draw: Callable[[Key[Array, ""]], Task], split: str, key: Key[Array, ""]) -> Task:
    """Draw until a task is in the split's share; what it was after `MOST_DRAWS`, if none was."""

    def again(tried: tuple[Array, Task]) -> tuple[Array, Task]:
        return tried[0] + 1, draw(jax.random.fold_in(key, tried[0]))

    def goes_on(tried: tuple[Array, Task]) -> Array:
        return ~is_in_split(tried[1], split) & (tried[0] < MOST_DRAWS)

    first = jnp.asarray(1, jnp.int32), draw(jax.random.fold_in(key, 0))
    return jax.lax.while_loop(goes_on, again, first)[1]
