"""How far from random to informed, on the terminal: from plain data, at most 100 columns wide."""

from collections.abc import Mapping
from typing import Any

from adaptax.core.notebook import evenly_spaced
from adaptax.reports.tables import between, number, plain_table, with_error
from adaptax.reports.text_table import Table

Content = Mapping[str, Any]
MOST_ROWS = 8
"""Episodes that are shown, at most."""
RANDOM, MEMORYLESS, INFORMED = "random", "memory-less policy", "informed policy"


def reference_table(content: Content, name: str, *, unit: str = "episode") -> Table:
    """An agent's way from random to informed, episode by episode, and what it has beyond a policy without memory.

    Args:
        content: What `ReferenceScores.to_json` returns.
        name: Of the agent.
        unit: What an episode is called.
    """
    headers = ["return ± s.e.", "score", "95 %", "memory-less", "beyond it", "95 %"]
    table = plain_table("from random (0 %) to the trained informed policy (100 %)", unit, *headers)
    policies, curve = content["policies"], content["agents"][name]
    without = percent(policies[MEMORYLESS]["score"]["value"])
    for index in evenly_spaced(len(curve), MOST_ROWS):
        point = curve[index]
        score, beyond = point["score"], point["beyond_memoryless"]
        row = [percent(score["value"]), interval(score), without, percent(beyond["value"], "+"), interval(beyond, "+")]
        table.add_row(f"{point['episode']:,}", with_error(point["return"], point["stderr"]), *row)
    table.caption = (
        f"{name}: 0 % is random ({number(policies[RANDOM]['return'])} per {unit}), 100 % the informed policy "
        f"({number(policies[INFORMED]['return'])}): {_trained(policies[INFORMED])}, told the task. It was trained, and "
        f"is no exact optimum{_exact(content)}. The memory-less policy ({number(policies[MEMORYLESS]['return'])}), "
        f"trained alike by {_trained(policies[MEMORYLESS])}, is not told: what an agent has beyond it is adaptation, "
        "the rest robustness"
    )
    return table


def policies_table(content: Content, *, title: str) -> Table:
    """What the policies earn beside each other.

    Args:
        content: What `ReferenceScores.to_json` returns.
        title: Above the table.
    """
    table = plain_table(title, "policy", "return of an episode ± s.e.", "95 % interval", "score")
    for name in (INFORMED, MEMORYLESS, RANDOM):
        of = content["policies"][name]
        row = with_error(of["return"], of["stderr"]), _ends(of["interval"]), percent(of["score"]["value"])
        table.add_row(name, *row, emphasis="bold" if name == INFORMED else None)
    if content["oracle"] is not None:
        exact = number(content["oracle"]["return"]), "", percent(content["oracle"]["score"])
        table.add_row("knows the task (exact)", *exact, emphasis="dim")
    table.caption = (
        f"informed: {_trained(content['policies'][INFORMED])}, told the task; memory-less: "
        f"{_trained(content['policies'][MEMORYLESS])}, not told. What lies between the two is what adapting can earn"
    )
    return table


def percent(value: float | None, sign: str = "") -> str:
    """A share; a dash if unknown."""
    return number(value, f"{sign}.1%")


def interval(figure: Mapping[str, Any], sign: str = "") -> str:
    """An interval of shares."""
    low, high = figure["interval"]
    return "–" if low is None else f"{percent(low, sign)} … {percent(high, sign)}"


def _ends(found: Any) -> str:
    return "–" if found is None or found[0] is None else between(found)


def _trained(policy: Mapping[str, Any]) -> str:
    updates, seeds = policy["updates"], policy["training_seeds"]
    return f"{policy['algorithm']}, {updates:,} update{'s'[: updates != 1]}{f' × {seeds} seeds' if seeds > 1 else ''}"


def _exact(content: Content) -> str:
    """What the exact oracle has, where it is known."""
    oracle = content["oracle"]
    return "" if oracle is None else f" (which has {number(oracle['return'])}, {percent(oracle['score'])})"
