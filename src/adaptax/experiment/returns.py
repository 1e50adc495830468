"""What every agent earned in every task of an evaluation: `returns.npz`."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from adaptax.core import atomic_files
from adaptax.evaluation.evaluator import Evaluation

RETURNS = "returns.npz"


def write_returns(path: Path, results: Mapping[str, Evaluation]) -> None:
    """Write the returns of each agent by seed, task and episode, compressed.

    `numpy.load(path)["AGENT/returns"]` is `[seed, task, episode]`, undiscounted; task i is the same for all agents.
    `AGENT/steps` has the environment steps that each episode took; `AGENT/evaluation_episodes` is
    `[seed, task, evaluation]`, where agents that learn from windows have such (`Evaluation`). Where environments
    say so, `AGENT/success_ever` and `AGENT/success_last` are True for episodes that succeeded in any and in their last
    step.

    Args:
        path: The file; the old one, if there is one, or the whole new one.
        results: Evaluations by agent.

    Raises:
        OSError: if it cannot be written.
    """
    arrays: dict[str, Any] = {}
    for name, result in results.items():
        arrays[f"{name}/returns"] = result.returns
        arrays[f"{name}/steps"] = result.steps
        if result.evaluation_episodes is not None:
            arrays[f"{name}/evaluation_episodes"] = result.evaluation_episodes
        if result.successes is not None:
            arrays[f"{name}/success_ever"] = result.successes.ever
            arrays[f"{name}/success_last"] = result.successes.last
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    atomic_files.write(path, content.getvalue())
