"""What training needs of a meta-learner: how it collects experience, how it learns from it, and how much there is.

An update is `learn` after `collect`. They are two functions, because experience may come from elsewhere: a simulator on
the host, a buffer, a file. `learn` does not ask where from.
"""

import abc
import functools
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key, PyTree

from adaptax.core import parallel
from adaptax.core.algorithm import Algorithm
from adaptax.core.errors import ConfigError
from adaptax.core.experience import Experience, sample_tasks
from adaptax.core.problem import Problem
from adaptax.core.rollout import run_trial
from adaptax.core.success import success_rate
from adaptax.core.types import ENV_STEPS, SUCCESS, TRIALS_LOST, Metrics, Task, TrainState, Transition, replace


class MetaLearner(Algorithm):
    """An algorithm with an outer loop; a final class is a frozen dataclass that has these among its settings.

    Attributes:
        num_updates: Updates of a whole run.
        num_tasks: Tasks of an update.
        num_minibatches: Parts that the tasks of an update are divided into: each part is shared by all devices.
        replicas: Trials of each task side by side, if a learner batches them along the axis of tasks.
    """

    num_updates: int
    num_tasks: int
    num_minibatches: int = 1
    replicas: int = 1

    fills_slots: ClassVar[bool] = False
    """Whether another episode begins where one ends early, so that an update takes `update_steps` and never fewer."""

    @abc.abstractmethod
    def learn(self, problem: Problem, state: TrainState, experience: Experience) -> tuple[TrainState, Metrics]:
        """Improve θ on experience; return the state of the next update, with `step` one larger, and metrics.

        Among the metrics there is "return", which progress, logs and figures show. Both are the same on all devices
        (`adaptax.core.parallel.mean`).
        """

    def training_trial(self, problem: Problem, meta: PyTree[Array], task: Task, key: Key[Array, ""]) -> Transition:
        """What `collect` does in one task, leaves `[time, env, ...]`; by default a whole trial."""
        return run_trial(self, problem, meta, task, key)

    def collect(self, problem: Problem, state: TrainState) -> Experience:
        """Go through fresh training tasks with θ as it is: this device's share of an update's experience."""
        tasks, keys = sample_tasks(problem, state, self.num_tasks, self.num_minibatches)
        trial = functools.partial(self.training_trial, problem, state.meta)
        return Experience(tasks, jax.vmap(trial, out_axes=1)(tasks, keys[:, 1]))

    def steps_taken(self, experience: Experience) -> Int[Array, ""]:
        """Environment steps that this device took to collect experience: those that happened, not slots for them."""
        return jnp.sum(experience.trajectory.valid, dtype=jnp.int32)

    def update(self, problem: Problem, state: TrainState) -> tuple[TrainState, Metrics]:
        """Collect, then learn; where episodes end early, count the steps that were taken as a metric "env_steps".

        Raises:
            ConfigError: if "return" is not among the metrics, while the program is traced.
        """
        experience, lost = without_lost_trials(self.collect(problem, state))
        seen, experience = experience.trajectory, without_success(experience)
        state, metrics = self.learn(problem, state, experience)
        if lost is not None:
            metrics = _of_those_that_happened(metrics, lost)
        if "return" not in metrics:
            raise ConfigError(
                f"{type(self).__name__}.learn: expected a metric 'return', the mean return of what was collected; "
                f"found {', '.join(sorted(metrics)) or 'no metrics'}"
            )
        if problem.env.ends_early:
            metrics = {**metrics, ENV_STEPS: parallel.total(self.steps_taken(experience))}
        if seen.success is not None:
            metrics = {**metrics, SUCCESS: parallel.mean(success_rate(seen))}
        if lost is not None:
            metrics = {**metrics, TRIALS_LOST: parallel.total(jnp.sum(lost, dtype=jnp.int32))}
        return state, metrics

    @property
    def tasks_per_minibatch(self) -> int:
        """Tasks that devices share at once: more devices than these have nothing to do."""
        return self.num_tasks // self.num_minibatches


def check_declared(algorithm: Algorithm) -> None:
    """Check that an algorithm says what training needs to know of it.

    Raises:
        ConfigError: naming the class and what it lacks.
    """
    for name in ("num_updates", "num_tasks", "num_minibatches") if isinstance(algorithm, MetaLearner) else ():
        found = getattr(algorithm, name, None)
        if not isinstance(found, int) or found < 1:
            raise ConfigError(
                f"{type(algorithm).__name__}: expected a field {name} with a positive integer; "
                f"found {'none' if found is None else repr(found)}"
            )


def without_lost_trials(experience: Experience) -> tuple[Experience, Bool[Array, "task env"] | None]:
    """Experience in which trials whose simulator was lost did not happen, and which those are."""
    trajectory = experience.trajectory
    if trajectory.lost is None:
        return experience, None
    lost = jnp.any(trajectory.lost, 0)
    happened = ~lost[None]
    trajectory = replace(
        trajectory,
        valid=trajectory.valid & happened,
        reward=jnp.where(happened, trajectory.reward, 0.0),
        terminated=trajectory.terminated & happened,
        truncated=trajectory.truncated & happened,
        lost=None,
    )
    return replace(experience, trajectory=trajectory), lost


def without_success(experience: Experience) -> Experience:
    """Experience without what environments say of success: it is counted, and nothing learns from it."""
    return replace(experience, trajectory=replace(experience.trajectory, success=None))


def _of_those_that_happened(metrics: Metrics, lost: Bool[Array, "task env"]) -> Metrics:
    """Mean returns over all trials, with 0 where they were lost, as those over the others."""
    happened = jnp.maximum(parallel.mean(jnp.mean((~lost).astype(jnp.float32))), 1 / lost.size)
    return {name: x / happened if name.startswith("return") else x for name, x in metrics.items()}


def may_take_fewer_steps(algorithm: Algorithm, problem: Problem) -> bool:
    """Whether an update may take fewer steps than `update_steps`: where episodes end early, and their slots stay."""
    return problem.env.ends_early and not (problem.streams and getattr(algorithm, "fills_slots", False))
