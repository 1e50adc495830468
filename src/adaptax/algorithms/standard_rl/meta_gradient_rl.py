"""Meta-gradient reinforcement learning: an actor-critic that learns its own discount, λ and loss weights, online.

Xu, van Hasselt & Silver 2018, "Meta-gradient reinforcement learning" (arXiv 1805.09801).

    θ' = θ + f(τ, θ, η)                               one step of A2C on a window τ, with η = (γ, λ, loss weights)
    η ← η + β ∂J'(τ', θ')/∂θ' ∂θ'/∂η                  τ': the next window, collected by θ'

where J' is the policy-gradient objective with fixed γ' and λ'. It starts from nothing on every task, η included.

Differences from the paper:
    - ∂θ'/∂η is that of the whole step, Adam's scaling included; as in the paper, earlier steps count as constants.
    - Loss weights are learned too: those of the critic's loss and of the entropy bonus. γ and λ may depend on the state
      by a small network (`per_state`), instead of a network that is told η.
    - The learner is that of `adaptax.algorithms.standard_rl.a2c`.
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Key, PyTree

from adaptax.algorithms.standard_rl import actor_critic
from adaptax.algorithms.standard_rl.actor_critic import ActorCriticState, Spaces
from adaptax.algorithms.standard_rl.settings import MetaGradientSettings
from adaptax.core.algorithm import FromScratch
from adaptax.core.problem import Problem
from adaptax.core.types import AgentState, TimeStep, Transition, Window
from adaptax.networks import MLP, Linear
from adaptax.optimization import observations
from adaptax.optimization.losses import masked_mean

NETWORK = (16,)
"""Hidden layers of the network that makes γ and λ depend on the state."""
EPS_ROOT = 1e-12
"""Weights whose gradient was always 0 have no say in the meta-gradient; without this it is NaN."""
LARGEST = 0.9995
"""γ and λ start at this at most: the logit of 1 is infinite."""


class HyperParameters(eqx.Module):
    """η, in coordinates without bounds.

    Attributes:
        returns: Logits of γ and λ.
        weights: Logarithms of the weights of the critic's loss and of the entropy bonus.
        body: From observations to features; None: γ and λ are the same in all states.
        head: From features to what is added to the logits; starts at 0.
    """

    returns: Float[Array, "2"]
    weights: Float[Array, "2"]
    body: MLP | None
    head: Linear | None

    def at(self, observation: Float[Array, "*batch size"]) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
        """γ and λ of every step."""
        logits = jnp.broadcast_to(self.returns, (*observation.shape[:-1], 2))
        if self.body is not None and self.head is not None:
            logits = logits + self.head(self.body(observation))
        both = jax.nn.sigmoid(logits)
        return both[..., 0], both[..., 1]


class Facts(eqx.Module):
    """What the learner is told of a problem.

    Attributes:
        spaces: The spaces.
        steps: Steps of a window.
    """

    spaces: Spaces
    steps: int = eqx.field(static=True)


class MetaGradientAdapted(eqx.Module):
    """φ.

    Attributes:
        learner: θ'.
        before: θ, from which the last window made θ'.
        window: The last window as it was read, leaves `[time, env, ...]`.
        eta: η.
        eta_state: State of η's optimiser.
        started: Whether there was a window.
    """

    learner: ActorCriticState
    before: ActorCriticState
    window: Transition
    eta: HyperParameters
    eta_state: PyTree[Array]
    started: Bool[Array, ""]


@dataclasses.dataclass(frozen=True)
class MetaGradientRL(MetaGradientSettings, FromScratch):
    """Meta-gradient RL; see the module and `MetaGradientSettings`."""

    def describe(self, problem: Problem) -> Facts:
        """The spaces, and the length of a window."""
        return Facts(Spaces.of(problem), self.window(problem).steps)

    def window(self, problem: Problem) -> Window:
        """`num_steps` steps in each of `streams` environments."""
        return actor_critic.window_of(self, problem)

    def begin(self, meta: Facts, key: Key[Array, ""]) -> AgentState:
        """Draw networks; η as the settings say."""
        network_key, eta_key = jax.random.split(key)
        learner = actor_critic.new_learner(self, meta.spaces, self._inner_adam(), network_key)
        eta = self._eta(meta, eta_key)
        started = jnp.asarray(False)
        window = self._no_window(meta)
        return AgentState(MetaGradientAdapted(learner, learner, window, eta, self._adam().init(eta), started), None)

    def _eta(self, meta: Facts, key: Key[Array, ""]) -> HyperParameters:
        starts = jnp.clip(jnp.asarray([self.discount, self.gae_lambda]), 1 - LARGEST, LARGEST)
        returns = jnp.log(starts) - jnp.log1p(-starts)
        weights = jnp.log(jnp.asarray([1.0, max(self.entropy_cost, 1e-8)]))
        if not self.per_state:
            return HyperParameters(returns, weights, None, None)
        body_key, head_key = jax.random.split(key)
        body = MLP(meta.spaces.observation.encoded_size, NETWORK, "tanh", body_key)
        return HyperParameters(returns, weights, body, Linear(NETWORK[-1], 2, 0.0, head_key))

    def _no_window(self, meta: Facts) -> Transition:
        """A window in which nothing happened."""
        shape = (meta.steps, self.streams)

        def many(x: Array) -> Array:
            return jnp.broadcast_to(x, (*shape, *x.shape))

        space = observations.space_read(meta.spaces.observation, normalize=self.normalize_observations)
        seen = jnp.zeros(space.shape, space.dtype)
        action, no = many(meta.spaces.action.null()), jnp.zeros(shape, bool)
        timestep = TimeStep(many(seen), action, jnp.zeros(shape), no)
        aux = {"log_prob": jnp.zeros(shape)}
        return Transition(timestep, action, jnp.zeros(shape), no, no, many(seen), aux, no)

    def _inner_adam(self) -> optax.GradientTransformation:
        return actor_critic.adam(self, eps_root=EPS_ROOT)

    def _adam(self) -> optax.GradientTransformation:
        return optax.adam(self.meta_learning_rate)

    def act(
        self, meta: Facts, agent: AgentState, timestep: TimeStep, key: Key[Array, ""], *, explore: bool
    ) -> tuple[PyTree[Array], None, Any]:
        """Sample from π, or take its mode."""
        action, aux = actor_critic.act(agent.adapted.learner, timestep, key, explore=explore)
        return action, None, aux

    def step(self, learner: ActorCriticState, window: Transition, eta: HyperParameters) -> ActorCriticState:
        """θ + f(τ, θ, η): one step of A2C on a window as it is read, a differentiable function of η."""
        learner = actor_critic.centered(learner, window)
        observation = learner.network.policy.observation_space.encode(window.timestep.observation)
        discount, gae_lambda = eta.at(observation)
        value_cost, entropy_cost = jnp.exp(eta.weights)
        batch = actor_critic.make_batch(self, learner, window, discount=discount, gae_lambda=gae_lambda)
        returns = actor_critic.observe(learner, batch)
        return actor_critic.descend(
            self._inner_adam(), learner, returns, batch, entropy_cost=entropy_cost, value_cost=value_cost
        )

    def outer_objective(
        self, eta: HyperParameters, before: ActorCriticState, window: Transition, following: Transition
    ) -> Float[Array, ""]:
        """J'(τ', θ'(η)): log π A' on the window that θ' has collected, with γ' and λ'."""
        learner = self.step(before, window, eta)
        batch = actor_critic.make_batch(
            self, learner, following, discount=self.outer_discount, gae_lambda=self.outer_gae_lambda
        )
        log_prob = learner.network.policy(batch.observation).log_prob(batch.action)
        return masked_mean(log_prob * jax.lax.stop_gradient(batch.advantage / learner.returns.std), batch.valid)

    def adapt(self, meta: Facts, agent: AgentState, trajectory: Transition, key: Key[Array, ""]) -> AgentState:
        """Learn η from what the last step has led to; then take the next step of A2C, with the new η."""
        known: MetaGradientAdapted = agent.adapted
        before, window, seen = actor_critic.looking(known.learner, trajectory)
        gradient = jax.grad(self.outer_objective)(known.eta, known.before, known.window, window)
        gradient = jax.tree.map(lambda g: jnp.where(known.started, -g, 0.0), self._learned(gradient))
        with jax.numpy_dtype_promotion("standard"):  # optax mixes its integer counter with floats
            updates, eta_state = self._adam().update(gradient, known.eta_state)
        eta = eqx.apply_updates(known.eta, updates)
        learner = dataclasses.replace(self.step(before, window, eta), observed=seen)
        adapted = MetaGradientAdapted(learner, before, window, eta, eta_state, jnp.asarray(True))
        return AgentState(adapted, agent.memory)

    def _learned(self, gradient: HyperParameters) -> HyperParameters:
        """The gradient of what is to be learned; 0 elsewhere."""
        if self.learns == "returns":
            return dataclasses.replace(gradient, weights=jnp.zeros_like(gradient.weights))
        if self.learns == "weights":
            nothing = jax.tree.map(jnp.zeros_like, gradient)
            return dataclasses.replace(nothing, weights=gradient.weights)
        return gradient
