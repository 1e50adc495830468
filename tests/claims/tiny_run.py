"""A real but tiny run for self-tests of files: RL² on bandits, three checkpoints, of which each has other numbers."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np

from adaptax.algorithms.memory.settings import RL2Settings
from adaptax.core.algorithm import init
from adaptax.core.types import is_key, key_data
from adaptax.problems.settings import BanditSettings
from adaptax.runs import checkpoints
from adaptax.runs.directory import save_config
from adaptax.runs.options import KeptOptions
from adaptax.runs.recipe import Recipe

UPDATES = (10, 20, 30)
OTHER_SEED = 1
"""What a checkpoint of another run is of."""


def recipe() -> Recipe:
    """What the run trains."""
    small = RL2Settings(memory_size=4, critic_size=4, num_tasks=8, num_minibatches=2, num_updates=40)
    return Recipe("rl2", "bandit", small, BanditSettings(num_arms=3, num_pulls=5))


def options(seed: int = 0) -> dict[str, Any]:
    """The options of the run, as the command line writes them down."""
    return dataclasses.asdict(KeptOptions(seed=seed, eval_tasks=0, used_devices=1))


class TinyRun:
    """The run's directory, and what is in it.

    Attributes:
        directory: The run's.
        folder: Its checkpoints.
        about: What they are of.
        like: Structure and shapes of a state.
        states: By update.
    """

    def __init__(self, directory: Path, seed: int):
        """Write it.

        Args:
            directory: Where; an empty folder.
            seed: Decides the numbers in the checkpoints.
        """
        made = recipe()
        algorithm, problem = made.build()
        self.directory, self.folder = directory, directory / checkpoints.FOLDER
        self.about = made.about(options())
        self.like = jax.eval_shape(algorithm.init, problem, jax.random.key(0))
        start = init(algorithm, problem, seed=0)
        rng = np.random.default_rng(seed)
        self.states = {update: varied(start, rng) for update in UPDATES}
        save_config(directory, made, options())
        for update, state in self.states.items():
            checkpoints.save(directory, state, update=update, about=self.about)
        self._files = _contents(self.folder)
        self._config = _contents(directory)
        shutil.rmtree(self.folder)
        for update in UPDATES:
            checkpoints.save(directory, varied(start, rng), update=update, about=made.about(options(OTHER_SEED)))
        self.of_another_run = _contents(self.folder)
        self.restore()

    def restore(self) -> None:
        """Make it as it was."""
        _remove(self.folder)
        self.folder.mkdir()
        for name, data in self._files.items():
            (self.folder / name).write_bytes(data)
        for name, data in self._config.items():
            _remove(self.directory / name)
            (self.directory / name).write_bytes(data)

    def clear(self) -> None:
        """Remove everything from its directory."""
        for path in self.directory.iterdir():
            _remove(path)

    def restore_older(self) -> None:
        """Make all checkpoints but the newest as they were."""
        for name, data in self._files.items():
            if f"{UPDATES[-1]:08d}" not in name:
                _remove(self.folder / name)
                (self.folder / name).write_bytes(data)

    def is_there(self, update: int) -> bool:
        """Whether there are files of an update's checkpoint."""
        return bool(list(self.folder.glob(f"update-{update:08d}.*")))


def varied(state: Any, rng: np.random.Generator) -> Any:
    """A state with random numbers in its floating-point leaves; not negative, or second moments would have no root."""

    def vary(leaf: Any) -> Any:
        if not jax.numpy.issubdtype(leaf.dtype, jax.numpy.floating):
            return leaf
        return jax.numpy.asarray(rng.uniform(0.01, 0.5, leaf.shape), leaf.dtype)

    return jax.tree.map(vary, state)


def bitwise_equal(one: Any, other: Any) -> bool:
    """Whether two states have leaves in the same places, with the same bits."""
    ours, theirs = jax.tree_util.tree_leaves_with_path(one), jax.tree_util.tree_leaves_with_path(other)
    return [(path, _bits(leaf)) for path, leaf in ours] == [(path, _bits(leaf)) for path, leaf in theirs]


def _bits(leaf: Any) -> tuple[Any, ...]:
    array = np.asarray(key_data(leaf))
    return is_key(leaf), array.dtype, array.shape, array.tobytes()


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
