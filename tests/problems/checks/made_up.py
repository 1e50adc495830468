"""Records of episodes that nobody has lived, for tests of rules."""

from typing import Any

import numpy as np

from adaptax.problems.checks.recording import Record

TIME = np.array([[0, 1, 2, 0], [0, 1, 0, 1]])
"""Steps of the episode so far, `[task, step]`."""


def recorded(**changes: dict[Any, Any]) -> Record:
    """Two tasks, four steps in each, in which nothing happens but what is said, by field and place."""
    pair, none = np.zeros((2, 4, 2), np.float32), np.zeros((2, 4), np.float32)
    seen = Record(pair.copy(), none.astype(int), none.copy(), none.astype(bool), pair.copy(), TIME)
    for name, places in changes.items():
        for place, value in places.items():
            getattr(seen, name)[place] = value
    return seen


def told(findings: Any) -> list[tuple[str, ...]]:
    """What was found, but for the advice."""
    return [(finding.rule, finding.where, finding.expected, finding.found) for finding in findings]
