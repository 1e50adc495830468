"""What a page says of the tasks that can be played in it."""

from collections.abc import Mapping
from typing import NamedTuple


class Words(NamedTuple):
    """What a page says of a family of tasks.

    Attributes:
        lead: What is hidden, and what an agent has to find out.
        moves: How the reader plays.
        keys: The keys for that.
        chart: What the chart shows.
        setting: How the reader sets the task.
        pictures: What is in the pictures.
        speed: Logarithm (base 10) of the steps in a second, to begin with.
    """

    lead: str
    moves: str
    keys: str
    chart: str
    setting: str
    pictures: str
    speed: float


_PLANE = Words(
    "A point in the plane starts in the middle. Where the goal is, only the rewards tell: the nearer, the more.",
    "Click where to go, a tenth at a time, or use the arrow keys.",
    "arrow keys: your moves",
    "Return of each episode",
    "By the sliders, or by a click into the agent's picture.",
    "Blue and thin: the episodes that the agent now learns from. Orange: what it does with what it has learned, "
    "stronger after each step of adaptation. Star: the goal.",
    1.2,
)
WORDS: Mapping[str, Words] = {
    "bandit": Words(
        "Each arm pays 1 with a probability of its own, which nobody knows. Pull, find out, and earn.",
        "Click an arm, or press its number.",
        "1 to 9 and 0: your arms",
        "Earned per pull so far",
        "By a slider for each arm.",
        "Bars: the exact posterior of an arm after the pulls that are shown below it, its middle 95 % and its mean. "
        "Diamond: the truth.",
        0.9,
    ),
    "grid-navigation": Words(
        "One cell is the goal. It cannot be seen: only standing on it pays 1 a step, all else costs 0.1.",
        "Click beside you, or use the arrow keys; s stays.",
        "arrow keys: your moves, s: stay",
        "Return of each episode",
        "By its row and column, or by a click into the agent's picture.",
        "Blue: where the goal may still be, after what was visited. Star: the goal.",
        0.7,
    ),
    "point-robot": _PLANE,
    "point-robot-sparse": _PLANE._replace(
        lead="A point starts in the middle; the goal is on the half-circle. Only near it there is a reward.",
        setting="By the slider, or by a click into the agent's picture.",
    ),
    "cart-pole": Words(
        "A pole on a cart. Its length, the masses and the force of a push are hidden, and differ from task to task.",
        "Push left or right with the arrow keys, one step each.",
        "← and →: your pushes",
        "Steps until the pole fell, in each episode",
        "By the sliders.",
        "Arrow: the push.",
        1.5,
    ),
}
"""By the name of a problem: those that can be played."""
