"""`python -m tests.claims gradients`: that meta-gradients are the gradients of what they claim to be.

exactness   the whole meta-gradient against finite differences
sampling    estimators of the inner step, and the score of the data in E-MAML
here        tasks do not see each other, TRPO's step is the natural one, a baseline takes nothing from the gradient
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key, PyTree

from adaptax.algorithms import MAML
from adaptax.algorithms.gradient.inner_loop import GradientParams
from adaptax.algorithms.gradient.outer_loop import MetaGradient, by_window
from adaptax.core.problem import Problem, TaskDistribution
from adaptax.core.splits import fold_in_name
from adaptax.core.types import Task, TrainState, Transition
from adaptax.networks.distributions import Normal
from adaptax.optimization.baselines import linear_baseline, returns_to_go, time_features
from adaptax.optimization.outer_optimizers import TRPO, Outcome
from adaptax.problems.tabular import RandomMDPs
from tests.claims import exactness, sampling
from tests.claims.checks import Check, at_least, at_most
from tests.claims.enumeration import (
    Paths,
    certain,
    certain_paths,
    chances,
    exact_return,
    jit,
    random_instance,
    tiny_problem,
    window,
)


class OthersSwapped(TaskDistribution):
    """Random MDPs, of which all change with `salt` but that of one key.

    Attributes:
        kept: Data of the key whose task stays.
        salt: What the others depend on.
    """

    family: RandomMDPs
    kept: Array
    salt: Array
    split: str = eqx.field(static=True, default="train")
    finite: int | None = eqx.field(static=True, default=None)

    def draw(self, key: Key[Array, ""]) -> Task:
        """Draw an MDP."""
        return self.family.draw(key)

    def sample(self, key: Key[Array, ""]) -> Task:
        """Draw an MDP of training."""
        stays = jnp.all(jax.random.key_data(key) == self.kept)
        own, other = self.family.sample(key), self.family.sample(jax.random.fold_in(key, self.salt))
        return jax.tree.map(lambda a, b: jnp.where(stays, a, b), own, other)

    def oracle(self, task: Task) -> Float[Array, ""]:
        """The family's."""
        return self.family.oracle(task)


def adapted(algorithm: MetaGradient, meta: GradientParams, trajectories: Transition) -> PyTree[Array]:
    """φ_K of every task, leaves `[task, ...]`."""
    key = jax.random.key(0)  # the inner loop uses none

    def one(trajectories: Transition) -> PyTree[Array]:
        step = lambda agent, window: (algorithm.adapt(meta, agent, window, key), None)  # noqa: E731
        windows = jax.tree.map(lambda x: x[:-1], trajectories)
        return jax.lax.scan(step, algorithm.begin(meta, key), windows)[0].adapted.parameters

    return jax.vmap(one)(trajectories)


def check_isolation(key: Key[Array, ""]) -> Iterator[Check]:
    """Swap all other tasks: nothing of a task's inner loop changes by a bit (real rollouts, as in training)."""
    algorithm = MAML(hidden_size=4, num_layers=1, num_tasks=4, trajectories=3, inner_steps=2)
    problem = tiny_problem()
    update_key = jax.random.fold_in(fold_in_name(key, "update"), 0)
    kept = jax.random.key_data(jax.random.split(update_key, (algorithm.num_tasks, 2))[0, 0])

    @jit
    def outcome(salt: Array) -> tuple[PyTree[Array], PyTree[Array]]:
        family: Any = problem.train
        others = OthersSwapped(family=family, kept=kept, salt=salt)
        swapped = Problem(problem.env, others, problem.validation, problem.test, problem.episodes)
        meta = algorithm.begin_meta(swapped, key)[0]
        state = TrainState(meta, None, jnp.asarray(0), key)
        trajectories = by_window(algorithm, algorithm.collect(swapped, state))
        recomputed = jax.vmap(lambda trajectories: algorithm.recompute(meta, trajectories, key))(trajectories)
        return adapted(algorithm, meta, trajectories), (recomputed.log_probs, recomputed.policies, trajectories.reward)

    one, other = outcome(jnp.asarray(1)), outcome(jnp.asarray(2))
    differ = jax.tree.map(lambda a, b: jnp.sum((a != b).reshape(len(a), -1), 1), one, other)
    total: Any = sum(jax.tree.leaves(differ))
    yield at_most("all other tasks swapped: entries of φ, log π and rewards that differ", total[0], 0, "bitwise")
    yield at_least("  the same count in the tasks that were swapped", jnp.min(total[1:]), 1)


def check_natural_step(key: Key[Array, ""]) -> Iterator[Check]:
    """TRPO where the natural step is known: normal policies with different deviations, and a linear loss (trap E7).

    KL(μ → μ + d) = Σ d²/2σ², so the step is σ² (−g), scaled until the KL is δ.
    """
    trust = TRPO(max_kl=0.01)
    mean_key, slope_key, std_key = jax.random.split(key, 3)
    start, slope = jax.random.normal(mean_key, (6,)), jax.random.normal(slope_key, (6,))
    log_std = jax.random.normal(std_key, (6,))
    batch = jnp.ones((5, 1))

    def objective(mean: Array, batch: Array) -> Outcome:
        policies = Normal(batch * mean[None], batch * log_std[None])
        return Outcome(jnp.mean(batch) * (slope @ mean), policies, batch[:, 0] > 0, {})

    stepped, _, metrics = jit(lambda x: trust.improve(objective, x, (), batch))(start)
    natural = -slope / (jnp.exp(-2 * log_std) + trust.damping)
    curvature = natural @ (natural * (jnp.exp(-2 * log_std) + trust.damping))
    natural = natural * jnp.sqrt(2 * trust.max_kl / curvature)
    error = exactness.relative(stepped - start, natural)
    yield at_most("TRPO: step against the natural step in closed form", error, 1e-8, "6 means, 6 deviations")
    yield at_most("TRPO: KL of the accepted step, in units of δ", metrics["kl"] / trust.max_kl, 1.0)
    fell = slope @ (start - stepped)
    yield at_least("TRPO: fall of the loss, in units of the gradient's prediction", fell / -(slope @ natural), 1 - 1e-8)


def check_baseline(key: Key[Array, ""]) -> Iterator[Check]:
    """The linear baseline over every pair of episodes: the expected policy gradient is exact (trap E6)."""
    algorithm = MAML(**{**sampling.TABULAR, "baseline": "linear"})
    theta, tasks = random_instance(algorithm, 1, key)
    task = certain(jax.tree.map(lambda x: x[0], tasks))
    paths, meta = certain_paths(task), GradientParams(theta)
    chance = chances(algorithm, theta, theta.policy, task, paths)

    def fitted_on_itself(experience: Transition) -> Array:
        """The usual baseline: the two episodes' own returns take part in predicting them."""
        features = time_features(meta.theta.policy.observation_space.encode(experience.timestep.observation))
        targets = returns_to_go(experience.reward, 1.0)
        twice = lambda x: jnp.tile(x, (1, 2) + (1,) * (x.ndim - 2))  # noqa: E731  (what is left out has a copy)
        worth = returns_to_go(experience.valid.astype(targets.dtype), 1.0)
        found = linear_baseline(twice(features), twice(targets), twice(experience.valid), twice(worth))
        return targets - found[:, :2]

    def expected(advantages_of: Callable[[Transition], Array]) -> Array:
        def surrogate(policy: Any) -> Array:
            def pair(a: Array, b: Array) -> Array:
                both = jnp.stack([a, b])
                chosen = Paths(paths.states[:, both], paths.actions[:, both])
                experience = window(algorithm, theta, theta.policy, task, chosen, jnp.ones(2))
                log_probs, _ = algorithm.log_probs(theta, policy, experience, 0)
                gain = jnp.sum(log_probs * jax.lax.stop_gradient(advantages_of(experience))) / 2
                return chance[a] * chance[b] * gain

            index = jnp.arange(paths.number)
            return jnp.sum(jax.vmap(jax.vmap(pair, (None, 0)), (0, None))(index, index))

        return ravel_pytree(jax.grad(surrogate)(theta.policy))[0]

    exact = ravel_pytree(jax.grad(lambda p: exact_return(algorithm, theta, p, task))(theta.policy))[0]
    ours = jit(lambda: expected(lambda e: algorithm.advantages(meta, e, jnp.asarray(0))))()
    usual = jit(lambda: expected(fitted_on_itself))()
    note = f"{paths.number}² pairs of episodes"
    yield at_most(
        "linear baseline: error of the expected policy gradient", exactness.relative(ours, exact), 1e-10, note
    )
    name = "  the same if it is fitted on the episodes that it predicts"
    yield at_least(name, exactness.relative(usual, exact), 0.05, "must fail")


def run(seed: int, n: int) -> Iterator[Check]:
    """All checks, in order, as they are done; in 64 bits but for rollouts.

    Args:
        seed: Decides the random instances.
        n: How many there are of each.
    """
    parts: list[tuple[bool, Callable[[Key[Array, ""]], Iterator[Check]]]] = [
        *((True, lambda key, c=c: exactness.check_exactness(c, n, key)) for c in exactness.SECOND_ORDER),
        (True, lambda key: sampling.check_sampling(n, key)),
        (True, lambda key: exactness.check_first_order(n)),
        (True, lambda key: exactness.check_invariances(n, key)),
        (True, lambda key: sampling.check_estimators(n, key)),
        (True, sampling.check_magic_box),
        (False, check_isolation),
        (True, check_natural_step),
        (True, check_baseline),
    ]

    def finish(number: int) -> list[Check]:
        wide, part = parts[number]
        with jax.enable_x64(wide):
            return list(part(jax.random.fold_in(jax.random.key(seed), number)))

    longest = len(exactness.SECOND_ORDER)
    # Compiling takes much of the time, and one thread leaves all cores but one idle.
    with ThreadPoolExecutor() as pool:
        started = {i: pool.submit(finish, i) for i in sorted(range(len(parts)), key=lambda i: i != longest)}
        for number in range(len(parts)):
            yield from started[number].result()
