"""A run's directory: what was asked for, what was measured, and what was learned.

config.json             the algorithm, the problem, the run's options, versions and device
metrics.jsonl           one line per update
tensorboard/            the same for TensorBoard
state.safetensors       the `TrainState`, leaf by leaf
evaluation.json         figures of the last evaluation
adaptation.png          its picture
training.png            return over updates
"""

import dataclasses
import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

from adaptax.errors import CheckpointError, ConfigError, OutputError
from adaptax.registry import LEARNERS, PROBLEMS, Entry, build, lookup, view
from adaptax.settings import Settings

CONFIG = "config.json"
METRICS = "metrics.jsonl"
STATE = "state.safetensors"
FORMAT = 1


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


def create_directory(out: Path | None, stem: str) -> Path:
    """Make the run's directory: `out`, or the first free `runs/STEM-N`.

    Raises:
        OutputError: if it cannot be made or written to, or if it already holds a run.
    """
    try:
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            if (out / CONFIG).exists():
                raise OutputError(
                    f"{out}: already holds a run; nothing was changed. Choose another --out, or move it away"
                )
            directory = out
        else:
            Path("runs").mkdir(exist_ok=True)
            directory = _first_free(Path("runs"), stem)
        probe = directory / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(f"{out or 'runs'}: cannot write there ({error.strerror}). Choose another --out") from error
    return directory


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
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def save_config(directory: Path, recipe: Recipe, options: dict[str, Any]) -> None:
    """Write down what was asked for, and with what it runs."""
    import jax

    versions = {
        name: importlib.metadata.version(name) for name in ("adaptax", "jax", "jaxlib", "equinox", "optax", "numpy")
    }
    content = {
        "format": FORMAT,
        **recipe.to_json(),
        "options": options,
        "python": platform.python_version(),
        "versions": versions,
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
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"{directory}: no run there ({CONFIG} is missing). Give the directory that `adaptax train` printed"
        ) from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: unreadable ({error})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise CheckpointError(
            f"{path}: expected format {FORMAT}, found {found!r}; it was written by another version of adaptax"
        )
    try:
        algorithm, problem = str(content["algorithm"]), str(content["problem"])
        recipe = Recipe(
            algorithm,
            problem,
            _settings(lookup("algorithm", LEARNERS, algorithm), content["algorithm_settings"]),
            _settings(lookup("problem", PROBLEMS, problem), content["problem_settings"]),
        )
        return recipe, dict(content["options"])
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def _settings(entry: Entry, values: Any) -> Settings:
    assert entry.settings is not None
    return entry.settings(**values)


def _path_names(tree: Any) -> tuple[list[str], list[Any], Any]:
    import jax

    leaves, structure = jax.tree_util.tree_flatten_with_path(tree)
    return [jax.tree_util.keystr(path) for path, _ in leaves], [leaf for _, leaf in leaves], structure


def _is_key(leaf: Any) -> bool:
    import jax

    return bool(jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def save_state(directory: Path, state: Any) -> None:
    """Write a `TrainState`; the file is either the old one or the whole new one."""
    import jax
    import numpy as np
    from safetensors.numpy import save_file

    names, leaves, _ = _path_names(state)
    plain = [jax.random.key_data(leaf) if _is_key(leaf) else leaf for leaf in leaves]
    arrays = {name: np.asarray(jax.device_get(leaf), order="C") for name, leaf in zip(names, plain, strict=True)}
    temporary = directory / (STATE + ".tmp")
    save_file(arrays, temporary)
    os.replace(temporary, directory / STATE)


def load_state(directory: Path, like: Any) -> Any:
    """Read a `TrainState` with the structure, shapes and dtypes of `like` (arrays or `ShapeDtypeStruct`s).

    Raises:
        CheckpointError: if the file is missing or unreadable, or a leaf is missing or of another shape or dtype.
    """
    import jax
    import jax.numpy as jnp
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = directory / STATE
    try:
        arrays = load_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"{directory}: the run was not finished ({STATE} is missing). Train it again") from None
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: damaged ({error})") from error
    names, leaves, structure = _path_names(like)
    if set(names) != set(arrays):
        odd = sorted(set(names) ^ set(arrays))
        raise CheckpointError(f"{path}: {len(odd)} leaves are missing or unknown, the first is {odd[0]}")
    loaded = []
    for name, leaf in zip(names, leaves, strict=True):
        expected = jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf) else leaf
        found = arrays[name]
        if (found.shape, found.dtype) != (expected.shape, expected.dtype):
            raise CheckpointError(
                f"{path}: leaf {name}: expected {expected.dtype}{list(expected.shape)}, "
                f"found {found.dtype}{list(found.shape)}"
            )
        loaded.append(jax.random.wrap_key_data(jnp.asarray(found)) if _is_key(leaf) else jnp.asarray(found))
    return jax.tree.unflatten(structure, loaded)
