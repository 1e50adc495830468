"""A comparison as one HTML page: self-contained, to read on a screen and on paper.

It is written from plain data (`adaptax.evaluation.comparison.compare`) and shows nothing that is not there. What the
page needs is computed here; its layout and its prose are in `templates/comparison.html`.
"""

import shlex
from collections.abc import Mapping
from typing import Any

from adaptax.reports.comparison_figures import (
    families_figure,
    performance_figure,
    pulls_figure,
    reaches_figure,
    regret_figure,
    svg,
)
from adaptax.reports.comparison_texts import (
    NOT_DEFINED,
    UNKNOWN,
    Content,
    about_normalized_scores,
    exploring,
    fastest_sentences,
    gap_sentences,
    number,
    percent,
    ratio,
    reached,
    regret_sentences,
    trained,
    unit_of,
)
from adaptax.reports.html import Cell, render


def report(content: Content) -> str:
    """The whole page."""
    problem, agents = content["problem"], content["agents"]
    return render(
        "comparison.html",
        title=f"{', '.join(trained(content)) or 'Agents'} on {problem['name']}",
        agents=list(agents),
        problem=problem,
        settings=listed(problem["settings"]),
        held_out_tasks=f"{content['families']['held-out']['tasks']:,}",
        trained=trained(content),
        single=[name for name in trained(content) if agents[name]["training_seeds"] == 1],
        warnings=content["warnings"],
        unit=unit_of(content),
        shift=content["shift"],
        bandit=content["bandit"],
        reference=content["reference"]["label"],
        references=[name for name, agent in agents.items() if agent["kind"] == "reference"],
        watched_tasks=f"{content['watched_tasks']:,}",
        resamples=f"{content['resamples']:,}",
        efficiency=efficiency(content),
        ends=both_ends(content),
        generalisation=generalisation(content),
        exploration=exploration(content),
        pulls=pulls(content) if content["bandit"] else None,
        pairs=pairs(content),
        command=shlex.join(content["command"]),
        protocol=protocol(content),
    )


def listed(settings: Mapping[str, Any]) -> str:
    """Settings in a row."""
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def between(figure: Mapping[str, Any], text: Any = number) -> Cell:
    """A figure above its interval."""
    if figure["value"] is None:
        return UNKNOWN
    return text(figure["value"]), " … ".join(text(end) for end in figure["interval"])


def efficiency(content: Content) -> dict[str, Any]:
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
    headers = ["agent", *((name, f"{unit}s" if key == "episode" else key) for name in names for key in keys)]
    return {
        "answer": " ".join(fastest_sentences(content)),
        "performance": svg(performance_figure(content)),
        "headers": headers,
        "rows": rows,
        "note": about_normalized_scores(content),
        "reaches": svg(reaches_figure(content)),
        "times_headers": ["agent", *names],
        "times": times,
    }


def both_ends(content: Content) -> dict[str, Any]:
    """Returns at the beginning and at the end of a trial."""
    unit = unit_of(content)
    rows: dict[str, list[Cell]] = {}
    measured: dict[str, list[str]] = {}
    for name, agent in content["agents"].items():
        first, last = (agent["performance"][key] for key in ("first", "last"))
        rows[name] = [
            agent["kind"],
            f"{agent['trial']:,}",
            _summary(first, "mean", "interval"),
            _summary(last, "mean", "interval"),
            _summary(last, "iqm", "iqm_interval"),
        ]
        measured.setdefault(agent["measured"], []).append(name)
    return {
        "headers": ["agent", "", f"{unit}s of its trial", f"first {unit}", "last tenth", "last tenth, IQM"],
        "rows": rows,
        "measured": "; ".join(f"{', '.join(names)}: {text}" for text, names in measured.items()),
    }


def _summary(summary: Mapping[str, Any], key: str, interval: str) -> Cell:
    return number(summary[key]), " … ".join(number(end) for end in summary[interval])


def _ratio(time: Mapping[str, Any]) -> Cell:
    text, times = ratio(time), time["times"]
    if times is None or times["value"] is None or times["interval"][0] == times["interval"][1]:
        return text
    low, high = times["interval"]
    return text, f"{UNKNOWN if low is None else f'{low:.1f}'} … {'∞' if high is None else f'{high:.1f}'}"


def generalisation(content: Content) -> dict[str, Any]:
    """Question 2."""
    agents, families = content["agents"], list(content["families"])
    rows: dict[str, list[Cell]] = {}
    gaps: dict[str, list[Cell]] = {}
    for name, agent in agents.items():
        rows[name] = [between(agent["families"][family][when]) for family in families for when in ("before", "after")]
        gaps[name] = [
            between(gap, (lambda x: percent(x, "+")) if gap["unit"] != "return" else number)
            for gap in agent["gaps"].values()
        ]
    first = next(iter(agents.values()))
    return {
        "answer": " ".join(gap_sentences(content)),
        "families": svg(families_figure(content)),
        "headers": ["agent", *((name, when) for name in families for when in ("before", "after"))],
        "rows": rows,
        "gap_headers": ["agent", *first["gaps"]],
        "gaps": gaps,
        "ends": "; ".join(_ends_of(name, content, first["families"][name]) for name in families),
    }


def _ends_of(name: str, content: Content, family: Mapping[str, Any]) -> str:
    """What random actions and the oracle have in a family."""
    target = family["target"]
    oracle = "oracle unknown" if target is None else f"oracle {number(target['value'])}"
    tasks = f"{content['families'][name]['tasks']:,} tasks"
    return f"{name}: random {number(family['random']['value'])}, {oracle}, {tasks}"


def exploration(content: Content) -> dict[str, Any]:
    """Question 3."""
    unit, agents = unit_of(content), content["agents"]
    rows: dict[str, list[Cell]] = {}
    for name, agent in agents.items():
        regret, share = agent["regret"], exploring(agent["exploration"])
        cell: Cell = (NOT_DEFINED, agent["exploration"]["reason"])
        if share is not None:
            cell = between(share["total"], percent)
        rows[name] = [between(regret["common"]), between(regret["regret"][-1]), f"{agent['trial']:,}", cell]
    common = next(iter(agents.values()))["regret"]["common"]["episode"]
    headers = [f"regret in {common:,} {unit}s", "regret in its trial", f"{unit}s", "actions that explore"]
    return {
        "answer": " ".join(regret_sentences(content)),
        "regret": svg(regret_figure(content)),
        "headers": ["agent", *headers],
        "rows": rows,
    }


def pulls(content: Content) -> dict[str, Any]:
    """Number of pulls by rank, of the first ranks."""
    rows = {
        name: [between(figure) for figure in agent["exploration"]["pulls_by_rank"][:4]]
        for name, agent in content["agents"].items()
    }
    count = len(next(iter(rows.values())))
    headers = ["pulls of a trial", *(f"arm of rank {rank}" for rank in range(1, count + 1))]
    return {"picture": svg(pulls_figure(content)), "headers": headers, "rows": rows}


def pairs(content: Content) -> dict[str, Any]:
    """Probability of improvement of every agent over every other."""
    names = list(content["agents"])
    found: dict[tuple[str, str], Cell] = {}
    for pair in content["pairs"]:
        low, high = pair["interval"]
        found[pair["first"], pair["second"]] = between(pair)
        turned = {"value": 1 - pair["value"], "interval": [1 - high, 1 - low]}
        found[pair["second"], pair["first"]] = between(turned)
    rows = {name: [found.get((name, other), UNKNOWN) for other in names] for name in names}
    return {"headers": ["row better than column", *names], "rows": rows}


def protocol(content: Content) -> dict[str, str]:
    """How it was measured, so that anyone can do it again."""
    rows = {
        "tasks": "; ".join(f"{name}: {f['tasks']:,} (seed {f['seed']})" for name, f in content["families"].items()),
        "versions": f"Python {content['python']}, {listed(content['versions'])}",
        "device": f"{content['num_devices']} × {content['device']}",
    }
    for name, agent in content["agents"].items():
        runs = ", ".join(
            f"{run['directory']} (seed {run['seed']}{f', {n} trainings' if (n := run['seeds']) > 1 else ''})"
            for run in agent["runs"]
        )
        rows[name] = "; ".join(part for part in (runs, listed(agent["settings"] or {})) if part) or "nothing to set"
    return rows
