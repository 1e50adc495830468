"""A test of long memory: a sign at the start of a corridor says which way to turn at its end.

Bakker 2001, "Reinforcement learning with long short-term memory" (NIPS); Ni, Ma, Eysenbach & Bacon 2023, "When do
transformers shine in RL?" (arXiv 2307.03864), whose passive T-maze this is. An episode has `length` + 1 steps. With the
first observation alone the sign is seen; then all places of the corridor look alike, and the junction at its end looks
like itself. The actions are 0 forward, 1 back, 2 up and 3 down. Each of the first `length` steps after which the agent
is not as far as it can be by then costs 1 / `length`; the last step earns 1 if it is a turn at the junction, to the
task's side.

- An agent that goes forward and remembers the sign has exactly 1 in every episode: the optimum.
- One that forgets it within `length` steps has 1/2 at most: who is late cannot be at the junction in time, so what is
  remembered must be remembered for `length` steps. Nothing else can stand for it: neither rewards nor observations
  after the first depend on the side, and an action that is not forward, which could be a note to oneself, makes the
  agent late.
- Exploring is no part of it: penalties say at once where to go.

In a trial of several episodes the side stays the same, and the sign is shown in each.

Differences from Ni et al.: their agent may wait at the junction if it is there early, which here it cannot be.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from adaptax.core.errors import UseError
from adaptax.core.problem import Environment, Problem, Step, TaskDistribution, make_problem
from adaptax.core.spaces import Discrete
from adaptax.problems.settings import TMazeSettings

FORWARD, BACK, UP, DOWN = range(4)
CORRIDOR, JUNCTION = 2, 3
"""Observations; 0 and 1 are the signs for up and down."""


class TMazeTask(eqx.Module):
    """Where to turn.

    Attributes:
        side: 0 up, 1 down.
    """

    side: Int[Array, "*batch"]


class Place(eqx.Module):
    """Where the agent is, and when.

    Attributes:
        position: Steps from the start.
        clock: Steps of the episode that are over.
    """

    position: Int[Array, "*batch"]
    clock: Int[Array, "*batch"]


class TMaze(Environment):
    """Go along the corridor, then turn as the sign said.

    Attributes:
        length: Steps from the start to the junction.
    """

    length: int = eqx.field(static=True)
    observation_space: Discrete = eqx.field(static=True)
    action_space: Discrete = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    ends_early: bool = eqx.field(static=True)

    def __init__(self, length: int):
        if length < 1:
            raise UseError(f"TMaze(length): expected at least 1 step to the junction, got {length!r}")
        self.length = length
        self.observation_space = Discrete(4)
        self.action_space = Discrete(4)
        self.horizon = length + 1
        self.ends_early = False

    def reset(self, task: TMazeTask, key: Key[Array, ""]) -> tuple[Place, Int[Array, ""]]:
        """Stand at the start, and see the sign."""
        start = jnp.asarray(0, jnp.int32)
        return Place(start, start), task.side.astype(jnp.int32)

    def step(self, state: Place, action: Int[Array, ""], task: TMazeTask, key: Key[Array, ""]) -> Step:
        """Walk, or turn at the end."""
        move = (action == FORWARD).astype(jnp.int32) - (action == BACK).astype(jnp.int32)
        place = Place(jnp.clip(state.position + move, 0, self.length), state.clock + 1)
        late = jnp.where(place.position < place.clock, -1.0 / self.length, 0.0)
        right = (state.position == self.length) & (action == UP + task.side)
        reward = jnp.where(state.clock < self.length, late, right.astype(jnp.float32))
        observation = jnp.where(place.position == self.length, JUNCTION, CORRIDOR)
        return Step(place, observation, reward, jnp.asarray(False))


class UniformSides(TaskDistribution):
    """Up or down with the same chance."""

    split: str = eqx.field(static=True)
    finite: int | None = eqx.field(static=True)

    def __init__(self, split: str):
        self.split = split
        self.finite = 2

    def draw(self, key: Key[Array, ""]) -> TMazeTask:
        """Draw the side."""
        return TMazeTask(jax.random.randint(key, (), 0, 2))

    def oracle(self, task: TMazeTask) -> Float[Array, ""]:
        """Forward all the way, and the right turn."""
        return jnp.ones(())


def t_maze(
    length: int = TMazeSettings.length,
    num_episodes: int = TMazeSettings.num_episodes,
) -> Problem:
    """Remember a sign for `length` steps: optimum 1 per episode, and 1/2 without a memory as long as that.

    Args:
        length: Steps from the sign to the junction.
        num_episodes: Episodes in a trial.
    """
    return make_problem(TMaze(length), UniformSides, num_episodes, (1.0,) * num_episodes)
