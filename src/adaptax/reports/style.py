"""The looks of all pictures: colours, sizes, frames, names beside lines.

Figures are drawn by matplotlib's Agg renderer through its object interface: no display is needed, and no global state
(pyplot) is touched.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adaptax.core import atomic_files
from adaptax.core.errors import needs

with needs("reports", "a picture"):
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.textpath import TextPath

DPI = 150
HEIGHT = 4.4
"""Of a picture, in inches."""
FONT_SIZE = 11

TRAINED = "#D55E00"
RANDOM = "#8A8A8A"
CLASSICAL = ("#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6A3D9A", "#7A5C3E")
"""Colours that colour-blind readers tell apart (after Okabe & Ito 2008)."""
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)))
REFERENCE = "#222222"
OPTIMUM: dict[str, Any] = {"color": REFERENCE, "linewidth": 1.4, "linestyle": "--", "zorder": 4}
BEHIND_TEXT = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.5}


def spaced(wanted: Sequence[float], gap: float) -> np.ndarray:
    """Positions nearest to `wanted` (least squares), in the same order and at least `gap` apart."""
    order = np.argsort(np.asarray(wanted), kind="stable")
    steps = gap * np.arange(len(order))
    blocks: list[list[float]] = []  # isotonic regression: neighbours that are too close move as one
    for target in np.asarray(wanted, np.float64)[order] - steps:
        blocks.append([target])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    placed = np.empty(len(order))
    placed[order] = np.concatenate([np.full(len(block), np.mean(block)) for block in blocks]) + steps
    return placed


def styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """How to draw the line of each agent: the first is wide, the others thin and above it, `random` grey."""
    drawn: dict[str, dict[str, Any]] = {}
    for name in names:
        turn, colour = divmod(sum(style["color"] in CLASSICAL for style in drawn.values()), len(CLASSICAL))
        if not drawn:
            drawn[name] = {"color": TRAINED, "linewidth": 3.6, "linestyle": "-", "zorder": 2.5}
        elif name == "random":
            drawn[name] = {"color": RANDOM, "linewidth": 1.5, "linestyle": "-", "zorder": 2}
        else:
            dashes = DASHES[turn % len(DASHES)]
            drawn[name] = {"color": CLASSICAL[colour], "linewidth": 1.5, "linestyle": dashes, "zorder": 3}
    return drawn


MARGIN = 0.012
"""Of texts above and below a picture, as a share of its width."""


HINTED = 1.05
"""Letters on pixels are up to so much wider than their outlines."""


def new_figure(width: float, title: str) -> Figure:
    """A figure with a title at the top left."""
    figure = Figure(figsize=(width, HEIGHT), layout=ConstrainedLayoutEngine(wspace=0.05))
    entitle(figure, title)
    return figure


def entitle(figure: Figure, title: str) -> None:
    """Write a title at the top left, in as many lines as it takes."""
    text = fitted(figure, title, FONT_SIZE + 2, "bold")
    figure.suptitle(text, x=MARGIN, ha="left", fontsize=FONT_SIZE + 2, fontweight="bold")


def annotate_below(figure: Figure, note: str) -> None:
    """Write a note at the bottom left, in as many lines as it takes."""
    text = fitted(figure, note, FONT_SIZE - 2, "normal")
    figure.supxlabel(text, x=MARGIN, ha="left", fontsize=FONT_SIZE - 2)


def fitted(figure: Figure, text: str, size: float, weight: str) -> str:
    """A text in lines that are no wider than a figure, each as long as it can be; words stay whole."""
    font, room = FontProperties(weight=weight), (1 - 2 * MARGIN) * figure.get_figwidth() * 72 / HINTED

    def fits(line: str) -> bool:
        return bool(TextPath((0, 0), line, size=size, prop=font).get_extents().width <= room)

    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if lines[-1] and not fits(longer):
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG; missing folders are made.

    Raises:
        OutputError: The file cannot be written.
        ResourceError: The disk is full.
    """
    drawn = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(drawn, dpi=DPI, format="png")
    with atomic_files.explained(f"the picture {path}"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        atomic_files.write(Path(path), drawn.getvalue())


def frame(axes: Axes) -> None:
    """A quiet frame, with lines across that the eye can follow."""
    axes.tick_params(labelsize=FONT_SIZE - 1, length=3)
    axes.grid(axis="y", color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def label_ends(axes: Axes, finals: Mapping[str, float], drawn: Mapping[str, Mapping[str, Any]]) -> None:
    """Write each agent's name beside the end of its line, moved apart where lines end close to each other."""
    low, high = axes.get_ylim()
    points = 0.82 * HEIGHT * 72  # the axes' height
    positions = spaced(list(finals.values()), (high - low) * 1.4 * FONT_SIZE / points)
    end = axes.get_xlim()[1]
    for (name, value), position in zip(finals.items(), positions, strict=True):
        colour = drawn.get(name, OPTIMUM)["color"]
        axes.annotate(
            name, (end, value), xytext=(1.05, (position - low) / (high - low)), textcoords="axes fraction",
            color=colour, fontsize=FONT_SIZE, va="center", annotation_clip=False,
            fontweight="bold" if colour == TRAINED else "normal",
            arrowprops={
                "arrowstyle": "-", "color": colour, "linewidth": 0.7, "shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5),
            },
        )  # fmt: skip
