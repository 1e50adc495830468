"""The inner loop that gradient-based meta-learners share, and how to recompute it.

A method of this family answers five questions here, and is one file in `adaptax.algorithms`:

    inner        how parameters follow from a gradient (`adaptax.optimization.inner_optimizers`)
    estimator    which surrogate the gradient is of (`adaptax.optimization.estimators`)
    build        what θ is
    initial      which part of θ is adapted: φ_0
    policy       how θ and φ make a policy

`adapt` is a pure function of θ and of stored windows of experience. Recomputing it differentiates *through* learning:
φ_K becomes a function of θ, and so does every policy on the way.
"""

import abc
import dataclasses
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from adaptax.algorithms.gradient.critic import ReturnCritic, critic_optimizer
from adaptax.algorithms.gradient.settings import InnerSettings
from adaptax.core.meta_learner import MetaLearner
from adaptax.core.problem import Problem
from adaptax.core.rollout import rollout, run_trial, start
from adaptax.core.spaces import Space
from adaptax.core.splits import fold_in_name
from adaptax.core.types import AgentState, Task, TimeStep, Transition, Window, replace
from adaptax.networks import Policy
from adaptax.networks.distributions import Distribution, Normal
from adaptax.optimization import observations
from adaptax.optimization.baselines import linear_baseline, returns_to_go, time_features
from adaptax.optimization.estimators import ESTIMATORS
from adaptax.optimization.inner_optimizers import InnerOptimizer, descend
from adaptax.optimization.losses import generalized_advantages
from adaptax.optimization.moments import Moments


class Theta(eqx.Module):
    """What the outer gradient changes.

    Attributes:
        policy: Initial parameters.
        learned: What the inner optimiser learns: learning rates, say. None for plain gradient descent.
        context: Initial context vector, for methods that adapt one.
    """

    policy: Policy
    learned: PyTree[Array] = None
    context: Float[Array, " context_size"] | None = None


class GradientParams(eqx.Module):
    """θ, the learned baseline, and how observations are read.

    Attributes:
        theta: What the outer gradient changes.
        critic: The learned baseline, if there is one.
        observed: Moments of the training's observations, entry by entry; None: they are read as they are.
        observation_space: The problem's, where they are normalised.
    """

    theta: Theta
    critic: ReturnCritic | None = None
    observed: Moments | None = None
    observation_space: Space | None = eqx.field(static=True, default=None)

    def read(self, observation: PyTree[Array]) -> PyTree[Array]:
        """An observation as networks see it, for any batch axes."""
        return observations.read(self.observed, self.observation_space, observation)

    def read_all(self, trajectory: Transition) -> Transition:
        """A trajectory with what networks see, for any batch axes."""
        return observations.read_all(self.observed, self.observation_space, trajectory)

    def observe(self, trajectory: Transition) -> "GradientParams":
        """Take in what was seen, in steps that happened, for any batch axes."""
        return replace(self, observed=observations.take_in(self.observed, self.observation_space, trajectory))


class Fast(eqx.Module):
    """φ and the memory of the optimiser that changes it.

    Attributes:
        parameters: φ.
        optimizer: The inner optimiser's memory.
        steps: Number of inner steps so far.
    """

    parameters: PyTree[Array]
    optimizer: PyTree[Array]
    steps: Array


class Recomputed(eqx.Module):
    """One task's inner loop, as a function of θ; leaves `[window, time, env]`.

    Attributes:
        policies: Policies π_{φ_0} … π_{φ_K}, each on the window that it collected.
        log_probs: Log-probabilities of the actions taken there.
    """

    policies: Distribution
    log_probs: Float[Array, "window time env"]


@dataclasses.dataclass(frozen=True)
class GradientBased(InnerSettings, MetaLearner):
    """The inner loop of the family; final classes answer the questions above."""

    first_order: ClassVar[bool] = False
    """Whether the inner gradient counts as a constant."""
    estimator: ClassVar[str] = "policy-gradient"
    """Surrogate of the inner step; a field where it can be chosen. All have the same first derivative."""
    checkpoint: ClassVar[bool] = False
    """Whether to recompute inner steps in the backward pass; a field where there is one."""
    needs_last_observation: ClassVar[bool] = False

    @property
    @abc.abstractmethod
    def inner(self) -> InnerOptimizer:
        """How parameters follow from a gradient."""

    @abc.abstractmethod
    def build(self, problem: Problem, key: Key[Array, ""]) -> Theta:
        """θ before the first update, but for what the inner optimiser learns."""

    @abc.abstractmethod
    def initial(self, theta: Theta) -> PyTree[Array]:
        """φ_0: the part of θ that is adapted."""

    @abc.abstractmethod
    def policy(self, theta: Theta, parameters: PyTree[Array], observation: PyTree[Array]) -> Distribution:
        """π(· | observation) for adapted parameters φ."""

    def network(self, problem: Problem, key: Key[Array, ""], context_size: int = 0) -> Policy:
        """The policy's network, as the settings say."""
        return Policy(
            observations.space_read(problem.env.observation_space, normalize=self.normalize_observations),
            problem.env.action_space,
            (self.hidden_size,) * self.num_layers,
            key,
            activation=self.activation,
            initial_std=self.initial_std,
            context_size=context_size,
            encoder=self.encoder,
        )

    def begin_meta(self, problem: Problem, key: Key[Array, ""]) -> tuple[GradientParams, PyTree[Array]]:
        """θ, what the inner optimiser learns, the learned baseline if there is one, and its optimiser's state."""
        theta_key, critic_key = jax.random.split(key)
        theta = self.build(problem, theta_key)
        meta = GradientParams(replace(theta, learned=self.inner.init(self.initial(theta))))
        space = problem.env.observation_space
        observed = observations.unseen(space, normalize=self.normalize_observations)
        if observed is not None:
            meta = replace(meta, observed=observed, observation_space=space)
            meta = self._first_look(problem, meta, fold_in_name(key, "first look"))
        if self.baseline != "value":
            return meta, None
        network = ReturnCritic(theta.policy.features_size, critic_key)
        opt_state = critic_optimizer(self.critic_learning_rate).init((network.body, network.head))
        return replace(meta, critic=network), opt_state

    def _first_look(self, problem: Problem, meta: GradientParams, key: Key[Array, ""]) -> GradientParams:
        """Take in what the untrained policy sees, in a window of some tasks."""
        steps = problem.env.horizon

        def window(task: Task, key: Key[Array, ""]) -> Transition:
            state = start(self, problem, meta, task, key, self.trajectories)
            return rollout(self, problem, meta, task, state, fold_in_name(key, "window"), clock=0, steps=steps)[1]

        return meta.observe(observations.look(problem, key, window))

    def window(self, problem: Problem) -> Window:
        """One episode in each of `trajectories` parallel environments."""
        return Window(self.trajectories, problem.env.horizon)

    def training_trial(self, problem: Problem, meta: GradientParams, task: Task, key: Key[Array, ""]) -> Transition:
        """`inner_steps` + 1 windows, adapting between them, one after the other: leaves `[time, env, ...]`."""
        return run_trial(self, replace(problem, episodes=(self.inner_steps + 1) * self.trajectories), meta, task, key)

    def update_steps(self, problem: Problem) -> int:
        """Environment steps of one update, if no episode ends early."""
        return self.num_tasks * (self.inner_steps + 1) * self.trajectories * problem.env.horizon

    def begin(self, meta: GradientParams, key: Key[Array, ""]) -> AgentState:
        """Enter a task with the meta-learned initialisation."""
        parameters = self.initial(meta.theta)
        return AgentState(Fast(parameters, self.inner.start(meta.theta.learned, parameters), jnp.asarray(0)), None)

    def act(
        self, meta: GradientParams, agent: AgentState, timestep: TimeStep, key: Key[Array, ""], *, explore: bool
    ) -> tuple[PyTree[Array], None, Any]:
        """Sample an action from π_φ (or take its mode, if not `explore`)."""
        policy = self.policy(meta.theta, agent.adapted.parameters, meta.read(timestep.observation))
        policy = self.exploring(policy, agent.adapted.steps)
        action = policy.sample(key) if explore else policy.mode()
        aux = {"log_prob": policy.log_prob(action), "policy": policy}
        return meta.theta.policy.head.space.from_policy(action), None, aux

    def adapt(self, meta: GradientParams, agent: AgentState, trajectory: Transition, key: Key[Array, ""]) -> AgentState:
        """One inner step on a window with leaves `[time, env, ...]`."""
        return self.inner_step(meta, agent, meta.read_all(trajectory))[0]

    def inner_step(
        self, meta: GradientParams, agent: AgentState, trajectory: Transition
    ) -> tuple[AgentState, tuple[Float[Array, "time env"], Distribution]]:
        """The same of a window as networks see it, and what `log_probs` says before it: who recomputes needs both."""
        fast: Fast = agent.adapted
        advantages = self.advantages(meta, trajectory, fast.steps)
        if self.normalize_advantages:
            advantages = normalized(advantages, trajectory.valid)
        old_log_probs = jnp.where(trajectory.valid, trajectory.aux["log_prob"], 0.0)

        def loss(parameters: PyTree[Array]) -> tuple[Float[Array, ""], Any]:
            before = self.log_probs(meta.theta, parameters, trajectory, fast.steps)
            gain = ESTIMATORS[self.estimator](before[0], old_log_probs, advantages, self.gae_lambda)
            return -jnp.sum(gain) / jnp.maximum(jnp.sum(trajectory.valid), 1).astype(gain.dtype), before

        parameters, optimizer, (_, before) = descend(
            self.inner,
            meta.theta.learned,
            fast.optimizer,
            fast.parameters,
            loss,
            first_order=self.first_order,
            has_aux=True,
        )
        return AgentState(Fast(parameters, optimizer, fast.steps + 1), agent.memory), before

    def exploring(self, policy: Distribution, steps: Array | int) -> Distribution:
        """π_φ as it acts while it learns: normal distributions are as wide as exploration asks for after `steps`."""
        if not isinstance(policy, Normal):
            return policy
        floor = jnp.log(self.exploration_std * self.exploration_decay ** jnp.asarray(steps, float))
        return Normal(policy.mean, jnp.maximum(policy.log_std, floor.astype(policy.log_std.dtype)))

    def log_probs(
        self, theta: Theta, parameters: PyTree[Array], trajectory: Transition, steps: Array | int
    ) -> tuple[Float[Array, "time env"], Distribution]:
        """Log-probabilities of the actions taken (0 where nothing happened), and the distributions, after `steps`."""
        policy = self.exploring(self.policy(theta, parameters, trajectory.timestep.observation), steps)
        actions = theta.policy.head.space.policy_action(trajectory.action)
        return jnp.where(trajectory.valid, policy.log_prob(actions), 0.0), policy

    def advantages(self, meta: GradientParams, trajectory: Transition, steps: Array) -> Float[Array, "time env"]:
        """Advantages within each episode: the time limit is the end of what is to be maximised. Constants (trap E6)."""
        valid = trajectory.valid
        features = meta.theta.policy.read(trajectory.timestep.observation)
        values = jnp.zeros_like(trajectory.reward)
        if self.baseline == "linear":
            targets = returns_to_go(trajectory.reward, self.discount)
            worth = returns_to_go(valid.astype(targets.dtype), self.discount)
            values = linear_baseline(time_features(features), targets, valid, worth)
        elif self.baseline == "value":
            assert meta.critic is not None
            values = meta.critic(features, steps)
        last = jnp.arange(valid.shape[0])[:, None] == valid.shape[0] - 1
        advantages = generalized_advantages(
            trajectory.reward,
            values,
            discount=self.discount,
            gae_lambda=self.gae_lambda,
            ended=trajectory.terminated | last,
            valid=valid,
        )
        return jax.lax.stop_gradient(advantages)

    def recompute(self, meta: GradientParams, trajectories: Transition, key: Key[Array, ""]) -> Recomputed:
        """Go through one task's windows again: everything in it is a differentiable function of θ."""

        def part(window: int | slice) -> Transition:
            return jax.tree.map(lambda x: x[window], trajectories)

        def step(agent: AgentState, window: Transition) -> tuple[AgentState, Any]:
            return self.inner_step(meta, agent, window)

        inner_steps = jax.checkpoint(step) if self.checkpoint else step
        agent, before = jax.lax.scan(inner_steps, self.begin(meta, key), part(slice(0, -1)))
        last = self.log_probs(meta.theta, agent.adapted.parameters, part(-1), agent.adapted.steps)
        log_probs, policies = jax.tree.map(lambda b, a: jnp.concatenate([b, a[None]]), before, last)
        return Recomputed(policies, log_probs)


class WholePolicy(GradientBased):
    """All of the policy's weights are adapted."""

    def build(self, problem: Problem, key: Key[Array, ""]) -> Theta:
        """θ: the policy."""
        return Theta(self.network(problem, key))

    def initial(self, theta: Theta) -> Policy:
        """φ_0 = θ."""
        return theta.policy

    def policy(self, theta: Theta, parameters: Policy, observation: PyTree[Array]) -> Distribution:
        """π_φ."""
        return parameters(observation)


def normalized(x: Float[Array, "time env"], valid: Array) -> Float[Array, "time env"]:
    """Mean 0 and deviation 1 over one task's valid entries, in whatever units; 0 elsewhere, and where all are equal."""
    count = jnp.maximum(jnp.sum(valid), 1).astype(x.dtype)
    mean = jnp.sum(jnp.where(valid, x, 0.0)) / count
    centered = jnp.where(valid, x - mean, 0.0)
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(centered)))
    centered = centered / jnp.where(largest > 0, largest, 1.0)  # squares of 1e-23 would be 0
    variance = jnp.sum(centered**2) / count
    varies = variance > 0
    return jnp.where(varies, centered / jnp.sqrt(jnp.where(varies, variance, 1.0)), 0.0)
