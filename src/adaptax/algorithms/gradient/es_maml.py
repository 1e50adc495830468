"""ES-MAML: evolution strategies on the return after adaptation, without back-propagation through learning.

Song, Gao, Yang, Choromanski, Pacchiano & Tang 2020, "ES-MAML: simple Hessian-free meta learning" (arXiv 1910.01215),
section 3.1, with antithetic perturbations:

    ∇J_σ(θ) = E_{task, ε ~ N(0, I)} [ (F(θ + σε) − F(θ − σε)) / 2σ · ε ],   F(θ) = return of U(θ, D), D ~ π_θ

F includes the sampling of D, so the gradient is that of the objective of E-MAML, exploration and all, smoothed by σ.

Differences from the paper:
    - The adaptation operator U is the policy-gradient step of MAML here instead of an inner evolution strategy.
    - Both signs of a perturbation live in the same task with the same random numbers, and differences of returns are
      divided by their deviation over the population, which takes the reward's scale out.
    - Adam instead of plain ascent.
"""

import dataclasses

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from adaptax.algorithms.gradient.inner_loop import Meta, Theta, WholePolicy
from adaptax.algorithms.gradient.settings import ESMAMLSettings
from adaptax.core import parallel, rollout
from adaptax.core.problem import Problem
from adaptax.core.types import Metrics, Task, TrainState, replace
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

    def update(self, problem: Problem, state: TrainState) -> tuple[TrainState, Metrics]:
        """Perturb θ once for each of `num_tasks` fresh tasks, in both directions, and follow the better one."""
        meta: Meta = state.meta
        keys = jax.random.split(jax.random.fold_in(state.key, state.step), (self.num_tasks, 3))
        keys = parallel.local(keys)
        tasks = jax.vmap(problem.train.sample)(keys[:, 0])
        noises = jax.vmap(lambda key: _noise_like(key, meta.theta))(keys[:, 1])

        def fitness(sign: float, noise: Theta, task: Task, key: Key[Array, ""]) -> Float[Array, " window"]:
            theta = jax.tree.map(lambda x, e: x + sign * self.sigma * e, meta.theta, noise)
            return self._returns(problem, replace(meta, theta=theta), task, key)

        plus, minus = (jax.vmap(lambda *a, s=s: fitness(s, *a))(noises, tasks, keys[:, 2]) for s in (1.0, -1.0))
        gaps = plus[:, -1] - minus[:, -1]
        gaps = gaps / (jnp.sqrt(parallel.mean(jnp.mean(gaps**2))) + 1e-8)
        slopes = jax.tree.map(lambda e: -jnp.tensordot(gaps, e, 1) / len(gaps), noises)
        slopes = parallel.mean(slopes)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes its integer counter with floats
            updates, opt_state = self.optimizer.update(slopes, state.opt_state, meta.theta)
        theta = optax.apply_updates(meta.theta, updates)
        returns = parallel.mean(jnp.mean((plus + minus) / 2, 0))
        metrics = {"return": returns[-1], **{f"return_{k}": returns[k] for k in range(self.inner_steps)}}
        metrics["gradient_norm"] = optax.tree.norm(slopes)
        return replace(state, meta=replace(meta, theta=theta), opt_state=opt_state, step=state.step + 1), metrics

    def _returns(self, problem: Problem, meta: Meta, task: Task, key: Key[Array, ""]) -> Float[Array, " window"]:
        """Mean return of an episode after 0, …, K inner steps."""
        trial = replace(problem, episodes=(self.inner_steps + 1) * self.trajectories)
        reward = rollout.live(self, trial, meta, task, key).reward
        return jnp.mean(jnp.sum(reward.reshape(self.inner_steps + 1, -1, reward.shape[-1]), 1), -1)


def _noise_like(key: Key[Array, ""], tree: Theta) -> Theta:
    """Standard normal numbers in the shape of `tree`."""
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(
        structure, [jax.random.normal(k, x.shape, x.dtype) for k, x in zip(keys, leaves, strict=True)]
    )
