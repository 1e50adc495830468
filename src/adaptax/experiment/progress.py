"""How far long work is, told to whoever asked; and lines for a person, which are silent unless somebody listens."""

import dataclasses
import logging
from collections.abc import Callable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a piece of work is.

    Attributes:
        work: What it is: "train", "evaluate", "compare" or "inspect".
        done: How much is done: updates of a training, else trials.
        total: Of how much.
        text: What else there is to say, in a few words.
        metrics: Of a training: arrays `[update since the last call, seed]` by name.
    """

    work: str
    done: int
    total: int
    text: str = ""
    metrics: Mapping[str, Any] = dataclasses.field(default_factory=dict)


OnProgress = Callable[[Progress], None]
OnMessage = Callable[[str], None]


def log(message: str) -> None:
    """Where messages go if nobody says where: to the logger "adaptax", as information, which Python does not show."""
    logging.getLogger("adaptax").info(message)


def ignore(progress: Progress) -> None:
    """Take no notice: the default of `on_progress`."""
