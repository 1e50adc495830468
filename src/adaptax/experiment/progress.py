"""How far long work is, told to whoever asked; and lines for a person, which are silent unless somebody listens."""

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
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


FIRST_WORD = 10.0
"""Seconds of silence after which it is said how long something takes; twice as many before it is said again."""


@contextlib.contextmanager
def patience(what: str, on_message: OnMessage) -> Iterator[None]:
    """While it is open, say now and then that `what` goes on, and for how long: compilers say nothing for minutes.

    Said by a thread, as compiled code hands nothing back to the one that runs it.
    """
    over, begin = threading.Event(), time.monotonic()

    def wait() -> None:
        pause = FIRST_WORD
        while not over.wait(pause):
            on_message(f"{what}: {time.monotonic() - begin:.0f} s so far …")
            pause = time.monotonic() - begin

    threading.Thread(target=wait, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def log(message: str) -> None:
    """Where messages go if nobody says where: to the logger "adaptax", as information, which Python does not show."""
    logging.getLogger("adaptax").info(message)


def ignore(progress: Progress) -> None:
    """Take no notice: the default of `on_progress`."""
