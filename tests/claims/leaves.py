"""Whole states as bytes: whether they are the same, whether they are finite, and their fingerprint."""

import hashlib
from typing import Any

import jax
import numpy as np

from adaptax.core.types import key_data


def arrays(tree: Any) -> list[np.ndarray]:
    """All leaves on the host; keys as their data."""
    return [np.array(key_data(x)) for x in jax.tree.leaves(tree)]


def differing(one: Any, other: Any) -> int:
    """Number of leaves that are not bitwise equal."""
    pairs = zip(arrays(one), arrays(other), strict=True)
    return sum(a.shape != b.shape or a.dtype != b.dtype or a.tobytes() != b.tobytes() for a, b in pairs)


def not_finite(tree: Any) -> int:
    """Number of leaves with a number that is NaN or infinite."""
    return sum(np.issubdtype(x.dtype, np.inexact) and not np.isfinite(x).all() for x in arrays(tree))


def fingerprint(tree: Any) -> str:
    """SHA-256 of all leaves, with their shapes and types."""
    digest = hashlib.sha256()
    for x in arrays(tree):
        digest.update(f"{x.dtype}{x.shape}".encode())
        digest.update(np.ascontiguousarray(x).tobytes())
    return digest.hexdigest()
