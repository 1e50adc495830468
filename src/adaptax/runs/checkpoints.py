"""Checkpoints: `TrainState`s on disk, written so that a crash cannot spoil one and verified whenever they are read.

DIR/checkpoints/
    update-00000120.safetensors   every leaf of the `TrainState`, keys as `jax.random.key_data`
    update-00000120.json          its manifest, written last: without it there is no checkpoint

A manifest says what the checkpoint is of (`about`: algorithm, problem, settings, options), how far the metrics were,
what its numbers were computed with (`numerics`), and size and SHA-256 of the other file; and it has a SHA-256 of
itself. So a changed bit anywhere is found, and the checkpoint before is used.
Checkpoints are data: nothing in them is executed, imported, or used as a path, and no size in them is believed before
it has been compared with what the run's configuration makes one expect.
"""

import contextlib
import errno
import functools
import json
import os
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load
from safetensors.numpy import save as serialise

from adaptax.core import atomic_files
from adaptax.core.errors import CheckpointError, short_repr
from adaptax.core.types import key_data, shape_of_key_data, wrap_key_data
from adaptax.core.version import __version__
from adaptax.runs import numerics, schemas, seals
from adaptax.runs.differences import difference, unknown_field
from adaptax.runs.seals import Damaged, seal

FOLDER = "checkpoints"
_CONFIG = "config.json"
KEEP = 3
"""Newest checkpoints that are kept."""
_NAME = re.compile(r"update-([0-9]{8}|[1-9][0-9]{8,9})\.(json|safetensors)")
LARGEST_UPDATE = 9_999_999_999
"""What fits into a name."""
_LATER = ("metrics.jsonl", "tensorboard", "training.png", "validation.json", "evaluation.json", "adaptation.png")
"""What a run writes only when it has a checkpoint."""
_NAMED = 5
"""So many checkpoints that cannot be used are named in a message, at most."""
_OPENED = 1000
"""So many manifests are read, at most, that cannot be of a good checkpoint, for what they say of another version."""
_LOOKS = 10
"""How often to look for a checkpoint while a training removes what was just going to be read."""
_HEADROOM = 1_000_000
"""Bytes that a file may have beyond what its leaves need; and a thousand more for each leaf's name and shape."""


class Checkpoint(NamedTuple):
    """A verified checkpoint.

    Attributes:
        state: The `TrainState`.
        update: Updates done.
        manifest: What was written with it.
    """

    state: Any
    update: int
    manifest: Mapping[str, Any]


class _Foreign(Exception):
    """These files are whole, but of something else."""


class _Files(NamedTuple):
    """Updates of which there is a manifest, and those of which there are weights."""

    manifests: set[int]
    weights: set[int]

    @property
    def updates(self) -> set[int]:
        return self.manifests | self.weights


class _Wanted(NamedTuple):
    """What a checkpoint has to have: names of leaves, what they are, how they are saved, and what they make up."""

    names: list[str]
    leaves: list[Any]
    saved: list[Any]
    structure: Any


def save(
    directory: Path,
    state: Any,
    *,
    update: int,
    about: Mapping[str, Any],
    keep_every: int = 0,
    keep: Collection[int] = (),
    **more: Any,
) -> None:
    """Write a checkpoint, then remove old ones.

    Args:
        directory: The run's directory.
        state: The `TrainState`.
        update: Updates done.
        about: What it is of, as plain data; reading compares.
        keep_every: Checkpoints whose update is a multiple are kept for good; 0: none are.
        keep: Updates whose checkpoints are kept, too.
        more: Whatever else belongs into the manifest, as plain data.

    Raises:
        OSError: if it cannot be written; earlier checkpoints are as they were.
    """
    folder = directory / FOLDER
    folder.mkdir(exist_ok=True)
    if folder.is_symlink():
        # Old checkpoints are removed, and a link may lead to somebody else's.
        raise OSError(errno.ELOOP, f"{FOLDER} is a link")
    arrays = _arrays(state)
    data, stem = serialise(arrays), f"update-{update:08d}"
    atomic_files.write(folder / f"{stem}.safetensors", data)
    manifest = {
        "schema": schemas.SCHEMA,
        "update": update,
        "about": dict(about),
        **more,
        "files": {f"{stem}.safetensors": {"size": len(data), "sha256": seals.digest_of(data)}},
        "leaves": {name: {"shape": list(x.shape), "dtype": str(x.dtype)} for name, x in arrays.items()},
        **numerics.circumstances(),
    }
    atomic_files.write(folder / f"{stem}.json", seal(manifest))
    _prune(folder, update, keep_every, keep)


def newest(
    directory: Path,
    like: Any,
    about: Mapping[str, Any],
    on_message: Callable[[str], None],
    complete: Callable[[Any], Any] = lambda about: about,
    only: int | None = None,
    at_most: int | None = None,
) -> Checkpoint:
    """Read the newest checkpoint that is as it was written and of this run; others are named and passed over.

    Args:
        directory: The run's directory.
        like: The structure, shapes and dtypes of a `TrainState` of this run (arrays or `ShapeDtypeStruct`s).
        about: What it has to be of.
        on_message: Called with a line for a person if one is passed over.
        complete: From what a manifest says that it is of, which may be anything, to the same with the defaults of
            what had no name yet when it was written.
        only: The update of the one checkpoint that will do; None: whichever is good.
        at_most: The run's last update, after which there is none; None: unknown.

    Raises:
        CheckpointError: if there is none, if none is good (each is named), or if one is of another version of adaptax
            that this one cannot read.
    """
    folder = directory / FOLDER
    if folder.is_symlink():
        raise CheckpointError(
            f"{folder}: is a link, expected a folder. Nothing was changed; put the folder itself there"
        )
    read = functools.partial(_read, folder, _wanted(like), about, complete, at_most)
    for _ in range(_LOOKS):
        files = _files(directory, only)
        found, passed = _newest_good(files, read, at_most)
        if not passed or _files(directory, only) == files:
            break
    if not files.updates:
        raise CheckpointError(_none_left(directory, only))
    why = "; ".join(passed[:_NAMED]) + (f"; and {len(passed) - _NAMED:,} more" if len(passed) > _NAMED else "")
    if found is None:
        raise CheckpointError(
            f"{folder}: none can be used: {why}. Nothing was changed; restore the files, or train again elsewhere"
        )
    if passed:
        on_message(f"{why}; using {found.update}")
    return found


def _newest_good(
    files: _Files, read: Callable[[int], Checkpoint], at_most: int | None
) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that can be read, if there is one, and why each newer one cannot.

    There may be very many names: what cannot be a good one is not opened, or not for ever.
    """
    passed: list[str] = []
    opened = 0
    for update in sorted(files.updates, reverse=True):
        try:
            if update not in files.manifests:
                raise Damaged("manifest: missing")
            if why := _hopeless(files, update, at_most):
                opened += 1
                if opened > _OPENED:
                    raise Damaged(why)
            return read(update), passed
        except Damaged as reason:
            passed.append(f"checkpoint {update} damaged ({reason})")
        except _Foreign as reason:
            passed.append(f"checkpoint {update} {reason}")
    return None, passed


def _hopeless(files: _Files, update: int, at_most: int | None) -> str:
    """Why a checkpoint cannot be good, from the names of files alone; nothing if it can."""
    if at_most is not None and update > at_most:
        return f"manifest: is of update {update}, and the run has {at_most}"
    return "" if update in files.weights else "weights: missing"


def _none_left(directory: Path, only: int | None) -> str:
    """What to say where there are no files of checkpoints, or none of the one that is wanted."""
    what = "no checkpoint there" if only is None else f"no checkpoint of update {only} there"
    if lost := missing_after(directory):
        return (
            f"{directory / FOLDER}: {what}, though {lost} says that there was one; nothing was changed. Restore the "
            "folder, or train again elsewhere"
        )
    return f"{directory}: {what}; nothing was changed. If the run was killed before its first one, train it again"


def missing_after(directory: Path) -> str | None:
    """A file that a run writes only when it has a checkpoint, so that those have been removed if there is none."""
    return next((name for name in _LATER if os.path.lexists(directory / name)), None)


def updates_in(directory: Path) -> list[int]:
    """Updates of which there are files, whole or not, in order.

    Raises:
        CheckpointError: if the folder cannot be read.
    """
    return sorted(_files(directory).updates)


def _files(directory: Path, only: int | None = None) -> _Files:
    """What there is in a run's folder; of all updates, or of one."""
    folder = directory / FOLDER
    try:
        matches = map(_NAME.fullmatch, os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return _Files(set(), set())
    except OSError as error:
        raise CheckpointError(f"{folder}: unreadable ({error.strerror or error}). Nothing was changed") from error
    found = [(int(match[1]), match[2] == "json") for match in matches if match]
    wanted = [one for one in found if only is None or one[0] == only]
    parts = [{update for update, is_manifest in wanted if is_manifest == kind} for kind in (True, False)]
    return _Files(*parts)


def has_manifest(directory: Path, update: int) -> bool:
    """Whether a checkpoint of an update was written to its end, and has not been removed since."""
    return (directory / FOLDER / f"update-{update:08d}.json").exists()


def _read(
    folder: Path,
    wanted: _Wanted,
    about: Mapping[str, Any],
    complete: Callable[[Any], Any],
    at_most: int | None,
    update: int,
) -> Checkpoint:
    """Read and verify one."""
    names, leaves, expected, structure = wanted
    headroom = _HEADROOM + 1000 * len(names)
    manifest = seals.unseal(_bytes(folder / f"update-{update:08d}.json", headroom, "manifest"))
    schema = manifest.get("schema")
    if type(schema) is not int or not 1 <= schema <= schemas.SCHEMA:
        raise CheckpointError(_other_version(folder, update, manifest, f" (schema {short_repr(schema)})"))
    if type(manifest.get("update")) is not int or manifest["update"] != update:
        raise Damaged(f"manifest: is of update {short_repr(manifest.get('update'))}")
    if at_most is not None and update > at_most:
        raise Damaged(f"manifest: is of update {update}, and the run has {at_most}")
    said = complete(manifest.get("about"))
    _compare(said, about)
    if (unknown := unknown_field(about, said)) is not None:
        raise CheckpointError(_other_version(folder, update, manifest, f" and says {unknown}"))
    file = f"update-{update:08d}.safetensors"
    try:
        size, digest = manifest["files"][file]["size"], manifest["files"][file]["sha256"]
    except (KeyError, TypeError):
        raise Damaged("manifest: lists other files") from None
    data = _bytes(folder / file, sum(x.size * x.dtype.itemsize for x in expected) + headroom, "weights")
    if len(data) != size:
        raise Damaged(f"weights: {len(data)} bytes instead of {short_repr(size)}")
    if seals.digest_of(data) != digest:
        raise Damaged("weights: checksum")
    places = dict(zip(names, zip(leaves, expected, strict=True), strict=True))
    arrays = schemas.migrated(_deserialise(data), schema, dict(zip(names, expected, strict=True)))
    del data
    state = _rebuild(places, structure, arrays)
    return Checkpoint(state, update, manifest)


def _bytes(path: Path, at_most: int, what: str) -> bytes:
    try:
        return atomic_files.read(path, at_most)
    except FileNotFoundError:
        raise Damaged(f"{what}: missing") from None
    except OSError as error:
        raise Damaged(f"{what}: {error.strerror or error}") from None


def _deserialise(data: bytes) -> dict[str, Any]:
    """Parse what has passed its checksum, which whoever wrote a hostile file may have computed as well."""
    try:
        return load(data)
    except (SafetensorError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise Damaged(f"weights: {short_repr(str(error))}") from None


def _rebuild(wanted: Mapping[str, tuple[Any, Any]], structure: Any, arrays: Mapping[str, Any]) -> Any:
    """Arrays by name as a `TrainState`."""
    if set(wanted) != set(arrays):
        odd = sorted(set(wanted) ^ set(arrays))
        raise _Foreign(f"has other leaves: {len(odd)} are missing or unknown, the first is {short_repr(odd[0])}")
    rebuilt = []
    for name, (leaf, expected) in wanted.items():
        found = arrays[name]
        if (found.shape, found.dtype) != (expected.shape, expected.dtype):
            raise _Foreign(
                f"has other leaves: {name}: expected {expected.dtype}{list(expected.shape)}, "
                f"found {found.dtype}{list(found.shape)}"
            )
        array = jnp.array(found)
        rebuilt.append(wrap_key_data(array, leaf))
    return jax.tree.unflatten(structure, rebuilt)


def _compare(found: Any, expected: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of another run, naming the first field that differs."""
    differing = difference(json.loads(json.dumps(dict(expected))), found)
    if differing is not None:
        name, wanted, there = differing
        raise _Foreign(f"is of another run: {name}: expected {wanted} (as {_CONFIG} says), found {there}")


def _other_version(folder: Path, update: int, manifest: Mapping[str, Any], what: str) -> str:
    made = manifest.get("versions")
    by = short_repr(made.get("adaptax") if isinstance(made, dict) else None)
    return (
        f"{folder}: checkpoint {update} was made by adaptax {by}{what}; this is {__version__} "
        f"(schema {schemas.SCHEMA}), which does not know that. Nothing was changed; use the newer version that made it"
    )


def _prune(folder: Path, newest: int, keep_every: int, keep: Collection[int]) -> None:
    """Remove what is old, manifests first: what is left of a removal that was cut short is no checkpoint.

    What has a higher number than the one just written was passed over as damaged; it counts for nothing, and stays.
    """
    files = _files(folder.parent)
    whole = sorted(update for update in files.manifests if update <= newest)
    kept = {*whole[-KEEP:], *keep, *(update for update in whole if keep_every and update and update % keep_every == 0)}
    past = [update for update in files.updates - kept if update <= newest]
    old = [folder / f"update-{update:08d}.{ending}" for update in past for ending in ("json", "safetensors")]
    for path in [*old, *folder.glob(f"update-*{atomic_files.TEMPORARY}")]:
        # A checkpoint is written by now: what cannot be removed (a folder of that name, say) does not undo that.
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _wanted(like: Any) -> _Wanted:
    names, leaves, structure = _leaves(like)
    return _Wanted(names, leaves, [shape_of_key_data(leaf) for leaf in leaves], structure)


def _leaves(tree: Any) -> tuple[list[str], list[Any], Any]:
    leaves, structure = jax.tree_util.tree_flatten_with_path(tree)
    return [jax.tree_util.keystr(path) for path, _ in leaves], [leaf for _, leaf in leaves], structure


def _arrays(state: Any) -> dict[str, Any]:
    """Leaves by their path, as NumPy arrays."""
    names, leaves, _ = _leaves(state)
    plain = [key_data(leaf) for leaf in leaves]
    return {name: np.asarray(x, order="C") for name, x in zip(names, jax.device_get(plain), strict=True)}
