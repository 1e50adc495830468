"""Memories, by name."""

from collections.abc import Callable

from jaxtyping import Array, Key

from adaptax.networks.memory.base import Memory, MemorySizes
from adaptax.networks.memory.recurrent import Memoryless, Recurrent
from adaptax.networks.memory.symmetric import Symmetric

MEMORIES: dict[str, Callable[[MemorySizes, Key[Array, ""]], Memory]] = {
    "lstm": Recurrent.builder("lstm"),
    "gru": Recurrent.builder("gru"),
    "symmetric": Symmetric.build,
    "none": Memoryless.build,
}
"""How each kind is built."""


def build_memory(kind: str, sizes: MemorySizes, key: Key[Array, ""]) -> Memory:
    """The memory of a kind.

    Raises:
        ValueError: if there is no such kind, or if it cannot serve these spaces.
    """
    if kind not in MEMORIES:
        raise ValueError(f"memory: expected one of {', '.join(MEMORIES)}; found {kind!r}")
    return MEMORIES[kind](sizes, key)
