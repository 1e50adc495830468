"""Tables of what was measured, for a terminal of 100 columns."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adaptax.core.errors import UseError
from adaptax.evaluation.statistics import stderr
from adaptax.reports.results import BAYES_OPTIMAL, Results, after_steps, known
from adaptax.reports.text_table import Table


def ends(episode_returns: np.ndarray) -> tuple[float, float]:
    """Mean return over the first and over the last tenth of the episodes (one at least)."""
    count = max(1, len(episode_returns) // 10)
    return float(np.mean(episode_returns[:count])), float(np.mean(episode_returns[-count:]))


def best_reference(results: Results) -> str | None:
    """The agent with the highest mean besides the first one and `random`; None if there is no other."""
    others = [name for name in list(results)[1:] if name != "random"]
    return max(others, key=lambda name: results[name].summary.mean, default=None)


def normalized_score(score: float, floor: float, target: float) -> float:
    """`score` on a scale on which `floor` is 0 and `target` 1; NaN if the target is not above the floor."""
    return (score - floor) / (target - floor) if target > floor else float("nan")


def results_table(
    results: Results,
    *,
    title: str = "",
    oracle: float | None = None,
    optimum: np.ndarray | None = None,
    reference: str | None = None,
    unit: str = "episode",
) -> Table:
    """Tabulate agents side by side; at most 100 columns wide.

    Args:
        results: Agents by name, the trained one first.
        title: Above the table.
        oracle: Mean expected return of one episode for a policy that knows the task; None or NaN if unknown.
        optimum: Expected return of each episode for the Bayes-optimal agent, `[episode]`, if known.
        reference: The agent whose normalized score is 1 (that of `random` is 0); by default the optimum where it is
            known, otherwise the best of the agents below the first.
        unit: What an episode is called.

    Raises:
        UseError: `results` is empty.
    """
    if not results:
        raise UseError("results: expected at least one agent, found none")
    num_episodes = len(next(iter(results.values())).episode_returns)
    goal = reference or (BAYES_OPTIMAL if optimum is not None else best_reference(results))
    totals = {name: result.summary.mean for name, result in results.items()}
    if optimum is not None:
        totals[BAYES_OPTIMAL] = float(np.sum(optimum))
    target = totals[goal] if goal else float("nan")

    def derived(name: str, episode_returns: np.ndarray) -> list[str]:
        score = normalized_score(totals[name], totals.get("random", float("nan")), target)
        regret = oracle * num_episodes - totals[name] if known(oracle) else None
        return [*map(number, ends(episode_returns)), number(score, ".1%"), number(regret)]

    table = plain_table(title, "agent", "return ± s.e.", "95 % interval", "IQM", "first", "last", "score", "regret")
    few = f"{num_episodes // 10} {unit}s" if num_episodes >= 20 else unit
    table.caption = f"first, last: mean return of the first and last {few}"
    if "random" in results and goal:
        table.caption += f"; score: normalized, 0 % is random, 100 % {goal}"
    for name, result in results.items():
        summary, emphasis = result.summary, "bold" if name == next(iter(results)) else None
        row = with_error(summary.mean, summary.stderr), between(summary.interval), number(summary.iqm)
        table.add_row(name, *row, *derived(name, result.episode_returns), emphasis=emphasis)
    if optimum is not None:
        row = number(totals[BAYES_OPTIMAL]), "", ""
        table.add_row(BAYES_OPTIMAL, *row, *derived(BAYES_OPTIMAL, np.asarray(optimum)), emphasis="dim")
    return table


def evaluation_table(
    sampled: np.ndarray, mode: np.ndarray, *, unit: str = "episode", episodes_between: int | None = None
) -> Table:
    """Return of one episode after 0, 1, … windows of adaptation, or at evenly spaced times of a long trial.

    Args:
        sampled: As the agent acted while it learned, `[seed, task, evaluation]`.
        mode: By the best action known, on further episodes, `[seed, task, evaluation]`.
        unit: What an episode is called.
        episodes_between: Episodes from one evaluation to the next, if there is more than one window between them.
    """
    table = plain_table(f"return of one {unit}", "", "sampled ± s.e.", "best action known ± s.e.")
    for index in range(sampled.shape[-1]):
        figures = (with_error(float(x[..., index].mean()), stderr(x[..., index])) for x in (sampled, mode))
        name = after_steps(index)
        if episodes_between is not None and index:
            name = f"after {index * episodes_between:,} {unit}s"
        table.add_row(name, *figures)
    return table


def success_table(rates: Mapping[str, Mapping[str, np.ndarray]], *, judged_by: str) -> Table:
    """Share of episodes that succeeded.

    Args:
        rates: By agent, by "ever" and "last", in each task, `[seed, task]`.
        judged_by: Which episodes count.
    """
    table = plain_table("success", "agent", "at any step ± s.e.", "at the last step ± s.e.")
    table.caption = f"share of {judged_by}"
    for name, found in rates.items():
        shares = (f"{number(x.mean(), '.1%')} ± {number(stderr(x), '.1%')}" for x in (found["ever"], found["last"]))
        table.add_row(name, *shares)
    return table


def reproduction_table(cells: Mapping[str, Mapping[str, Any]], *, title: str = "") -> Table:
    """Set published figures, ours and the exact ceiling side by side; at most 100 columns wide.

    Args:
        cells: By name ("100x10"), each with `mean`, `stderr`, `interval`, `published`, `ceiling`, `beside` (other
            agents in the same tasks, with the paired `difference` and its `stderr`) and `seconds` of training; all but
            `mean` may be None or missing.
        title: Above the table.
    """
    agents = list(dict.fromkeys(name for cell in cells.values() for name in cell.get("beside") or {}))
    than = [f"− {name}" for name in agents] or ["ceiling", "− ceiling"]
    table = plain_table(title, "cell", "paper", "ours ± s.e.", "95 % interval", "− paper", *than, "minutes")
    table.caption = "−: ours less theirs" + ("; agents: in the same tasks, ± s.e. of the difference" if agents else "")
    for name, cell in cells.items():
        published, ceiling, beside = cell.get("published"), cell.get("ceiling"), cell.get("beside") or {}
        ours = with_error(cell["mean"], cell.get("stderr")), between(cell.get("interval"))
        others = [_less(beside[agent]) if agent in beside else "–" for agent in agents]
        others = others or [number(ceiling), _gap(cell["mean"], ceiling)]
        paper = number(published, ".1f"), *ours, _gap(cell["mean"], published)
        table.add_row(name, *paper, *others, duration(cell.get("seconds")))
    return table


def _gap(mean: float, other: float | None) -> str:
    return number(mean - other if known(other) else None, "+.2f")


def _less(other: Mapping[str, float]) -> str:
    return f"{number(other['difference'], '+.2f')} ± {number(other['stderr'])}"


def learning_table(cells: Mapping[str, Mapping[str, Any]], *, title: str = "") -> Table:
    """Set trained agents beside their own untrained selves.

    Args:
        cells: By name ("maml-point-robot"), as `adaptax reproduce all-algorithms --json` prints them.
        title: Above the table.
    """
    headers = "untrained", "trained ± s.e.", "95 %", "gain", "random", "ceiling"
    table = plain_table(title, "cell", *headers, fold=True)
    table.caption = "gain: of the training that gained least, in its standard errors over tasks; ! below 3"
    for name, cell in cells.items():
        gains = [gain["mean"] / gain["stderr"] if gain["stderr"] else 0.0 for gain in cell["gain"]]
        least = f"{min(gains):.1f}{'' if cell['learns'] else ' !'}"
        trained = with_error(cell["mean"], cell["stderr"]), between(cell["interval"])
        others = number(cell["random"]["mean"]), number(cell["ceiling"])
        table.add_row(name, number(cell["untrained"]["mean"]), *trained, least, *others)
    return table


def plain_table(title: str, first: str, *headers: str, fold: bool = False) -> Table:
    """An empty table: names on the left, which may be folded, and figures on the right."""
    return Table(title, (first, *headers), fold=fold)


def number(value: float | None, form: str = "") -> str:
    """A number as text, two decimals (one from 1000 on) unless `form` is given; a dash if unknown."""
    if not known(value):
        return "–"
    return format(value, form or (".2f" if abs(value) < 1000 else ".1f"))


def with_error(value: float, stderr: float | None) -> str:
    """A mean and its standard error."""
    return f"{number(value)} ± {number(stderr)}"


def between(interval: Sequence[float] | None) -> str:
    """An interval."""
    return f"{number(interval[0])} … {number(interval[1])}" if interval is not None else "–"


def duration(seconds: float | None) -> str:
    """Seconds as minutes and seconds, `4:05`."""
    if not known(seconds):
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
