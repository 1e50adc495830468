"""Random tabular MDPs (Duan et al. 2016, section 3.2; arXiv 1611.02779).

States and actions are few, rewards N(μ(s, a), 1) with μ ~ N(1, 1), transitions P(· | s, a) ~ Dirichlet(1, …,
1), the start state is state 0. An episode lasts `horizon` steps; time left is not observed.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from adaptax.core.problem import Environment, Problem, Step, TaskDistribution, make_problem
from adaptax.core.spaces import Discrete
from adaptax.problems.settings import TabularMDPSettings

SHARP = 0.1
"""Concentration α of shifted tasks: with 10 states the likeliest has probability 0.67 on average, 0.29 in training."""


class TabularTask(eqx.Module):
    """An MDP.

    Attributes:
        rewards: Mean reward μ(s, a).
        transitions: P(s' | s, a), with s' last; the rows need not add to exactly 1.
    """

    rewards: Float[Array, "*batch num_states num_actions"]
    transitions: Float[Array, "*batch num_states num_actions num_states"]


class TabularMDP(Environment):
    """An MDP given by tables.

    Attributes:
        num_states: Number of states; state 0 is the start.
        num_actions: Number of actions.
    """

    num_states: int = eqx.field(static=True)
    num_actions: int = eqx.field(static=True)
    observation_space: Discrete = eqx.field(static=True)
    action_space: Discrete = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    ends_early: bool = eqx.field(static=True)

    def __init__(self, num_states: int, num_actions: int, horizon: int):
        self.num_states = num_states
        self.num_actions = num_actions
        self.observation_space = Discrete(num_states)
        self.action_space = Discrete(num_actions)
        self.horizon = horizon
        self.ends_early = False

    def reset(self, task: TabularTask, key: Key[Array, ""]) -> tuple[Int[Array, ""], Int[Array, ""]]:
        """Begin in state 0, which is also what is observed."""
        start = jnp.asarray(0, jnp.int32)
        return start, start

    def step(self, state: Int[Array, ""], action: Int[Array, ""], task: TabularTask, key: Key[Array, ""]) -> Step:
        """Earn N(μ(s, a), 1) and move on, by the inverse of the transition's distribution function."""
        reward_key, transition_key = jax.random.split(key)
        reward = task.rewards[state, action] + jax.random.normal(reward_key)
        # The last state takes whatever rounding leaves, so that the index is always valid.
        distribution = jnp.cumsum(task.transitions[state, action])[:-1]
        after = jnp.sum(jax.random.uniform(transition_key) >= distribution, dtype=jnp.int32)
        return Step(after, after, reward, jnp.asarray(False))


class RandomMDPs(TaskDistribution):
    """μ(s, a) ~ N(1, 1), P(· | s, a) ~ Dirichlet(α, …, α), independently.

    Attributes:
        num_states: Number of states.
        num_actions: Number of actions.
        horizon: Steps of an episode.
        concentration: α; the smaller, the nearer the transitions are to deterministic ones.
    """

    num_states: int = eqx.field(static=True)
    num_actions: int = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    split: str = eqx.field(static=True)
    finite: int | None = eqx.field(static=True, default=None)
    concentration: float = eqx.field(static=True, default=1.0)

    def draw(self, key: Key[Array, ""]) -> TabularTask:
        """Draw an MDP."""
        reward_key, transition_key = jax.random.split(key)
        pairs = (self.num_states, self.num_actions)
        rewards = 1.0 + jax.random.normal(reward_key, pairs)
        if self.concentration != 1.0:
            # Most gamma variables of a small shape underflow in float32; JAX draws and normalises their logarithms.
            concentration = jnp.full(self.num_states, self.concentration)
            return TabularTask(rewards, jax.random.dirichlet(transition_key, concentration, pairs))
        # Dirichlet(1, …, 1) is a vector of unit exponentials over its sum: no rejection sampling.
        weights = jax.random.exponential(transition_key, (*pairs, self.num_states))
        return TabularTask(rewards, weights / jnp.sum(weights, axis=-1, keepdims=True))

    def oracle(self, task: TabularTask) -> Float[Array, ""]:
        """Value of state 0 by backward induction, V_h(s) = max_a μ(s, a) + Σ_s' P(s' | s, a) V_{h−1}(s')."""

        def backup(_: int, value: Float[Array, " num_states"]) -> Float[Array, " num_states"]:
            return jnp.max(task.rewards + task.transitions @ value, axis=-1)

        return jax.lax.fori_loop(0, self.horizon, backup, jnp.zeros(self.num_states))[0]


def tabular_mdp(
    num_states: int = TabularMDPSettings.num_states,
    num_actions: int = TabularMDPSettings.num_actions,
    horizon: int = TabularMDPSettings.horizon,
    num_episodes: int = TabularMDPSettings.num_episodes,
) -> Problem:
    """Random MDPs of Duan et al. 2016.

    Args:
        num_states: Number of states.
        num_actions: Number of actions.
        horizon: Steps of an episode.
        num_episodes: n, episodes in a trial.
    """
    env = TabularMDP(num_states, num_actions, horizon)
    sizes = {"num_states": num_states, "num_actions": num_actions, "horizon": horizon}
    return make_problem(
        env,
        lambda split: RandomMDPs(**sizes, split=split),
        num_episodes,
        shifted=RandomMDPs(**sizes, split="shifted", concentration=SHARP),
        shift=f"nearer to deterministic: P(· | s, a) ~ Dirichlet({SHARP:g}) instead of Dirichlet(1)",
    )
