"""The picture of a sweep: what each value earned in validation tasks, and the curves of learning."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adaptax.core.errors import UseError, needs
from adaptax.reports.figures import smooth, smoothing_window
from adaptax.reports.style import (
    CLASSICAL,
    DASHES,
    FONT_SIZE,
    REFERENCE,
    TRAINED,
    annotate_below,
    frame,
    new_figure,
    save,
)

with needs("reports", "a picture"):
    from matplotlib.axes import Axes

MOST_NAMED = 12
"""Lines that have a name of their own, at most."""
_RATIO = 4.0
"""From so large a ratio between neighbouring steps on, values are taken to be spaced by their logarithms."""


def is_log_spaced(values: Sequence[float]) -> bool:
    """Whether positive numbers are nearer to equal ratios than to equal differences, and far enough apart to matter."""
    known = np.unique(np.asarray(values, np.float64))
    if len(known) < 2 or known[0] <= 0 or known[-1] < _RATIO * known[0]:
        return False
    if len(known) == 2:
        return True
    ratios, steps = np.diff(np.log(known)), np.diff(known)
    return float(ratios.std() / ratios.mean()) < float(steps.std() / steps.mean())


def colours(number: int) -> list[dict[str, Any]]:
    """How to draw so many lines, the first in the colour of what is trained."""
    palette = (TRAINED, *CLASSICAL)
    return [
        {"color": palette[index % len(palette)], "linestyle": DASHES[index // len(palette) % len(DASHES)]}
        for index in range(number)
    ]


def plot_sweep(path: str | Path, sweep: Any, curves: Mapping[str, Sequence[tuple[float, float]]] | None = None) -> None:
    """Draw a sweep: return against the first swept setting, a line for each choice of the others; curves of learning.

    Args:
        path: PNG file to write.
        sweep: What `adaptax.experiment.sweep` returns.
        curves: Environment steps and mean return in training of each cell, by its name; None: no second panel.

    Raises:
        OutputError: if it cannot be written.
        UseError: if there is no result to draw.
    """
    shown = [one for one in sweep.standings if one.record.figures is not None]
    if not shown:
        raise UseError("sweep: expected at least one choice with a result, found none: all diverged")
    curves = {name: curve for name, curve in (curves or {}).items() if curve}
    figure = new_figure(12 if curves else 7, sweep.title)
    _draw_values(figure.add_subplot(1, 2 if curves else 1, 1), shown, sweep)
    if curves:
        _draw_curves(figure.add_subplot(1, 2, 2), shown, curves)
    seeds, tasks = sweep.plan.options.seeds, shown[0].record.figures["tasks"]
    annotate_below(
        figure,
        f"Left: {tasks:,} validation tasks, {seeds} seed{'s'[: seeds > 1]} each; bars are 95 %, Student's, over seeds "
        "and tasks; the best is ringed. Test tasks were not touched.",
    )
    save(figure, path)


def _axis(sweep: Any, shown: Sequence[Any]) -> str:
    """The setting along the axis: the first with several numbers, or else the first."""
    for name in sweep.plan.swept:
        values = {one.cell.changes[name] for one in shown}
        if len(values) > 1 and all(type(value) in (int, float) for value in values):
            return str(name)
    return str(next(iter(sweep.plan.swept)))


def _draw_values(axes: Axes, shown: Sequence[Any], sweep: Any) -> None:
    name = _axis(sweep, shown)
    values = [one.cell.changes[name] for one in shown]
    numeric = all(type(value) in (int, float) for value in values)
    order = sorted(set(values)) if numeric else list(dict.fromkeys(values))
    place = (lambda value: value) if numeric else order.index
    lines: dict[str, list[Any]] = {}
    for one in shown:
        others = {other: value for other, value in one.cell.changes.items() if other != name}
        scattered = bool(sweep.plan.options.optuna)
        key = "" if scattered else ", ".join(f"{other.replace('_', '-')} {value}" for other, value in others.items())
        lines.setdefault(key, []).append(one)
    for (key, members), style in zip(lines.items(), colours(len(lines)), strict=True):
        members.sort(key=lambda one: place(one.cell.changes[name]))
        x, y = [place(one.cell.changes[name]) for one in members], [one.mean for one in members]
        low, high = (np.array([one.record.figures["interval"][end] for one in members], np.float64) for end in (0, 1))
        bars = np.nan_to_num(np.array([y - low, high - y]))
        joined = {**style, "linestyle": "none"} if sweep.plan.options.optuna else style
        axes.errorbar(x, y, bars, **joined, marker="o", markersize=4, capsize=3, linewidth=1.5, label=key or None)
    best = sweep.best
    axes.plot(place(best.cell.changes[name]), best.mean, "o", markersize=11, fillstyle="none", color=REFERENCE)
    if numeric and is_log_spaced(values):
        axes.set_xscale("log")
    if numeric and len(order) <= MOST_NAMED:
        axes.set_xticks(order, [f"{value:.3g}" for value in order])
        axes.minorticks_off()
    elif not numeric:
        axes.set_xticks(range(len(order)), [str(value) for value in order])
    axes.set_xlabel(name.replace("_", " "), fontsize=FONT_SIZE)
    axes.set_ylabel(f"return of {best.record.figures['what']}", fontsize=FONT_SIZE)
    frame(axes)
    if 1 < len(lines) <= MOST_NAMED:
        axes.legend(fontsize=FONT_SIZE - 2, frameon=False)


def _draw_curves(axes: Axes, shown: Sequence[Any], curves: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Return in training over environment steps, a line for each choice."""
    named = len(shown) <= MOST_NAMED
    for one, style in zip(shown, colours(len(shown)), strict=True):
        curve = curves.get(one.cell.name)
        if not curve:
            continue
        steps, returns = np.asarray(curve, np.float64).T
        smoothed = smooth(returns, smoothing_window(len(returns)))
        axes.plot(steps, smoothed, **style, linewidth=1.4, label=str(one.cell) if named else None)
    axes.set_xlabel("environment steps of all seeds", fontsize=FONT_SIZE)
    axes.set_ylabel("return in training", fontsize=FONT_SIZE)
    frame(axes)
    if named:
        axes.legend(fontsize=FONT_SIZE - 2, frameon=False)
