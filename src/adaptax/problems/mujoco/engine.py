"""MuJoCo's C engine as a pure function of state, control and parameters. NumPy alone: it runs inside a callback.

A state is a row of float64: all that MuJoCo calls full physics (time, positions, velocities). Every call begins with
zero warm start, and so depends on nothing but its arguments: not on what was simulated before, on how many threads
there are, or on what else is in the batch. Model files are those of Gymnasium.

What MuJoCo computes agrees between its versions to 1e-14 after one step and parts after a hundred; `version()` is
written into results.
"""

import abc
import contextlib
import copy
import dataclasses
import functools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from adaptax.core.errors import needs

with needs("mujoco", "a MuJoCo family"):
    import gymnasium
    import mujoco
    from mujoco import rollout

FULL = mujoco.mjtState.mjSTATE_FULLPHYSICS


def version() -> str:
    """Of the engine, as "mujoco 4.0.0"."""
    return f"mujoco {mujoco.__version__}"


def num_threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def load(file: str) -> Any:
    """A model among those of Gymnasium. It must not be changed."""
    # Warnings go to the terminal and to a file in the working directory, unless somebody hears them: of attributes that
    # a later engine will not read, and of states that diverge, which MuJoCo begins again.
    mujoco.set_mju_user_warning(lambda message: None)
    path = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / file
    return mujoco.MjModel.from_xml_path(str(path))


@dataclasses.dataclass(frozen=True)
class Engine(abc.ABC):
    """A model, and what one step of an environment does with it.

    Attributes:
        file: The model's file.
        substeps: Steps of the engine in each step of an environment.
        changed: Names of the model's arrays that tasks scale, entry by entry: "body_mass". Constants that MuJoCo
            derives from them when a model is compiled stay as they were.
    """

    file: str
    substeps: int
    changed: tuple[str, ...] = ()

    @property
    def model(self) -> Any:
        """The model, as it is in its file."""
        return load(self.file)

    @property
    def state_size(self) -> int:
        """Numbers in a state."""
        return int(mujoco.mj_stateSize(self.model, FULL))

    @property
    def time_step(self) -> float:
        """Seconds of an environment's step."""
        return float(self.model.opt.timestep) * self.substeps

    @property
    def num_parameters(self) -> int:
        """Numbers in a task's parameters."""
        return sum(getattr(self.model, name).size for name in self.changed)

    @property
    @abc.abstractmethod
    def num_readings(self) -> int:
        """Numbers that are read after each step."""

    def begin(self, positions: np.ndarray, velocities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """States that lie so far from the model's own initial one, and what is read there.

        Args:
            positions: What is added to the positions, `[batch, nq]`.
            velocities: The velocities, `[batch, nv]`.

        Returns:
            States `[batch, state_size]`, and readings `[batch, num_readings]`.
        """
        model, batch = self.model, len(positions)
        state = np.zeros((batch, self.state_size))
        state[:, 1 : 1 + model.nq] = model.qpos0 + positions
        state[:, 1 + model.nq : 1 + model.nq + model.nv] = velocities
        return state, self.at_rest(state)

    @abc.abstractmethod
    def at_rest(self, state: np.ndarray) -> np.ndarray:
        """What is read in states that were not stepped into."""

    @abc.abstractmethod
    def advance(self, state: np.ndarray, control: np.ndarray, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One step of the environment.

        Args:
            state: `[batch, state_size]`.
            control: `[batch, nu]`.
            parameters: Factors on the arrays that are changed, `[batch, num_parameters]`.

        Returns:
            The states after it, and what is read of each step.
        """

    def velocities(self, before: np.ndarray, after: np.ndarray, coordinates: int) -> np.ndarray:
        """How fast the first coordinates changed over a step; 0 where MuJoCo has begun again, as the state diverged."""
        goes_on = after[:, :1] > before[:, :1]  # its clock
        return np.where(goes_on, after[:, 1 : 1 + coordinates] - before[:, 1 : 1 + coordinates], 0.0) / self.time_step

    def models(self, known: dict[bytes, Any], parameters: np.ndarray) -> list[Any]:
        """A model for each row of parameters; equal rows share one, and those of last time are kept."""
        rows = [row.tobytes() for row in parameters]
        for old in known.keys() - set(rows) if len(known) > MOST_MODELS else ():
            del known[old]
        for row, factors in zip(rows, parameters, strict=True):
            if row not in known:
                known[row] = self._scaled(factors)
        return [known[row] for row in rows]

    def _scaled(self, factors: np.ndarray) -> Any:
        model, start = copy.copy(self.model), 0
        for name in self.changed:
            array = getattr(model, name)
            array[...] *= factors[start : start + array.size].reshape(array.shape)
            start += array.size
        return model


MOST_MODELS = 256
"""Models that are kept for tasks to come."""


class _Workplace:
    """Threads that simulate, and what each needs; used by one caller at a time."""

    def __init__(self):
        self.models: dict[Engine, dict[bytes, Any]] = {}
        self.threads = num_threads()
        self.workers = rollout.Rollout(nthread=self.threads)
        self.helpers = ThreadPoolExecutor(self.threads, "adaptax-mujoco")
        self.data: dict[str, list[Any]] = {}

    def data_of(self, engine: Engine) -> list[Any]:
        """Memory for each thread."""
        if engine.file not in self.data:
            self.data[engine.file] = [mujoco.MjData(engine.model) for _ in range(self.threads)]
        return self.data[engine.file]


_FREE: list[_Workplace] = []
"""Not by thread: to Python, a thread of a compiled program is a new one at each callback."""


@contextlib.contextmanager
def workplace() -> Iterator[_Workplace]:
    """A free one: the programs of several devices may simulate at the same time."""
    try:
        own = _FREE.pop()
    except IndexError:
        own = _Workplace()
    try:
        yield own
    finally:
        _FREE.append(own)


class Spatial(Engine):
    """A robot whose forces and inertias are read too, which states do not hold: state by state, on several threads.

    What MuJoCo holds after a step is of the last substep's beginning, as it is in the papers' code.
    """

    def center(self, data: Any) -> np.ndarray:
        """The center of mass where the robot is now, `[3]`."""
        mujoco.mj_kinematics(self.model, data)
        mujoco.mj_comPos(self.model, data)
        return np.array(data.subtree_com[1])

    @abc.abstractmethod
    def read(self, data: Any, center_before: np.ndarray) -> np.ndarray:
        """What is read after a step; the center of mass was at `center_before`."""

    def at_rest(self, state: np.ndarray) -> np.ndarray:
        """What is read where nothing has moved yet."""

        def one(model: Any, data: Any, row: int) -> np.ndarray:
            _place(model, data, state[row])
            mujoco.mj_forward(model, data)
            mujoco.mj_rnePostConstraint(model, data)
            return self.read(data, self.center(data))

        return self._each(len(state), one)

    def advance(self, state: np.ndarray, control: np.ndarray, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One step, a part of the states on each thread."""
        after = np.empty_like(state)

        def one(model: Any, data: Any, row: int) -> np.ndarray:
            _place(model, data, state[row])
            before = self.center(data)
            data.ctrl[:] = control[row]
            mujoco.mj_step(model, data, self.substeps)
            mujoco.mj_rnePostConstraint(model, data)
            mujoco.mj_getState(model, data, after[row], FULL)
            return self.read(data, before)

        return after, self._each(len(state), one)

    def _each(self, batch: int, one: Callable[[Any, Any, int], np.ndarray]) -> np.ndarray:
        readings = np.empty((batch, self.num_readings))
        with workplace() as place:

            def share(data: Any, rows: range) -> None:
                for row in rows:
                    readings[row] = one(self.model, data, row)

            ends = np.linspace(0, batch, place.threads + 1).astype(int).tolist()
            shares = map(range, ends[:-1], ends[1:])
            list(place.helpers.map(share, place.data_of(self), shares))
        return readings


def _place(model: Any, data: Any, state: np.ndarray) -> None:
    """Forget what was, and put the robot into a state."""
    mujoco.mj_resetData(model, data)
    # MuJoCo 3.3 takes only what it could write into, though it does not, and what a program passes is read-only.
    mujoco.mj_setState(model, data, state if state.flags.writeable else state.copy(), FULL)


class Planar(Engine):
    """A robot in a vertical plane, whose first coordinate is how far it has come: all is read from its states.

    A reading is the forward velocity over the step, then positions, then velocities.
    """

    @property
    def num_readings(self) -> int:
        """The velocity, and all coordinates."""
        return 1 + self.model.nq + self.model.nv

    def at_rest(self, state: np.ndarray) -> np.ndarray:
        """A velocity of 0, and the state."""
        return np.concatenate([np.zeros((len(state), 1)), state[:, 1 : self.num_readings]], 1)

    def advance(self, state: np.ndarray, control: np.ndarray, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One step, all states side by side."""
        control = np.ascontiguousarray(control[:, None, :], np.float64)
        if self.substeps > 1:
            control = np.repeat(control, self.substeps, 1)
        with workplace() as place:
            models = self.models(place.models.setdefault(self, {}), parameters) if self.changed else self.model
            start, data = np.ascontiguousarray(state), place.data_of(self)
            path, _ = place.workers.rollout(models, data, start, control, nstep=self.substeps)
        after = np.ascontiguousarray(path[:, -1])
        readings = self.at_rest(after)
        readings[:, 0] = self.velocities(state, after, 1)[:, 0]
        return after, readings
