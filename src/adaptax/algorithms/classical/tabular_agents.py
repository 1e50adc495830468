"""Classical learners for tabular MDPs as agents, the baselines of Duan et al. 2016 (RL², section 3.2, table 2).

Each keeps counts, plans when an episode begins by backward induction in a model M, and follows the plan:

    TabularGreedy          M = posterior mean
    TabularEpsilonGreedy   the same; a random action with probability ε in each step
    PSRL                   M ~ posterior                          Strens 2000; Osband et al. 2013, algorithm 1
    OptimisticPSRL         max over several M ~ posterior         Q(s, a) = max_i Q_i(s, a), i = 1, …, samples
    UCRL2                  best M in a confidence set             Jaksch et al. 2010, figure 1
    BEB                    posterior mean, r + β / (1 + N(s, a))  Kolter & Ng 2009

The prior is conjugate: r ~ N(μ, σ²) with μ ~ N(μ₀, σ₀²), and P(· | s, a) ~ Dirichlet(α, …, α). N(s, a) is the
number of visits. The default μ₀ = 0 reproduces Duan et al.'s figures. Their tasks, however, are drawn with μ₀ = 1,
and told so, the greedy agents are much better and the posterior samplers worse: for n = 10 episodes, TabularGreedy
154.8 instead of 137.6, PSRL 133.8 instead of 138.7.

Differences from the papers: all plan for the known horizon of an episode. The transition in an episode's last
step is not learnt from, since the agent does not see where it led. UCRL2 plans at every episode instead of when a
count has doubled, estimates by the posterior mean, and scales its confidence intervals by `scale`, as Duan et al.
do. BEB has a normal prior of rewards, and N(s, a) counts visits only. Equal values are decided at random.

These agents learn while they act, and exploring is how they learn: `act` treats `explore=False` like
`explore=True`.
"""

import abc
import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from adaptax.algorithms.classical.bandit_agents import random_best
from adaptax.algorithms.classical.sampling import dirichlet
from adaptax.algorithms.classical.tabular_planning import anywhere, optimistic_plan, plan
from adaptax.core.algorithm import FromScratch
from adaptax.core.errors import UseError
from adaptax.core.problem import Problem
from adaptax.core.spaces import Discrete
from adaptax.core.types import AgentState, TimeStep


class MDPSizes(eqx.Module):
    """What a tabular learner is told of a problem.

    Attributes:
        num_states: S.
        num_actions: A.
        horizon: H, steps of an episode.
    """

    num_states: int = eqx.field(static=True)
    num_actions: int = eqx.field(static=True)
    horizon: int = eqx.field(static=True)


class Counts(eqx.Module):
    """Sufficient statistics of an MDP; all zeros at the start of a trial.

    Attributes:
        visits: N(s, a), number of rewards seen.
        total: Sum of these rewards.
        successors: N(s, a, s'), number of transitions seen.
    """

    visits: Float[Array, "*batch states actions"]
    total: Float[Array, "*batch states actions"]
    successors: Float[Array, "*batch states actions states"]


class TabularMemory(eqx.Module):
    """What a tabular learner remembers of a trial.

    Attributes:
        counts: What it has seen.
        state: The state in which it acted last; −1 at the start of a trial.
        clock: Number of steps since the episode began.
        quality: The plan, Q_h(s, a).
    """

    counts: Counts
    state: Int[Array, "*batch"]
    clock: Int[Array, "*batch"]
    quality: Float[Array, "*batch horizon states actions"]


def count(counts: Counts, state: Int[Array, ""], timestep: TimeStep) -> Counts:
    """Add what the previous step, taken in `state`, has brought; at the start of a trial that is nothing."""
    num_states, num_actions = counts.visits.shape
    pair = jax.nn.one_hot(state, num_states)[:, None] * jax.nn.one_hot(timestep.action, num_actions)[None, :]
    after = jnp.where(timestep.first, 0.0, jax.nn.one_hot(timestep.observation, num_states))
    return Counts(
        counts.visits + pair,
        counts.total + pair * timestep.reward,
        counts.successors + pair[:, :, None] * after[None, None, :],
    )


@dataclasses.dataclass(frozen=True)
class TabularPrior:
    """What is known of an MDP before the first step.

    Attributes:
        center: μ₀, prior mean of an expected reward. In Duan et al.'s tasks it is 1; see the module's docstring.
        scale: σ₀, prior standard deviation of an expected reward.
        noise: σ, known standard deviation of a reward around its mean. All three in units of reward.
        concentration: α of the transitions' Dirichlet distribution, at least 1.
    """

    center: float = 0.0
    scale: float = 1.0
    noise: float = 1.0
    concentration: float = 1.0

    def __post_init__(self):
        if min(self.scale, self.noise) <= 0 or self.concentration < 1:
            raise UseError(
                f"TabularPrior: expected positive scale and noise and a concentration of at least 1, got {self!r}"
            )

    def rewards(self, counts: Counts) -> tuple[Float[Array, "states actions"], Float[Array, "states actions"]]:
        """Posterior mean and standard deviation of the expected rewards."""
        strength = (self.noise / self.scale) ** 2
        total, number = counts.total + strength * self.center, counts.visits + strength
        return total / number, self.noise / jnp.sqrt(number)

    def transitions(self, counts: Counts) -> Float[Array, "states actions states"]:
        """Posterior mean of the transition probabilities."""
        number = counts.successors + self.concentration
        return number / jnp.sum(number, axis=-1, keepdims=True)

    def sample(
        self, counts: Counts, key: Key[Array, ""]
    ) -> tuple[Float[Array, "states actions"], Float[Array, "states actions states"]]:
        """Draw expected rewards and transition probabilities from the posterior."""
        reward_key, transition_key = jax.random.split(key)
        mean, deviation = self.rewards(counts)
        rewards = mean + deviation * jax.random.normal(reward_key, mean.shape)
        return rewards, dirichlet(transition_key, counts.successors + self.concentration)


@dataclasses.dataclass(frozen=True)
class TabularAgent(FromScratch):
    """Count in every step, plan when an episode begins, follow the plan.

    Attributes:
        prior: What is known of an MDP before the first step.
    """

    prior: TabularPrior = TabularPrior()

    @abc.abstractmethod
    def make_plan(self, counts: Counts, horizon: int, key: Key[Array, ""]) -> Float[Array, "horizon states actions"]:
        """How attractive each action is in each state and step of the episode to come."""

    def describe(self, problem: Problem) -> MDPSizes:
        """Return the problem's sizes; raise `UseError` if states or actions are not discrete."""
        states, actions = problem.env.observation_space, problem.env.action_space
        if not (isinstance(states, Discrete) and isinstance(actions, Discrete)):
            raise UseError(
                f"{type(self).__name__}: expected Discrete spaces of observations and actions, "
                f"got {states!r} and {actions!r}"
            )
        return MDPSizes(states.num, actions.num, problem.env.horizon)

    def begin(self, meta: MDPSizes, key: Key[Array, ""]) -> AgentState:
        """Know nothing but the prior."""
        pairs = (meta.num_states, meta.num_actions)
        counts = Counts(jnp.zeros(pairs), jnp.zeros(pairs), jnp.zeros((*pairs, meta.num_states)))
        nowhere, zero = jnp.asarray(-1, jnp.int32), jnp.asarray(0, jnp.int32)
        return AgentState(None, TabularMemory(counts, nowhere, zero, jnp.zeros((meta.horizon, *pairs))))

    def act(
        self, meta: MDPSizes, agent: AgentState, timestep: TimeStep, key: Key[Array, ""], *, explore: bool
    ) -> tuple[Int[Array, ""], TabularMemory, None]:
        """Learn from the previous step; plan if an episode begins; do what the plan says."""
        plan_key, tie_key = jax.random.split(key)
        memory, first = agent.memory, timestep.first
        counts = count(memory.counts, memory.state, timestep)
        clock = jnp.where(first, 0, memory.clock + 1)
        quality = jax.lax.cond(
            anywhere(first),
            lambda: jnp.where(first, self.make_plan(counts, meta.horizon, plan_key), memory.quality),
            lambda: memory.quality,
        )
        action = random_best(quality[clock, timestep.observation], tie_key)
        return action, TabularMemory(counts, timestep.observation, clock, quality), None


@dataclasses.dataclass(frozen=True)
class TabularGreedy(TabularAgent):
    """Act as if the posterior mean were the truth (certainty equivalence)."""

    def make_plan(self, counts: Counts, horizon: int, key: Key[Array, ""]) -> Float[Array, "horizon states actions"]:
        """Plan in the posterior mean."""
        return plan(self.prior.rewards(counts)[0], self.prior.transitions(counts), horizon)


@dataclasses.dataclass(frozen=True)
class TabularEpsilonGreedy(TabularAgent):
    """Act greedily, but in each step with probability ε at random.

    Attributes:
        epsilon: ε. The code of Duan et al. 2016 chooses among 0.1, 0.2, …, 1.
    """

    epsilon: float = 0.1

    def make_plan(self, counts: Counts, horizon: int, key: Key[Array, ""]) -> Float[Array, "horizon states actions"]:
        """Plan in the posterior mean; a share ε of all steps and states gets random values instead.

        An episode passes through each step once, so that drawing in advance is the same as drawing on the way.
        """
        explore_key, random_key = jax.random.split(key)
        quality = plan(self.prior.rewards(counts)[0], self.prior.transitions(counts), horizon)
        explore = jax.random.uniform(explore_key, quality.shape[:2]) < self.epsilon
        return jnp.where(explore[:, :, None], jax.random.uniform(random_key, quality.shape), quality)


@dataclasses.dataclass(frozen=True)
class PSRL(TabularAgent):
    """Act in each episode as is best in an MDP drawn from the posterior."""

    def make_plan(self, counts: Counts, horizon: int, key: Key[Array, ""]) -> Float[Array, "horizon states actions"]:
        """Plan in a draw from the posterior."""
        return plan(*self.prior.sample(counts, key), horizon)


@dataclasses.dataclass(frozen=True)
class OptimisticPSRL(TabularAgent):
    """Act by the upper envelope of the values in several MDPs drawn from the posterior.

    Attributes:
        samples: Number of MDPs. The code of Duan et al. 2016 chooses among 1, …, 20.
    """

    samples: int = 10

    def make_plan(self, counts: Counts, horizon: int, key: Key[Array, ""]) -> Float[Array, "horizon states actions"]:
        """Plan in each draw, and take the highest value of each state and action."""

        def draw(key: Key[Array, ""]) -> Float[Array, "horizon states actions"]:
            return plan(*self.prior.sample(counts, key), horizon)

        return jnp.max(jax.vmap(draw)(jax.random.split(key, self.samples)), axis=0)


@dataclasses.dataclass(frozen=True)
class UCRL2(TabularAgent):
    """Act as is best in the most favourable MDP that is still plausible.

    Attributes:
        delta: δ, probability with which the confidence intervals may fail; Jaksch et al. 2010, figure 1.
        scale: Factor by which the confidence intervals are narrowed; 1 in Jaksch et al. 2010. The code of
            Duan et al. 2016 chooses among 21 values between 0.0001 and 1.
    """

    delta: float = 0.05
    scale: float = 0.3

    def make_plan(self, counts: Counts, horizon: int, key: Key[Array, ""]) -> Float[Array, "horizon states actions"]:
        """Plan in the best MDP of the confidence set (Jaksch et al. 2010, equations 3 and 4)."""
        num_states, num_actions = counts.visits.shape
        t, visits = 1 + jnp.sum(counts.visits), jnp.maximum(counts.visits, 1.0)
        reward_slack = jnp.sqrt(7 * jnp.log(2 * num_states * num_actions * t / self.delta) / (2 * visits))
        transition_slack = jnp.sqrt(14 * num_states * jnp.log(2 * num_actions * t / self.delta) / visits)
        rewards = self.prior.rewards(counts)[0] + self.scale * reward_slack
        return optimistic_plan(rewards, self.prior.transitions(counts), self.scale * transition_slack, horizon)


@dataclasses.dataclass(frozen=True)
class BEB(TabularAgent):
    """Act greedily with a bonus on the reward of what has been tried little (Bayesian exploration bonus).

    Attributes:
        bonus: β, in units of reward.
    """

    bonus: float = 1.0

    def make_plan(self, counts: Counts, horizon: int, key: Key[Array, ""]) -> Float[Array, "horizon states actions"]:
        """Plan in the posterior mean, with β / (1 + N(s, a)) added to the rewards."""
        rewards = self.prior.rewards(counts)[0] + self.bonus / (1 + counts.visits)
        return plan(rewards, self.prior.transitions(counts), horizon)
