"""The base of everything that learns from scratch or not at all: algorithms whose outer loop is empty."""

import abc

import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from adaptax.core.algorithm import Algorithm
from adaptax.core.problem import Problem
from adaptax.core.types import Metrics, TrainState


class Untrained(Algorithm):
    """An algorithm without an outer loop: what it knows of a problem, it is told and does not learn."""

    @abc.abstractmethod
    def describe(self, problem: Problem) -> PyTree[Array]:
        """Return what `begin` and `act` must know of `problem` (sizes, horizons, index tables) as θ."""

    def init(self, problem: Problem, key: Key[Array, ""]) -> TrainState:
        """Return the only state that there ever is."""
        return TrainState(meta=self.describe(problem), opt_state=None, step=jnp.asarray(0), key=key)

    def update(self, problem: Problem, state: TrainState) -> tuple[TrainState, Metrics]:
        """Learn nothing."""
        return state, {}
