"""The tasks of Meta-World's benchmarks, as its own code draws them. No JAX here."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

from adaptax.core.errors import needs
from adaptax.problems.metaworld.arm import Goal, world_of

with needs("metaworld", "Meta-World"):
    import metaworld
    import mujoco
    from gymnasium.envs.mujoco import MujocoEnv
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS


@functools.lru_cache(maxsize=8)
def goals_of(benchmark: str, task: str | None, seed: int) -> tuple[tuple[Goal, ...], tuple[Goal, ...]]:
    """The tasks of training and of the test.

    Args:
        benchmark: "ML1", "ML10", "ML25" or "ML45".
        task: What there is to do in ML1.
        seed: Meta-World's own.
    """
    with _without_physics():
        kind = getattr(metaworld, benchmark)
        found = kind(seed=seed) if task is None else kind(task, seed=seed)
    return _numbered(found.train_tasks, "train"), _numbered(found.test_tasks, "test")


def _numbered(tasks: Any, split: str) -> tuple[Goal, ...]:
    count: dict[str, int] = {}
    numbered = []
    for task in tasks:
        number = count.setdefault(task.env_name, 0)
        count[task.env_name] += 1
        places = tuple(_drawn(task).tolist())
        numbered.append(Goal(task.env_name, number, split, places, task.data))
    return tuple(numbered)


def _drawn(task: Any) -> Any:
    """What was drawn for a task, as an arm of Meta-World's is told it; none is built for that."""
    kind = ALL_V3_ENVIRONMENTS[task.env_name]
    arm: Any = object.__new__(kind)
    arm._partially_observable = True  # as all tasks of these benchmarks are
    kind.set_task(arm, task)
    return arm._last_rand_vec


@contextlib.contextmanager
def _without_physics() -> Iterator[None]:
    """Meta-World draws a goal whenever an arm is reset, which moves it to its place in 500 steps of the engine.

    What is drawn does not depend on where the arm is, so it need not move: a fraction of the time, and the same goals.
    """
    kind: Any = MujocoEnv
    real = kind._initialize_simulation, kind.do_simulation

    def shared(env: Any) -> tuple[Any, Any]:
        world = world_of(env.fullpath)
        world.begin(None)
        return world.model, mujoco.MjData(world.model)

    def stand(env: Any, *_: Any) -> None:
        mujoco.mj_kinematics(env.model, env.data)

    kind._initialize_simulation, kind.do_simulation = shared, stand
    try:
        yield
    finally:
        kind._initialize_simulation, kind.do_simulation = real
