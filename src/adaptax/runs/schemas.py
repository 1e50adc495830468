"""What manifests and the names of leaves looked like in older versions, and how what those wrote is read today."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from adaptax.runs.seals import Damaged

SCHEMA = 2
"""Number of what a manifest and the leaves' names look like; older ones are read, this one is written."""
MIGRATIONS: dict[int, Callable[[str], str]] = {}
"""By schema N: how to call a leaf in N + 1, from its name in N. Renaming a field of what is saved adds an entry."""
ADDED: dict[int, Mapping[str, float]] = {1: {"reward_center": 0.0}}
"""By schema N: fields that leaves of N + 1 have and those of N have not, with the value that was meant without them."""


def migrated(arrays: dict[str, Any], schema: int, expected: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays by the names that leaves have now, from those of a schema; with the leaves that came after it.

    Args:
        arrays: By the names of that schema.
        schema: Its number.
        expected: By the names of now: shape and dtype of what is to be there.

    Raises:
        Damaged: if two leaves come to the same name.
    """
    for number in range(schema, SCHEMA):
        rename = MIGRATIONS.get(number, lambda name: name)
        renamed = {rename(name): array for name, array in arrays.items()}
        if len(renamed) != len(arrays):
            raise Damaged("weights: names of leaves")
        arrays = renamed
        for name, leaf in expected.items():
            field = re.split(r"\W", name)[-1]
            if name not in arrays and field in ADDED.get(number, {}):
                arrays[name] = np.full(leaf.shape, ADDED[number][field], leaf.dtype)
    return arrays
