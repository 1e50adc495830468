"""A bandit whose policy is one number per arm, so that every gradient of it can be written down.

With pulls a_i, rewards r_i and p = softmax(b), the policy-gradient step is b' = b + α mean_i r_i (e_{a_i} − p).
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.algorithms.gradient.outer_loop import by_window
from adaptax.core.types import replace
from adaptax.problems import bernoulli_bandit
from tests.sample_problems import program, quick_jit

RATE = 0.7
PROBLEM = bernoulli_bandit(num_arms=3, num_pulls=12)
BARE: dict[str, Any] = {
    "num_layers": 0, "num_tasks": 4, "trajectories": 6, "baseline": "none", "normalize_advantages": False,
    "inner_learning_rate": RATE, "num_updates": 10,
}  # fmt: skip
START = np.asarray([0.5, -0.3, 0.1])
"""b."""


@dataclasses.dataclass(frozen=True)
class Pulls:
    """What happened, `[task, window, pull]`."""

    actions: np.ndarray
    rewards: np.ndarray


def windows(algorithm: Any, problem: Any, state: Any) -> Any:
    """What an update at `state` collects, leaves `[task, window, time, env, ...]`."""
    return by_window(algorithm, algorithm.collect(problem, state))


def bias(tree: Any) -> Any:
    """The number per arm in θ, φ or a gradient of them."""
    return getattr(tree, "policy", tree).head.layer.bias


def begin(algorithm: Any, problem: Any = PROBLEM) -> Any:
    """The state before the first update, with b = `START`."""
    state = program(algorithm.init)(problem, jax.random.key(0))
    policy = jax.tree.map(lambda x: jnp.asarray(START, x.dtype) if x.shape == (3,) else x, state.meta.theta.policy)
    return replace(state, meta=replace(state.meta, theta=replace(state.meta.theta, policy=policy)))


@functools.cache
def _programs(algorithm: Any, problem: Any) -> Any:
    def gain(theta, meta, batch):
        meta = replace(meta, theta=theta)
        recomputed = jax.vmap(lambda trajectories: algorithm.recompute(meta, trajectories, jax.random.key(0)))(
            batch.trajectories
        )
        return jnp.mean(jax.vmap(algorithm.gain)(recomputed, batch))

    def gather(state):
        return algorithm.batch(state.meta, windows(algorithm, problem, state))

    return quick_jit(gather), quick_jit(jax.value_and_grad(gain))


def gather(algorithm: Any, state: Any, problem: Any = PROBLEM) -> Any:
    """The batch that an update at `state` learns from."""
    return _programs(algorithm, problem)[0](state)


def gain(algorithm: Any, meta: Any, batch: Any, problem: Any = PROBLEM) -> Any:
    """What an update ascends, and its gradient by θ."""
    return _programs(algorithm, problem)[1](meta.theta, meta, batch)


def pulls(trajectories: Any) -> Pulls:
    """Leave out the axis of time: an episode is one pull."""
    return Pulls(np.asarray(trajectories.action)[:, :, 0], np.asarray(trajectories.reward, np.float64)[:, :, 0])


def softmax(b: np.ndarray) -> np.ndarray:
    """p."""
    return np.exp(b) / np.exp(b).sum()


def scores(b: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """∇ log p(a_i) = e_{a_i} − p, `[pull, arm]`."""
    return np.eye(3)[actions] - softmax(b)


def slope(b: np.ndarray, actions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """mean_i w_i ∇ log p(a_i)."""
    return weights @ scores(b, actions) / len(actions)


def adapted(b: np.ndarray, actions: np.ndarray, rewards: np.ndarray, rate: Any = RATE) -> np.ndarray:
    """b after one inner step."""
    return b + rate * slope(b, actions, rewards)


def curvature(b: np.ndarray, actions: np.ndarray, rewards: np.ndarray, *, sampling: bool) -> np.ndarray:
    """Derivative of `slope` by b: of the surrogate r log p; with `sampling`, that of r p / stop(p)."""
    p = softmax(b)
    matrix = -np.mean(rewards) * (np.diag(p) - np.outer(p, p))
    if sampling:
        s = scores(b, actions)
        matrix = matrix + np.einsum("i,ij,ik->jk", rewards, s, s) / len(actions)
    return matrix


def first_order_gradients(batch: Any) -> np.ndarray:
    """Gradient of each task's gain at its own adapted parameters, `[task, arm]`."""
    seen = pulls(batch.trajectories)
    advantages = np.asarray(batch.advantages, np.float64)[:, 1, 0]
    rows = []
    for a, r, weights in zip(seen.actions, seen.rewards, advantages, strict=True):
        rows.append(slope(adapted(START, a[0], r[0]), a[1], weights))
    return np.asarray(rows)
