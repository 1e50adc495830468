"""Estimators against enumeration: where the *sampling* of data enters the meta-gradient (traps E1, E1c).

Expectations are sums over every trajectory, or every sequence of trajectories, with its probability; nothing is drawn.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key

from adaptax.algorithms import EMAML, MAML
from adaptax.algorithms.gradient.inner_loop import GradientParams, Recomputed, Theta
from adaptax.algorithms.gradient.outer_loop import OuterBatch
from adaptax.core.types import AgentState, replace
from adaptax.optimization.baselines import returns_to_go
from adaptax.optimization.estimators import ESTIMATORS, magic_box
from adaptax.problems.tabular import TabularTask
from tests.claims.checks import Check, at_least, at_most, measured
from tests.claims.enumeration import (
    HORIZON,
    Paths,
    all_paths,
    certain,
    certain_paths,
    chances,
    exact_return,
    jit,
    random_instance,
    window,
)
from tests.claims.exactness import EXACT, MAX_STEPS, central_differences, relative

TABULAR: dict[str, Any] = {**EXACT, "num_layers": 0, "inner_learning_rate": 0.6}
"""A softmax policy with a logit for each state and action (and each action).

After a few steps on single episodes at a larger rate, the objective is too crooked for finite differences.
"""
LOADED = 0.5
"""λ at which loaded DiCE's bias is measured."""
NUM_TASKS = 2
NUM_DIRECTIONS = 2


def expected_derivatives(name: str, gae_lambda: float, theta: Theta, task: TabularTask) -> tuple[Array, Array]:
    """Gradient and Hessian of the surrogate called `name`, expected over the trajectories of π_θ."""
    algorithm, paths = MAML(**TABULAR), all_paths()
    flat, unravel = ravel_pytree(theta)
    weights = chances(algorithm, theta, theta.policy, task, paths)
    rewards = task.rewards[paths.states, paths.actions]

    def log_probs(x: Array) -> Array:
        return algorithm.policy(theta, unravel(x).policy, paths.states).log_prob(paths.actions)

    def surrogate(x: Array) -> Array:
        gain = ESTIMATORS[name](log_probs(x), log_probs(flat), returns_to_go(rewards, 1.0), gae_lambda)
        return jnp.sum(weights * jnp.sum(gain, 0))

    return jax.grad(surrogate)(flat), jax.hessian(surrogate)(flat)


def exact_derivatives(theta: Theta, task: TabularTask) -> tuple[Array, Array]:
    """Gradient and Hessian of the expected return."""
    algorithm = MAML(**TABULAR)
    flat, unravel = ravel_pytree(theta)
    value = lambda x: exact_return(algorithm, theta, unravel(x).policy, task)  # noqa: E731
    return jax.grad(value)(flat), jax.hessian(value)(flat)


CASES = {
    "dice": ("dice", 1.0),
    "loaded-dice, λ = 1": ("loaded-dice", 1.0),
    "policy-gradient": ("policy-gradient", 1.0),
    "lvc": ("lvc", 1.0),
    f"loaded-dice, λ = {LOADED}": ("loaded-dice", LOADED),
}
"""Estimators by name, and λ."""


@functools.lru_cache(maxsize=4)
def estimator_errors(n: int) -> Callable[[Key[Array, ""]], dict[str, tuple[Array, Array]]]:
    """A program that measures errors of expected gradients and Hessians on random instances, `[instance]`."""

    def one(key: Key[Array, ""]) -> dict[str, tuple[Array, Array]]:
        theta, tasks = random_instance(MAML(**TABULAR), 1, key)
        task = jax.tree.map(lambda x: x[0], tasks)
        true = exact_derivatives(theta, task)
        found = {case: expected_derivatives(*arguments, theta, task) for case, arguments in CASES.items()}
        return {
            case: tuple(relative(a.ravel(), b.ravel()) for a, b in zip(f, true, strict=True))
            for case, f in found.items()
        }

    return jit(lambda key: jax.vmap(one)(jax.random.split(key, n)))


def check_estimators(n: int, key: Key[Array, ""]) -> Iterator[Check]:
    """First and second derivatives of the inner surrogates."""
    errors = estimator_errors(n)(key)
    note = f"largest of {n} instances, {all_paths().number} trajectories each"
    exact = [case for case, (name, gae_lambda) in CASES.items() if gae_lambda == 1.0]
    first = max(float(jnp.max(errors[case][0])) for case in exact)
    yield at_most("all estimators: expected gradient", first, 1e-10, note)
    for case in ("dice", "loaded-dice, λ = 1"):
        yield at_most(f"{case}: expected Hessian", jnp.max(errors[case][1]), 1e-10, note)
    naive = errors["policy-gradient"][1]
    yield at_least("policy-gradient: error of the expected Hessian", jnp.min(naive), 0.05, "must fail: smallest error")
    for case in ("lvc", f"loaded-dice, λ = {LOADED}"):
        yield measured(f"{case}: bias of the expected Hessian", jnp.mean(errors[case][1]), f"mean of {n} instances")
    gradient = jnp.mean(errors[f"loaded-dice, λ = {LOADED}"][0])
    yield measured(f"loaded-dice, λ = {LOADED}: bias of the expected gradient", gradient, f"mean of {n} instances")


def check_magic_box(key: Key[Array, ""]) -> Iterator[Check]:
    """□ is 1 for whatever log-weights, in episodes of 1 and 3 steps, 1 and 5 of them."""
    sizes = [(1, 1), (1, 5), (3, 1), (3, 5)]
    boxes = [magic_box(jnp.cumsum(10 * jax.random.normal(key, size), 0)) for size in sizes]
    error = max(float(jnp.max(jnp.abs(box - 1))) for box in boxes)
    yield at_most("magic box: distance from 1", error, 0.0, "1 and 3 steps, 1 and 5 episodes")


def pick(paths: Paths, index: Array) -> Paths:
    """One of the paths, as a window with one stream."""
    return Paths(*(jax.lax.dynamic_slice_in_dim(x, index, 1, 1) for x in paths))


def sampled_return(algorithm: EMAML, theta: Theta, task: TabularTask) -> Float[Array, " inner_steps"]:
    """E_D [J(U(θ, D))] per step for 1, …, K inner steps, one episode each: the objective, by its definition.

    U is written out here, and shares nothing with `adapt`.
    """
    paths, rate = certain_paths(task), algorithm.inner_learning_rate / HORIZON
    returns = returns_to_go(task.rewards[paths.states, paths.actions], 1.0)

    def learned(parameters: Any) -> Any:
        """φ after each of the paths, `[path, ...]`."""

        def score(p: Any, states: Array, actions: Array, returns: Array) -> Array:
            return jnp.sum(algorithm.policy(theta, p, states).log_prob(actions) * returns)

        slopes = jax.vmap(jax.grad(score), (None, 1, 1, 1))(parameters, *paths, returns)
        return jax.tree.map(lambda p, g: p[None] + rate * g, parameters, slopes)

    some = jax.tree.map(lambda p: p[None], theta.policy)
    weights = jnp.ones(1)
    values = []
    for steps in range(algorithm.inner_steps + 1):
        now = jax.vmap(lambda p: chances(algorithm, theta, p, task, paths))(some)
        values.append(jnp.sum(weights[:, None] * now * returns[0][None]) / HORIZON)
        if steps < algorithm.inner_steps:
            weights = (weights[:, None] * now).ravel()
            some = jax.tree.map(lambda p: jax.lax.collapse(p, 0, 2), jax.vmap(learned)(some))
    return jnp.stack(values[1:])


def expected_gain(algorithm: EMAML, theta: Theta, task: TabularTask) -> Float[Array, " inner_steps"]:
    """E-MAML's own gain for 1, …, K inner steps, summed over all data with its probability.

    A history is one episode for each inner step so far. With one more episode, of the adapted policy, it is all that
    one task contributes to a batch. The gain's *derivative* is to be that of `sampled_return`.
    """
    meta, paths, key = GradientParams(theta), certain_paths(task), jax.random.key(0)  # the inner loop uses none
    ones = jnp.ones(1)
    single = lambda p, index: window(algorithm, theta, p, task, pick(paths, index), ones)  # noqa: E731
    returns = returns_to_go(task.rewards[paths.states, paths.actions], 1.0)
    everything = window(algorithm, theta, theta.policy, task, paths, jnp.ones(paths.number))
    agents = jax.tree.map(lambda x: x[None], algorithm.begin(meta, key))
    before = jnp.zeros((1, 0, HORIZON, 1))  # log-probabilities, [history, window, time, env]
    values = []
    for steps in range(algorithm.inner_steps + 1):
        score = lambda fast: algorithm.log_probs(theta, fast.parameters, everything, fast.steps)[0]  # noqa: E731
        now = jax.vmap(score)(agents.adapted)
        now = jnp.moveaxis(now, 2, 1)[:, :, None, :, None]  # [history, path, window, time, env]
        earlier = jnp.broadcast_to(before[:, None], (*now.shape[:2], *before.shape[1:]))
        log_probs = jnp.concatenate([earlier, now], 2)
        if steps:
            values.append(_mean_gain(replace(algorithm, inner_steps=steps), log_probs, returns, everything))
        if steps < algorithm.inner_steps:
            before = jax.lax.collapse(log_probs, 0, 2)
            agents = jax.vmap(lambda agent: _learned(algorithm, meta, agent, single, paths.number))(agents)
            agents = jax.tree.map(lambda x: jax.lax.collapse(x, 0, 2), agents)
    return jnp.stack(values)


def _learned(
    algorithm: EMAML, meta: GradientParams, agent: AgentState, single: Callable[..., Any], count: int
) -> AgentState:
    """The agent after each of the paths, by the algorithm's own `adapt`; the experience itself is a constant."""
    key = jax.random.key(0)
    fixed = jax.lax.stop_gradient(agent.adapted.parameters)
    adapt = lambda index: algorithm.adapt(meta, agent, single(fixed, index), key)  # noqa: E731
    return jax.vmap(adapt)(jnp.arange(count))


def _mean_gain(algorithm: EMAML, log_probs: Array, returns: Array, everything: Any) -> Float[Array, ""]:
    """Expected `gain` over complete data, log-probabilities `[history, path, window, time, env]`."""
    windows = log_probs.shape[2]
    # Of trajectories, gains ask only which steps happened: all.
    trajectories = jax.tree.map(lambda x: jnp.broadcast_to(x[:, :1], (windows, HORIZON, 1, *x.shape[2:])), everything)

    def one(log_probs: Array, returns: Array) -> Array:
        advantages = jnp.broadcast_to(returns[:, None], (windows, HORIZON, 1))
        constant = jax.lax.stop_gradient(log_probs)
        outcome_advantage = jnp.full(windows, returns[0] / HORIZON).at[-1].set(0.0)  # nothing comes after the last
        policies, steps = trajectories.aux["policy"], jnp.asarray(float(HORIZON))
        batch = OuterBatch(trajectories, advantages, constant, policies, steps, outcome_advantage)
        return jnp.exp(jnp.sum(constant)) * algorithm.gain(Recomputed(trajectories.aux["policy"], log_probs), batch)

    return jnp.sum(jax.vmap(jax.vmap(one, (0, 1)), (0, None))(log_probs, returns))


@dataclasses.dataclass(frozen=True)
class CountsTwice(EMAML):
    """E-MAML with an estimator that accounts for the sampling too: wrong, to show what that does."""

    estimator: ClassVar[str] = "dice"


@functools.lru_cache(maxsize=16)
def sampling_errors(algorithm: EMAML, n: int, num_tasks: int) -> Callable[[Key[Array, ""]], Array]:
    """A program that compares derivatives of E-MAML's gain with finite differences, `[instance, inner_steps]`.

    Derivatives are along random directions, and compared together.
    """

    def one(key: Key[Array, ""]) -> Array:
        theta, tasks = random_instance(algorithm, num_tasks, key)
        tasks = jax.vmap(certain)(tasks)
        flat, unravel = ravel_pytree(theta)
        directions = jax.random.normal(jax.random.fold_in(key, 1), (NUM_DIRECTIONS, flat.size))
        over = lambda f: lambda x: jnp.mean(jax.lax.map(lambda task: f(algorithm, unravel(x), task), tasks), 0)  # noqa: E731
        slope = lambda d: jax.jvp(over(expected_gain), (flat,), (d,))[1]  # noqa: E731
        found = jax.vmap(slope, out_axes=-1)(directions)
        return relative(found, central_differences(over(sampled_return), flat, directions))

    return jit(lambda key: jax.lax.map(one, jax.random.split(key, n)))


def check_sampling(n: int, key: Key[Array, ""], max_steps: int = MAX_STEPS) -> Iterator[Check]:
    """E-MAML: the score of the data is there, once."""
    algorithm = EMAML(**{**TABULAR, "inner_steps": max_steps, "trajectories": 1})
    errors = sampling_errors(algorithm, n, NUM_TASKS)(key)
    note = f"1–{max_steps} inner steps, every sequence of data, {n} instances of {NUM_TASKS} tasks"
    yield at_most("EMAML: meta-gradient against finite differences", jnp.max(errors), 1e-7, note)
    shorter = {**TABULAR, "inner_steps": 1, "trajectories": 1}
    error = sampling_errors(CountsTwice(**shorter), 1, NUM_TASKS)(jax.random.key(0))[0, 0]
    yield at_least("EMAML with DiCE: error from counting the sampling twice", error, 0.05, "1 inner step")
