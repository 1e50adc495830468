"""What can happen to a folder of checkpoints: single files of single checkpoints, and files that change places.

A damage is a function of a run and a random generator. It returns the updates that cannot be used any more, and of
which there is still something to see, so that it must be named.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from tests.claims.tiny_run import UPDATES, TinyRun

Damage = Callable[[TinyRun, np.random.Generator], list[int]]
OfOne = Callable[[TinyRun, int, np.random.Generator], None]
"""Damages the checkpoint of one update."""
BEYOND = 99
"""An update that the run never came to."""


def newest_ones(damage: OfOne) -> Damage:
    """Do it to the newest checkpoint, to the two newest, or to all."""

    def done(run: TinyRun, rng: np.random.Generator) -> list[int]:
        chosen = list(UPDATES[-int(rng.integers(1, len(UPDATES) + 1)) :])
        for update in chosen:
            damage(run, update, rng)
        return [update for update in chosen if run.is_there(update)]

    return done


def manifest(run: TinyRun, update: int) -> Path:
    """Path of a checkpoint's manifest."""
    return run.folder / f"update-{update:08d}.json"


def weights(run: TinyRun, update: int) -> Path:
    """Path of a checkpoint's arrays."""
    return run.folder / f"update-{update:08d}.safetensors"


def either(run: TinyRun, update: int, rng: np.random.Generator) -> Path:
    """Path of one of a checkpoint's two files."""
    return (manifest, weights)[int(rng.integers(2))](run, update)


def flip(run: TinyRun, update: int, rng: np.random.Generator) -> None:
    """Flip one bit."""
    path = either(run, update, rng)
    data = bytearray(path.read_bytes())
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)


def truncate(run: TinyRun, update: int, rng: np.random.Generator) -> None:
    """Cut a file off."""
    path = either(run, update, rng)
    data = path.read_bytes()
    path.write_bytes(data[: rng.integers(len(data))])


def _remove_one(run: TinyRun, update: int, rng: np.random.Generator) -> None:
    either(run, update, rng).unlink()


def _remove_both(run: TinyRun, update: int, rng: np.random.Generator) -> None:
    manifest(run, update).unlink()
    weights(run, update).unlink()


def _overwrite(run: TinyRun, update: int, rng: np.random.Generator, block: Callable[[int], bytes]) -> None:
    """Put a block of other bytes somewhere; where it would change nothing, elsewhere."""
    path = either(run, update, rng)
    data = path.read_bytes()
    changed = data
    while changed == data:
        begin, length = int(rng.integers(len(data))), int(rng.integers(1, 513))
        length = min(length, len(data) - begin)
        changed = data[:begin] + block(length) + data[begin + length :]
    path.write_bytes(changed)


def _zero_block(run: TinyRun, update: int, rng: np.random.Generator) -> None:
    _overwrite(run, update, rng, bytes)


def _noise_block(run: TinyRun, update: int, rng: np.random.Generator) -> None:
    _overwrite(run, update, rng, rng.bytes)


def _all_zero(run: TinyRun, update: int, rng: np.random.Generator) -> None:
    path = either(run, update, rng)
    path.write_bytes(bytes(path.stat().st_size))


def _append(run: TinyRun, update: int, rng: np.random.Generator) -> None:
    path = either(run, update, rng)
    path.write_bytes(path.read_bytes() + rng.bytes(int(rng.integers(1, 1000))))


def _double(run: TinyRun, update: int, rng: np.random.Generator) -> None:
    path = either(run, update, rng)
    path.write_bytes(path.read_bytes() * 2)


def _exchange_bytes(run: TinyRun, update: int, rng: np.random.Generator) -> None:
    """Exchange two halves of a file."""
    path = either(run, update, rng)
    data = path.read_bytes()
    path.write_bytes(data[len(data) // 2 :] + data[: len(data) // 2])


def _to_folder(run: TinyRun, update: int, rng: np.random.Generator) -> None:
    path = either(run, update, rng)
    path.unlink()
    path.mkdir()


def _to_link(run: TinyRun, update: int, rng: np.random.Generator) -> None:
    """Put a link in the place of a file, to the very same bytes."""
    path = either(run, update, rng)
    kept = path.rename(path.with_name(f"kept-{path.name}"))
    path.symlink_to(kept.name)


def _to_dangling_link(run: TinyRun, update: int, rng: np.random.Generator) -> None:
    path = either(run, update, rng)
    path.unlink()
    path.symlink_to("nowhere")


def _to_pipe(run: TinyRun, update: int, rng: np.random.Generator) -> None:
    path = either(run, update, rng)
    path.unlink()
    os.mkfifo(path)


def _of_another_run(run: TinyRun, update: int, rng: np.random.Generator) -> None:
    for path in (manifest(run, update), weights(run, update)):
        path.write_bytes(run.of_another_run[path.name])


def _one_file_of_another_run(run: TinyRun, update: int, rng: np.random.Generator) -> None:
    path = either(run, update, rng)
    path.write_bytes(run.of_another_run[path.name])


def _exchange(run: TinyRun, a: int, b: int, *kinds: Callable[[TinyRun, int], Path]) -> None:
    for kind in kinds:
        one, other = kind(run, a).read_bytes(), kind(run, b).read_bytes()
        kind(run, a).write_bytes(other)
        kind(run, b).write_bytes(one)


def _exchanged(*kinds: Callable[[TinyRun, int], Path]) -> Damage:
    """Exchange files of two checkpoints: of the two newest, or of all in turn."""

    def done(run: TinyRun, rng: np.random.Generator) -> list[int]:
        first, middle, last = UPDATES
        _exchange(run, middle, last, *kinds)
        if rng.integers(2):
            return [middle, last]
        _exchange(run, first, middle, *kinds)
        return [first, middle, last]

    return done


def _copied_beyond(*kinds: Callable[[TinyRun, int], Path]) -> Damage:
    """Copy files of a good checkpoint to a number that the run never came to."""

    def done(run: TinyRun, rng: np.random.Generator) -> list[int]:
        chosen = int(rng.choice(UPDATES))
        for kind in kinds:
            shutil.copyfile(kind(run, chosen), kind(run, BEYOND))
        return [BEYOND]

    return done


def _copied_over(run: TinyRun, rng: np.random.Generator) -> list[int]:
    """Copy both files of an older checkpoint over the newest."""
    first, middle, last = UPDATES
    older = (first, middle)[int(rng.integers(2))]
    for kind in (manifest, weights):
        shutil.copyfile(kind(run, older), kind(run, last))
    return [last]


def _garbage_beyond(run: TinyRun, rng: np.random.Generator) -> list[int]:
    either(run, BEYOND, rng).write_bytes(rng.bytes(1000))
    return [BEYOND]


def _left_over(run: TinyRun, rng: np.random.Generator) -> list[int]:
    """What a save that died leaves behind: no checkpoint, and no damage to one."""
    path = either(run, BEYOND, rng)
    path.with_name(path.name + ".tmp").write_bytes(rng.bytes(1000))
    return []


def _strangers(run: TinyRun, rng: np.random.Generator) -> list[int]:
    """Files with names that are nearly those of checkpoints."""
    for name in ("update-99.json", "update-00000099.json.bak", "Update-00000099.json", "update-٠٠٠٠٠٠٩٩.json"):
        (run.folder / name).write_bytes(rng.bytes(100))
    return []


def _no_folder(run: TinyRun, rng: np.random.Generator) -> list[int]:
    shutil.rmtree(run.folder)
    if rng.integers(2):
        run.folder.write_bytes(b"")
    return []


def _linked_folder(run: TinyRun, rng: np.random.Generator) -> list[int]:
    """Put a link in the place of the folder: writing through it would change, and remove, somebody else's files."""
    elsewhere = run.folder.with_name("elsewhere")
    shutil.rmtree(elsewhere, ignore_errors=True)
    run.folder.rename(elsewhere)
    run.folder.symlink_to(elsewhere)
    return []


OF_ONE: Mapping[str, OfOne] = {
    "a file missing": _remove_one,
    "both files missing": _remove_both,
    "a block of zeros": _zero_block,
    "a block of noise": _noise_block,
    "all zeros": _all_zero,
    "bytes appended": _append,
    "a file twice": _double,
    "halves exchanged": _exchange_bytes,
    "a folder for a file": _to_folder,
    "a link to the same bytes": _to_link,
    "a link to nothing": _to_dangling_link,
    "a pipe for a file": _to_pipe,
    "of another run": _of_another_run,
    "one file of another run": _one_file_of_another_run,
}
"""Damages to one checkpoint."""

STRUCTURAL: Mapping[str, Damage] = {
    **{name: newest_ones(damage) for name, damage in OF_ONE.items()},
    "weights exchanged": _exchanged(weights),
    "manifests exchanged": _exchanged(manifest),
    "checkpoints exchanged": _exchanged(manifest, weights),
    "an older one copied over the newest": _copied_over,
    "a manifest copied to another number": _copied_beyond(manifest),
    "weights copied to another number": _copied_beyond(weights),
    "a checkpoint copied to another number": _copied_beyond(manifest, weights),
    "garbage with another number": _garbage_beyond,
    "left over from a save that died": _left_over,
    "files with other names": _strangers,
    "no folder": _no_folder,
    "a link for the folder": _linked_folder,
}
"""By name."""
