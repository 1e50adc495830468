"""`python -m tests.claims heldout`: that no task of training is ever one that evaluations use.

draws    many tasks of each split of every problem: no two splits have one in common, as their bits say whose they are
runs     all tasks of all updates of runs, as long as they are by default, against those of evaluations
"""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from adaptax.algorithms import RL2
from adaptax.core.algorithm import init
from adaptax.core.problem import Problem, TaskDistribution
from adaptax.core.splits import SPLITS, fold_in_name, is_in_split
from adaptax.core.types import Task
from adaptax.evaluation.encounters import encounters, tasks_are_held_out
from adaptax.problems import cart_pole, correlated_bandit, grid_navigation
from adaptax.registry.registry import build
from tests.claims.checks import Check, at_least, at_most
from tests.families import PROBLEMS

BATCH = 1000
EVALUATIONS = 3
PER_INSTANCE = 2000
"""Draws of each split for each of the self-test's instances."""
VARIANTS = {
    "cart-pole, variation 0.5": functools.partial(cart_pole, variation=0.5),
    "grid-navigation, held out": functools.partial(grid_navigation, held_out=True),
    "correlated-bandit, easy": functools.partial(correlated_bandit, "easy"),
}
"""Problems that have other tasks than by default."""


def problems() -> dict[str, Problem]:
    """All problems by default, and variants."""
    named = {name: build(entry, entry.settings() if entry.settings else None) for name, entry in PROBLEMS.items()}
    return named | {name: make() for name, make in VARIANTS.items()}


def words(task: Task) -> Array:
    """A task as 32-bit words."""
    leaves = [x.astype(jnp.int32) if x.dtype == jnp.bool_ else x for x in jax.tree.leaves(task)]
    return jnp.concatenate([jax.lax.bitcast_convert_type(x, jnp.uint32).ravel() for x in leaves])


def hashed(task: Task) -> Array:
    """A task in 64 bits: equal ones are equal, and others hardly ever."""
    bits = words(task)
    factors = jax.random.bits(jax.random.key(7), (2, bits.size)) | jnp.uint32(1)
    mixed = (bits ^ (bits >> 16)) * jnp.uint32(0x7FEB352D)
    mixed = (mixed ^ (mixed >> 15)) * factors
    return jnp.sum(mixed ^ (mixed >> 13), 1, dtype=jnp.uint32)


def survey(family: TaskDistribution, batches: int, key: Key[Array, ""]) -> tuple[np.ndarray, int]:
    """Hashes of `batches` × 1000 tasks, and how many of these tasks are not in the family's split."""

    @jax.jit
    def batch(key: Key[Array, ""]) -> tuple[Array, Array]:
        tasks = jax.vmap(family.sample)(jax.random.split(key, BATCH))
        return jax.vmap(hashed)(tasks), jnp.sum(~jax.vmap(lambda task: is_in_split(task, family.split))(tasks))

    found = [batch(jax.random.fold_in(key, index)) for index in range(batches)]
    return joined(np.concatenate([np.asarray(hashes) for hashes, _ in found])), int(sum(n for _, n in found))


def joined(hashes: np.ndarray) -> np.ndarray:
    """Two halves as one number, sorted and once each."""
    return np.unique(hashes[:, 0].astype(np.uint64) << np.uint64(32) | hashes[:, 1].astype(np.uint64))


def common(one: np.ndarray, other: np.ndarray) -> int:
    """How many hashes are in both."""
    return len(np.intersect1d(one, other, assume_unique=True))


def check_draws(name: str, problem: Problem, batches: int, key: Key[Array, ""]) -> Iterator[Check]:
    """Splits have no task in common."""
    families = {split: getattr(problem, split) for split in SPLITS}
    keys = dict(zip(SPLITS, jax.random.split(key, len(SPLITS)), strict=True))
    found = {split: survey(family, batches, keys[split]) for split, family in families.items()}
    hashes = {split: x for split, (x, _) in found.items()}
    shared = common(hashes["train"], hashes["test"]) + common(hashes["train"], hashes["validation"])
    shared += common(hashes["validation"], hashes["test"])
    note = f"{batches * BATCH:,} draws of each"
    if problem.test.finite is not None:
        says = tasks_are_held_out(problem) == (shared == 0)
        more = max(len(x) - (families[split].finite or 0) for split, x in hashes.items())
        yield at_least(f"{name}: says whether it holds out any of its few tasks", int(says), 1, f"{shared} in common")
        yield at_most("  tasks of a split more than it says that there are", max(more, 0), 0)
        return
    yield at_most(f"{name}: tasks that two splits have in common", shared, 0, note)
    yield at_most("  tasks that are not in their split", sum(strays for _, strays in found.values()), 0)


def drawn_in_training(algorithm: Any, problem: Problem, num_updates: int, seed: int) -> np.ndarray:
    """Hashes of all tasks of a run's updates: keys follow from the run's seed and the update's number."""
    root = jax.random.key(seed)

    @jax.jit
    def update(step: Array) -> Array:
        keys = jax.random.split(jax.random.fold_in(fold_in_name(root, "update"), step), (algorithm.num_tasks, 2))
        return jax.vmap(lambda key: hashed(problem.train.sample(key)))(keys[:, 0])

    return joined(np.concatenate([np.asarray(update(jnp.asarray(step))) for step in range(num_updates)]))


def check_runs(name: str, problem: Problem, algorithm: Any, num_updates: int, seed: int) -> Iterator[Check]:
    """No task of a run is one of an evaluation; not with the same seed either."""
    trained = drawn_in_training(algorithm, problem, num_updates, seed)
    tested = []
    for evaluation_seed in range(seed, seed + EVALUATIONS):
        tasks, _ = encounters(problem.test, 1024, evaluation_seed)
        tested.append(np.asarray(jax.jit(jax.vmap(hashed))(tasks)))
    shared = common(trained, joined(np.concatenate(tested)))
    note = f"{num_updates} updates × {algorithm.num_tasks} tasks; {EVALUATIONS} evaluations of 1024"
    yield at_most(f"{name}: tasks of a run that evaluations use", shared, 0, note)


class Told:
    """Collects tasks that the host is told of."""

    def __init__(self) -> None:
        self.hashes: list[np.ndarray] = []

    def note(self, hashes: Any) -> None:
        """Take down one task."""
        self.hashes.append(np.asarray(hashes))


def check_that_runs_draw_as_said(problem: Problem, algorithm: Any, seed: int) -> Iterator[Check]:
    """The keys used above are those that an update really uses: it tells the host of each task that it draws."""
    state, told = init(algorithm, problem, seed=seed), Told()
    family = type(problem.train)

    class Telling(family):  # type: ignore[valid-type]
        """The family, telling."""

        def sample(self, key: Key[Array, ""]) -> Task:
            """Draw, and tell."""
            task = super().sample(key)
            jax.debug.callback(told.note, hashed(task))
            return task

    train = object.__new__(Telling)
    for name, value in vars(problem.train).items():
        object.__setattr__(train, name, value)
    telling = Problem(problem.env, train, problem.validation, problem.test, problem.episodes)
    jax.block_until_ready(jax.jit(lambda state: algorithm.update(telling, state)[0].step)(state))
    jax.effects_barrier()
    real = joined(np.stack(told.hashes))
    said = drawn_in_training(algorithm, problem, 1, seed)
    yield at_most("tasks of a real update that are not those counted here", len(np.setxor1d(real, said)), 0)


def run(seed: int, n: int) -> Iterator[Check]:
    """Draw tasks.

    Args:
        seed: Decides tasks.
        n: Thousands of draws of each split, twice.
    """
    named = problems()
    key = jax.random.key(seed)
    for index, (name, problem) in enumerate(named.items()):
        yield from check_draws(name, problem, max(n * PER_INSTANCE // BATCH, 1), jax.random.fold_in(key, index))
    algorithm = RL2()
    for name, problem in named.items():
        if problem.test.finite is None:
            yield from check_runs(name, problem, algorithm, min(7 * n, algorithm.num_updates), seed)
    small = RL2(memory_size=4, critic_size=4, num_tasks=32, num_minibatches=1)
    yield from check_that_runs_draw_as_said(named["gaussian-bandit"], small, seed)
