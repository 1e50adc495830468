"""A picture of what a memory knows: its principal components as a trial goes on, and how well the task can be decoded.

Functions take arrays, not agents; see `adaptax.reports.style`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from adaptax.core.errors import UseError, needs
from adaptax.reports.results import known
from adaptax.reports.style import CLASSICAL, FONT_SIZE, RANDOM, REFERENCE, TRAINED, entitle, save, spaced

with needs("reports", "a picture"):
    from matplotlib import colormaps
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.patheffects import withStroke
    from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

PANEL = 2.2
"""Side of a panel of points, in inches."""
LEAST_WIDTH, BELOW = 9.0, 3.3
"""Least width of the picture, and height of the panels below, in inches."""
MOST_PANELS = 6
MOST_POINTS = 600
"""Tasks in a panel."""
MOST_LABELS = 30
"""Up to so many tasks of a finite family are named in the last panel."""
MOST_NAMED = 7
"""Up to so many lines of parts are named; of more, only the highest and the lowest."""
LONG = 20
"""With more episodes than that, their axis is logarithmic."""


class CurveLike(Protocol):
    """A figure after each recorded episode; NaN where it is not defined."""

    @property
    def value(self) -> np.ndarray:
        """The figure, `[episode]`."""

    @property
    def stderr(self) -> np.ndarray:
        """Its standard error, `[episode]`."""


class InspectionLike(Protocol):
    """What is drawn; see `adaptax.evaluation.inspection.Inspection`."""

    episodes: tuple[int, ...]
    pooled: Any
    parts: Mapping[str, Any]
    accuracy: Any
    chance: float | None
    similarity: Any
    points: np.ndarray
    explained: tuple[float, float]
    shown: str
    colours: np.ndarray
    labels: tuple[str, ...] | None


def shown_episodes(recorded: int) -> list[int]:
    """Which of the recorded episodes have a panel: all, or some at even distances from the first to the last."""
    return sorted({round(x) for x in np.linspace(0, recorded - 1, min(recorded, MOST_PANELS))})


def plot_inspection(path: str | Path, found: InspectionLike, *, title: str, unit: str = "episode") -> None:
    """Draw memories of held-out tasks after some episodes, and below what they tell after each.

    Args:
        path: PNG file to write; missing folders are made.
        found: What to draw.
        title: Above the picture.
        unit: What an episode is called.

    Raises:
        OutputError: The file cannot be written.
        UseError: There are not as many points as episodes and tasks.
    """
    figure = inspection_figure(found, title=title, unit=unit)
    save(figure, path)


def inspection_figure(found: InspectionLike, *, title: str, unit: str = "episode") -> Figure:
    """The picture, not yet written; see `plot_inspection`."""
    expected = (len(found.episodes), len(found.colours), 2)
    if found.points.shape != expected:
        raise UseError(f"points: expected [episode, task, 2] = {expected}, found shape {found.points.shape}")
    panels = shown_episodes(len(found.episodes))
    width = max(LEAST_WIDTH, PANEL * len(panels) + 1.2)
    figure = Figure(figsize=(width, PANEL + BELOW + 1.0), layout=ConstrainedLayoutEngine())
    entitle(figure, title)
    above, below = figure.subfigures(2, 1, height_ratios=(PANEL + 0.7, BELOW))
    _draw_points(above, found, panels, unit)
    left, right = below.subplots(1, 2, width_ratios=(3, 2))
    ends = _draw_decoding(left, found) if found.accuracy is None else _draw_accuracy(left, found)
    what = "R² on held-out tasks" if found.accuracy is None else "share of tasks named rightly"
    _dress(left, found.episodes, what, unit)
    _name_ends(left, ends)
    left.set_title("decoded from the memory by a linear map", fontsize=FONT_SIZE, loc="left")
    _draw_curve(right, found.episodes, found.similarity, {"color": CLASSICAL[0], "linewidth": 2.6})
    _dress(right, found.episodes, "rank correlation", unit)
    right.set_title("distances of memories and of tasks", fontsize=FONT_SIZE, loc="left")
    return figure


def _draw_points(figure: Any, found: InspectionLike, panels: Sequence[int], unit: str) -> None:
    """A panel per shown episode, all with the same axes."""
    grid = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    use = slice(0, MOST_POINTS)
    style = {"cmap": "viridis", "s": 10, "alpha": 0.8, "linewidths": 0}
    colours: Any = found.colours[use]
    if found.labels is not None:
        palette = _palette(len(found.labels))
        style, colours = {**style, "cmap": None}, palette[found.colours[use]]
    for axes, episode in zip(grid, panels, strict=True):
        drawn = axes.scatter(*found.points[episode, use].T, c=colours, **style)
        axes.set_title(after(found.episodes[episode], unit), fontsize=FONT_SIZE - 1)
        axes.set_box_aspect(1)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color("#C8C8C8")
    grid[0].margins(0.1)
    if found.labels is None:
        bar = figure.colorbar(drawn, cax=grid[-1].inset_axes((1.06, 0.0, 0.06, 1.0)))
        bar.solids.set_alpha(1)
        bar.set_label(found.shown, fontsize=FONT_SIZE - 1)
        bar.ax.tick_params(labelsize=FONT_SIZE - 2)
        bar.outline.set_visible(False)
    elif len(found.labels) <= MOST_LABELS:
        _name_tasks(grid[-1], found, palette)
    first, second = (f"{share:.0%}".replace("%", " %") for share in found.explained)
    grid[0].set_xlabel(f"1st component ({first})", fontsize=FONT_SIZE - 1)
    grid[0].set_ylabel(f"2nd component ({second})", fontsize=FONT_SIZE - 1)


def _palette(count: int) -> np.ndarray:
    """Colours of the tasks of a finite family."""
    if count <= len(CLASSICAL):
        return np.asarray(CLASSICAL[:count])
    return colormaps["turbo"](np.linspace(0.05, 0.95, count))


def _name_tasks(axes: Axes, found: InspectionLike, palette: np.ndarray) -> None:
    """Write each task's name where its memories are, at the end."""
    assert found.labels is not None
    for number, label in enumerate(found.labels):
        points = found.points[-1, found.colours == number]
        if len(points):
            axes.annotate(
                label, np.median(points, 0), xytext=(2.5, 2.5), textcoords="offset points",
                fontsize=FONT_SIZE - 3, color=REFERENCE, zorder=5, annotation_clip=False,
                path_effects=[withStroke(linewidth=2.2, foreground="white")],
            )  # fmt: skip


def after(episode: int, unit: str) -> str:
    """When it was."""
    return "at the start" if episode == 0 else f"after {episode} {unit}{'s' if episode > 1 else ''}"


def _draw_decoding(axes: Axes, found: InspectionLike) -> dict[str, tuple[float, str]]:
    """R² of all features together, and of each part where there are several; return the lines' ends to name."""
    parts = found.parts if len(found.parts) > 1 else {}
    order = sorted(parts, key=lambda name: found.parts[name].value[-1])
    named = set(order if len(order) <= MOST_NAMED else (order[0], order[-1]))
    ends: dict[str, tuple[float, str]] = {}
    for number, (name, curve) in enumerate(parts.items()):
        colour = CLASSICAL[number % len(CLASSICAL)] if len(order) <= MOST_NAMED else RANDOM
        axes.plot(found.episodes, curve.value, color=colour, linewidth=1.1, alpha=0.9, zorder=2)
        if name in named:
            ends[name] = float(curve.value[-1]), colour
    _draw_curve(axes, found.episodes, found.pooled, {"color": TRAINED, "linewidth": 3.2})
    ends["all features" if parts else next(iter(found.parts))] = float(found.pooled.value[-1]), TRAINED
    return ends


def _draw_accuracy(axes: Axes, found: InspectionLike) -> dict[str, tuple[float, str]]:
    """How often the task is named rightly, and by chance; return the end to name."""
    _draw_curve(axes, found.episodes, found.accuracy, {"color": TRAINED, "linewidth": 3.2})
    assert found.chance is not None
    axes.axhline(found.chance, color=REFERENCE, linestyle=":", linewidth=1.3, zorder=1)
    return {"chance": (found.chance, REFERENCE)}


def _draw_curve(axes: Axes, episodes: Sequence[int], curve: CurveLike, style: Mapping[str, Any]) -> None:
    """A line with a band of one standard error to either side."""
    axes.plot(episodes, curve.value, marker="o", markersize=4, zorder=3, **style)
    low, high = curve.value - curve.stderr, curve.value + curve.stderr
    axes.fill_between(episodes, low, high, color=style["color"], alpha=0.25, linewidth=0, zorder=2)


def _name_ends(axes: Axes, ends: Mapping[str, tuple[float, str]]) -> None:
    """Write names beside the ends of lines, moved apart where they end close to each other."""
    low, high = axes.get_ylim()
    places = spaced([value for value, _ in ends.values()], (high - low) * 1.4 * FONT_SIZE / (0.72 * BELOW * 72))
    for (name, (value, colour)), place in zip(ends.items(), places, strict=True):
        axes.annotate(
            name, (axes.get_xlim()[1], value), xytext=(1.04, (place - low) / (high - low)),
            textcoords="axes fraction", color=colour, fontsize=FONT_SIZE - 1, va="center", annotation_clip=False,
            fontweight="bold" if colour == TRAINED else "normal",
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.7, "shrinkA": 1, "shrinkB": 0},
        )  # fmt: skip


def _dress(axes: Axes, episodes: Sequence[int], ylabel: str, unit: str) -> None:
    """Labels, ticks and a quiet frame; figures lie between 0 and 1, or a little below."""
    last = episodes[-1]
    if last > LONG:
        axes.set_xscale("symlog", linthresh=1)
        ticks = [0, *(c * 10**k for k in range(6) for c in (1, 2, 5) if c * 10**k <= last)]
        axes.xaxis.set_major_locator(FixedLocator(ticks if last in ticks else [*ticks, last]))
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=(1, 2, 5, 10), integer=True))
    axes.set_xlim(-0.1 if last > LONG else -0.03 * last, last * (1.06 if last > LONG else 1.03))
    lines = np.concatenate([np.asarray(line.get_ydata(), np.float64) for line in axes.lines])
    lowest = min((x for x in lines if known(x)), default=0.0)
    axes.set_ylim(min(-0.04, 1.05 * lowest), 1.04)
    axes.set_xlabel(f"{unit}s so far", fontsize=FONT_SIZE)
    axes.set_ylabel(ylabel, fontsize=FONT_SIZE)
    axes.tick_params(labelsize=FONT_SIZE - 1, length=3)
    axes.grid(axis="y", color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
