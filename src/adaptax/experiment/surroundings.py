"""What a service needs of whoever calls it, in one object."""

import dataclasses
from pathlib import Path

from adaptax.experiment.distributed import Group
from adaptax.experiment.progress import OnMessage, OnProgress, ignore, log
from adaptax.experiment.signals import StopSignal


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """With whom a piece of work has to do while it goes on.

    Attributes:
        on_progress: Called now and then with how far it is.
        on_message: Called with lines for a person.
        stop: Asked after each chunk of a training whether to stop.
        group: The processes that train together.
        chunk_timeout: Seconds that a chunk of updates may take, before this process is ended; None: any.
        references: Where reference policies are kept, to set beside what was trained; None: they are left out.
        report: Whether a report is written of what was trained and evaluated.
    """

    on_progress: OnProgress = ignore
    on_message: OnMessage = log
    stop: StopSignal = dataclasses.field(default_factory=StopSignal)
    group: Group = dataclasses.field(default_factory=Group)
    chunk_timeout: float | None = None
    references: Path | None = None
    report: bool = False
