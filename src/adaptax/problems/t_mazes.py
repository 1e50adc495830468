"""A test of long memory: a sign at the start of a corridor says which way to turn at its end.

Bakker 2001, "Reinforcement learning with long short-term memory" (NIPS); Ni, Ma, Eysenbach & Bacon 2023, "When do
transformers shine in RL?" (arXiv 2307.03864). An episode has `length` + 1 steps. With the first observation alone the
sign is seen; then all places of the corridor look alike, and the junction at its end looks like itself. The actions are
0 forward, 1 back, 2 up and 3 down. The floor carries the agent along the corridor in `length` steps; each costs
`PENALTY` = 1 if the agent does not go forward itself. The last step earns 1 if it is a turn to the task's side.

- An agent that goes forward and remembers the sign has exactly 1 in every episode: the optimum.
- One that forgets it within `length` steps has 1/2 at most. Neither rewards nor observations after the first depend on
  the side. An action could be a note to oneself; but it would have to differ between the sides, so it costs 1 in half
  of the tasks at least, and the turns that it mends are worth no more.
- Exploring is no part of it: in the corridor a reward says at once whether the action was right, and the junction is
  always reached.

In a trial of several episodes the side stays the same, and the sign is shown in each.

Differences from the papers: there an agent walks by itself, and is late, or turns back, where it does not go forward.
Who still acts by chance hardly ever sees the end of a long corridor then, which is no matter of memory.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from adaptax.core.errors import UseError
from adaptax.core.problem import Environment, Problem, Step, TaskDistribution, make_problem
from adaptax.core.spaces import Discrete
from adaptax.problems.settings import TMazeSettings

PENALTY = 1.0
FORWARD, BACK, UP, DOWN = range(4)
CORRIDOR, JUNCTION = 2, 3
"""Observations; 0 and 1 are the signs for up and down."""


class TMazeTask(eqx.Module):
    """Where to turn.

    Attributes:
        side: 0 up, 1 down.
    """

    side: Int[Array, "*batch"]


class TMaze(Environment):
    """Go along the corridor, then turn as the sign said. The state is how many steps are over.

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

    def reset(self, task: TMazeTask, key: Key[Array, ""]) -> tuple[Int[Array, ""], Int[Array, ""]]:
        """Stand at the start, and see the sign."""
        return jnp.asarray(0, jnp.int32), task.side.astype(jnp.int32)

    def step(self, state: Int[Array, ""], action: Int[Array, ""], task: TMazeTask, key: Key[Array, ""]) -> Step:
        """Move on, or turn at the end."""
        walking = jnp.where(action == FORWARD, 0.0, -PENALTY)
        turning = (action == UP + task.side).astype(jnp.float32)
        reward = jnp.where(state < self.length, walking, turning)
        after = state + 1
        return Step(after, jnp.where(after < self.length, CORRIDOR, JUNCTION), reward, jnp.asarray(False))


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
