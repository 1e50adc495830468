"""The agent that acts uniformly at random, on every problem: the floor of every comparison."""

import dataclasses
from typing import Any

import equinox as eqx
from jaxtyping import Array, Key, PyTree

from adaptax.core.algorithm import FromScratch
from adaptax.core.problem import Problem
from adaptax.core.spaces import Box, Space, sample_legal
from adaptax.core.types import AgentState, TimeStep


class ActionSpace(eqx.Module):
    """What there is to choose from.

    Attributes:
        space: The action space.
        observation: The observation space, which may tell what is legal.
    """

    space: Space = eqx.field(static=True)
    observation: Space = eqx.field(static=True, default=Box((0,)))  # it is frozen


@dataclasses.dataclass(frozen=True)
class Random(FromScratch):
    """Draw every action uniformly from the action space (standard normal where it is unbounded)."""

    def describe(self, problem: Problem) -> ActionSpace:
        """Return the spaces."""
        return ActionSpace(problem.env.action_space, problem.env.observation_space)

    def begin(self, meta: ActionSpace, key: Key[Array, ""]) -> AgentState:
        """Know nothing."""
        return AgentState(None, None)

    def act(
        self, meta: ActionSpace, agent: AgentState, timestep: TimeStep, key: Key[Array, ""], *, explore: bool
    ) -> tuple[PyTree[Array], None, Any]:
        """Draw an action, of those that are legal."""
        return sample_legal(meta.space, meta.observation.legal_in(timestep.observation), key), None, None
