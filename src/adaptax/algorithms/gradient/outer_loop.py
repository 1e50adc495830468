"""The outer loop that gradient-based meta-learners share: recomputed the inner loops on what was collected, ascend.

A method adds one answer to those of the inner loop:

    gain         what θ is to maximise, given the inner loop, recomputed as a function of θ
"""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from adaptax.algorithms.gradient import critic
from adaptax.algorithms.gradient.inner_loop import GradientBased, GradientParams, Recomputed, Theta
from adaptax.core import parallel
from adaptax.core.experience import Experience
from adaptax.core.problem import Problem
from adaptax.core.types import Metrics, TrainState, Transition, replace
from adaptax.networks.distributions import Distribution
from adaptax.optimization import minibatches
from adaptax.optimization.baselines import returns_to_go
from adaptax.optimization.moments import no_moments
from adaptax.optimization.outer_optimizers import TRPO, Ascent, Outcome, Outer, PPOStep


class OuterBatch(eqx.Module):
    """What an outer step learns from; leaves `[task, window, time, env, ...]`.

    Attributes:
        trajectories: The experience.
        advantages: Of each step within its episode, normalised over the judged windows of all tasks.
        log_probs: Log-probabilities of the actions under the policies that took them.
        policies: Distributions of all windows' policies, as they acted.
        steps: Steps of the judged windows that happened, on average over all tasks: the same number for each, `[task]`.
        outcome_advantage: What the judged windows after each one contribute to the objective, less the mean of the
            other tasks', in the units of `advantages`, `[task, window]`.
    """

    trajectories: Transition
    advantages: Float[Array, "task window time env"]
    log_probs: Float[Array, "task window time env"]
    policies: Distribution
    steps: Float[Array, " task"]
    outcome_advantage: Float[Array, "task window"]


def by_window(algorithm: GradientBased, experience: Experience) -> Transition:
    """What was collected, window by window, in each task: leaves `[task, window, time, env, ...]`."""
    windows = algorithm.inner_steps + 1

    def per_window(x: Array) -> Array:
        return jnp.moveaxis(x.reshape(windows, len(x) // windows, *x.shape[1:]), 2, 0)

    return jax.tree.map(per_window, experience.trajectory)


def returns_by_window(trajectories: Transition) -> Float[Array, " window"]:
    """Mean undiscounted return of an episode, by window."""
    return parallel.mean(jnp.mean(jnp.sum(trajectories.reward, 2), (0, 2)))


def report(trajectories: Transition) -> Metrics:
    """Returns before and after adaptation."""
    returns = returns_by_window(trajectories)
    return {"return": returns[-1], **{f"return_{k}": returns[k] for k in range(len(returns) - 1)}}


def fit_critic(
    algorithm: GradientBased, meta: GradientParams, opt_state: PyTree[Array], trajectories: Transition
) -> tuple[GradientParams, PyTree[Array], Metrics]:
    """Fit the learned baseline, if there is one, to the newest returns, after they were compared with an older fit."""
    if meta.critic is None:
        return meta, opt_state, {}
    observations = jax.lax.stop_gradient(meta.theta.policy.read(trajectories.timestep.observation))
    returns = jax.vmap(jax.vmap(lambda r: returns_to_go(r, algorithm.discount)))(trajectories.reward)
    fitted, opt_state, metrics = critic.fit(
        meta.critic, opt_state, algorithm.critic_learning_rate, observations, returns, trajectories.valid
    )
    return replace(meta, critic=fitted), opt_state, metrics


class MetaGradient(GradientBased):
    """A gradient-based method that differentiates its inner loop."""

    @abc.abstractmethod
    def gain(self, recomputed: Recomputed, batch: OuterBatch) -> Float[Array, ""]:
        """What one task contributes to the objective; `batch` has this task's leaves."""

    pays_explorers: ClassVar[bool] = False
    """Whether the gain has a part for the policies before adaptation; a trust region then holds them too."""
    objective: ClassVar[str]
    """Whether "last" or "every-step" is judged."""
    outer: ClassVar[str]
    """Outer optimiser: "trpo", "ppo" or "gradient"; a field where it can be chosen."""

    @property
    def optimizer(self) -> Outer:
        """The outer optimiser, as the settings say."""
        settings: Any = self
        if self.outer == "trpo":
            return TRPO(settings.max_kl, settings.cg_steps)
        passes = settings.num_epochs * settings.num_minibatches if self.outer == "ppo" else 1
        adam = minibatches.adam(
            settings.learning_rate, self.num_updates * passes, max_gradient_norm=settings.max_gradient_norm
        )
        if self.outer == "gradient":
            return Ascent(adam)
        return PPOStep(adam, settings.clip, settings.num_epochs, settings.num_minibatches)

    def init(self, problem: Problem, key: Key[Array, ""]) -> TrainState:
        """Build θ, and the learned baseline if there is one."""
        meta, critic_state = self.begin_meta(problem, key)
        return TrainState(meta, (self.optimizer.init(meta.theta), critic_state), jnp.asarray(0), key)

    def learn(self, problem: Problem, state: TrainState, experience: Experience) -> tuple[TrainState, Metrics]:
        """Improve θ on what came of adapting with θ as it is."""
        meta: GradientParams = state.meta
        seen = by_window(self, experience)
        trajectories = meta.read_all(seen)
        batch = self.batch(meta, trajectories)
        key = jax.random.key(0)  # the inner loop uses none

        def objective(theta: Theta, batch: OuterBatch) -> Outcome:
            recomputed = jax.vmap(lambda trajectories: self.recompute(replace(meta, theta=theta), trajectories, key))(
                batch.trajectories
            )
            gain = jnp.mean(jax.vmap(self.gain)(recomputed, batch))
            first = 0 if self.pays_explorers else self._first_judged
            policies, valid = jax.tree.map(lambda x: x[:, first:], (recomputed.policies, batch.trajectories.valid))
            return Outcome(-gain, policies, valid, {"gain": gain})

        opt_state, critic_state = state.opt_state
        theta, opt_state, metrics = self.optimizer.improve(objective, meta.theta, opt_state, batch)
        meta = replace(meta, theta=theta)
        meta, critic_state, more = fit_critic(self, meta, critic_state, trajectories)
        meta = meta.observe(seen)
        metrics = {**report(trajectories), **parallel.mean({**metrics, **more})}
        return replace(state, meta=meta, opt_state=(opt_state, critic_state), step=state.step + 1), metrics

    def batch(self, meta: GradientParams, trajectories: Transition) -> OuterBatch:
        """Put together what the outer step needs; nothing in it depends on θ any more."""
        steps = jnp.arange(self.inner_steps + 1)
        per_window = jax.vmap(self.advantages, (None, 0, 0))
        advantages = jax.vmap(per_window, (None, 0, None))(meta, trajectories, steps)
        judged, valid = advantages[:, self._first_judged :], trajectories.valid[:, self._first_judged :]
        spread = no_moments().observe(judged.ravel(), valid.ravel().astype(judged.dtype))
        advantages = jnp.where(trajectories.valid, (advantages - spread.mean) / spread.std, 0.0)
        log_probs = jnp.where(trajectories.valid, trajectories.aux["log_prob"], 0.0)
        count = jnp.maximum(parallel.mean(jnp.sum(valid).astype(judged.dtype) / len(valid)), 1.0)
        outcomes = jnp.sum(trajectories.reward, (2, 3)).at[:, : self._first_judged].set(0.0) / count
        later = jnp.cumsum(outcomes[:, ::-1], 1)[:, ::-1] - outcomes
        others = self.num_tasks / max(self.num_tasks - 1, 1)  # x_i less the mean of the others = this × (x_i − mean)
        outcome_advantage = others * (later - parallel.mean(jnp.mean(later, 0, keepdims=True))) / spread.std
        counts = jnp.broadcast_to(count, len(valid))
        return OuterBatch(trajectories, advantages, log_probs, trajectories.aux["policy"], counts, outcome_advantage)

    @property
    def _first_judged(self) -> int:
        """The first window whose return counts."""
        return 1 if self.objective == "every-step" else self.inner_steps

    def adapted_gain(self, recomputed: Recomputed, batch: OuterBatch) -> Float[Array, ""]:
        """Surrogate of the adapted policies' return on the windows that they themselves collected (trap E1b)."""
        judged = slice(self._first_judged, None)
        log_probs = recomputed.log_probs[judged]
        gains = self.optimizer.surrogate(log_probs, batch.log_probs[judged], batch.advantages[judged])
        return jnp.sum(gains) / batch.steps
