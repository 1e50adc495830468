"""A picture of beliefs on a grid: what is decoded at every step of a trial, above what can be known.

Functions take arrays, not agents; see `adaptax.reports.style`.
"""

from pathlib import Path
from typing import Protocol

import numpy as np

from adaptax.core.errors import needs
from adaptax.reports.style import FONT_SIZE, REFERENCE, TRAINED, annotate_below, entitle, save

with needs("reports", "a picture"):
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

PANEL = 0.95
"""Side of a grid, in inches."""
MOST_STEPS = 16
"""Steps that are shown."""
AFTER = 2
"""So many steps after the goal was found."""


class BeliefsLike(Protocol):
    """What is drawn; see `adaptax.evaluation.beliefs.Beliefs`."""

    @property
    def decoded(self) -> np.ndarray:
        """Probability of each cell to be the goal, `[task, time, cell]`."""

    @property
    def exact(self) -> np.ndarray:
        """The posterior, likewise."""

    @property
    def cells(self) -> np.ndarray:
        """Where each step ended, `[task, time]`."""

    @property
    def goals(self) -> np.ndarray:
        """The goal of each task."""

    @property
    def size(self) -> int:
        """Cells along one side."""

    @property
    def horizon(self) -> int:
        """Steps of an episode."""

    @property
    def divergence(self) -> np.ndarray:
        """Mean divergence before each step."""


def telling_task(found: BeliefsLike) -> int:
    """The task in which the goal is found latest within the steps that are shown; the first if it is in none."""
    reached = found.cells == found.goals[:, None]
    first = np.where(reached.any(1), reached.argmax(1), MOST_STEPS)
    return int(np.argmax(np.where(first < MOST_STEPS - AFTER, first, -1)))


def shown_steps(found: BeliefsLike, task: int) -> list[int]:
    """Steps from the first on, to some after the goal was found."""
    reached = np.flatnonzero(found.cells[task] == found.goals[task])
    last = reached[0] + AFTER if len(reached) else found.cells.shape[1] - 1
    return list(range(min(last + 1, MOST_STEPS, found.cells.shape[1])))


def plot_beliefs(path: str | Path, found: BeliefsLike, *, title: str) -> None:
    """Draw the beliefs of one trial, step by step, and how far all trials' are from the posterior.

    Args:
        path: PNG file to write; missing folders are made.
        found: What to draw.
        title: Above the picture.

    Raises:
        OutputError: The file cannot be written.
    """
    save(belief_figure(found, title=title), path)


def belief_figure(found: BeliefsLike, *, title: str) -> Figure:
    """The picture, not yet written; see `plot_beliefs`."""
    task = telling_task(found)
    steps = shown_steps(found, task)
    width = max(9.0, PANEL * len(steps) + 0.8)
    figure = Figure(figsize=(width, 2 * PANEL + 3.6), layout=ConstrainedLayoutEngine())
    entitle(figure, title)
    above, below = figure.subfigures(2, 1, height_ratios=(2 * PANEL + 0.7, 2.2))
    panels = above.subplots(2, len(steps), squeeze=False)
    for column, step in enumerate(steps):
        ended = found.cells[task, step - 1] if step % found.horizon else 0
        for row, beliefs in enumerate((found.decoded, found.exact)):
            axes, grid = panels[row, column], beliefs[task, step].reshape(found.size, found.size)
            axes.imshow(np.sqrt(grid), cmap="Oranges", vmin=0.0, vmax=1.0, origin="lower")
            goal, agent = (divmod(int(cell), found.size) for cell in (found.goals[task], ended))
            axes.plot(goal[1], goal[0], marker="*", markersize=6, color=REFERENCE, markerfacecolor="none")
            axes.plot(agent[1], agent[0], marker="o", markersize=4, color="#0072B2")
            axes.set_xticks([])
            axes.set_yticks([])
        panels[0, column].set_title(str(step), fontsize=FONT_SIZE - 1)
    for row, name in enumerate(("decoded", "exact")):
        panels[row, 0].set_ylabel(name, fontsize=FONT_SIZE)
    axes = below.subplots()
    axes.plot(np.arange(len(found.divergence)), found.divergence, color=TRAINED, linewidth=2.2)
    for episode in range(1, len(found.divergence) // found.horizon):
        axes.axvline(episode * found.horizon, color="#E4E4E4", linewidth=0.8, zorder=0)
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("steps so far", fontsize=FONT_SIZE)
    axes.set_ylabel("KL, nats", fontsize=FONT_SIZE)
    axes.tick_params(labelsize=FONT_SIZE - 1, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    annotate_below(
        figure,
        "Above: one trial, after so many steps; the darker a cell, the more probable (√p). ● agent, ☆ goal, which it "
        f"does not see. Below: mean of KL(exact ‖ decoded) over {len(found.goals)} held-out tasks.",
    )
    return figure
