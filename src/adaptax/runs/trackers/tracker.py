"""What a tracker has to do, and which there are. No package of any of them is imported here."""

import dataclasses
import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from adaptax.core.errors import needs

TRAINING, VALIDATION, EVALUATION = range(3)
"""What a row is of: an update, an evaluation between updates, the evaluation at the end; in this order."""


class Row(NamedTuple):
    """Numbers of one update.

    Attributes:
        update: Its number.
        kind: What they are of.
        metrics: By name.
    """

    update: int
    kind: int
    metrics: Mapping[str, float]

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands among the rows of a run, which are logged in order."""
        return self.update, self.kind


@dataclasses.dataclass(frozen=True)
class TrackedRun:
    """What a tracker is told of a run.

    Attributes:
        name: The name of its directory.
        directory: Where it is.
        config: Algorithm, problem, their settings, the options and the version, as plain data.
        identity: What the tracker called it when it was begun; empty: it is not known to it yet.
    """

    name: str
    directory: Path
    config: Mapping[str, Any]
    identity: str = ""


class Tracker(Protocol):
    """Takes what a run has measured. Its calls come from one thread; what they raise ends it and not the run."""

    def start(self, run: TrackedRun) -> str:
        """Begin a run, or go on with the one of this identity; return its identity."""

    def log(self, update: int, metrics: Mapping[str, float]) -> None:
        """Take the numbers of an update; there may be two such calls for one, with other names."""

    def finish(self, status: str) -> None:
        """Send what there is; the run is "finished", "stopped" or "failed"."""


class Known(NamedTuple):
    """A tracker that can be asked for.

    Attributes:
        package: What it needs to import.
        module: Where it is.
        kind: Its class there.
    """

    package: str
    module: str
    kind: str


TRACKERS: Mapping[str, Known] = {
    "wandb": Known("wandb", "wandb_tracker", "WandbTracker"),
    "mlflow": Known("mlflow", "mlflow_tracker", "MLflowTracker"),
    "trackio": Known("trackio", "trackio_tracker", "TrackioTracker"),
}
"""By the name of the extra that brings its package, which is what is typed after `--log`."""


def accept_trackers(names: Sequence[str]) -> None:
    """Check that the packages of trackers are installed, without importing them.

    Raises:
        MissingPackageError: if one is not.
    """
    for name in names:
        package = TRACKERS[name].package
        with needs(name, f"--log {name}"):
            if not _is_installed(package):
                raise ModuleNotFoundError(name=package)


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # there is one that does not say where it comes from
        return True


def tracker(name: str) -> Tracker:
    """The tracker of a name."""
    known = TRACKERS[name]
    made: Tracker = getattr(importlib.import_module(f"{__package__}.{known.module}"), known.kind)()
    return made


def flat(config: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Names and values of parts within parts, as "part.name"."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        found |= flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {f"{before}{name}": value}
    return found
