"""What a learning-to-learn algorithm is: two nested learners, pure functions.

`begin`, `act` and `adapt` are the inner learner, which θ defines and which changes its own state while it is in one
task. Evaluation and deployment need only this one. `init` makes the first θ; the outer learner, which changes θ between
tasks, is `adaptax.core.meta_learner`.
"""

import abc
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from adaptax.core import host_program
from adaptax.core.errors import DivergenceError
from adaptax.core.problem import Problem
from adaptax.core.types import AgentState, Metrics, TimeStep, TrainState, Transition, Window


class Algorithm(abc.ABC):
    """Base of all algorithms; a final class is a frozen dataclass of hyper-parameters.

    Learning from scratch is the algorithm whose outer loop is empty: its `update` is the identity.
    All methods are pure, and written for one task and one environment unless said otherwise.

    Attributes:
        num_updates: Updates of a whole run; 0 where there is no outer loop.
    """

    num_updates: int = 0

    needs_last_observation: ClassVar[bool] = True
    """Whether `adapt` needs to see what came after an episode's last step, to estimate what a time limit cuts off."""

    @abc.abstractmethod
    def init(self, problem: Problem, key: Key[Array, ""]) -> TrainState:
        """Return the state before the first update. `key` is the run's root key."""

    def update(self, problem: Problem, state: TrainState) -> tuple[TrainState, Metrics]:
        """Do one outer update: experience tasks of `problem.train`, improve θ. The identity by default."""
        return state, {}

    @abc.abstractmethod
    def begin(self, meta: PyTree[Array], key: Key[Array, ""]) -> AgentState:
        """Return the inner learner as it enters a task that it has never seen."""

    @abc.abstractmethod
    def act(
        self,
        meta: PyTree[Array],
        agent: AgentState,
        timestep: TimeStep,
        key: Key[Array, ""],
        *,
        explore: bool,
    ) -> tuple[PyTree[Array], PyTree[Array], Any]:
        """Choose an action; return it with the new memory and whatever learning needs (`aux`).

        `explore=False` asks for the best action that the agent knows, where that differs from how it acts
        in training (the mode of a stochastic policy, say).
        """

    def adapt(self, meta: PyTree[Array], agent: AgentState, trajectory: Transition, key: Key[Array, ""]) -> AgentState:
        """Learn from a window of experience, leaves `[time, env, ...]`. The identity by default."""
        return agent

    def window(self, problem: Problem) -> Window:
        """How much experience one `adapt` consumes. One environment and a whole trial by default."""
        return Window(num_envs=1, steps=problem.trial_steps)

    def update_steps(self, problem: Problem) -> int:
        """Environment steps that one `update` takes, if no episode ends early; none by default."""
        return 0


def first_state(algorithm: Algorithm, problem: Problem, root: Key[Array, ""], num_seeds: int = 1) -> TrainState:
    """The state before the first update, sound or not; with `num_seeds` > 1, leaves have a leading seed axis."""
    if num_seeds == 1:
        return algorithm.init(problem, root)
    return jax.vmap(lambda key: algorithm.init(problem, key))(jax.random.split(root, num_seeds))


def init(algorithm: Algorithm, problem: Problem, *, seed: int, num_seeds: int = 1) -> TrainState:
    """The state before the first update; with `num_seeds` > 1, leaves have a leading seed axis.

    Raises:
        DivergenceError: if a leaf of it is NaN or infinite. Algorithms may look at tasks and rewards before they learn.
    """
    key = jax.random.key(seed)
    if isinstance(algorithm, FromScratch):  # it is told everything: there is nothing to compile
        return run_first(lambda key: first_state(algorithm, problem, key, num_seeds), key)
    program, options = first_program(algorithm, problem, num_seeds)
    return run_first(program.lower(key).compile(options), key)


def first_program(algorithm: Algorithm, problem: Problem, num_seeds: int = 1) -> tuple[Any, dict[str, Any] | None]:
    """What makes the state before the first update of a key, jitted, and how it is to be compiled.

    It runs once and takes longer to compile than to run: on a CPU, code that is not optimised is there in half
    the time.
    """
    options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    run = host_program.program(lambda key: first_state(algorithm, problem, key, num_seeds), on_host=problem.env.on_host)
    return run, options


def run_first(program: Callable[[Key[Array, ""]], TrainState], key: Key[Array, ""]) -> TrainState:
    """Make the state before the first update.

    Raises:
        DivergenceError: if a leaf of it is NaN or infinite.
    """
    state = program(key)
    bad = leaf_that_is_not_finite(state)
    if bad:
        raise DivergenceError(f"before the first update: leaf {bad} is NaN or infinite; nothing was trained")
    return state


def leaf_that_is_not_finite(tree: Any) -> str:
    """Where in a pytree the first NaN or infinity is, as `.network.policy.weight`; empty if there is none."""
    for path, x in jax.tree_util.tree_leaves_with_path(tree):
        if jnp.issubdtype(x.dtype, jnp.inexact) and not np.isfinite(np.asarray(x)).all():
            return jax.tree_util.keystr(path)
    return ""


def num_parameters(tree: Any) -> int:
    """Number of floating-point numbers in a pytree."""
    return sum(x.size for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating))


class FromScratch(Algorithm):
    """An algorithm without an outer loop: what it knows of a problem, it is told and does not learn."""

    @abc.abstractmethod
    def describe(self, problem: Problem) -> PyTree[Array]:
        """Return what `begin` and `act` must know of `problem` (sizes, horizons, index tables) as θ."""

    def init(self, problem: Problem, key: Key[Array, ""]) -> TrainState:
        """Return the only state that there ever is."""
        return TrainState(meta=self.describe(problem), opt_state=None, step=jnp.asarray(0), key=key)
