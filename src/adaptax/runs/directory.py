"""A run's directory: what was asked for, what was measured, and what was learned.

config.json             the algorithm, the problem, the run's options, versions and device
metrics.jsonl           one line per update, and one per evaluation on validation tasks
times.jsonl             how long it took
tensorboard/            the same for TensorBoard
checkpoints/            what was learned, and everything else that decides how training goes on (`checkpoints.py`)
evaluation.json         figures of the last evaluation
returns.npz             what every agent earned in every task of it
adaptation.png          its picture
validation.json         with --select-on validation: how each checkpoint did on validation tasks (`validations.py`)
training.png            return over updates
tracker-NAME.json       with --log: what the run is called there, and what it was given (`trackers/`)
"""

import contextlib
import itertools
import json
import os
import platform
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from adaptax.core import atomic_files
from adaptax.core.errors import CheckpointError, ConfigError, LostError, OutputError, one_line, short_repr, unwritten
from adaptax.core.version import __version__
from adaptax.runs.options import KeptOptions, of_older
from adaptax.runs.recipe import Recipe, accept_names, check_known, defaults, recipe_of

CONFIG = "config.json"
METRICS = "metrics.jsonl"
LOCK = ".lock"
ENDED = "failed: "
"""Begins the line of the lock's file that says what its last holder failed of."""
FORMAT = 1
_LARGEST = 1_000_000
"""Bytes of a configuration file, at most."""
_MOST_SEEDS = 1024
_LONGEST = 400
"""Letters of a message about a configuration file, at most."""


def create_directory(out: Path | None, stem: str, *, fresh: bool = True) -> Path:
    """Make the run's directory: `out`, or the first free `runs/STEM-N`.

    Args:
        out: The directory; None: choose one.
        stem: Begins the name of one that is chosen.
        fresh: Whether to refuse one that holds a run. `claim` can tell as well, and who is at work there.

    Raises:
        OutputError: if it cannot be made or written to, or if it already holds a run.
    """
    try:
        if out is not None:
            out = Path(out)  # a user may have typed a string
            out.mkdir(parents=True, exist_ok=True)
            if fresh and os.path.lexists(out / CONFIG):
                raise _occupied(out)
            directory = out
        else:
            Path("runs").mkdir(exist_ok=True)
            directory = _first_free(Path("runs"), stem.replace(":", "."))  # of MODULE:NAME; no file's name has a colon
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise unwritten(out or "runs", error, "Choose another --out") from error
    except ValueError as error:  # no file has such a name: there is a null byte in it, or half of a letter
        raise OutputError(
            f"{short_repr(str(out))}: no folder can be called so ({error}). Choose another --out"
        ) from error
    return directory


def _occupied(directory: Path) -> OutputError:
    return OutputError(
        f"{directory}: already holds a run; nothing was changed. To go on with it: adaptax train --resume {directory}. "
        "Otherwise choose another --out, or move it away"
    )


@contextlib.contextmanager
def claim(directory: Path, *, fresh: bool) -> Iterator[None]:
    """Keep a run's directory from all other processes, until the context or the process ends, however it ends.

    Args:
        directory: The directory.
        fresh: Whether it must not hold a run yet.

    Raises:
        OutputError: if another process has it (who, is said), it cannot be written to, or it holds a run already.
    """
    descriptor = _lock(directory)
    try:
        if fresh and os.path.lexists(directory / CONFIG):
            raise _occupied(directory)
        _sign(descriptor)
        yield
    except Exception as error:
        _note_failure(descriptor, error)
        raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def claim_run(
    directory: Path, *, problem: str | None = None, algorithm: str | None = None
) -> Iterator[tuple[Recipe, dict[str, Any]]]:
    """Claim the directory of a run, to go on with it; gives what `read_recipe` reads there.

    Raises:
        ConfigError: as `read_recipe`.
        CheckpointError: as `read_recipe`; no lock is left where there is no run.
        OutputError: as `claim`.
    """
    read_recipe(directory, problem=problem, algorithm=algorithm)
    with claim(directory, fresh=False):
        # Once more: before it was ours, it may have been moved aside, and another run begun in its place.
        yield read_recipe(directory, problem=problem, algorithm=algorithm)


def set_aside(directory: Path) -> Path:
    """Rename a directory that this process has claimed to the first free DIRECTORY-old-N, and return that.

    The claim is of what was moved; what is then made in its place has to be claimed anew.

    Raises:
        OutputError: if it cannot be renamed.
    """
    aside = first_free(directory.with_name(f"{directory.name}-old-{n}") for n in itertools.count(1))
    try:
        directory.rename(aside)
    except OSError as error:
        raise OutputError(
            f"{directory}: cannot be moved to {aside} ({error.strerror or error}); nothing was changed. Move it away, "
            "or choose another --out"
        ) from error
    return aside


def first_free(paths: Iterable[Path]) -> Path:
    """The first where there is nothing, not even a link to nowhere."""
    return next(path for path in paths if not os.path.lexists(path))


def staying(directory: Path) -> Callable[[], None]:
    """Note which directory it is, for whoever writes there without a claim; what is returned checks that it is that.

    Raises:
        OutputError: when checked, if the directory was moved, and another may have taken its place.
    """

    def identity() -> tuple[int, int] | None:
        try:
            status = os.stat(directory)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    before = identity()

    def check() -> None:
        if identity() != before:
            raise OutputError(
                f"{directory}: was moved meanwhile, and what is there now is another; nothing was written. Give the "
                "directory where it is now"
            )

    return check


def _lock(directory: Path) -> int:
    """Open the lock of a directory, and take it."""
    path = directory / LOCK
    while True:
        with contextlib.ExitStack() as unless_taken:
            try:
                descriptor = atomic_files.open_to_update(path)
                unless_taken.callback(os.close, descriptor)
                taken = _take(descriptor)
            except OSError as error:
                raise unwritten(path, error, "Choose another directory") from error
            if not taken:
                raise OutputError(
                    f"{directory}: in use by {_holder(descriptor)}; nothing was changed. Wait for it, or stop it"
                )
            if _is_at(descriptor, path):
                unless_taken.pop_all()
                return descriptor
            # Who had it has moved the directory away, and this lock with it.


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one that has this name now."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _sign(descriptor: int) -> None:
    """Write down who has it, for whoever comes next; what keeps others away is the lock, not this."""
    started = datetime.now().astimezone().isoformat(timespec="seconds")
    with contextlib.suppress(OSError):  # the disk may be full, which others notice soon enough
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}, since {started}\n".encode(), 0)


def _note_failure(descriptor: int, error: Exception) -> None:
    """Write down what its holder has failed of, for whoever looks; what was stopped, or refused, has not failed."""
    if getattr(error, "exit_code", 1) in (ConfigError.exit_code, LostError.exit_code) or not os.pread(descriptor, 1, 0):
        return
    text = one_line(str(error) or type(error).__name__)[:_LONGEST]
    with contextlib.suppress(OSError):
        os.pwrite(descriptor, f"{ENDED}{text}\n".encode(), os.fstat(descriptor).st_size)


def _take(descriptor: int) -> bool:
    """Lock an open file; the kernel frees it when its process dies, so no stale lock has to be guessed at."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> str:
    """Who has locked an open file, in words; whoever has just done so may still be about to write it down."""
    for _ in range(20):
        time.sleep(0.05)
        if written := os.pread(descriptor, 200, 0).decode(errors="replace").strip():
            return "".join(letter if letter.isprintable() else " " for letter in written)
    return "another process"


def _first_free(parent: Path, stem: str) -> Path:
    number = 1
    while True:
        directory = parent / f"{stem}-{number}"
        try:
            directory.mkdir()  # atomic: of several runs that start at once, each gets its own
            return directory
        except FileExistsError:
            number += 1


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that the file is either the old one or the whole new one."""
    atomic_files.write(path, (json.dumps(content, indent=2) + "\n").encode())


def save_config(directory: Path, recipe: Recipe, options: dict[str, Any]) -> None:
    """Write down what was asked for, and with what it runs."""
    import jax

    from adaptax.runs.numerics import versions

    content = {
        "format": FORMAT,
        **recipe.to_json(),
        "options": options,
        "python": platform.python_version(),
        "versions": versions(),
        "device": jax.devices()[0].device_kind,
        "num_devices": jax.device_count(),
    }
    write_json(directory / CONFIG, content)


def read_recipe(
    directory: Path, *, problem: str | None = None, algorithm: str | None = None
) -> tuple[Recipe, dict[str, Any]]:
    """Read a run's recipe and its options (without JAX, unless a user's own code is named).

    Args:
        directory: The run's.
        problem: The name of its problem, if the user gives it, which must be the run's: that it is of their own code,
            MODULE:NAME, the run's file alone is not believed.
        algorithm: The same for the algorithm.

    Raises:
        ConfigError: if a name that is given stands for nothing.
        CheckpointError: if there is no run, its configuration is unreadable, or it needs a name that is not given.
    """
    accept_names(problem=problem, algorithm=algorithm)
    path = directory / CONFIG
    try:
        content = json.loads(atomic_files.read(path, _LARGEST).decode())  # bytes might choose another encoding
    except FileNotFoundError:
        raise CheckpointError(
            f"{directory}: no run there ({CONFIG} is missing). Give the directory that `adaptax train` printed"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise CheckpointError(f"{path}: unreadable ({reason})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        other = "a newer" if type(found) is int and found > FORMAT else "another"
        raise CheckpointError(
            f"{path}: expected format {FORMAT}, found {short_repr(found)}; it was written by {other} version of "
            f"adaptax{_versions(content)}. Nothing was changed"
        )
    try:
        return recipe_of(content, problem=problem, algorithm=algorithm), _options(content)
    except (ConfigError, KeyError, TypeError, ValueError, OverflowError) as error:
        text = str(error)
        raise CheckpointError(
            f"{path}: {text[:_LONGEST]}{' …'[: 2 * (len(text) > _LONGEST)]}{_versions(content)}. Nothing was changed"
        ) from error


def _versions(content: Any) -> str:
    """Which adaptax wrote a configuration and which this is, as far as it says."""
    made = content.get("versions") if isinstance(content, dict) else None
    by = made.get("adaptax") if isinstance(made, dict) else None
    return f" (written by adaptax {'of unknown version' if by is None else short_repr(by)}; this is {__version__})"


def _options(content: dict[str, Any]) -> dict[str, Any]:
    """The options of a run, all of them; how many trainings it had decides the shape of all that it has learned."""
    options = content.get("options")
    if not isinstance(options, dict):
        raise ConfigError(f"options: expected names and values; found {short_repr(options)}")
    options = of_older(options)
    check_known(KeptOptions, options, "options")
    seeds = options.get("seeds", KeptOptions.seeds)
    if type(seeds) is not int or not 1 <= seeds <= _MOST_SEEDS:
        raise ConfigError(f"options.seeds: expected an integer between 1 and {_MOST_SEEDS}; found {short_repr(seeds)}")
    kept = KeptOptions(**options)
    return {name: getattr(kept, name) for name in defaults(KeptOptions)}
