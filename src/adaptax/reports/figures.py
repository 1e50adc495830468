"""Pictures of a training, of how agents adapt, and of paths; see `adaptax.reports.style`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adaptax.core.errors import UseError, needs
from adaptax.evaluation.statistics import margin_of, student_95
from adaptax.reports.results import BAYES_OPTIMAL, KNOWS, Results, after_steps, known
from adaptax.reports.style import (
    CLASSICAL,
    FONT_SIZE,
    OPTIMUM,
    RANDOM,
    REFERENCE,
    TRAINED,
    annotate_below,
    entitle,
    frame,
    label_ends,
    new_figure,
    save,
    styles,
)

with needs("reports", "a picture"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.ticker import EngFormatter, MaxNLocator

FEW = 10
"""Up to so many episodes, each is marked by a point."""
FEWEST_SEEDS = 3
"""Of two, a band reaches six times as far as they are apart to each side, or nothing at all: it says nothing."""
MOST_POINTS = 80
"""A training curve is averaged over neighbouring updates down to so many points."""


def smoothing_window(num_episodes: int) -> int:
    """Odd number of episodes that a curve is averaged over: 1 up to 20, then about a twentieth of them."""
    return 1 if num_episodes <= 2 * FEW else 2 * (num_episodes // 40) + 1


def smooth(values: np.ndarray, window: int) -> np.ndarray:
    """Centred moving mean over `window` (odd) entries.

    Near the start it shrinks on both sides, so that the first entry stays itself where curves are steep; at
    the end, where they are flat, on the right alone.
    """
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    index = np.arange(len(values))
    before = np.minimum(index, window // 2)
    after = np.minimum(before, index[::-1])
    return (total[index + after + 1] - total[index - before]) / (before + after + 1)


def plot_adaptation(
    path: str | Path,
    results: Results,
    *,
    title: str,
    oracle: float | None = None,
    optimum: np.ndarray | None = None,
    unit: str = "episode",
    note: str = "",
) -> None:
    """Draw how agents adapt: return per episode, and regret piled up to there against an oracle.

    Args:
        path: PNG file to write; missing folders are made.
        results: Agents by name, the trained one first. Each has a band of 95 %, and its name beside each curve.
        title: Above the picture.
        oracle: Mean expected return of one episode for a policy that knows the task. If unknown (None or
            NaN), the picture has no second panel.
        optimum: Expected return of each episode for the Bayes-optimal agent, `[episode]`, if known.
        unit: What an episode is called ("pull", for a bandit).
        note: Below the picture: of how many tasks and seeds it is, and what the bands are.

    Raises:
        OutputError: The file cannot be written.
        UseError: `results` is empty.
    """
    if not results:
        raise UseError("results: expected at least one agent, found none")
    figure = new_figure(12 if known(oracle) else 7, title)
    _draw_returns(figure.add_subplot(1, 2 if known(oracle) else 1, 1), results, oracle, optimum, unit)
    if known(oracle):
        _draw_regret(figure.add_subplot(1, 2, 2), results, oracle, optimum, unit)
    if note:
        annotate_below(figure, note)
    save(figure, path)


def _draw_band(axes: Axes, episodes: np.ndarray, values: np.ndarray, margin: np.ndarray, style: dict[str, Any]) -> None:
    """A band of 95 % around a curve, in its colour."""
    alpha = 0.22 if style["color"] == TRAINED else 0.15
    axes.fill_between(episodes, values - margin, values + margin, color=style["color"], alpha=alpha, linewidth=0)


def _draw_returns(axes: Axes, results: Results, oracle: float | None, optimum: np.ndarray | None, unit: str) -> None:
    """Return per episode."""
    num_episodes = len(next(iter(results.values())).episode_returns)
    window, episodes = smoothing_window(num_episodes), np.arange(1, num_episodes + 1)
    drawn, finals = styles(list(results)), {}
    for name, result in results.items():
        values = smooth(result.episode_returns, window)
        axes.plot(episodes, values, **drawn[name], **_markers(num_episodes))
        # Neighbouring episodes share their task's luck: averaging them does not make the band narrower.
        _draw_band(axes, episodes, values, smooth(result.margin_per_episode, window), drawn[name])
        finals[name] = values[-1]
    if optimum is not None:
        axes.plot(episodes, optimum, **OPTIMUM)
        finals[BAYES_OPTIMAL] = optimum[-1]
    if known(oracle):
        axes.axhline(oracle, color=REFERENCE, linestyle=":", linewidth=1.3, zorder=1)
        finals[KNOWS] = oracle
    smoothed = f" (mean of {window} {unit}s)" if window > 1 else ""
    _dress(axes, num_episodes, unit, f"return per {unit}{smoothed}")
    label_ends(axes, finals, drawn)


def _draw_regret(axes: Axes, results: Results, oracle: float, optimum: np.ndarray | None, unit: str) -> None:
    """Regret: what a policy that knows the task would have had more, up to and with each episode."""
    curves = {name: np.cumsum(oracle - result.episode_returns) for name, result in results.items()}
    num_episodes = len(next(iter(curves.values())))
    episodes = np.arange(1, num_episodes + 1)
    drawn = styles(list(results))
    for name, curve in curves.items():
        axes.plot(episodes, curve, **drawn[name], **_markers(num_episodes))
        _draw_band(axes, episodes, curve, results[name].margin_of_sums, drawn[name])
    if optimum is not None:
        curves[BAYES_OPTIMAL] = np.cumsum(oracle - np.asarray(optimum))
        axes.plot(episodes, curves[BAYES_OPTIMAL], **OPTIMUM)
    _dress(axes, num_episodes, unit, f"regret up to this {unit}")
    axes.set_ylim(bottom=min(0.0, *(1.05 * curve.min() for curve in curves.values())))
    finals = {name: curve[-1] for name, curve in curves.items()}
    _leave_out_of_range(axes, finals, curves, episodes)
    label_ends(axes, finals, drawn)


def _leave_out_of_range(
    axes: Axes, finals: dict[str, float], curves: Mapping[str, np.ndarray], episodes: np.ndarray
) -> None:
    """Let `random` leave through the top if it would press the others flat; takes it from `finals` then."""
    others = [value for name, value in finals.items() if name != "random"]
    if "random" not in finals or not others or finals["random"] < 1.8 * max(others) or max(others) <= 0:
        return
    top = 1.15 * max(others)
    axes.set_ylim(top=top)
    leaves = np.interp(0.93 * top, curves["random"], episodes)
    axes.annotate(
        f"random → {finals.pop('random'):.3g}", (leaves, 0.93 * top), xytext=(5, 0),
        textcoords="offset points", color=RANDOM, fontsize=FONT_SIZE, va="center",
    )  # fmt: skip


def _markers(num_episodes: int) -> dict[str, Any]:
    return {"marker": "o", "markersize": 5} if num_episodes <= FEW else {}


def _dress(axes: Axes, num_episodes: int, unit: str, ylabel: str) -> None:
    """Labels, ticks and a quiet frame."""
    axes.set_xlabel(f"{unit} of the trial", fontsize=FONT_SIZE)
    axes.set_ylabel(ylabel, fontsize=FONT_SIZE)
    axes.set_xlim(1 - 0.02 * num_episodes, num_episodes + 0.02 * num_episodes)
    ticks = MaxNLocator(nbins=10 if num_episodes <= FEW else 6, integer=True).tick_values(1, num_episodes)
    axes.set_xticks(sorted({1, *(round(tick) for tick in ticks if 1 <= tick <= num_episodes)}))
    frame(axes)


def plot_training(
    path: str | Path,
    metrics: Sequence[Mapping[str, Any]],
    *,
    title: str = "Training",
    references: Mapping[str, float] | None = None,
    what: str = "a trial",
    evaluations: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Draw returns over environment steps: those of training itself, and those of evaluations on the way.

    They are not the same: training samples its actions, an evaluation takes the best one known, in tasks that training
    never sees (trap E40).

    Args:
        path: PNG file to write; missing folders are made.
        metrics: One row per update (or chunk of them), with `env_steps` (taken since the start, by all seeds) and
            `return` (a number, or one for each seed).
        title: Above the picture.
        references: Returns to compare with, by name, drawn as horizontal lines.
        what: What the return is of.
        evaluations: One row per evaluation, with `env_steps`, `return` (of each seed), `mean`, `stderr` (its standard
            error over tasks and seeds) and `tasks` (how many).

    Raises:
        OutputError: The file cannot be written.
        UseError: `metrics` is empty.
    """
    if not metrics:
        raise UseError("metrics: expected at least one row, found none")
    figure = new_figure(9, title)
    axes = figure.add_subplot()
    _draw_trained(axes, metrics)
    if evaluations:
        _draw_evaluations(axes, evaluations)
    low, high = axes.get_ylim()
    levels = list((references or {}).values())
    margin = 0.05 * (max(high, *levels) - min(low, *levels)) if levels else 0.0
    axes.set_ylim(min([low, *(x - margin for x in levels)]), max([high, *(x + margin for x in levels)]))
    drawn: dict[str, Any] = {}
    for turn, (name, value) in enumerate((references or {}).items()):
        drawn[name] = {"color": CLASSICAL[turn % len(CLASSICAL)], "linestyle": "--", "linewidth": 1.3, "zorder": 1}
        drawn[name] |= {"random": {"color": RANDOM}, KNOWS: {"color": REFERENCE, "linestyle": ":"}}.get(name, {})
        drawn[name] |= OPTIMUM if name == BAYES_OPTIMAL else {}
        axes.axhline(value, **drawn[name])
    if references:
        label_ends(axes, references, drawn)
    axes.set_xlabel("environment steps", fontsize=FONT_SIZE)
    axes.set_ylabel(f"return of {what}", fontsize=FONT_SIZE)
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    frame(axes)
    figure.legend(loc="outside lower left", frameon=False, fontsize=FONT_SIZE - 2)
    save(figure, path)


def _draw_trained(axes: Axes, metrics: Sequence[Mapping[str, Any]]) -> None:
    """What training lived: its mean, each seed, and what shows how much it varies. Sets the limits of the axes."""
    all_steps = np.asarray([row["env_steps"] for row in metrics], np.float64)
    lived = np.stack([np.atleast_1d(np.asarray(row["return"], np.float64)) for row in metrics])
    seeds, size = lived.shape[1], -(-len(all_steps) // MOST_POINTS)
    # Of one size, or the curve would look less certain where fewer are averaged; what is left over is at the start.
    starts = [0, *range(len(all_steps) % size or size, len(all_steps), size)]
    steps, returns = (np.stack([part.mean(0) for part in np.split(x, starts[1:])]) for x in (all_steps, lived))
    lone: dict[str, Any] = {"marker": "o", "markersize": 5} if len(steps) == 1 else {}
    mean, label = returns.mean(1), "in training: sampled actions, fresh training tasks"
    if seeds == 1:
        if size > 1:
            axes.plot(all_steps, lived[:, 0], color=TRAINED, linestyle="", marker=".", markersize=2.5, alpha=0.35)
            label = f"{label}; dots: single updates"
        label = f"{label}; 1 seed"
    for seed in returns.T if seeds > 1 else ():
        axes.plot(steps, seed, color=TRAINED, linewidth=0.9, alpha=0.45, **lone)
    axes.plot(steps, mean, color=TRAINED, linewidth=2.6, label=None if seeds > 1 else label, **lone)
    if seeds > 1:
        sure = "with 95 % over seeds" if seeds >= FEWEST_SEEDS else "too few for an interval"
        axes.lines[-1].set_label(f"{label}; mean of {seeds} seeds, {sure}; thin: each seed")
    if seeds >= FEWEST_SEEDS:
        limits = axes.get_ylim()
        margin = student_95(seeds - 1) * returns.std(1, ddof=1) / np.sqrt(seeds)
        axes.fill_between(steps, mean - margin, mean + margin, color=TRAINED, alpha=0.18, linewidth=0)
        axes.set_ylim(limits)  # of three seeds the band is wider than they are apart
    axes.set_ylim(axes.get_ylim())  # limits are found when they are asked for, and not at all once they are fixed


def _draw_evaluations(axes: Axes, evaluations: Sequence[Mapping[str, Any]]) -> None:
    """What evaluations found: points with a band, and each seed."""
    steps, mean, stderr = (
        np.asarray([row[k] for row in evaluations], np.float64) for k in ("env_steps", "mean", "stderr")
    )
    by_seed = np.stack([np.asarray(row["return"], np.float64) for row in evaluations])
    colour, seeds, tasks = CLASSICAL[0], by_seed.shape[1], evaluations[-1]["tasks"]
    of_seeds = by_seed.var(1, ddof=1) / seeds if seeds > 1 else np.zeros(len(steps))
    margin = np.array([margin_of(*of, seeds, tasks) for of in zip(stderr, of_seeds, strict=True)])
    label = f"evaluated: best action known, {evaluations[-1]['tasks']:,} validation tasks; 95 % over tasks"
    if seeds > 1:
        axes.plot(steps, by_seed, color=colour, linestyle="", marker=".", markersize=4, alpha=0.5, zorder=3)
        label = f"{label} and {seeds} seeds; dots: each seed"
    axes.fill_between(steps, mean - margin, mean + margin, color=colour, alpha=0.18, linewidth=0)
    axes.plot(steps, mean, color=colour, linewidth=1.4, marker="o", markersize=4.5, zorder=4, label=label)
    low, high = axes.get_ylim()
    bottom, top = (
        float(np.min([by_seed.min(), (mean - margin).min()])),
        float(np.max([by_seed.max(), (mean + margin).max()])),
    )
    room = 0.05 * (max(high, top) - min(low, bottom))
    axes.set_ylim(min(low, bottom - room), max(high, top + room))


def plot_paths(path: str | Path, paths: np.ndarray, goals: np.ndarray | None, *, title: str) -> None:
    """Draw paths in a plane before and after each window of adaptation: a row per task.

    Args:
        path: PNG file to write; missing folders are made.
        paths: Positions, `[task, window, time, env, 2]`, the start not among them; NaN after an episode's end.
        goals: Where the goals are, `[task, 2]`, if there are any.
        title: Above the picture.

    Raises:
        OutputError: The file cannot be written.
        UseError: `paths` has another shape.
    """
    if paths.ndim != 5 or paths.shape[-1] != 2:
        raise UseError(f"paths: expected [task, window, time, env, 2], found shape {paths.shape}")
    num_tasks, windows = paths.shape[:2]
    figure = Figure(figsize=(2.1 * windows + 0.3, 2.1 * num_tasks + 0.6), layout=ConstrainedLayoutEngine())
    entitle(figure, title)
    grid = figure.subplots(num_tasks, windows, sharex=True, sharey=True, squeeze=False)
    marks = paths.reshape(-1, 2) if goals is None else np.concatenate([paths.reshape(-1, 2), goals])
    low, high = np.nanmin(marks, axis=0), np.nanmax(marks, axis=0)
    middle, half = (low + high) / 2, 0.55 * float(np.max(high - low)) + 1e-6
    for task, row in enumerate(grid):
        for window, axes in enumerate(row):
            for env in range(paths.shape[3]):
                axes.plot(*paths[task, window, :, env].T, color=TRAINED, linewidth=0.9, alpha=0.6)
            if goals is not None:
                axes.plot(*goals[task], marker="*", color=REFERENCE, markersize=11, linestyle="none", zorder=5)
            axes.set(xlim=middle[0] + np.array([-half, half]), ylim=middle[1] + np.array([-half, half]), aspect="equal")
            axes.tick_params(labelsize=FONT_SIZE - 3)
            if task == 0:
                axes.set_title(after_steps(window), fontsize=FONT_SIZE - 1)
    save(figure, path)
