"""A comparison on the terminal: three tables of its plain data, at most 100 columns wide."""

from collections.abc import Mapping
from typing import Any

from adaptax.reports.comparison_texts import (
    NOT_DEFINED,
    UNKNOWN,
    exploring,
    number,
    percent,
    reached,
    spread,
    unit_of,
)
from adaptax.reports.tables import plain_table
from adaptax.reports.text_table import Table


def tables(content: Mapping[str, Any]) -> list[Table]:
    """The three questions, a table each."""
    return [efficiency_table(content), generalisation_table(content), exploration_table(content)]


def efficiency_table(content: Mapping[str, Any]) -> Table:
    """When each agent is there."""
    unit, thresholds = unit_of(content), content["thresholds"]
    headers = [f"{threshold:.0%}" for threshold in thresholds]
    table = plain_table(
        f"1. {unit}s in a new task until an agent has this normalized score", "agent", *headers, fold=True
    )
    for name, agent in content["agents"].items():
        cells = [agent["reaches"][f"{threshold:g}"] for threshold in thresholds]
        texts = [reached(cell) for cell in cells]
        row = [f"{text} ({between})" if between else text for text, between in texts]
        table.add_row(name, *row, emphasis="bold" if agent["kind"] == "meta-trained" else None)
    ends = content["reference"]
    table.caption = (
        f"normalized score: 0 % is random ({number(ends['random']['value'])} per {unit}), 100 % {ends['label']} "
        f"({number(ends['target']['value'])}); 95 % intervals; >: not within its trial; ≤: it was not asked sooner"
    )
    return table


def generalisation_table(content: Mapping[str, Any]) -> Table:
    """Before and after in held-out tasks, and the gaps."""
    agents = content["agents"]
    gaps = list(next(iter(agents.values()))["gaps"])
    table = plain_table(
        f"2. return per {unit_of(content)}, and what carries over", "agent", "before", "after", *gaps, fold=True
    )
    units = set()
    for name, agent in agents.items():
        held_out = agent["families"]["held-out"]
        row = [number(held_out[key]["value"]) for key in ("before", "after")]
        for gap in agent["gaps"].values():
            units.add(gap["unit"])
            row.append(spread(gap, lambda x, of=gap["unit"]: percent(x, "+") if of != "return" else number(x)))
        table.add_row(name, *row, emphasis="bold" if agent["kind"] == "meta-trained" else None)
    table.caption = f"before, after: in held-out tasks; gaps after adaptation, in {' or '.join(sorted(units))}"
    if content["shift"]:
        table.caption += f"; shifted: {content['shift']}"
    return table


def exploration_table(content: Mapping[str, Any]) -> Table:
    """Regret, exploring actions, pulls of the best arm, and who is better."""
    agents, unit = content["agents"], unit_of(content)
    common = next(iter(agents.values()))["regret"]["common"]["episode"]
    best = ["best arm"] if content["bandit"] else []
    headers = [f"regret in {common} {unit}s", "in its trial", "exploring", *best, "beats the first"]
    table = plain_table("3. what finding out costs", "agent", *headers, fold=True)
    first = next(iter(agents))
    for name, agent in agents.items():
        regret, exploration = agent["regret"], agent["exploration"]
        share = exploring(exploration)
        row = [spread(regret["common"]), f"{number(regret['regret'][-1]['value'])} in {agent['trial']}"]
        row.append(NOT_DEFINED if share is None else percent(share["total"]["value"]))
        if best:
            pulls = [f["value"] for f in exploration["pulls_by_rank"]]
            row.append(percent(pulls[0] / sum(pulls)))
        row.append(UNKNOWN if name == first else beats(content, name, first))
        table.add_row(name, *row, emphasis="bold" if agent["kind"] == "meta-trained" else None)
    table.caption = (
        f"regret against {content['reference']['label']}; exploring: share of actions "
        + ("that are not of the arm with the best mean so far" if content["bandit"] else "that are not its best one")
        + f"; beats the first: probability to be better than {first} in a task after the same experience"
    )
    return table


def beats(content: Mapping[str, Any], name: str, other: str) -> str:
    """Probability that one agent is better than another in a task."""
    for pair in content["pairs"]:
        if {pair["first"], pair["second"]} == {name, other}:
            value = pair["value"] if pair["first"] == name else 1 - pair["value"]
            return number(value)
    return UNKNOWN
