"""A run's directory: what was asked for, what was measured, and what was learned.

config.json             the algorithm, the problem, the run's options, versions and device
metrics.jsonl           one line per update
tensorboard/            the same for TensorBoard
checkpoints/            what was learned, and everything else that decides how training goes on (`checkpoints.py`)
evaluation.json         figures of the last evaluation
adaptation.png          its picture
training.png            return over updates
"""

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import platform
import socket
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from adaptax import durable
from adaptax.errors import CheckpointError, ConfigError, OutputError
from adaptax.registry import LEARNERS, PROBLEMS, Entry, build, lookup, view
from adaptax.run_options import KeptOptions
from adaptax.settings import Settings

CONFIG = "config.json"
METRICS = "metrics.jsonl"
LOCK = ".lock"
FORMAT = 1
_LARGEST = 1_000_000
"""Bytes of a configuration file, at most."""
_LARGEST_INTEGER = 2**31 - 1
_MOST_SEEDS = 1024
_LONGEST = 400
"""Letters of a message about a configuration file, at most."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a run trains: enough to build its algorithm and problem again.

    Attributes:
        algorithm: Name of the algorithm.
        problem: Name of the problem.
        algorithm_settings: Its hyper-parameters.
        problem_settings: Its parameters.
    """

    algorithm: str
    problem: str
    algorithm_settings: Settings
    problem_settings: Settings

    def build(self) -> tuple[Any, Any]:
        """Return the algorithm, and the problem as it sees it (JAX is imported here)."""
        entry = lookup("algorithm", LEARNERS, self.algorithm)
        return build(entry, self.algorithm_settings), view(entry, self.build_problem())

    def build_problem(self) -> Any:
        """Return the problem itself (JAX is imported here)."""
        return build(lookup("problem", PROBLEMS, self.problem), self.problem_settings)

    def title(self) -> str:
        """What it is, in a line: the agent, the problem, and the problem's parameters."""
        parameters = dataclasses.asdict(self.problem_settings).items()
        return f"{self.algorithm} on {self.problem} ({', '.join(f'{name} {value}' for name, value in parameters)})"

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return dataclasses.asdict(self)

    def about(self, options: dict[str, Any]) -> dict[str, Any]:
        """What a checkpoint of a run with these options is of."""
        return {**self.to_json(), "options": options}

    def complete(self, about: Any) -> Any:
        """What a file says that it is of (`about`), with the defaults of the fields that were not there yet.

        Nothing is believed: what is of another kind stays as it is, for whoever compares.
        """
        if not isinstance(about, dict):
            return about
        kinds: dict[str, type[Settings]] = {
            "algorithm_settings": type(self.algorithm_settings),
            "problem_settings": type(self.problem_settings),
            "options": KeptOptions,
        }
        said = {name: about[name] for name in kinds if isinstance(about.get(name), dict)}
        return {**about, **{name: {**_defaults(kinds[name]), **values} for name, values in said.items()}}


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
            out.mkdir(parents=True, exist_ok=True)
            if fresh and os.path.lexists(out / CONFIG):
                raise _occupied(out)
            directory = out
        else:
            Path("runs").mkdir(exist_ok=True)
            directory = _first_free(Path("runs"), stem)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise OutputError(f"{out or 'runs'}: cannot write there ({error.strerror}). Choose another --out") from error
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
    try:
        descriptor = durable.open_to_update(directory / LOCK)
    except OSError as error:
        raise OutputError(
            f"{directory / LOCK}: cannot write there ({error.strerror or error}). Choose another directory"
        ) from error
    try:
        if not _take(descriptor):
            raise OutputError(
                f"{directory}: in use by {_holder(descriptor)}; nothing was changed. Wait for it, or stop it"
            )
        if fresh and os.path.lexists(directory / CONFIG):
            raise _occupied(directory)
        _sign(descriptor)
        yield
    finally:
        os.close(descriptor)


def _sign(descriptor: int) -> None:
    """Write down who has it, for whoever comes next; what keeps others away is the lock, not this."""
    started = datetime.now().astimezone().isoformat(timespec="seconds")
    with contextlib.suppress(OSError):  # the disk may be full, which others notice soon enough
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}, since {started}\n".encode(), 0)


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
    durable.write(path, (json.dumps(content, indent=2) + "\n").encode())


def save_config(directory: Path, recipe: Recipe, options: dict[str, Any]) -> None:
    """Write down what was asked for, and with what it runs."""
    import jax

    from adaptax.checkpoints import versions

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


def read_recipe(directory: Path) -> tuple[Recipe, dict[str, Any]]:
    """Read a run's recipe and its options (without JAX).

    Raises:
        CheckpointError: if there is no run, or its configuration is unreadable.
    """
    path = directory / CONFIG
    try:
        content = json.loads(durable.read(path, _LARGEST).decode())  # bytes might choose another encoding
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
            f"{path}: expected format {FORMAT}, found {durable.shown(found)}; it was written by {other} version of "
            f"adaptax{_versions(content)}. Nothing was changed"
        )
    try:
        return recipe_of(content), _options(content)
    except (ConfigError, KeyError, TypeError, ValueError, OverflowError) as error:
        text = str(error)
        raise CheckpointError(
            f"{path}: {text[:_LONGEST]}{' …'[: 2 * (len(text) > _LONGEST)]}{_versions(content)}. Nothing was changed"
        ) from error


def _versions(content: Any) -> str:
    """Which adaptax wrote a configuration and which this is, as far as it says."""
    made = content.get("versions") if isinstance(content, dict) else None
    by = made.get("adaptax") if isinstance(made, dict) else None
    here = importlib.metadata.version("adaptax")
    return f" (written by adaptax {'of unknown version' if by is None else durable.shown(by)}; this is {here})"


def recipe_of(content: dict[str, Any]) -> Recipe:
    """The recipe that `Recipe.to_json` made plain data of.

    Raises:
        ConfigError: if a name or a value is not what it must be.
        TypeError: the same.
    """
    algorithm, problem = (_name(content, field) for field in ("algorithm", "problem"))
    recipe = Recipe(
        algorithm,
        problem,
        _settings(lookup("algorithm", LEARNERS, algorithm), content, "algorithm_settings"),
        _settings(lookup("problem", PROBLEMS, problem), content, "problem_settings"),
    )
    recipe.algorithm_settings.check_problem(recipe.problem_settings)
    return recipe


def _name(content: dict[str, Any], field: str) -> str:
    """The name in a field; whatever else is there would be shown as it is if it were looked up."""
    found = content.get(field)
    if not isinstance(found, str) or not found.isprintable() or len(found) > 50:
        raise ConfigError(f"{field}: expected a name; found {durable.shown(found)}")
    return found


def _settings(entry: Entry, content: dict[str, Any], field: str) -> Settings:
    """Settings of an algorithm or a problem from what a file says, which need not be what we wrote."""
    assert entry.settings is not None
    values = content.get(field)
    if not isinstance(values, dict):
        raise ConfigError(f"{field}: expected names and values; found {durable.shown(values)}")
    _check_known(entry.settings, values, field)
    for name, value in values.items():
        # Some have no upper bound, but arrays have: a product of sizes must not become more than can be counted.
        if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
            raise ConfigError(f"{field}.{name}: expected at most {_LARGEST_INTEGER}; found {durable.shown(value)}")
    return entry.settings(**values)


def _options(content: dict[str, Any]) -> dict[str, Any]:
    """The options of a run, all of them; how many trainings it had decides the shape of all that it has learned."""
    options = content.get("options")
    if not isinstance(options, dict):
        raise ConfigError(f"options: expected names and values; found {durable.shown(options)}")
    _check_known(KeptOptions, options, "options")
    seeds = options.get("seeds", KeptOptions.seeds)
    if type(seeds) is not int or not 1 <= seeds <= _MOST_SEEDS:
        raise ConfigError(
            f"options.seeds: expected an integer between 1 and {_MOST_SEEDS}; found {durable.shown(seeds)}"
        )
    kept = KeptOptions(**options)
    return {name: getattr(kept, name) for name in _defaults(KeptOptions)}


def _check_known(kind: type[Settings], values: dict[str, Any], where: str) -> None:
    """Check that there is a field for everything that a file says.

    Raises:
        ConfigError: naming the first that is not known.
    """
    known = _defaults(kind)
    unknown = next((name for name in values if name not in known), None)
    if unknown is not None:
        raise ConfigError(
            f"{where}: unknown name {durable.shown(unknown)}: written by a newer version of adaptax, or changed by hand"
        )


def _defaults(kind: type[Settings]) -> dict[str, Any]:
    """Default of every field, as a file would have it."""
    return {field.name: field.default for field in dataclasses.fields(kind)}
