"""What attacks on a run's directory are made of.

The attacker knows how checkpoints are sealed, and can do it as well as we can: a checksum is there against accidents,
and does not say who wrote a file.
"""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adaptax.runs import checkpoints
from tests.claims.damages import manifest, weights
from tests.claims.tiny_run import UPDATES, TinyRun

Plant = Callable[[TinyRun], object]
REFUSED, HARMLESS, EITHER = "refused", "harmless", "either"
"""What has to come of it: an error that names the file; the genuine run, loaded; one of both."""
CONFIGURED = ("load", "recipe+newest")
"""Doors for attacks on the configuration."""


@dataclasses.dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        plant: Prepares the run.
        must: What has to come of it.
        doors: What is tried (`trials.DOORS`).
    """

    plant: Plant
    must: str = REFUSED
    doors: tuple[str, ...] = ("load", "newest")


def precious(run: TinyRun) -> Path:
    """Path of a file beside the run, which must stay as it is."""
    return run.directory.parent / "precious"


def begin_again(run: TinyRun) -> None:
    """Make the run good again, with nothing but a precious file beside it."""
    for path in run.directory.parent.iterdir():
        if path != run.directory:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    run.clear()
    run.restore()
    precious(run).write_bytes(b"precious")


def forge(run: TinyRun, number: int, data: bytes | None = None, /, **changes: Any) -> None:
    """Change a checkpoint, its arrays or fields of its manifest, and seal it again."""
    path = manifest(run, number)
    content = json.loads(path.read_bytes())["manifest"]
    if data is not None:
        weights(run, number).write_bytes(data)
        content["files"] = {weights(run, number).name: listed(data)}
    path.write_bytes(checkpoints.seal({**content, **changes}))


def forged(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Plant:
    """All manifests with changed fields, sealed; `change` sees one and returns what to put into it."""

    def plant(run: TinyRun) -> None:
        for update in UPDATES:
            forge(run, update, **change(json.loads(manifest(run, update).read_bytes())["manifest"]))

    return plant


def listed(data: bytes) -> dict[str, Any]:
    """What a manifest says of a file."""
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def deep(depth: int) -> Any:
    """A list in a list in a list."""
    nested: Any = []
    for _ in range(depth):
        nested = [nested]
    return nested
