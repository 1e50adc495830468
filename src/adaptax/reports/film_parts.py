"""What films of all kinds have in common: how they are put together, and how numbers are said and rounded in them."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import numpy as np

from adaptax.evaluation.recording import Episode, Recording
from adaptax.reports.results import after_steps

Film: TypeAlias = dict[str, Any]
"""What `templates/player.js` takes."""
MOST_MOMENTS = 240
"""Of a film, about."""
FEWEST = 12
"""So many moments an episode has at least, if it has as many steps."""


def film_of(
    kind: str,
    task: int,
    still: dict[str, Any],
    moments: list[dict[str, Any]],
    marks: Sequence[tuple[int, str]],
    *,
    hidden: str = "",
    note: str = "",
) -> Film:
    """A film as plain data.

    Args:
        kind: How it is drawn.
        task: Number of the task, from 0.
        still: What is the same in all moments.
        moments: What is not; one at least.
        marks: At which moments something begins, and what.
        hidden: What is hidden from the agent and may be revealed, in words.
        note: A sentence about the picture.
    """
    return {
        "kind": kind,
        "title": f"Held-out task {task + 1}",
        "hidden": hidden,
        "note": note,
        "still": still,
        "moments": moments or [{"text": "Nothing happened."}],
        "marks": [{"at": at, "label": label} for at, label in marks],
    }


def of_task(tasks: Any, task: int) -> Any:
    """One of several tasks."""
    return jax.tree.map(lambda x: x[task], tasks)


def ends_of(recording: Recording, task: int, number: int) -> int:
    """Steps that an episode had."""
    return int(recording.valid[task, number].sum())


def episode_name(recording: Recording, episode: Episode) -> str:
    """What an episode is called."""
    if episode.known:
        return f"{_capital(after_steps(episode.stage))}, best action known"
    if any(each.known for each in recording.episodes):
        return f"{_capital(after_steps(episode.stage))}, sampled"
    return f"Episode {episode.number + 1}"


def steps_shown(steps: int, episodes: int) -> list[int]:
    """Which of the steps 0 to `steps` of one of several episodes have a moment: first and last, and some between."""
    most = max(FEWEST, MOST_MOMENTS // max(1, episodes))
    return np.unique(np.round(np.linspace(0, steps, min(steps + 1, most))).astype(int)).tolist()


def figures(values: Any, digits: int = 3) -> list[float | int | None]:
    """Numbers with few digits, for a page; None for what is not finite."""
    rounded = []
    for x in np.ravel(np.asarray(values, np.float64)):
        near = float(f"{x:.{digits}g}") if abs(x) < 1e-2 or abs(x) >= 1e4 else round(float(x), digits)
        rounded.append((int(near) if near == int(near) else near) if np.isfinite(x) else None)
    return rounded


def numbers(value: Any) -> str:
    """A number in a sentence."""
    x = float(value)
    text = f"{x:.0f}" if x == round(x) and abs(x) < 1e6 else f"{x:.3g}"
    return text.replace("-", "−")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
