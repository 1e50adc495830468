"""A comparison in words: its figures, and the sentences that answer its three questions."""

from collections.abc import Mapping
from typing import Any

Content = Mapping[str, Any]
"""What `adaptax.evaluation.comparison.compare` has measured, as plain data."""

NEVER = "never"
UNKNOWN = "–"
NOT_DEFINED = "n/a"


def unit_of(content: Content) -> str:
    """What an episode is called."""
    return "pull" if content["horizon"] == 1 else "episode"


def exploring(exploration: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The share of exploring actions that is shown: in bandits the one that all agents have."""
    return exploration.get("not_the_best_mean") or exploration["not_its_own_best"]


def number(value: float | None, decimals: int = 2) -> str:
    """A number as text; a dash if it is not defined."""
    if value is None:
        return UNKNOWN
    return _unsigned_zero(f"{value:,.{decimals if round(abs(value), decimals) < 1000 else 0}f}")


def percent(value: float | None, form: str = "") -> str:
    """A share as text."""
    return UNKNOWN if value is None else f"{_unsigned_zero(f'{100 * value:{form}.0f}')} %"


def _unsigned_zero(text: str) -> str:
    """A number with a minus sign of its own; what is rounded to 0 has no sign."""
    return text.replace("-", "−") if float(text.replace(",", "")) else text.lstrip("-")


def spread(figure: Mapping[str, Any], text: Any = number) -> str:
    """A figure with its interval."""
    return f"{text(figure['value'])} ({' … '.join(text(end) for end in figure['interval'])})"


def reached(time: Mapping[str, Any], key: str = "episode") -> tuple[str, str]:
    """When a threshold was reached, and its interval; "≤" where it may have been before it was measured."""
    value, (low, high) = time[key]["value"], time[key]["interval"]
    ends = [NEVER if end is None else f"{end:,.0f}" for end in (low, high)]
    interval = "" if low is None else f"{ends[0]} … {ends[1]}"
    if value is None:
        return f"> {time['within']:,}" if key == "episode" else NEVER, interval
    sooner = time["since"] < time["episode"]["value"] - 1
    return f"{'≤ ' if sooner else ''}{value:,.0f}", interval


def ratio(time: Mapping[str, Any]) -> str:
    """How many times as many episodes as the fastest; a dash where a shorter trial leaves that open."""
    times = time["times"]
    if times is None:
        return UNKNOWN
    if times["value"] is None and times["more_than"] < 1:
        return UNKNOWN
    if times["value"] is None:
        return f"> {times['more_than']:.1f}×"
    return f"{times['value']:.1f}×"


def trained(content: Content) -> list[str]:
    """Names of the meta-trained agents."""
    return [name for name, agent in content["agents"].items() if agent["kind"] == "meta-trained"]


def headline(content: Content) -> float:
    """The highest threshold that a meta-trained agent reaches, 80 % if none reaches any."""
    reached_by = [agent["reaches"] for agent in content["agents"].values() if agent["kind"] == "meta-trained"]
    there = [t for t in content["thresholds"] if any(r[f"{t:g}"]["episode"]["value"] is not None for r in reached_by)]
    return max(there, default=0.8)


def fastest_sentences(content: Content) -> list[str]:
    """Who gets to the headline's threshold first, how much longer the others take, and what is out of reach."""
    unit, agents, threshold = unit_of(content), content["agents"], headline(content)
    others = [name for name, agent in agents.items() if name != "random" and agent["kind"] != "reference"]
    cells = {name: agents[name]["reaches"][f"{threshold:g}"] for name in others}
    there = {name: cell for name, cell in cells.items() if cell["episode"]["value"] is not None}
    if not there:
        return [f"No agent gets to a normalized score of {threshold:.0%} within its trial."]
    first = min(there, key=lambda name: there[name]["episode"]["value"])
    said = [f"{first} gets to a normalized score of {threshold:.0%} first, by {unit} {_when(cells[first])}."]
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


def _when(time: Mapping[str, Any]) -> str:
    """When a threshold was reached, with its interval."""
    text, interval = reached(time)
    return f"{text} ({interval})" if interval else text


def about_normalized_scores(content: Content) -> str:
    """What the figures of the first question mean."""
    unit, ends = unit_of(content), content["reference"]
    text = (
        f"The normalized score is 0 % for random actions ({number(ends['random']['value'])} per {unit}) and 100 % for "
        f"{ends['label']} ({number(ends['target']['value'])} per {unit}). An agent is there in the first {unit} n from "
        f"which on the mean over all tasks and the next max(1, n/10) {unit}s is not below the threshold; {unit}s are "
        "counted from 1, with the one in which it is there. Intervals (95 %) begin where the upper end of the mean's "
        "interval reaches the threshold, and end where the lower end does; those of ratios come from the "
        "ends of both."
    )
    if any(agent["measured"].startswith("best action") for agent in content["agents"].values()):
        text += (
            " Agents that learn from windows of experience have to explore in them; they are asked now and then for "
            "their best action known, on further episodes that count for nothing. “≤”: it may have been there sooner, "
            "but was not asked."
        )
    return text


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


def regret_sentences(content: Content) -> list[str]:
    """What finding out cost, up to where it can be compared."""
    agents = content["agents"]
    common = {name: agent["regret"]["common"] for name, agent in agents.items() if name != "random"}
    order = sorted(common, key=lambda name: common[name]["value"])
    episode = common[order[0]]["episode"] if order else 0
    listed = ", ".join(f"{name} {number(common[name]['value'])}" for name in order)
    return [
        f"Regret in the first {episode:,} {unit_of(content)}{'s'[: episode > 1]}, which all trials have: {listed}; "
        f"random {number(agents['random']['regret']['common']['value'])}."
    ]
