"""The sections of a report about what the trained agent does in new tasks."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adaptax.evaluation.adaptation_curve import adaptation_curve, evenly
from adaptax.evaluation.statistics import margin_95
from adaptax.reports.charts import Interval, Line, interval_chart, short, thinned
from adaptax.reports.films import caption, films
from adaptax.reports.html import Cell
from adaptax.reports.pages import MOST_FILM_BYTES, Figure, Section, Table, lines_figure
from adaptax.reports.results import BAYES_OPTIMAL, KNOWS
from adaptax.reports.run_facts import AgentReturns, RunFacts
from adaptax.reports.run_sections import looks
from adaptax.reports.tables import normalized_score, number

LONG = 30
"""With more episodes, their axis is logarithmic."""
LEAST_SHARE = 0.1
"""Of the tasks: those in which an agent earns least."""
MOST_PARTS = 7


def curve(agent: AgentReturns) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which episodes, mean return in each, and how far its 95 % interval reaches to each side."""
    found = adaptation_curve(agent)
    points = evenly(len(found.episodes))
    returns = found.returns[..., points]
    margins = np.array([margin_95(returns[..., i]) for i in range(len(points))])
    return found.episodes[points], returns.mean((0, 1)), margins


def agent_lines(facts: RunFacts) -> list[Line]:
    """Return in each episode, of every agent; without bands where only means are known."""
    assert facts.evaluation is not None
    drawn, lines = looks(list(facts.evaluation["agents"])), []
    for name, agent in facts.evaluation["agents"].items():
        if name in facts.returns:
            x, y, margin = curve(facts.returns[name])
            lines.append(Line(name, x, y, y - margin, y + margin, look=drawn[name]))
        else:
            y = np.array(agent["episode_returns"], np.float64)
            points = evenly(len(y))
            lines.append(Line(name, points + 1, y[points], look=drawn[name]))
    return lines


def adaptation(facts: RunFacts) -> Section:
    """Adaptation curves, with the oracle and the classical learners."""
    section = Section("Adaptation in new tasks")
    if facts.evaluation is None:
        section.missing.append(facts.missing["evaluation"])
        return section
    unit, episodes = facts.unit, int(facts.protocol["episodes"])
    lines = agent_lines(facts)
    ends = [1.0, float(max(2, episodes))]
    if math.isfinite(facts.oracle):
        lines.append(Line(KNOWS, ends, [facts.oracle] * 2, look="knows"))
    if facts.optimum is not None:
        lines.append(Line(BAYES_OPTIMAL, np.arange(1, len(facts.optimum) + 1), facts.optimum, look="optimal"))
    mine = lines[0]
    section.answer = (
        f"{mine.name} earns {short(mine.y[0])} in the first {unit} of a new task, {short(mine.y[-1])} in the last"
    )
    section.answer += f"; who knows the task earns {short(facts.oracle)}." if math.isfinite(facts.oracle) else "."
    known = "Bands: 95 % over tasks and trainings." if facts.returns else facts.missing.get("returns", "")
    split = "held-out" if facts.protocol["held_out"] else "test"
    tasks = f"Mean of {facts.protocol['tasks']:,} {split} tasks, the same for all."
    asked = " Of an agent that learns from windows: further episodes by the best action known." if facts.adapts else ""
    section.figures.append(
        lines_figure(
            lines, title=f"Return of each {unit}", x_label=f"{unit} of the trial", y_label=f"return of the {unit}",
            caption=f"{tasks} {known}{asked}", command=facts.commands.get("evaluate", ""), log=episodes > LONG,
            whole=True,
        )
    )  # fmt: skip
    section.tables.append(results_table(facts))
    section.notes += (facts.evaluation.get("reference") or {}).get("notes", [])
    return section


def results_table(facts: RunFacts) -> Table:
    """Return of a trial, of every agent."""
    assert facts.evaluation is not None
    agents, rows = facts.evaluation["agents"], {}
    others = [name for name in list(agents)[1:] if name != "random"]
    optimum = facts.evaluation["optimum"]
    best = max(others, key=lambda name: agents[name]["mean"], default="")
    target = optimum if optimum is not None else agents[best]["mean"] if best else math.nan
    goal = BAYES_OPTIMAL if optimum is not None else best
    for name, agent in agents.items():
        score = normalized_score(agent["mean"], agents.get("random", {"mean": math.nan})["mean"], target)
        rows[name] = [_between(agent, "mean", "interval"), _between(agent, "iqm", "iqm_interval"), number(score, ".1%")]
    headers: list[Cell] = ["agent", ("return of a trial", "95 % interval"), ("IQM", "95 % interval")]
    if not goal or "random" not in agents:
        return Table(headers, {name: row[:2] for name, row in rows.items()}, [next(iter(agents))])
    headers.append(("score", f"0 % random, 100 % {goal}"))
    return Table(headers, rows, [next(iter(agents))])


def _between(agent: Mapping[str, Any], key: str, interval: str) -> Cell:
    low, high = agent[interval]
    return number(agent[key]), f"{number(low)} … {number(high)}"


def regret(facts: RunFacts) -> Section:
    """What a policy that knows the task would have had more."""
    section = Section("Regret")
    if facts.evaluation is None:
        section.missing.append(facts.missing["evaluation"])
        return section
    if not math.isfinite(facts.oracle):
        section.missing.append(
            "What a policy that knows the task earns is not known in this problem, and so no regret is."
        )
        return section
    drawn, lines, unit = looks(list(facts.evaluation["agents"])), [], facts.unit
    for name, agent in facts.evaluation["agents"].items():
        low = high = None
        means = np.cumsum(facts.oracle - np.array(agent["episode_returns"], np.float64))
        points = thinned(len(means), 60)
        if name in facts.returns:
            sums = facts.returns[name].returns.cumsum(-1, dtype=np.float64)[..., points]
            margin = np.array([margin_95(sums[..., i]) for i in range(len(points))])
            low, high = means[points] - margin, means[points] + margin
        lines.append(Line(name, points + 1, means[points], low, high, look=drawn[name]))
    if facts.optimum is not None:
        best = np.cumsum(facts.oracle - np.asarray(facts.optimum, np.float64))
        lines.append(Line(BAYES_OPTIMAL, np.arange(1, len(best) + 1), best, look="optimal"))
    last = {line.name: float(line.y[-1]) for line in lines}
    mine, others = lines[0].name, [name for name in last if name not in (lines[0].name, "random", BAYES_OPTIMAL)]
    section.answer = f"A trial costs {mine} {short(last[mine])} of what a policy has that knows the task"
    if others:
        best_other = min(others, key=last.__getitem__)
        section.answer += f"; {best_other}, the best of the others, {short(last[best_other])}"
    section.answer += "."
    section.figures.append(
        lines_figure(
            lines, title="Regret, summed up", x_label=f"{unit} of the trial", y_label=f"regret up to this {unit}",
            caption="In the trial itself, exploration included. Less is better.",
            command=facts.commands.get("evaluate", ""), from_zero=True,
        )
    )  # fmt: skip
    return section


def worst(facts: RunFacts) -> Section:
    """The tasks in which least is earned."""
    section = Section("The worst tenth of the tasks")
    if not facts.returns:
        section.missing.append(facts.missing.get("returns", facts.missing.get("evaluation", "Not evaluated.")))
        return section
    scores = {name: agent.returns.sum(-1, dtype=np.float64).mean(0) for name, agent in facts.returns.items()}
    mine, drawn, rows, lines = next(iter(scores)), looks(list(scores)), {}, []
    count = max(1, int(LEAST_SHARE * len(scores[mine])))
    hard = np.argsort(scores[mine], kind="stable")[:count]
    for name, score in scores.items():
        ordered = np.sort(score)
        points = thinned(len(ordered), 80)
        lines.append(Line(name, 100 * (points + 0.5) / len(ordered), ordered[points], look=drawn[name]))
        shared = len(score) == len(scores[mine])
        rows[name] = [number(x) for x in (ordered[:count].mean(), np.median(score), ordered[-count:].mean())]
        rows[name] += [number(score[hard].mean()) if shared else "–"]
    section.answer = (
        f"In its worst tenth of the tasks {mine} earns {rows[mine][0]} in a trial, in the median task {rows[mine][1]}."
    )
    section.figures.append(
        lines_figure(
            lines, title="Tasks by what is earned in them", x_label="share of the tasks, %",
            y_label="return of a trial",
            caption="Each agent's tasks in order, its worst on the left. One trial in each: luck is in it.",
            command=facts.commands.get("evaluate", ""),
        )
    )  # fmt: skip
    headers = ["agent", "its worst tenth", "its median", "its best tenth", f"{mine}'s worst tenth"]
    section.tables.append(Table(headers, rows, [mine]))
    return section


def families(facts: RunFacts) -> Section:
    """Training, held-out and shifted tasks."""
    section = Section("Held-out and shifted tasks")
    if not facts.families:
        section.missing.append(facts.missing.get("families", "Not computed."))
        return section
    bars, rows = [], {}
    for number_of, (name, found) in enumerate(facts.families.items()):
        look = ("c1", "random", "c0")[number_of % 3]
        for when, value, margin in (
            ("first", found.first, found.first_margin),
            ("last", found.last, found.last_margin),
        ):
            bars.append(
                Interval(f"{name}, {when}", value, value - margin, value + margin, look, hollow=when == "first")
            )
        rows[name] = [
            f"{found.tasks:,}",
            _with(found.first, found.first_margin),
            _with(found.last, found.last_margin),
            number(found.oracle),
        ]
    unit, known = facts.unit, facts.families
    section.answer = (
        "; ".join(f"{name}: {short(f.first)} at first, {short(f.last)} at last" for name, f in known.items()) + "."
    )
    shift = f"Shifted tasks: {facts.shift}." if facts.shift else "There are no shifted tasks in this problem."
    note = f"Hollow: first tenth of a trial; filled: last tenth; lines: 95 % over tasks. {shift}"
    svg = interval_chart(
        bars,
        title="Before and after adaptation in each family of tasks",
        label=f"return of a {unit}" if unit == "pull" else "return of an episode",
    )
    section.figures.append(
        Figure(svg, "Before and after adaptation", note, command=facts.commands.get("report", ""))
    )  # fmt: skip
    section.tables.append(Table(["family", "tasks", "first tenth", "last tenth", KNOWS], rows))
    return section


def _with(value: float, margin: float) -> Cell:
    return number(value), f"{number(value - margin)} … {number(value + margin)}"


def _without(section: Section, facts: RunFacts, name: str, otherwise: str) -> Section:
    """A section that says why there is nothing in it: it does not apply here, or is missing."""
    if name in facts.inapplicable:
        section.notes.append(facts.inapplicable[name])
    else:
        section.missing.append(facts.missing.get(name, otherwise))
    return section


def knowledge(facts: RunFacts) -> Section:
    """What the memory knows."""
    section = Section("What the memory knows")
    if facts.inspection is None or "inspection" in facts.inapplicable:
        return _without(section, facts, "inspection", "Not computed.")
    return inspected(facts.inspection, facts.unit, facts.commands.get("inspect", ""))


def inspected(found: Mapping[str, Any], unit: str, command: str = "") -> Section:
    """What an inspection has found, as a section; see `adaptax.evaluation.inspection.Inspection.to_json`."""
    section = Section("What the memory knows")
    episodes, pooled = list(found["episodes"]), found["r2"]["pooled"]
    parts = {name: x for name, x in found["r2"].items() if name != "pooled"}
    lines = [_probe("all features", episodes, pooled, "c0")]
    if len(parts) > 1:
        lines += [
            _probe(name, episodes, x, f"c{1 + n % 8}", thin=True)
            for n, (name, x) in enumerate(list(parts.items())[:MOST_PARTS])
        ]
    last = pooled["value"][-1]
    section.answer = (
        f"After {episodes[-1]} {unit}s a linear map tells {_share(last)} of the variance of new tasks from a memory "
        f"of {found['memory_size']} numbers."
    )
    tasks = found.get("protocol", {}).get("tasks")
    measured = (
        f"R² on {tasks:,} held-out tasks of a decoder fitted on as many training tasks."
        if tasks
        else "R² on held-out tasks."
    )
    section.figures.append(
        lines_figure(
            lines, title="The task decoded from the memory", x_label=f"{unit}s so far", y_label="R² on held-out tasks",
            caption=f"{measured} Band: 95 %.", command=command, from_zero=True,
        )
    )  # fmt: skip
    more = [_probe("distances", episodes, found["distance_correlation"], "c1")]
    title, label = "Distances of memories and of tasks", "rank correlation"
    words = "Whether memories of tasks that are alike are alike. Band: 95 %."
    if found["accuracy"] is not None:
        more = [_probe("named rightly", episodes, found["accuracy"], "c1")]
        title, label = "Tasks named rightly", "share of tasks"
        words = f"By a linear map of the memory; by chance {found['accuracy']['chance']:.2f}. Band: 95 %."
    section.figures.append(
        lines_figure(
            more, title=title, x_label=f"{unit}s so far", y_label=label, caption=words, command=command, from_zero=True
        )
    )
    return section


def _probe(name: str, episodes: Sequence[int], curve: Mapping[str, Any], look: str, *, thin: bool = False) -> Line:
    def of(values: Any) -> np.ndarray:
        return np.array([math.nan if x is None else x for x in values], np.float64)

    ends = [[None, None] if x is None else x for x in curve["interval"]]
    low, high = (None, None) if thin else (of([x[i] for x in ends]) for i in (0, 1))
    return Line(name, episodes, of(curve["value"]), low, high, look=look, thin=thin)


def _share(value: float | None) -> str:
    return "an unknown share" if value is None else f"{max(0.0, value):.0%}"


def in_a_few_tasks(facts: RunFacts) -> Section:
    """Films."""
    section = Section("In a few new tasks, step by step")
    if facts.recording is None or "recording" in facts.inapplicable:
        return _without(section, facts, "recording", "Not recorded.")
    made = films(facts.recording)
    sizes = np.cumsum([_size(film) for film in made])
    fitting = max(1, int((sizes <= MOST_FILM_BYTES).sum()))
    if fitting < len(made):
        section.notes.append(f"Only {fitting} of {len(made)} films are here: the page would be too large.")
    section.films = made[:fitting]
    notes = " ".join(dict.fromkeys(film["note"] for film in section.films if film["note"]))
    section.film_caption = (
        f"{caption(facts.recording)} {notes if len(notes) < 300 else section.films[0]['note']}".strip()
    )
    section.film_command = facts.commands.get("report", "")
    return section


def _size(film: Mapping[str, Any]) -> int:
    return len(json.dumps(film))
