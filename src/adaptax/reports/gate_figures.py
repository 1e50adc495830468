"""A picture of what a learned update rule does: its gates over the steps of an adaptation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from adaptax.core.errors import UseError, needs
from adaptax.optimization.update_rules import QUANTILES, GroupGates, Spread
from adaptax.reports.style import CLASSICAL, DASHES, FONT_SIZE, HEIGHT, REFERENCE, save

with needs("reports", "a picture"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.ticker import MaxNLocator

WIDTH = 11
"""Of the picture, in inches."""
LOWER, UPPER = QUANTILES.index(0.25), QUANTILES.index(0.75)
"""The band holds the middle half of a group's weights."""


def plot_gates(path: str | Path, gates: Mapping[str, GroupGates], *, title: str) -> None:
    """Draw the mean of each group's gates in each step, and the middle half of them as a band.

    Args:
        path: PNG file to write; missing folders are made.
        gates: By group, as `adaptax.optimization.update_rules.gates_over_steps` returns them.
        title: Above the picture.

    Raises:
        OutputError: The file cannot be written.
        UseError: `gates` is empty.
    """
    if not gates:
        raise UseError("gates: expected at least one group of weights, found none")
    figure = Figure(figsize=(WIDTH, HEIGHT), layout=ConstrainedLayoutEngine())
    figure.suptitle(title, fontsize=FONT_SIZE + 1)
    left, right = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
    for number, (name, group) in enumerate(gates.items()):
        turn, colour = divmod(number, len(CLASSICAL))
        style = {"color": CLASSICAL[colour], "linestyle": DASHES[turn % len(DASHES)]}
        _draw(left, group.forget, name, style)
        _draw(right, group.input, name, style)
    _dress(left, "forget gate f (1 keeps the weight)")
    _dress(right, "input gate i, in inner learning rates")
    right.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=FONT_SIZE - 2, frameon=False)
    save(figure, path)


def _draw(axes: Axes, spread: Spread, name: str, style: Mapping[str, Any]) -> None:
    steps = np.arange(1, len(spread.mean) + 1)
    band = np.asarray(spread.quantiles)
    axes.fill_between(steps, band[:, LOWER], band[:, UPPER], color=style["color"], alpha=0.12, linewidth=0)
    axes.plot(steps, np.asarray(spread.mean), marker="o", markersize=4, label=name, **style)


def _dress(axes: Axes, ylabel: str) -> None:
    axes.axhline(1.0, color=REFERENCE, linewidth=1.0, linestyle=":", zorder=0)
    axes.set_xlabel("inner step", fontsize=FONT_SIZE)
    axes.set_ylabel(ylabel, fontsize=FONT_SIZE)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.spines[["top", "right"]].set_visible(False)
