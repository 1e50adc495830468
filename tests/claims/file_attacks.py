"""Attacks with files that are none: links, pipes, folders, sockets, and files of a terabyte; and on a run's metrics."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

from adaptax.runs.directory import CONFIG, LOCK, METRICS
from tests.claims import payloads
from tests.claims.damages import manifest, weights
from tests.claims.forging import CONFIGURED, EITHER, HARMLESS, Attack, Plant, forge, listed, precious
from tests.claims.tiny_run import UPDATES, TinyRun

BEYOND = UPDATES[-1] + 10
"""The next checkpoint."""


def places() -> dict[str, Attack]:
    """Odd files in the places of all that a run has."""
    attacks: dict[str, Attack] = {}
    for kind, make in _ODD.items():
        attacks |= {
            f"manifest: {kind}": Attack(_put(make, *(lambda run, u=u: manifest(run, u) for u in UPDATES))),
            f"arrays: {kind}": Attack(_put(make, *(lambda run, u=u: weights(run, u) for u in UPDATES))),
            f"configuration: {kind}": Attack(_put(make, lambda run: run.directory / CONFIG), doors=CONFIGURED),
            f"lock: {kind}": Attack(_put(make, lambda run: run.directory / LOCK), EITHER, ("load", "claim")),
            f"metrics: {kind}": Attack(_put(make, lambda run: run.directory / METRICS), EITHER, ("load", "log")),
        }
    return attacks


def _put(make: Callable[[Path], object], *paths: Callable[[TinyRun], Path]) -> Plant:
    """Put something into the place of files."""

    def plant(run: TinyRun) -> None:
        for path in paths:
            path(run).unlink(missing_ok=True)
            make(path(run))

    return plant


def _link_to_precious(path: Path) -> None:
    up = "../" if path.name in (CONFIG, LOCK, METRICS) else "../../"
    path.symlink_to(f"{up}precious")


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10**12)


def _socket(path: Path) -> None:
    here = os.getcwd()
    with socket.socket(socket.AF_UNIX) as door:
        os.chdir(path.parent)  # the name of a socket must be short
        door.bind(path.name)
        os.chdir(here)


_ODD: dict[str, Callable[[Path], object]] = {
    "a link to /etc/passwd": lambda path: path.symlink_to("/etc/passwd"),
    "a link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "a link to a precious file": _link_to_precious,
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a file of 1 TB": _sparse,
    "a socket": _socket,
}
"""What may be in the place of a file."""


def links() -> dict[str, Attack]:
    """Links in the places of folders, and where files are about to be made."""

    def folder(run: TinyRun) -> None:
        run.folder.rename(run.directory.parent / "elsewhere")
        run.folder.symlink_to("../elsewhere")

    def another_name(name: str) -> Plant:
        return lambda run: os.link(precious(run), run.directory / name)

    def left_over(run: TinyRun) -> None:
        for path in (run.directory / CONFIG, manifest(run, BEYOND), weights(run, BEYOND)):
            _link_to_precious(path.with_name(f"{path.name}.tmp"))

    def board(run: TinyRun) -> None:
        (run.directory.parent / "elsewhere").mkdir()
        (run.directory / "tensorboard").symlink_to("../elsewhere")

    return {
        "checkpoints: a link to a folder": Attack(folder, doors=("load", "newest", "save")),
        "lock: another name of a precious file": Attack(another_name(LOCK), EITHER, ("load", "claim")),
        "metrics: another name of a precious file": Attack(another_name(METRICS), EITHER, ("load", "log")),
        "left-over temporary files that are links": Attack(left_over, HARMLESS, ("load", "claim", "log", "save")),
        "tensorboard: a link to a folder": Attack(board, HARMLESS, ("load", "log")),
    }


def rows(canary: Path) -> dict[str, Attack]:
    """Metrics that lie, with checkpoints that have their checksum."""

    def plant(data: bytes) -> Plant:
        def planted(run: TinyRun) -> None:
            (run.directory / METRICS).write_bytes(data)
            for update in UPDATES:
                forge(run, update, metrics=listed(data))

        return planted

    files = {
        "a line of 3 MB": b'{"update": "' + b"x" * 3_000_000 + b'"}\n',
        "lists, 10⁵ deep": b"[" * 100_000 + b"\n",
        "no objects": b"1\n" * 30,
        "values of wrong types": b'{"update": 1, "env_steps": "x", "return": {}}\n' * 30,
        "a serialised call": payloads.programs(canary)["serialised call of os.system"],
        "not UTF-8": b"\xff\xfe" * 100,
    }
    return {f"metrics, sealed: {name}": Attack(plant(d), HARMLESS, ("load", "log")) for name, d in files.items()}
