"""A chain in which undirected exploration fails: the treasure is many steps away, and each step may be undone.

States are 0, …, `length`; every episode starts in state 0. Action 0 leads back to the start, 1 one state forward, 2
stays. A step forward fails with probability p ~ U[0, 0.1], and the agent stays. The treasure lies in state L, uniform
on {length/2, …, length}: every step after which the agent stands on it earns v ~ U[0.5, 1.5]. Standing at the start
earns 0.01, which is all that an agent sees that does not go far. The state is observed; L, v and p are not. (Why
dithering fails on chains: Osband et al. 2019, "Deep exploration via randomized value functions", arXiv 1703.07608.)

Uniformly random actions reach the treasure in an episode with probability 0.0049 by default, on average over the
family: 0.024 if L = 8, 3.6e-5 if L = 16. With length 32 and horizon 64 it is 1.6e-5. An agent that has learned what
all tasks have in common goes forward until it is paid and stays there. By default that is within 1e-10 of what knowing
the task brings, 20.36 per episode: what there is to learn is how to explore, and it is learned from rare successes.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from adaptax.core.errors import UseError
from adaptax.core.problem import Environment, Problem, Step, TaskDistribution, make_problem
from adaptax.core.spaces import Discrete
from adaptax.problems.settings import ChainSettings

DISTRACTOR = 0.01
LOWEST_VALUE, HIGHEST_VALUE = 0.5, 1.5
FAILURE, SHIFTED_FAILURE = (0.0, 0.1), (0.2, 0.4)
"""Range of the probability that a step forward fails, in training and in shifted tasks."""


class Treasure(eqx.Module):
    """What there is to find, and how hard it is to move.

    Attributes:
        depth: L, the state that is rewarded.
        value: v, reward of a step that ends there.
        failure: p, probability that a step forward fails.
    """

    depth: Int[Array, "*batch"]
    value: Float[Array, "*batch"]
    failure: Float[Array, "*batch"]

    def rewards(self, state: Int[Array, "*states"]) -> Float[Array, "*states"]:
        """Reward of a step that ends in `state`."""
        return jnp.where(state == self.depth, self.value, jnp.where(state == 0, DISTRACTOR, 0.0))


class Chain(Environment):
    """A chain of `length` + 1 states. Actions: 0 back to the start, 1 forward, 2 stay.

    Attributes:
        length: The last state.
    """

    length: int = eqx.field(static=True)
    observation_space: Discrete = eqx.field(static=True)
    action_space: Discrete = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    ends_early: bool = eqx.field(static=True)

    def __init__(self, length: int, horizon: int):
        if length < 2:
            raise UseError(f"Chain(length): expected at least 2, so that depths differ, got {length!r}")
        self.length = length
        self.observation_space = Discrete(length + 1)
        self.action_space = Discrete(3)
        self.horizon = horizon
        self.ends_early = False

    def reset(self, task: Treasure, key: Key[Array, ""]) -> tuple[Int[Array, ""], Int[Array, ""]]:
        """Begin in state 0, which is also what is observed."""
        start = jnp.asarray(0, jnp.int32)
        return start, start

    def step(self, state: Int[Array, ""], action: Int[Array, ""], task: Treasure, key: Key[Array, ""]) -> Step:
        """Go back, go forward, or stay."""
        moves = jax.random.uniform(key) >= task.failure
        forward = jnp.minimum(state + moves.astype(jnp.int32), self.length)
        after = jnp.stack([jnp.zeros_like(state), forward, state])[action]
        return Step(after, after, task.rewards(after), jnp.asarray(False))


class Treasures(TaskDistribution):
    """L uniform on {length/2 (rounded down), …, length}, v ~ U[0.5, 1.5], p uniform on `failure`.

    Attributes:
        length: The last state.
        horizon: Steps of an episode.
        failure: Lowest and highest p.
    """

    length: int = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    split: str = eqx.field(static=True)
    finite: int | None = eqx.field(static=True, default=None)
    failure: tuple[float, float] = eqx.field(static=True, default=FAILURE)

    def draw(self, key: Key[Array, ""]) -> Treasure:
        """Draw depth, value and probability of failure, independently."""
        depth_key, value_key, failure_key = jax.random.split(key, 3)
        return Treasure(
            jax.random.randint(depth_key, (), self.length // 2, self.length + 1),
            jax.random.uniform(value_key, minval=LOWEST_VALUE, maxval=HIGHEST_VALUE),
            jax.random.uniform(failure_key, minval=self.failure[0], maxval=self.failure[1]),
        )

    def oracle(self, task: Treasure) -> Float[Array, ""]:
        """Value of state 0 by backward induction; near the end it may be too late to go for the treasure."""
        rewards = task.rewards(jnp.arange(self.length + 1))

        def backup(_: int, value: Float[Array, " states"]) -> Float[Array, " states"]:
            stay = rewards + value  # by the state in which the step ends
            forward = jnp.append(stay[1:], stay[-1])
            forward = (1 - task.failure) * forward + task.failure * stay
            return jnp.maximum(jnp.maximum(stay, forward), stay[0])

        return jax.lax.fori_loop(0, self.horizon, backup, jnp.zeros(self.length + 1))[0]


def chain(
    length: int = ChainSettings.length,
    horizon: int = ChainSettings.horizon,
    num_episodes: int = ChainSettings.num_episodes,
) -> Problem:
    """A chain with a treasure at a hidden depth.

    Args:
        length: The last state; at least 2.
        horizon: Steps of an episode. With fewer than `length` of them some treasures are out of reach.
        num_episodes: Episodes in a trial.
    """
    low, high = SHIFTED_FAILURE
    return make_problem(
        Chain(length, horizon),
        lambda split: Treasures(length=length, horizon=horizon, split=split),
        num_episodes,
        shifted=Treasures(length=length, horizon=horizon, split="shifted", failure=SHIFTED_FAILURE),
        shift=f"steps forward fail more often: p ~ U[{low:g}, {high:g}] instead of U[{FAILURE[0]:g}, {FAILURE[1]:g}]",
    )
