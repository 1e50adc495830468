"""What a learning-to-learn algorithm is: two nested learners, five pure functions.

`init` and `update` are the outer learner, which changes meta-parameters θ between tasks. `begin`, `act` and
`adapt` are the inner learner, which θ defines and which changes its own state while it lives in one task.
Evaluation and deployment need only the inner one.
"""

import abc
from typing import Any

from jaxtyping import Array, Key, PyTree

from adaptax.core.problem import Problem
from adaptax.core.types import AgentState, Metrics, TimeStep, TrainState, Transition, Window


class Algorithm(abc.ABC):
    """Base of all algorithms; a final class is a frozen dataclass of hyper-parameters.

    Learning from scratch is the algorithm whose outer loop is empty: its `update` is the identity.
    All methods are pure, and written for one task and one stream unless said otherwise.
    """

    @abc.abstractmethod
    def init(self, problem: Problem, key: Key[Array, ""]) -> TrainState:
        """Return the state before the first update. `key` is the run's root key."""

    @abc.abstractmethod
    def update(self, problem: Problem, state: TrainState) -> tuple[TrainState, Metrics]:
        """Do one outer update: experience tasks of `problem.train`, improve θ. Batched over tasks inside."""

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
        """Learn from a window of experience, leaves `[time, stream, ...]`. The identity by default."""
        return agent

    def window(self, problem: Problem) -> Window:
        """How much experience one `adapt` consumes. One stream and a whole trial by default."""
        return Window(streams=1, steps=problem.trial_steps)

    def update_steps(self, problem: Problem) -> int:
        """Environment steps that one `update` takes, if no episode ends early; none by default."""
        return 0
