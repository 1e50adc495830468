"""Pictures of a comparison, drawn from its plain data (`adaptax.evaluation.comparison.compare`), as SVG.

Nothing is run here; see `adaptax.reports.style`.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from adaptax.core.errors import needs
from adaptax.reports.comparison_texts import Content, exploring, unit_of
from adaptax.reports.style import BEHIND_TEXT, CLASSICAL, FONT_SIZE, RANDOM, REFERENCE, TRAINED

with needs("reports", "a picture"):
    import matplotlib as mpl
    from matplotlib import colormaps
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

WIDTH = 9.6
"""Of all pictures, in inches."""
DASHES = {
    "meta-trained": "-",
    "from scratch": (0, (5, 1.6)),
    "classical": (0, (1.4, 1.2)),
    "reference": (0, (6, 1.4, 1.2, 1.4)),
}
"""The line of an agent says of which kind it is, the colour which one it is."""
WIDTHS = {"meta-trained": 2.8, "from scratch": 1.9, "classical": 1.7, "reference": 1.7}
FAMILIES = {"training": "#9A9A9A", "held-out": "#0072B2", "shifted": "#D55E00"}
GRID = "#E4E4E4"
MANY_RANKS = 12
"""With more arms than that, those from there on are one part of a bar."""


def looks(content: Content) -> dict[str, dict[str, Any]]:
    """How to draw each agent's line; lines and points of one agent are alike in all pictures."""
    colours = iter([TRAINED, *CLASSICAL] * len(content["agents"]))
    drawn = {}
    for name, agent in content["agents"].items():
        kind = agent["kind"]
        colour = RANDOM if name == "random" else next(colours)
        drawn[name] = {"color": colour, "linestyle": DASHES[kind], "linewidth": WIDTHS[kind]}
    return drawn


def svg(figure: Figure) -> bytes:
    """A figure as SVG; the same figure gives the same bytes."""
    stream = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "adaptax"}):
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        FigureCanvasSVG(figure).print_svg(stream, metadata=metadata)
    return stream.getvalue()


def _figure(height: float) -> Figure:
    return Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(wspace=0.06))


def _dress(axes: Axes, xlabel: str = "", ylabel: str = "", *, grid: Literal["x", "y"] = "y") -> None:
    axes.set_xlabel(xlabel, fontsize=FONT_SIZE)
    axes.set_ylabel(ylabel, fontsize=FONT_SIZE)
    axes.tick_params(labelsize=FONT_SIZE - 1, length=3)
    axes.grid(axis=grid, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _episodes(axes: Axes, longest: int, *, wide: bool = True) -> None:
    """A logarithmic axis of episodes with plain numbers, as many as there is room for."""
    axes.set_xscale("log")
    axes.set_xlim(0.92, 1.12 * max(longest, 2))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if longest < (2000 if wide else 200) else (1,)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))


def ends(figures: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, and lower and upper ends of intervals; NaN where there is none."""
    rows = [(f["value"], *f["interval"]) for f in figures]
    values, low, high = np.array([[np.nan if x is None else x for x in row] for row in rows], np.float64).T
    return values, low, high


def _line(axes: Axes, episodes: Sequence[int], figures: Sequence[Mapping[str, Any]], look: Mapping[str, Any]) -> None:
    """A curve with its band of 95 %."""
    values, low, high = ends(figures)
    marker: dict[str, Any] = {"marker": "o", "markersize": 4.5} if len(episodes) <= 24 else {}
    axes.plot(episodes, values, **look, **marker)
    axes.fill_between(episodes, low, high, color=look["color"], alpha=0.16, linewidth=0)


def _legend(axes: Axes, drawn: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> None:
    """Names beside the picture, the highest line first."""
    handles = [Line2D([], [], **drawn[name], label=name) for name in names]
    legend = axes.legend(
        handles=handles,
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        frameon=False,
        fontsize=FONT_SIZE,
        handlelength=2.6,
    )
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_color(drawn[name]["color"])


def performance_figure(content: Content) -> Figure:
    """Performance against experience, with the thresholds."""
    figure = _figure(4.6)
    axes, drawn = figure.add_subplot(), looks(content)
    agents, unit = content["agents"], unit_of(content)
    for name, agent in agents.items():
        shown = agent["performance"]
        _line(axes, shown["episodes"], shown["normalized_score"], drawn[name])
    for threshold in (*content["thresholds"], 1.0):
        style: dict[str, Any] = {"color": REFERENCE, "linewidth": 0.9 if threshold < 1 else 1.3, "linestyle": ":"}
        axes.axhline(threshold, **style, zorder=1)
        name = "reference" if threshold == 1 else f"{threshold:.0%}"
        axes.annotate(
            name, (0, threshold), xycoords=("axes fraction", "data"), xytext=(3, 1.5), textcoords="offset points",
            fontsize=FONT_SIZE - 2.5, color=REFERENCE, bbox=BEHIND_TEXT,
        )  # fmt: skip
    _episodes(axes, max(agent["trial"] for agent in agents.values()))
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -0.35), min(max(high, 1.08), 1.4))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    _dress(axes, f"{unit} in a new task", "normalized score (random 0 %, reference 100 %)")
    lasts = {name: agent["performance"]["normalized_score"][-1]["value"] for name, agent in agents.items()}
    _legend(axes, drawn, sorted(lasts, key=lambda name: -(lasts[name] if lasts[name] is not None else -9)))
    return figure


def reaches_figure(content: Content) -> Figure:
    """Episodes to each threshold, an agent in each row; an arrow where the trial was over before."""
    agents, thresholds, unit = content["agents"], content["thresholds"], unit_of(content)
    figure = _figure(1.1 + 0.62 * len(agents))
    axes, shades = figure.add_subplot(), colormaps["viridis_r"](np.linspace(0.15, 0.95, len(thresholds)))
    longest = max(agent["trial"] for agent in agents.values())
    for row, agent in enumerate(agents.values()):
        axes.axhspan(row - 0.5, row + 0.5, color="#F6F6F6" if row % 2 == 0 else "white", zorder=0)
        for number, threshold in enumerate(thresholds):
            place = row + 0.19 * (number - (len(thresholds) - 1) / 2)
            _reached(axes, place, agent["reaches"][f"{threshold:g}"], shades[number])
    axes.set_yticks(range(len(agents)), list(agents))
    axes.set_ylim(len(agents) - 0.5, -0.5)
    _dress(axes, f"{unit}s until the mean is there (arrow: not within the trial)", grid="x")
    _episodes(axes, round(1.35 * longest))
    handles = [
        Line2D([], [], color=shade, marker="o", linewidth=1.6, label=f"{threshold:.0%}")
        for shade, threshold in zip(shades, thresholds, strict=True)
    ]
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=FONT_SIZE)
    return figure


def _reached(axes: Axes, place: float, reached: Mapping[str, Any], shade: Any) -> None:
    """A point with its interval, or an arrow from where the trial ended."""
    episode, within = reached["episode"], reached["within"]
    low, high = episode["interval"]
    if low is not None:
        axes.plot([low, within if high is None else high], [place] * 2, color=shade, linewidth=1.6)
    if episode["value"] is not None:
        axes.plot(episode["value"], place, marker="o", color=shade, markersize=5.5)
    if high is None:
        style = {"arrowstyle": "-|>", "color": shade, "linewidth": 1.2 if episode["value"] is None else 0.8}
        axes.annotate("", (1.3 * within, place), xytext=(within, place), arrowprops=style)


def families_figure(content: Content) -> Figure:
    """Before and after adaptation in each family, as normalized scores where all families have them."""
    agents = content["agents"]
    names = list(content["families"])
    relative = all("normalized_score_after" in agent["families"][name] for agent in agents.values() for name in names)
    keys = ("normalized_score_before", "normalized_score_after") if relative else ("before", "after")
    figure = _figure(1.1 + 0.5 * len(agents))
    axes = figure.add_subplot()
    for row, agent in enumerate(agents.values()):
        axes.axhspan(row - 0.5, row + 0.5, color="#F6F6F6" if row % 2 == 0 else "white", zorder=0)
        for number, name in enumerate(names):
            place = row + 0.22 * (number - (len(names) - 1) / 2)
            (before, after), low, high = ends([agent["families"][name][key] for key in keys])
            colour = FAMILIES[name]
            axes.plot([before, after], [place] * 2, color=colour, linewidth=1.3, alpha=0.55, zorder=2)
            axes.plot([low[1], high[1]], [place] * 2, color=colour, linewidth=3.2, zorder=3)
            axes.plot(before, place, marker="o", markersize=5.5, color=colour, markerfacecolor="white", zorder=4)
            axes.plot(after, place, marker="o", markersize=6, color=colour, zorder=4)
    axes.set_yticks(range(len(agents)), list(agents))
    axes.set_ylim(len(agents) - 0.5, -0.5)
    label = (
        "normalized score (random 0 %, each family's oracle 100 %)" if relative else f"return per {unit_of(content)}"
    )
    if relative:
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    _dress(axes, f"{label} (hollow: before adaptation, filled: after)", grid="x")
    handles = [Line2D([], [], color=FAMILIES[name], marker="o", label=name) for name in names]
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=FONT_SIZE)
    return figure


def regret_figure(content: Content) -> Figure:
    """Cumulative regret and share of exploring actions, over episodes."""
    agents, drawn, unit = content["agents"], looks(content), unit_of(content)
    explored = {name: exploring(agent["exploration"]) for name, agent in agents.items()}
    shown = {name: share for name, share in explored.items() if share is not None}
    figure = _figure(4.3)
    axes = figure.subplots(1, 2 if shown else 1, squeeze=False)[0]
    longest = max(agent["trial"] for agent in agents.values())
    for name, agent in agents.items():
        _line(axes[0], agent["regret"]["episodes"], agent["regret"]["regret"], drawn[name])
    _episodes(axes[0], longest, wide=not shown)
    if all(f["value"] > 0 for agent in agents.values() for f in agent["regret"]["regret"]):
        axes[0].set_yscale("log")
        axes[0].yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    _dress(axes[0], unit, f"regret up to this {unit}")
    if shown:
        for name, share in shown.items():
            _line(axes[1], share["episodes"], share["fraction"], drawn[name])
        _episodes(axes[1], longest, wide=False)
        axes[1].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes[1].set_ylim(bottom=0)
        _dress(axes[1], unit, "actions that explore")
    _legend(axes[-1], drawn, list(agents))
    return figure


def pulls_figure(content: Content) -> Figure:
    """How the pulls of a trial are divided among the arms, by their true rank."""
    agents = content["agents"]
    figure = _figure(1.1 + 0.42 * len(agents))
    axes = figure.add_subplot()
    for row, agent in enumerate(agents.values()):
        pulls = np.array([f["value"] for f in agent["exploration"]["pulls_by_rank"]])
        pulls = np.append(pulls[: MANY_RANKS - 1], pulls[MANY_RANKS - 1 :].sum()) if len(pulls) > MANY_RANKS else pulls
        shares, left = pulls / pulls.sum(), 0.0
        shades = colormaps["viridis_r"](np.linspace(0.95, 0.05, len(shares)))
        for rank, share in enumerate(shares):
            axes.barh(row, share, left=left, color=shades[rank], height=0.68, edgecolor="white", linewidth=0.8)
            if share > 0.055:
                dark = rank < len(shares) / 2
                axes.text(
                    left + share / 2, row, f"{share:.0%}", ha="center", va="center",
                    fontsize=FONT_SIZE - 3, color="white" if dark else "black",
                )  # fmt: skip
            left += share
    axes.set_yticks(range(len(agents)), list(agents))
    axes.set_ylim(len(agents) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    _dress(axes, "pulls of the truly best arm (left), the second best, … the worst (right)", grid="x")
    return figure
