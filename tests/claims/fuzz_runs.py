"""Runs of every kind with anything done to their files, before every command that reads runs."""

import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from adaptax.runs import checkpoints
from adaptax.runs.directory import CONFIG
from tests.claims.fuzz import ODD, mutate

GOLDEN = sorted(path for path in (Path(__file__).parents[1] / "golden").glob("*/runs/*") if path.is_dir())
DOORS: tuple[tuple[str, ...], ...] = (
    ("evaluate", "run", "--tasks", "4"),
    ("evaluate", "run", "--tasks", "4", "--checkpoint", "best", "--json"),
    ("inspect", "run", "--tasks", "20"),
    ("compare", "run", "--tasks", "4", "--out", "report"),
    ("train", "--resume", "run"),
)
"""Commands that read a run; the last one may change it."""


def trial(seed: int, number: int, place: Path) -> tuple[str, list[str]]:
    """Put a changed run into `place / "run"`; return what was done, and the command to be tried.

    Args:
        seed: Decides it, with `number` alone.
        number: Of the trial.
        place: A folder, of which all is removed.
    """
    rng = random.Random(f"{seed} {number}")
    golden, door = rng.choice(GOLDEN), rng.choice(DOORS)
    for path in place.iterdir():
        path.unlink() if path.is_symlink() or not path.is_dir() else shutil.rmtree(path)
    shutil.copytree(golden, place / "run")
    done = [golden.name]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        kind = rng.choice(KINDS)
        try:
            kind(rng, place / "run")
        except (OSError, ValueError, IndexError, KeyError, TypeError, RecursionError, SafetensorError):
            continue  # what was done before has left nothing to do it to
        done.append(kind.__name__)
    return ", ".join(done), [*door]


def _files(run: Path) -> list[Path]:
    return sorted(path for path in run.rglob("*") if path.is_file() and path.name != ".lock")


def flip(rng: random.Random, run: Path) -> None:
    """Change a few bits of a file."""
    path = rng.choice(_files(run))
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 1, 2, 20))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def cut(rng: random.Random, run: Path) -> None:
    """Cut a file off, or make zeros of its end."""
    path = rng.choice(_files(run))
    data = path.read_bytes()
    left = rng.randrange(len(data))
    path.write_bytes(data[:left] + (b"\0" * (len(data) - left) if rng.random() < 0.3 else b""))


def exchange(rng: random.Random, run: Path) -> None:
    """Put one file's content into another, or remove one, or put something else in its place."""
    path, other = rng.choice(_files(run)), rng.choice(_files(rng.choice(GOLDEN)))
    match rng.randrange(4):
        case 0:
            path.unlink()
        case 1:
            path.unlink()
            path.mkdir()
        case 2:
            path.unlink()
            linked = run.parent / "linked"  # a copy: what is done next may be done through the link
            shutil.copyfile(other, linked)
            path.symlink_to(rng.choice((os.curdir, "nowhere", path.name, str(linked))))
        case _:
            path.write_bytes(other.read_bytes())


def junk(rng: random.Random, run: Path) -> None:
    """Add files that nobody has written."""
    names = ("update-99999999.json", "update-00000004.safetensors", "update-0.json", "validation.json", "metrics.jsonl")
    folder = rng.choice((run, run / checkpoints.FOLDER))
    name = rng.choice((*names, "evaluation.json", "training.png", "\n", "update-00000009.json.1-ab.tmp"))
    odd = json.dumps({"validations": [rng.choice(ODD)]}).encode()
    data = rng.choice((b"", b"{}", b"[" * 5000, rng.randbytes(100), odd))
    (folder / name).write_bytes(data)


def configure(rng: random.Random, run: Path) -> None:
    """Change fields of the configuration."""
    path = run / CONFIG
    content = json.loads(path.read_bytes())
    mutate(content, _numpy(rng))
    path.write_text(json.dumps(content, indent=2))


def reseal(rng: random.Random, run: Path) -> None:
    """Change fields of a manifest, and seal it again."""
    path, manifest = _manifest(rng, run)
    mutate(manifest, _numpy(rng))
    path.write_bytes(checkpoints.seal(manifest))


def repack(rng: random.Random, run: Path) -> None:
    """Exchange, change or remove leaves, and seal them again."""
    path, manifest = _manifest(rng, run)
    weights = path.with_suffix(".safetensors")
    arrays = load(weights.read_bytes())
    one, other = rng.choice(sorted(arrays)), rng.choice(sorted(arrays))
    match rng.randrange(6):
        case 0:
            arrays[one], arrays[other] = arrays[other], arrays[one]
        case 1:
            arrays[one] = np.full_like(arrays[one], rng.choice((0, 1, 2**31 - 1, 7)))
        case 2 if arrays[one].dtype.kind == "f":
            arrays[one] = np.full_like(arrays[one], rng.choice((np.nan, np.inf, -np.inf, 3e38, 1e-45)))
        case 3:
            arrays[one] = arrays[one].astype(rng.choice((np.float64, np.float16, np.int8, np.bool_, np.uint32)))
        case 4:
            arrays[rng.choice(("x", "", one + "x", "\n"))] = arrays.pop(one)
        case _:
            arrays[one] = np.zeros(rng.choice(((), (0,), (1,) * 20, (10**5,))), arrays[one].dtype)
    data = save(arrays)
    weights.write_bytes(data)
    manifest["files"] = {weights.name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}}
    path.write_bytes(checkpoints.seal(manifest))


KINDS: tuple[Callable[[random.Random, Path], None], ...] = (
    flip, cut, exchange, junk, configure, configure, reseal, reseal, repack, repack,
)  # fmt: skip
"""What is done, the deeper kinds more often."""


def _manifest(rng: random.Random, run: Path) -> tuple[Path, dict[str, Any]]:
    path = rng.choice(sorted((run / checkpoints.FOLDER).glob("update-*.json")))
    return path, json.loads(path.read_bytes())["manifest"]


def _numpy(rng: random.Random) -> np.random.Generator:
    return np.random.default_rng(rng.randrange(2**32))
