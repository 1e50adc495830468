"""A comparison as one HTML page: self-contained, to read on a screen and on paper.

It is written from plain data (`adaptax.evaluation.comparison.compare`) and shows nothing that is not there.
"""

import shlex
from collections.abc import Mapping
from html import escape
from typing import Any

from adaptax.reports.comparison_figures import (
    exploring,
    families_figure,
    performance_figure,
    pulls_figure,
    reaches_figure,
    regret_figure,
    svg,
    unit_of,
)
from adaptax.reports.comparison_tables import NOT_DEFINED, UNKNOWN, number, percent, ratio, reached, spread
from adaptax.reports.html import Cell, page, paragraph, picture, table

Content = Mapping[str, Any]


def report(content: Content) -> str:
    """The whole page."""
    problem = content["problem"]
    parts = [heading(content), efficiency(content), generalisation(content), exploration(content), protocol(content)]
    return page(f"{', '.join(trained(content)) or 'Agents'} on {problem['name']}", parts)


def trained(content: Content) -> list[str]:
    """Names of the meta-trained agents."""
    return [name for name, agent in content["agents"].items() if agent["kind"] == "meta-trained"]


def between(figure: Mapping[str, Any], text: Any = number) -> Cell:
    """A figure above its interval."""
    if figure["value"] is None:
        return UNKNOWN
    return text(figure["value"]), " … ".join(text(end) for end in figure["interval"])


def heading(content: Content) -> str:
    """What was compared, and what to know before reading on."""
    problem, agents = content["problem"], content["agents"]
    settings = ", ".join(f"{name} {value}" for name, value in problem["settings"].items())
    lines = [
        "<h1>What meta-learning is worth</h1>",
        paragraph(
            f"{escape(', '.join(agents))} on <strong>{escape(problem['name'])}</strong>"
            f"{f' ({escape(settings)})' if settings else ''}: {escape(problem['summary'])}. All agents met the same "
            f"{content['families']['held-out']['tasks']:,} held-out tasks, and knew none of them before.",
            "lead",
        ),
    ]
    single = [name for name in trained(content) if agents[name]["training_seeds"] == 1]
    if single:
        names = " and ".join(single)
        lines.append(
            paragraph(
                f"{escape(names)}: one training seed. The intervals are about this one trained agent on other tasks, "
                "and say nothing of what another training would have brought.",
                "note",
            )
        )
    lines += [paragraph(escape(warning), "warning") for warning in content["warnings"]]
    return "\n".join(lines)


def headline(content: Content) -> float:
    """The highest threshold that a meta-trained agent reaches, 80 % if none reaches any."""
    reached_by = [agent["reaches"] for agent in content["agents"].values() if agent["kind"] == "meta-trained"]
    there = [t for t in content["thresholds"] if any(r[f"{t:g}"]["episode"]["value"] is not None for r in reached_by)]
    return max(there, default=0.8)


def fastest_sentences(content: Content) -> list[str]:
    """Who gets to the headline's threshold first, how much longer the others take, and what is out of reach."""
    unit, agents, threshold = unit_of(content), content["agents"], headline(content)
    cells = {name: agent["reaches"][f"{threshold:g}"] for name, agent in agents.items() if name != "random"}
    there = {name: cell for name, cell in cells.items() if cell["episode"]["value"] is not None}
    if not there:
        return [f"No agent gets {threshold:.0%} of the way within its trial."]
    first = min(there, key=lambda name: there[name]["episode"]["value"])
    said = [f"{first} gets {threshold:.0%} of the way first, by {unit} {_when(cells[first])}."]
    for name, cell in cells.items():
        if name in there and name != first:
            many = cell["episode"]["value"] / there[first]["episode"]["value"]
            said.append(f"{name}: by {unit} {_when(cell)}, {many:.1f} times as many.")
        elif name != first:
            said.append(f"{name}: not within its {cell['within']:,} {unit}s.")
    for name in trained(content):
        missed = [t for t in content["thresholds"] if agents[name]["reaches"][f"{t:g}"]["episode"]["value"] is None]
        if missed and min(missed) > threshold:
            said.append(f"{min(missed):.0%}: {name} does not get there within its {agents[name]['trial']:,} {unit}s.")
    return said


def _when(crossing: Mapping[str, Any]) -> str:
    """When a threshold was reached, with its interval."""
    text, interval = reached(crossing)
    return f"{text} ({interval})" if interval else text


def efficiency(content: Content) -> str:
    """Question 1."""
    unit, names = unit_of(content), [f"{threshold:.0%}" for threshold in content["thresholds"]]
    keys = ("episode",) if content["horizon"] == 1 else ("episode", "steps")  # a pull is a step
    rows: dict[str, list[Cell]] = {}
    times: dict[str, list[Cell]] = {}
    for name, agent in content["agents"].items():
        cells = [agent["reaches"][f"{threshold:g}"] for threshold in content["thresholds"]]
        rows[name] = [
            reached(reach, key) if key == "episode" else reached(reach, key)[0] for reach in cells for key in keys
        ]
        times[name] = [_ratio(reach) for reach in cells]
    headers: list[Cell] = [
        "agent",
        *((name, f"{unit}s" if key == "episode" else key) for name in names for key in keys),
    ]
    return "\n".join(
        [
            f"<h2>1. Sample efficiency: how many {unit}s in a new task?</h2>",
            paragraph(escape(" ".join(fastest_sentences(content))), "answer"),
            picture(
                svg(performance_figure(content)),
                f"Performance of each agent against {unit}s in a new task",
                "Mean over tasks with 95 % intervals. Solid: meta-trained; dashed: from scratch; dotted: classical.",
            ),
            table(headers, rows, trained(content)),
            paragraph(escape(what_the_way_is(content)), "note"),
            picture(
                svg(reaches_figure(content)),
                f"{unit.capitalize()}s until each threshold, by agent",
                "Point: when the mean over tasks is there; line: 95 % interval.",
            ),
            f"<h3>How many times as many {unit}s as the fastest</h3>",
            table(["agent", *names], times, trained(content)),
            "<h3>At both ends of a trial</h3>",
            ends_table(content),
        ]
    )


def what_the_way_is(content: Content) -> str:
    """What the figures of the first question mean."""
    unit, ends = unit_of(content), content["reference"]
    text = (
        f"The way goes from random actions ({number(ends['random']['value'])} per {unit}) to {ends['label']} "
        f"({number(ends['target']['value'])} per {unit}). An agent is there in the first {unit} n from which on the "
        f"mean over all tasks and the next max(1, n/10) {unit}s is not below the threshold; {unit}s are counted from "
        "1, with the one in which it is there. Intervals (95 %) begin where the upper end of the mean's bootstrap "
        "interval reaches the threshold, and end where the lower end does; those of ratios come from the ends of both."
    )
    if any(agent["measured"].startswith("best action") for agent in content["agents"].values()):
        text += (
            " Agents that learn from windows of experience have to explore in them; they are asked now and then for "
            "their best action known, on further episodes that count for nothing. “≤”: it may have been there sooner, "
            "but was not asked."
        )
    return text


def ends_table(content: Content) -> str:
    """Returns at the beginning and at the end of a trial."""
    unit = unit_of(content)
    rows: dict[str, list[Cell]] = {}
    for name, agent in content["agents"].items():
        first, last = (agent["performance"][key] for key in ("first", "last"))
        rows[name] = [
            agent["kind"],
            f"{agent['trial']:,}",
            _summary(first, "mean", "interval"),
            _summary(last, "mean", "interval"),
            _summary(last, "iqm", "iqm_interval"),
        ]
    headers = ["agent", "", f"{unit}s of its trial", f"first {unit}", "last tenth", "last tenth, IQM"]
    measured: dict[str, list[str]] = {}
    for name, agent in content["agents"].items():
        measured.setdefault(agent["measured"], []).append(name)
    how = "; ".join(f"{', '.join(names)}: {text}" for text, names in measured.items())
    return (
        table(headers, rows, trained(content))
        + "\n"
        + paragraph(escape(f"Return per {unit}. Measured: {how}."), "note")
    )


def _summary(summary: Mapping[str, Any], key: str, interval: str) -> Cell:
    return number(summary[key]), " … ".join(number(end) for end in summary[interval])


def _ratio(crossing: Mapping[str, Any]) -> Cell:
    text, times = ratio(crossing), crossing["times"]
    if times is None or times["value"] is None or times["interval"][0] == times["interval"][1]:
        return text
    low, high = times["interval"]
    return text, f"{UNKNOWN if low is None else f'{low:.1f}'} … {'∞' if high is None else f'{high:.1f}'}"


def gap_sentences(content: Content) -> list[str]:
    """What is lost after adaptation, of each meta-trained agent."""
    said = []
    for name in trained(content) or list(content["agents"])[:1]:
        for which, gap in content["agents"][name]["gaps"].items():
            low, high = gap["interval"]
            if low is None or high is None:
                continue
            text = (lambda x: percent(x, "+")) if gap["unit"] != "return" else number
            verdict = "no difference is seen" if low <= 0 <= high else "less" if high < 0 else "more"
            said.append(f"{name}, {which}: {spread(gap, text)}, {verdict}.")
    return said


def generalisation(content: Content) -> str:
    """Question 2."""
    unit, agents, families = unit_of(content), content["agents"], list(content["families"])
    rows: dict[str, list[Cell]] = {}
    gaps: dict[str, list[Cell]] = {}
    for name, agent in agents.items():
        rows[name] = []
        for family in families:
            figures = agent["families"][family]
            rows[name] += [between(figures["before"]), between(figures["after"])]
        gaps[name] = [
            between(gap, (lambda x: percent(x, "+")) if gap["unit"] != "return" else number)
            for gap in agent["gaps"].values()
        ]
    headers: list[Cell] = ["agent", *(cell for name in families for cell in ((name, "before"), (name, "after")))]
    first = next(iter(agents.values()))
    known = [name for name in families if first["families"][name]["target"] is not None]
    ends = "; ".join(
        f"{name}: random {number(first['families'][name]['random']['value'])}"
        + (f", oracle {number(first['families'][name]['target']['value'])}" if name in known else ", oracle unknown")
        + f", {content['families'][name]['tasks']:,} tasks"
        for name in families
    )
    note = (
        f"Return per {unit}, in the first one and in the last tenth of a trial (where an agent is asked now and then: "
        f"the first and the last answer). {ends}. Gaps are differences after adaptation, of shares of the way from "
        "each family's own random to its own oracle where both are known, else of returns; training seeds are paired "
        "in them, tasks are not. An agent that was not trained has seen no training tasks either: its gaps show what "
        "the family itself makes harder or easier."
    )
    shift = f"Shifted tasks: {content['shift']}." if content["shift"] else "There are no shifted tasks in this problem."
    return "\n".join(
        [
            "<h2>2. Generalisation: what carries over to other tasks?</h2>",
            paragraph(escape(" ".join(gap_sentences(content))), "answer"),
            paragraph(escape(shift)),
            picture(
                svg(families_figure(content)), "Performance before and after adaptation in each family of tasks",
                "Hollow: before adaptation; filled: after it, with its 95 % interval.",
            ),
            table(headers, rows, trained(content)),
            "<h3>Gaps after adaptation</h3>",
            table(["agent", *first["gaps"]], gaps, trained(content)),
            paragraph(escape(note), "note"),
        ]
    )  # fmt: skip


def regret_sentences(content: Content) -> list[str]:
    """What finding out cost, up to where it can be compared."""
    agents = content["agents"]
    common = {name: agent["regret"]["common"] for name, agent in agents.items() if name != "random"}
    order = sorted(common, key=lambda name: common[name]["value"])
    episode = common[order[0]]["episode"] if order else 0
    listed = ", ".join(f"{name} {number(common[name]['value'])}" for name in order)
    return [
        f"Regret in the first {episode:,} {unit_of(content)}{'s'[: episode > 1]}, which all have lived: {listed}; "
        f"random {number(agents['random']['regret']['common']['value'])}."
    ]


def exploration(content: Content) -> str:
    """Question 3."""
    unit, agents = unit_of(content), content["agents"]
    rows = {}
    for name, agent in agents.items():
        regret, share = agent["regret"], exploring(agent["exploration"])
        cell: Cell = (NOT_DEFINED, agent["exploration"]["reason"])
        if share is not None:
            cell = between(share["total"], percent)
        final = {**regret["regret"][-1]}
        rows[name] = [between(regret["common"]), between(final), f"{agent['trial']:,}", cell]
    common = next(iter(agents.values()))["regret"]["common"]["episode"]
    headers = ["agent", f"regret in {common:,} {unit}s", "regret in its trial", f"{unit}s", "actions that explore"]
    meaning = (
        "A pull explores if its arm is not (one of) those with the best mean reward so far; the first pull is left out."
        if content["bandit"]
        else "An action explores if the agent would take another one in the same state with explore=False; "
        f"{NOT_DEFINED} where it has no such choice."
    )
    parts = [
        "<h2>3. Exploration and exploitation: what does finding out cost?</h2>",
        paragraph(escape(" ".join(regret_sentences(content))), "answer"),
        picture(
            svg(regret_figure(content)), "Cumulative regret, and share of exploring actions",
            "Means over tasks with 95 % intervals, as lived.",
        ),
        table(headers, rows, trained(content)),
        paragraph(
            escape(
                f"Regret: what {content['reference']['label']} would have had more, as the agent lived, exploration "
                f"included. {meaning} Actions were watched in {content['watched_tasks']:,} of the held-out tasks."
            ),
            "note",
        ),
    ]  # fmt: skip
    if content["bandit"]:
        parts += [
            "<h3>Which arms were pulled</h3>",
            picture(svg(pulls_figure(content)), "Share of pulls by the true rank of the arm", "By expected reward."),
            pulls_table(content),
        ]
    return "\n".join([*parts, pairs(content)])


def pulls_table(content: Content) -> str:
    """Number of pulls by rank, of the first ranks."""
    rows = {
        name: [between(figure) for figure in agent["exploration"]["pulls_by_rank"][:4]]
        for name, agent in content["agents"].items()
    }
    count = len(next(iter(rows.values())))
    headers = ["pulls of a trial", *(f"arm of rank {rank}" for rank in range(1, count + 1))]
    return table(headers, rows, trained(content))


def pairs(content: Content) -> str:
    """Probability of improvement of every agent over every other."""
    names = list(content["agents"])
    found: dict[tuple[str, str], Cell] = {}
    for pair in content["pairs"]:
        low, high = pair["interval"]
        found[pair["first"], pair["second"]] = between(pair)
        turned = {"value": 1 - pair["value"], "interval": [1 - high, 1 - low]}
        found[pair["second"], pair["first"]] = between(turned)
    rows = {name: [found.get((name, other), UNKNOWN) for other in names] for name in names}
    return "\n".join(
        [
            "<h3>Who is better after the same experience</h3>",
            table(["row better than column", *names], rows, trained(content)),
            paragraph(
                "Probability that, in a task, the return of the last episode of the shorter of the two trials is "
                "higher, ties counting half (probability of improvement, Agarwal et al. 2021). Of agents that are "
                "asked now and then, the last answer by then counts; that of one which lives several episodes in "
                "parallel is a mean over as many, so it is less noisy.",
                "note",
            ),
        ]
    )


def protocol(content: Content) -> str:
    """How it was measured, so that anyone can do it again."""
    versions = ", ".join(f"{name} {version}" for name, version in content["versions"].items())
    families = "; ".join(f"{name}: {f['tasks']:,} (seed {f['seed']})" for name, f in content["families"].items())
    rows = {
        "command": f"<code>{escape(shlex.join(content['command']))}</code>",
        "tasks": escape(families),
        "versions": escape(f"Python {content['python']}, {versions}"),
        "device": escape(f"{content['num_devices']} × {content['device']}"),
    }
    for name, agent in content["agents"].items():
        runs = ", ".join(
            f"{run['directory']} (seed {run['seed']}{f', {n} trainings' if (n := run['seeds']) > 1 else ''})"
            for run in agent["runs"]
        )
        settings = ", ".join(f"{key} {value}" for key, value in (agent["settings"] or {}).items())
        rows[escape(name)] = escape("; ".join(part for part in (runs, settings) if part) or "nothing to set")
    listed = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in rows.items())
    return (
        "<h2>How it was measured</h2>\n"
        + paragraph(
            "Every task is entered with a fresh memory, which is kept over the trial. Intervals are percentiles of "
            f"{content['resamples']:,} bootstrap resamples that draw tasks, the same for all agents, and apart from "
            "that each agent's training seeds, with replacement.",
            "note",
        )
        + f"\n<dl>{listed}</dl>"
    )
