"""Fingerprints of numbers."""

import hashlib
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def arrays(tree: Any) -> list[np.ndarray]:
    """All leaves, keys as `jax.random.key_data`."""
    is_key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)  # noqa: E731
    return [np.ascontiguousarray(jax.random.key_data(x) if is_key(x) else x) for x in jax.tree.leaves(tree)]


def digest(tree: Any) -> str:
    """SHA-256 of all leaves with their types and shapes, whatever the leaves are called and whichever comes first."""
    leaves = sorted(hashlib.sha256(f"{x.dtype}{x.shape}".encode() + x.tobytes()).hexdigest() for x in arrays(tree))
    return hashlib.sha256(json.dumps(leaves).encode()).hexdigest()


def norms(tree: Any) -> list[float]:
    """Euclidean norm of every leaf of numbers, in order of size; to 7 digits."""
    numbers = (x.astype(np.float64) for x in arrays(tree) if np.issubdtype(x.dtype, np.floating))
    return sorted(float(f"{np.linalg.norm(x):.7g}") for x in numbers)
