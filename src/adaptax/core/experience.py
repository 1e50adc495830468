"""Experience: what a meta-learner learns from, wherever it comes from."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from adaptax.core import parallel
from adaptax.core.errors import UseError
from adaptax.core.problem import Problem
from adaptax.core.splits import fold_in_name
from adaptax.core.types import Task, TrainState, Transition


def _on_device(tree: PyTree) -> PyTree:
    """NumPy arrays as JAX arrays; all else as it is."""
    return jax.tree.map(lambda x: jnp.asarray(x) if isinstance(x, np.ndarray | np.generic) else x, tree)


class Experience(eqx.Module):
    """Trials of several tasks. NumPy arrays are welcome: from a simulator, a buffer, or a file.

    Attributes:
        tasks: Tasks, leaves `[task, ...]`.
        trajectory: What happened in them, leaves `[time, task, env, ...]`; `aux` is what the learner's `act` put aside.
        extra: Whatever else a learner's `collect` keeps for its `learn`: perturbations of θ, say.
        source: How it was collected: "compiled" (the training loop), "host", "replay" or "recorded".
    """

    tasks: Task = eqx.field(converter=_on_device)
    trajectory: Transition = eqx.field(converter=_on_device)
    extra: PyTree[Array] = eqx.field(converter=_on_device, default=None)
    source: str = eqx.field(static=True, default="compiled")

    def __check_init__(self):
        """Check that all leaves agree on how many steps, tasks and environments there are.

        Raises:
            UseError: naming the leaf, what was expected, and what was found.
        """
        expected = self.trajectory.reward.shape
        if len(expected) != 3:
            raise UseError(f"Experience.trajectory.reward: expected axes [time, task, env], found shape {expected}")
        for path, x in jax.tree_util.tree_leaves_with_path(self.trajectory):
            if x.shape[:3] != expected:
                name = "Experience.trajectory" + jax.tree_util.keystr(path)
                raise UseError(f"{name}: expected [time, task, env] = {expected} as of rewards, found {x.shape}")
        for path, x in jax.tree_util.tree_leaves_with_path(self.tasks):
            if x.shape[:1] != expected[1:2]:
                name = "Experience.tasks" + jax.tree_util.keystr(path)
                raise UseError(f"{name}: expected {expected[1]} tasks, as in the trajectory; found shape {x.shape}")


def sample_tasks(
    problem: Problem, state: TrainState, num_tasks: int, num_minibatches: int = 1, num_keys: int = 2
) -> tuple[Task, Key[Array, "task keys"]]:
    """This device's share of the tasks of the update that follows on `state`.

    Args:
        problem: Whose training tasks to draw.
        state: Its key and step decide the draw: every update has tasks of its own.
        num_tasks: Tasks of an update, on all devices together.
        num_minibatches: Minibatches that they are divided into.
        num_keys: Keys of each task; the first is spent on drawing the task.

    Returns:
        Tasks `[task, ...]`, and their keys `[task, num_keys]`.
    """
    update_key = jax.random.fold_in(fold_in_name(state.key, "update"), state.step)
    keys = jax.random.split(update_key, (num_tasks, num_keys))
    keys = parallel.local(keys, num_minibatches)
    return jax.vmap(problem.train.sample)(keys[:, 0]), keys
