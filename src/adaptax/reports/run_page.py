"""The page of a run, and that of several side by side."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from adaptax.reports.charts import Line
from adaptax.reports.html import Cell
from adaptax.reports.pages import Section, Table, lines_figure, page
from adaptax.reports.result_sections import (
    adaptation,
    curve,
    families,
    in_a_few_tasks,
    inspected,
    knowledge,
    regret,
    worst,
)
from adaptax.reports.run_facts import RunFacts
from adaptax.reports.run_sections import curves_of, in_words, learning, reproducing, seed_lines, speed, what_was_trained
from adaptax.reports.tables import number

SECTIONS: Sequence[tuple[str, Callable[[RunFacts], Section]]] = (
    ("What was trained", what_was_trained),
    ("Learning curves", learning),
    ("Adaptation in new tasks", adaptation),
    ("In a few new tasks, step by step", in_a_few_tasks),
    ("Regret", regret),
    ("The worst tenth of the tasks", worst),
    ("Held-out and shifted tasks", families),
    ("What the memory knows", knowledge),
    ("Speed and memory", speed),
    ("How to make every figure again", reproducing),
)
SEEDS = ("--seed", "--seeds")
NOT_SETTINGS = (
    *SEEDS,
    "--eval-tasks",
    "--save-every",
    "--keep-every",
    "--devices",
    "--eval-every",
    "--validation-tasks",
)
"""Options that do not make another experiment of a run."""
DAMAGED = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, AssertionError)
"""What a section raises of files that hold something else than was written."""


def run_page(facts: RunFacts) -> str:
    """The report of one run."""
    sections = [made(facts, heading, build) for heading, build in SECTIONS]
    what = "What the agent learned, and what it does in tasks that it has never seen."
    lead = f"{facts.directory}: {facts.about[1] or facts.problem}. {what}"
    return page(facts.title, lead, sections, warnings=facts.notes)


def made(facts: RunFacts, heading: str, build: Callable[[RunFacts], Section]) -> Section:
    """A section; of what is damaged, one that says so."""
    try:
        return build(facts)
    except DAMAGED as error:
        return Section(heading, missing=[f"What was written down of it is damaged ({type(error).__name__}: {error})."])


def runs_page(runs: Sequence[RunFacts], command: str) -> str:
    """The report of several runs, side by side."""
    groups = grouped(runs)
    sections = [
        beside(runs, "The runs", lambda runs: _overview(runs, groups)),
        beside(runs, "Settings in which they differ", _differences),
        beside(runs, "Learning curves", lambda runs: _learning(runs, groups)),
        beside(runs, "Adaptation in new tasks", lambda runs: _adaptation(runs, groups)),
    ]
    for facts in runs:
        for heading, build in (SECTIONS[3], SECTIONS[6], SECTIONS[7]):
            section = made(facts, heading, build)
            section.heading = f"{facts.name}: {section.heading[:1].lower()}{section.heading[1:]}"
            sections.append(section)
    codes = {
        "this page": command,
        **{facts.name: facts.commands["train"] for facts in runs if "train" in facts.commands},
    }
    sections.append(Section("How to make it again", codes=codes))
    titles = list(dict.fromkeys(facts.title for facts in runs))
    notes = [f"{facts.name}: {note}" for facts in runs for note in facts.notes]
    return page(
        f"{len(runs)} runs: {', '.join(titles)}",
        f"{', '.join(facts.name for facts in runs)}, side by side.",
        sections,
        warnings=notes,
    )


def inspection_page(title: str, content: Mapping[str, Any], unit: str, command: str) -> str:
    """What a memory knows, as a page.

    Args:
        title: What was inspected.
        content: As `adaptax inspect --json` prints it.
        unit: What an episode is called.
        command: What makes it again.
    """
    section = inspected(content, unit, command)
    parts = {name: x for name, x in content["r2"].items() if name != "pooled"}
    rows = {name: [_with_error(x)] for name, x in {"all features": content["r2"]["pooled"], **parts}.items()}
    section.tables.append(Table(["of the task", f"R² ± s.e. after {content['episodes'][-1]} {unit}s"], rows))
    note = f"{content['protocol']['tasks']:,} held-out tasks, and as many training tasks to fit the decoder on."
    section.notes.append(note)
    return page(f"What the memory knows: {title}", str(content["directory"]), [section])


def _with_error(curve: Mapping[str, Any]) -> str:
    return f"{number(curve['value'][-1])} ± {number(curve['stderr'][-1])}"


def beside(runs: Sequence[RunFacts], heading: str, build: Callable[[Sequence[RunFacts]], Section]) -> Section:
    """A section of several runs; if one of them is damaged, one that says so."""
    try:
        return build(runs)
    except DAMAGED as error:
        return Section(heading, missing=[f"What was written down of it is damaged ({type(error).__name__}: {error})."])


def experiment(facts: RunFacts) -> tuple[object, ...]:
    """What runs have in common that differ by their seeds alone."""
    settings = [(x.name, in_words(x.value)) for x in (*facts.settings, *facts.options) if x.name not in NOT_SETTINGS]
    return facts.algorithm, facts.problem, *settings


def grouped(runs: Sequence[RunFacts]) -> dict[str, int]:
    """By the name of each run, the number of its group: of those that differ by their seeds alone."""
    keys = list(dict.fromkeys(map(experiment, runs)))
    return {facts.name: keys.index(experiment(facts)) for facts in runs}


def _look(group: int) -> str:
    return f"c{group % 9}"


def _overview(runs: Sequence[RunFacts], groups: dict[str, int]) -> Section:
    rows: dict[str, list[Cell]] = {}
    for facts in runs:
        mine = next(iter(facts.evaluation["agents"].values())) if facts.evaluation else None
        done = f"{facts.metrics[-1]['update']:,}" if facts.metrics else "–"
        ends: list[Cell] = ["–"] * 3
        if mine is not None:
            few = max(1, len(mine["episode_returns"]) // 10)
            first, last = (float(np.mean(mine["episode_returns"][part])) for part in (slice(few), slice(-few, None)))
            low, high = mine["interval"]
            ends = [(number(mine["mean"]), f"{number(low)} … {number(high)}"), number(first), number(last)]
        rows[facts.name] = [facts.title, str(groups[facts.name] + 1), str(facts.seed), str(facts.seeds), done, *ends]
    headers: list[Cell] = [
        "run",
        "what",
        "setting",
        "seed",
        "trainings",
        "updates",
        ("return of a trial", "95 %"),
        "first tenth",
        "last tenth",
    ]
    section = Section("The runs", tables=[Table(headers, rows)])
    section.missing += [
        f"{facts.name}: {facts.missing['evaluation']}" for facts in runs if "evaluation" in facts.missing
    ]
    by_group: dict[int, list[float]] = {}
    for facts in runs:
        if facts.evaluation:
            by_group.setdefault(groups[facts.name], []).append(next(iter(facts.evaluation["agents"].values()))["mean"])
    several = {group: values for group, values in by_group.items() if len(values) > 1}
    if several:
        table = {
            f"setting {group + 1}": [
                str(len(x)),
                number(float(np.mean(x))),
                number(float(np.std(x, ddof=1))),
                f"{number(min(x))} … {number(max(x))}",
            ]
            for group, x in several.items()
        }
        section.tables.append(
            Table(
                ["", "runs", "mean return of a trial", "deviation over runs", "least … most"],
                table,
                title="By setting, over seeds",
            )
        )
    section.notes.append("Runs with the same number under “setting” differ by their seeds alone.")
    return section


def _differences(runs: Sequence[RunFacts]) -> Section:
    values = {facts.name: {x.name: in_words(x.value) for x in (*facts.settings, *facts.options)} for facts in runs}
    names = list(dict.fromkeys(name for mine in values.values() for name in mine))
    rows = {
        name: [mine.get(name, "–") for mine in values.values()]
        for name in names
        if len({mine.get(name) for mine in values.values()}) > 1
    }
    section = Section("Settings in which they differ")
    if rows:
        section.tables.append(Table(["", *values], rows))
    else:
        section.answer = "They have the same settings, and the same seed."
    return section


def _learning(runs: Sequence[RunFacts], groups: dict[str, int]) -> Section:
    section, lines = Section("Learning curves"), []
    for facts in runs:
        if not facts.metrics:
            section.missing.append(f"{facts.name}: no update was measured.")
            continue
        lines += seed_lines(facts.name, *curves_of(facts.metrics), _look(groups[facts.name]))
    if lines:
        section.figures.append(
            lines_figure(
                lines, title="Return in training", x_label="environment steps", y_label="return",
                caption="One colour for each setting; thin: single trainings of a run.",
            )
        )  # fmt: skip
    return section


def _adaptation(runs: Sequence[RunFacts], groups: dict[str, int]) -> Section:
    section, lines = Section("Adaptation in new tasks"), []
    for facts in runs:
        if not facts.returns:
            section.missing.append(
                f"{facts.name}: {facts.missing.get('returns', facts.missing.get('evaluation', 'not evaluated.'))}"
            )
            continue
        x, y, margin = curve(next(iter(facts.returns.values())))
        lines.append(Line(facts.name, x, y, y - margin, y + margin, look=_look(groups[facts.name])))
    if lines:
        unit = runs[0].unit
        section.figures.append(
            lines_figure(
                lines, title=f"Return of each {unit}", x_label=f"{unit} of the trial", y_label=f"return of the {unit}",
                caption="Held-out tasks of each run's own evaluation. Bands: 95 %. One colour for each setting.",
                log=any(len(line.x) and max(line.x) > 30 for line in lines),
            )
        )  # fmt: skip
    if len({(facts.problem, *((x.name, in_words(x.value)) for x in facts.settings)) for facts in runs}) > 1:
        section.notes.append(
            "Where problems or their settings differ, so do the tasks: curves are to be compared with care."
        )
    return section
