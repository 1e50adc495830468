"""A picture of a learned posterior over a linear bandit's weights, beside the exact one.

Functions take arrays, not agents; see `adaptax.reports.style`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from adaptax.core.errors import needs
from adaptax.reports.style import (
    FONT_SIZE,
    OPTIMUM,
    REFERENCE,
    TRAINED,
    annotate_below,
    frame,
    new_figure,
    save,
)

with needs("reports", "a picture"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 11.0
"""In inches."""
MOST_POINTS = 2000
"""So many weights are drawn in the middle panel."""
LINE: dict[str, Any] = {"color": TRAINED, "linewidth": 2.2}


class PosteriorsLike(Protocol):
    """What is drawn; see `adaptax.evaluation.posteriors.Posteriors`."""

    @property
    def mapped(self) -> tuple[np.ndarray, np.ndarray]:
        """Means and variances, `[task, pull + 1, d]`."""

    @property
    def exact(self) -> tuple[np.ndarray, np.ndarray]:
        """The exact ones."""

    @property
    def r2(self) -> np.ndarray:
        """R² before the first pull and after each."""

    @property
    def calibration(self) -> Sequence[dict[str, float]]:
        """How often weights are in intervals of each level."""


def plot_posteriors(path: str | Path, found: PosteriorsLike, *, title: str) -> None:
    """Draw how much of the exact posterior a learned one holds, how wide it is, and whether it is calibrated.

    Args:
        path: PNG file to write; missing folders are made.
        found: What to draw.
        title: Above the picture.

    Raises:
        OutputError: The file cannot be written.
    """
    save(posterior_figure(found, title=title), path)


def posterior_figure(found: PosteriorsLike, *, title: str) -> Figure:
    """The picture, not yet written; see `plot_posteriors`."""
    figure = new_figure(WIDTH, title)
    means, widths, calibrated = figure.subplots(1, 3)
    _means(means, found)
    _widths(widths, found)
    _calibration(calibrated, found)
    for axes in (means, widths, calibrated):
        frame(axes)
    tasks, _, size = found.exact[0].shape
    which = "the weight" if size == 1 else f"each of {size} weights"
    annotate_below(
        figure,
        f"Of {which} in {tasks} held-out tasks. What the agent believes is mapped to weights by a line that was fitted "
        "to exact means in other tasks. Dashed: where both agree, or the exact posterior.",
    )
    return figure


def _means(axes: Axes, found: PosteriorsLike) -> None:
    """The mean after all pulls, against the exact one."""
    exact, mapped = found.exact[0][:, -1].ravel()[:MOST_POINTS], found.mapped[0][:, -1].ravel()[:MOST_POINTS]
    axes.plot(exact, mapped, ".", color=TRAINED, markersize=4, alpha=0.5)
    ends = [float(exact.min()), float(exact.max())]
    axes.plot(ends, ends, **OPTIMUM)
    r2 = found.r2[-1]
    axes.set_title("mean after all pulls" + (f", R² {r2:.3f}" if np.isfinite(r2) else ""), fontsize=FONT_SIZE)
    axes.set_xlabel("exact", fontsize=FONT_SIZE)
    axes.set_ylabel("believed", fontsize=FONT_SIZE)


def _widths(axes: Axes, found: PosteriorsLike) -> None:
    """Mean standard deviations, pull by pull."""
    pulls = np.arange(found.exact[1].shape[1])
    axes.plot(pulls, np.sqrt(found.mapped[1]).mean((0, 2)), label="believed", **LINE)
    axes.plot(pulls, np.sqrt(found.exact[1]).mean((0, 2)), label="exact", **OPTIMUM)
    axes.set_ylim(bottom=0.0)
    axes.set_title("standard deviation", fontsize=FONT_SIZE)
    axes.set_xlabel("pulls so far", fontsize=FONT_SIZE)
    axes.legend(frameon=False, fontsize=FONT_SIZE - 1)


def _calibration(axes: Axes, found: PosteriorsLike) -> None:
    """How often weights are where they should be so often."""
    levels = [row["level"] for row in found.calibration]
    axes.plot([0, 1], [0, 1], **OPTIMUM)
    axes.plot(levels, [row["held"] for row in found.calibration], marker="o", **LINE)
    exact = [row["held_by_the_exact"] for row in found.calibration]
    axes.plot(levels, exact, linestyle="none", marker="o", markersize=9, markerfacecolor="none", color=REFERENCE)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_title("calibration (○ the exact posterior)", fontsize=FONT_SIZE)
    axes.set_xlabel("level of an interval", fontsize=FONT_SIZE)
    axes.set_ylabel("how often it holds the weight", fontsize=FONT_SIZE)
