"""Meta-World's arm as a Gymnasium environment that is put into tasks. Without JAX: it runs in worker processes too.

Every episode begins with a new arm, in a world as it was read from its file: what an episode brings is a function of
task and actions, whatever was simulated before. That is affordable since what is large of a world (meshes, textures,
trees of boxes around them: 21 MB) is there once for each thing to do. All arms of a process that do it share it; where
bodies and sites stand, which Meta-World moves to where a goal is, is put back before an arm has its turn.
"""

import functools
from typing import Any, NamedTuple

import numpy as np

from adaptax.core.errors import needs

with needs("metaworld", "Meta-World"):
    import metaworld
    import mujoco
    from gymnasium import Env, spaces
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS

OBSERVED = 39
"""The hand, two objects, the same one step before, and three zeros where the goal would be."""
MOVED = ("body_pos", "body_quat", "site_pos", "site_quat")
"""What differs between the worlds of one thing to do."""


class Goal(NamedTuple):
    """One of a benchmark's tasks.

    Attributes:
        name: What to do, "reach-v3".
        number: Which of its goals, from 0.
        split: "train" or "test".
        places: What is drawn: where objects and goals are, in metres. What each number is depends on what to do.
        data: As Meta-World keeps it.
    """

    name: str
    number: int
    split: str
    places: tuple[float, ...]
    data: bytes

    def __str__(self) -> str:
        return f"{self.name}, goal {self.number} of {self.split}"


class World:
    """What all arms share that do the same thing.

    Args:
        model: MuJoCo's.
    """

    def __init__(self, model: Any):
        self.model = model
        self._places = [getattr(model, name) for name in MOVED]
        self._initial = [place.copy() for place in self._places]
        self._owner: Arm | None = None

    def begin(self, owner: "Arm | None") -> None:
        """Give an arm its turn, in a world as it was read."""
        self._keep()
        self._owner = owner
        self._put(self._initial)

    def turn(self, owner: "Arm") -> None:
        """Give an arm its turn, in the world that it has left."""
        if self._owner is not owner:
            self._keep()
            self._owner = owner
            self._put(owner.places)

    def _keep(self) -> None:
        if self._owner is not None:
            self._owner.places = [place.copy() for place in self._places]

    def _put(self, places: list[np.ndarray]) -> None:
        for place, kept in zip(self._places, places, strict=True):
            np.copyto(place, kept)


@functools.cache
def world_of(path: str) -> World:
    """The world of a file, read once in a process."""
    return World(mujoco.MjModel.from_xml_path(path))


@functools.cache
def _kind(name: str) -> Any:
    """Meta-World's class of a thing to do, whose objects share a world."""

    def shared(arm: Any) -> tuple[Any, Any]:
        model = world_of(arm.fullpath).model
        return model, mujoco.MjData(model)

    kind = ALL_V3_ENVIRONMENTS[name]
    return type(kind.__name__, (kind,), {"_initialize_simulation": shared})


class Arm(Env):  # type: ignore[type-arg]
    """A robot's arm that is put into a task, with its goal hidden."""

    observation_space = spaces.Box(-np.inf, np.inf, (OBSERVED,), np.float64)
    action_space = spaces.Box(-1.0, 1.0, (4,), np.float32)

    def __init__(self) -> None:
        self.places: list[np.ndarray] = []
        self._goal: Goal | None = None
        self._arm: Any = None
        self._world: World | None = None

    def put(self, goal: Goal) -> None:
        """What the next episode is to be."""
        self._goal = goal

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Begin an episode; nothing in it is drawn by chance."""
        goal = self._goal
        if goal is None:
            raise RuntimeError("expected a task (Arm.put) before an episode begins; found none")
        kind = _kind(goal.name)
        # Whoever builds an arm looks at the world, which has to be as it was read by then.
        self._world = world_of(kind.model_name.fget(None))
        self._world.begin(self)
        self._arm = kind()
        self._arm.set_task(metaworld.Task(goal.name, goal.data))
        observation, _ = self._arm.reset()
        return observation, {"success": False}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Do an action. Nothing ends an episode early; Meta-World's time limit cuts it off."""
        assert self._world is not None
        self._world.turn(self)
        observation, reward, terminated, truncated, info = self._arm.step(action)
        return observation, float(reward), terminated, truncated, {"success": bool(info["success"])}
