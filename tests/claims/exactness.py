"""The meta-gradient against finite differences of the exact objective (traps E2, E4).

Everything on the gradient's side is what training uses: `adapt`, `recompute` and `gain`, on windows that hold every
trajectory with its probability (`tests.claims.enumeration`). On the other side the exact return after exact inner
steps is only evaluated, never differentiated by θ.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key

from adaptax.algorithms import ANIL, CAVIA, FOMAML, MAML, MetaSGD
from adaptax.algorithms.gradient.inner_loop import GradientBased, GradientParams, Theta
from adaptax.algorithms.gradient.outer_loop import MetaGradient, OuterBatch
from adaptax.core.types import replace
from adaptax.problems.tabular import TabularTask
from tests.claims.checks import Check, at_least, at_most, measured
from tests.claims.enumeration import all_paths, exact_return, exact_returns, expected_trial, jit, random_instance

MAX_STEPS = 5
NUM_TASKS = 3
EXACT: dict[str, Any] = {
    "hidden_size": 3, "num_layers": 1, "baseline": "none", "normalize_advantages": False, "discount": 1.0,
    "inner_learning_rate": 1.5, "inner_steps": MAX_STEPS,
}  # fmt: skip
"""Settings under which the algorithms estimate the plain expected return."""
SECOND_ORDER = (MAML, MetaSGD, CAVIA, ANIL)


def gains(algorithm: MetaGradient, theta: Theta, task: TabularTask) -> Float[Array, " inner_steps"]:
    """The algorithm's gain in one task for 1, …, K inner steps: its *derivatives* are those of J(φ_k) per step."""
    meta, key = GradientParams(theta), jax.random.key(0)  # the inner loop uses none
    trajectories = expected_trial(algorithm, meta, task, all_paths())
    windows = jnp.arange(algorithm.inner_steps + 1)
    advantages = jax.vmap(algorithm.advantages, (None, 0, 0))(meta, trajectories, windows)
    log_probs, policies = trajectories.aux["log_prob"], trajectories.aux["policy"]
    judged = 1 if algorithm.objective == "last" else algorithm.inner_steps
    steps = jnp.full(len(windows), judged * advantages[0].size, advantages.dtype)
    batch = OuterBatch(trajectories, advantages, log_probs, policies, steps, jnp.zeros(len(windows)))
    recomputed = algorithm.recompute(meta, trajectories, key)

    def after(steps: int) -> Float[Array, ""]:
        """A shorter inner loop is the beginning of a longer one."""
        begin = lambda tree: jax.tree.map(lambda x: x[: steps + 1], tree)  # noqa: E731
        shorter = begin(batch)
        return replace(algorithm, inner_steps=steps).gain(begin(recomputed), replace(shorter, steps=shorter.steps[0]))

    return jnp.stack([after(steps) for steps in range(1, algorithm.inner_steps + 1)])


def over_tasks(function: Callable[..., Array], algorithm: GradientBased, theta: Theta, tasks: TabularTask) -> Array:
    """Mean of `function` over tasks with leaves `[task, ...]`."""
    return jnp.mean(jax.vmap(lambda task: function(algorithm, theta, task))(tasks), 0)


def central_differences(function: Callable[[Array], Array], x: Array, directions: Array, size: float = 1e-4) -> Array:
    """Derivatives `[..., direction]` of `function` at `x`, to the fourth order in `size`."""
    steps = size * jnp.asarray([-2.0, -1.0, 1.0, 2.0])
    points = x[None, None] + steps[:, None, None] * directions[None]
    values = jax.vmap(jax.vmap(function))(points)
    return jnp.moveaxis(jnp.tensordot(jnp.asarray([1.0, -8.0, 8.0, -1.0]) / (12 * size), values, 1), 0, -1)


@functools.lru_cache(maxsize=32)
def meta_gradients(algorithm: MetaGradient) -> Callable[[Theta, TabularTask, Array], Array]:
    """A program from instances and α to the algorithm's meta-gradients, `[instance, inner_steps, parameter]`."""

    def one(theta: Theta, tasks: TabularTask, rate: Array) -> Array:
        adjusted = replace(algorithm, inner_learning_rate=rate)
        jacobian = jax.jacrev(lambda theta: over_tasks(gains, adjusted, theta, tasks))(theta)
        return jax.vmap(lambda row: ravel_pytree(row)[0])(jacobian)

    return jit(jax.vmap(one, (0, 0, None)))


@functools.lru_cache(maxsize=32)
def true_gradients(algorithm: MetaGradient) -> Callable[[Theta, TabularTask], Array]:
    """A program from instances to finite differences of the exact objective, `[instance, inner_steps, parameter]`."""

    def one(theta: Theta, tasks: TabularTask) -> Array:
        flat, unravel = ravel_pytree(theta)
        objective = lambda x: over_tasks(exact_returns, algorithm, unravel(x), tasks)[1:]  # noqa: E731
        return central_differences(objective, flat, jnp.eye(flat.size))

    return jit(jax.vmap(one))


@functools.lru_cache(maxsize=32)
def instances(algorithm: GradientBased, n: int) -> Callable[[Key[Array, ""]], tuple[Theta, TabularTask]]:
    """A program that draws θs and their tasks, leaves `[instance, ...]` and `[instance, task, ...]`."""
    draw = lambda key: random_instance(algorithm, NUM_TASKS, key)  # noqa: E731
    return jit(lambda key: jax.vmap(draw)(jax.random.split(key, n)))


def relative(a: Array, b: Array) -> Array:
    """|a − b| / |b| along the last axis."""
    return jnp.linalg.norm(a - b, axis=-1) / jnp.linalg.norm(b, axis=-1)


def second_order(algorithm_class: type[Any], max_steps: int = MAX_STEPS) -> MetaGradient:
    """The algorithm with the estimator whose expected second derivative is exact."""
    return algorithm_class(**{**EXACT, "inner_steps": max_steps}, estimator="dice")


def check_exactness(
    algorithm_class: type[Any], n: int, key: Key[Array, ""], max_steps: int = MAX_STEPS
) -> Iterator[Check]:
    """A second-order method, 1, 2, … inner steps."""
    algorithm = second_order(algorithm_class, max_steps)
    theta, tasks = instances(algorithm, n)(key)
    found = meta_gradients(algorithm)(theta, tasks, jnp.asarray(algorithm.inner_learning_rate))
    true = true_gradients(algorithm)(theta, tasks)
    note = f"all {true.shape[-1]} parameters, 1–{max_steps} inner steps, {n} instances of {NUM_TASKS} tasks"
    name = f"{algorithm_class.__name__}: meta-gradient against finite differences"
    yield at_most(name, jnp.max(relative(found, true)), 1e-7, note)
    if theta.learned is not None:
        policy_size = sum(x[0].size for x in jax.tree.leaves(theta.policy))
        by_rates = slice(policy_size, None)
        error = jnp.max(relative(found[..., by_rates], true[..., by_rates]))
        yield at_most("  the same by the inner learning rates alone", error, 1e-7)


def check_first_order(n: int) -> Iterator[Check]:
    """The first-order variant on one fixed instance: the test above has power, and a cosine would not."""
    exact, first = second_order(MAML), FOMAML(**EXACT)
    theta, tasks = instances(exact, n)(jax.random.key(0))  # as many as above, so that the program is the same
    rate = jnp.asarray(0.3)
    wrong = meta_gradients(first)(theta, tasks, rate)[0, 0]
    right = meta_gradients(exact)(theta, tasks, rate)[0, 0]
    cosine = wrong @ right / jnp.linalg.norm(wrong) / jnp.linalg.norm(right)
    yield at_least("FOMAML: relative difference from the meta-gradient", relative(wrong, right), 0.05, "1 inner step")
    yield measured("FOMAML: cosine with the meta-gradient, blind to it", cosine)


def check_invariances(n: int, key: Key[Array, ""]) -> Iterator[Check]:
    """α = 0, and the order of tasks."""
    algorithm = second_order(MAML)
    theta, tasks = instances(algorithm, n)(key)
    program = meta_gradients(algorithm)

    def plain(theta: Theta, tasks: TabularTask) -> Array:
        value = lambda algorithm, theta, task: exact_return(algorithm, theta, theta.policy, task) / 3  # noqa: E731
        return ravel_pytree(jax.grad(lambda theta: over_tasks(value, algorithm, theta, tasks))(theta))[0]

    still = program(theta, tasks, jnp.asarray(0.0))
    error = jnp.max(relative(still, jit(jax.vmap(plain))(theta, tasks)[:, None]))
    yield at_most("inner learning rate 0 against the plain policy gradient", error, 1e-12, f"{n} instances")
    turned = jax.tree.map(lambda x: jnp.roll(x[:, ::-1], 1, 1), tasks)
    rate = jnp.asarray(algorithm.inner_learning_rate)
    error = jnp.max(relative(program(theta, turned, rate), program(theta, tasks, rate)))
    yield at_most("tasks in another order", error, 1e-12, f"{n} instances")
