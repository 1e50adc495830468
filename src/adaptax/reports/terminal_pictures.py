"""Moments of a trial as lines of a terminal: what `scenes.js` draws, in letters."""

from collections.abc import Mapping
from typing import Any, TypeAlias

Line: TypeAlias = list[tuple[str, str]]
"""Pieces of text, each with how it looks: "agent", "goal", "soft", "known" or ""."""

BAR = 32
"""Letters from 0 to 1."""
ACROSS, DOWN = 43, 19
"""Letters of a plane."""


def lines(kind: str, moment: Mapping[str, Any]) -> list[Line]:
    """A moment of a kind "bandit", "grid" or "plane"; what it says of itself is the last line."""
    return [*{"bandit": _bandit, "grid": _grid, "plane": _plane}[kind](moment), [(moment["text"], "")]]


def _bandit(moment: Mapping[str, Any]) -> list[Line]:
    """Of each arm the mean of its posterior, its true probability (│), and how often it was pulled."""
    drawn: list[Line] = []
    for number, arm in enumerate(moment["arms"]):
        now = number == moment["chosen"]
        filled, truth = round(arm["mean"] * BAR) * (arm["pulls"] > 0), min(int(arm["truth"] * BAR), BAR - 1)
        cells = ["█" if i < filled else "·" for i in range(BAR)]
        look = "agent" if now else "known" if arm["pulls"] else "soft"
        paid = ("+1" if moment["reward"] > 0 else " 0") if now else "  "
        drawn.append(
            [
                (f"{'▶' if now else ' '} arm {number + 1:>2} ", "agent" if now else ""),
                ("".join(cells[:truth]), look), ("│", "goal"), ("".join(cells[truth + 1 :]), look),
                (f" {arm['mean']:.2f}" if arm["pulls"] else "    ?", look),
                (f" {arm['pulls']:>3} pulls ", "soft"), (paid, "goal"),
            ]
        )  # fmt: skip
    return drawn


def _grid(moment: Mapping[str, Any]) -> list[Line]:
    """Where it is (●), the goal (★), where the goal may still be (░), where it is not (·)."""
    at, goal = tuple(moment["path"][-1]), tuple(moment["goal"])
    drawn = []
    for row in reversed(range(moment["rows"])):
        line: Line = []
        for column in range(moment["columns"]):
            here = row, column
            possible = moment["belief"][row * moment["columns"] + column] > 0
            sign, look = ("░", "known") if possible else ("·", "soft")
            sign, look = {goal: ("★", "goal"), at: ("●", "agent")}.get(here, (sign, look))
            line.append((f" {sign}{sign if sign == '░' else ' '} ", look))
        drawn += [line, [("", "")]]
    return drawn[:-1]


def _plane(moment: Mapping[str, Any]) -> list[Line]:
    """Where it goes (●, its way ∙), the episodes that it learns from (·), the goal (★)."""
    x0, x1, y0, y1 = moment["bounds"]

    def place(point: Any) -> tuple[int, int]:
        column = round((point[0] - x0) / (x1 - x0) * (ACROSS - 1))
        row = round((y1 - point[1]) / (y1 - y0) * (DOWN - 1))
        return min(max(row, 0), DOWN - 1), min(max(column, 0), ACROSS - 1)

    signs: dict[tuple[int, int], tuple[str, str]] = {}
    *others, mine = moment["paths"]
    for path in others:
        signs |= dict.fromkeys(map(place, path["points"]), ("·", "soft" if path["stage"] else "known"))
    signs |= dict.fromkeys(map(place, mine["points"]), ("∙", "agent"))
    signs |= {place(moment["start"]): ("+", ""), place(moment["goal"]): ("★", "goal")}
    signs[place(mine["points"][-1])] = "●", "agent"
    return [[signs.get((row, column), (" ", "")) for column in range(ACROSS)] for row in range(DOWN)]
