"""ES-MAML: evolution strategies on the return after adaptation, without back-propagation through learning.

Song, Gao, Yang, Choromanski, Pacchiano & Tang 2020, "ES-MAML: simple Hessian-free meta learning" (arXiv 1910.01215),
section 3.1, with antithetic perturbations:

    ∇J_σ(θ) = E_{task, ε ~ N(0, I)} [ (F(θ + σε) − F(θ − σε)) / 2σ · ε ],   F(θ) = return of U(θ, D), D ~ π_θ

F includes the sampling of D, so the gradient is that of the objective of E-MAML, exploration and all, smoothed by σ.

Differences from the paper:
    - The adaptation operator U is the policy-gradient step of MAML here instead of an inner evolution strategy.
    - Both signs of a perturbation meet the same task with the same random numbers, and differences of returns are
      divided by their deviation over the population, which takes the reward's scale out.
    - Adam instead of plain ascent.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from adaptax.algorithms.gradient.inner_loop import GradientParams, Theta, WholePolicy
from adaptax.algorithms.gradient.settings import ESMAMLSettings
from adaptax.core import parallel
from adaptax.core.experience import Experience, sample_tasks
from adaptax.core.problem import Problem
from adaptax.core.types import Metrics, Task, TrainState, Transition, replace
from adaptax.optimization import minibatches
from adaptax.optimization.inner_optimizers import SGD


@dataclasses.dataclass(frozen=True)
class ESMAML(ESMAMLSettings, WholePolicy):
    """ES-MAML; see the module and `ESMAMLSettings`."""

    @property
    def inner(self) -> SGD:
        """φ' = φ − α ∇L(φ)."""
        return SGD(self.inner_learning_rate, self.inner_decay)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """Adam; ranks of returns have no scale, so the gradient's norm is not cut."""
        return minibatches.adam(self.learning_rate, self.num_updates, max_gradient_norm=float("inf"))

    def update_steps(self, problem: Problem) -> int:
        """Environment steps of one update: two signs for each task."""
        return 2 * self.num_tasks * (self.inner_steps + 1) * self.trajectories * problem.env.horizon

    def init(self, problem: Problem, key: Key[Array, ""]) -> TrainState:
        """θ: the policy."""
        meta, _ = self.begin_meta(problem, key)
        return TrainState(meta, self.optimizer.init(meta.theta), jnp.asarray(0), key)

    def collect(self, problem: Problem, state: TrainState) -> Experience:
        """Perturb θ once for each of `num_tasks` fresh tasks, and try both signs there, side by side."""
        meta: GradientParams = state.meta
        tasks, keys = sample_tasks(problem, state, self.num_tasks, self.num_minibatches, 3)
        noises = jax.vmap(lambda key: _noise_like(key, meta.theta))(keys[:, 1])

        def trial(sign: float, noise: Theta, task: Task, key: Key[Array, ""]) -> Transition:
            theta = jax.tree.map(lambda x, e: x + sign * self.sigma * e, meta.theta, noise)
            return self.training_trial(problem, replace(meta, theta=theta), task, key)

        both = (jax.vmap(functools.partial(trial, s), out_axes=1)(noises, tasks, keys[:, 2]) for s in (1.0, -1.0))
        return Experience(tasks, jax.tree.map(lambda *signs: jnp.concatenate(signs, 2), *both), extra=noises)

    def learn(self, problem: Problem, state: TrainState, experience: Experience) -> tuple[TrainState, Metrics]:
        """Follow each perturbation as far as its positive sign has earned more than its negative one."""
        meta: GradientParams = state.meta
        noises, reward = experience.extra, experience.trajectory.reward
        plus, minus = (jax.vmap(self._returns, 1)(part) for part in jnp.split(reward, 2, 2))
        gaps = plus[:, -1] - minus[:, -1]
        if problem.env.on_host:  # a sign whose simulator was lost says nothing
            happened = jnp.all(jnp.any(experience.trajectory.valid, 0), -1)
            gaps = jnp.where(happened, gaps, 0.0)
        typical = jnp.sqrt(parallel.mean(jnp.mean(gaps**2)))
        gaps = gaps / jnp.where(typical > 0, typical, 1.0)
        slopes = jax.tree.map(lambda e: -jnp.tensordot(gaps, e, 1) / len(gaps), noises)
        slopes = parallel.mean(slopes)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes its integer counter with floats
            updates, opt_state = self.optimizer.update(slopes, state.opt_state, meta.theta)
        theta = optax.apply_updates(meta.theta, updates)
        returns = parallel.mean(jnp.mean((plus + minus) / 2, 0))
        metrics = {"return": returns[-1], **{f"return_{k}": returns[k] for k in range(self.inner_steps)}}
        metrics["gradient_norm"] = optax.tree.norm(slopes)
        meta = replace(meta, theta=theta).observe(experience.trajectory)
        return replace(state, meta=meta, opt_state=opt_state, step=state.step + 1), metrics

    def _returns(self, reward: Float[Array, "time env"]) -> Float[Array, " window"]:
        """Mean return of an episode after 0, …, K inner steps."""
        return jnp.mean(jnp.sum(reward.reshape(self.inner_steps + 1, -1, reward.shape[-1]), 1), -1)


def _noise_like(key: Key[Array, ""], tree: Theta) -> Theta:
    """Standard normal numbers in the shape of `tree`."""
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(
        structure, [jax.random.normal(k, x.shape, x.dtype) for k, x in zip(keys, leaves, strict=True)]
    )
