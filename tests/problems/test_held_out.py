"""Trap E48: in every family of the package, test tasks are as far from training's as independent draws are."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from adaptax.core.experience import sample_tasks
from adaptax.core.problem import task_features
from adaptax.core.splits import SPLITS
from adaptax.core.types import TrainState, key_data
from adaptax.evaluation.encounters import encounters, tasks_are_held_out
from adaptax.registry.registry import build
from tests.families import PROBLEMS

UPDATES, TASKS, TESTS = 100, 64, 4000
VARIANTS = {
    "correlated-bandit": [{}, {"variant": "independent"}, {"variant": "medium"}],
    "cart-pole": [{}, {"variation": 0.5}],
    "grid-navigation": [{}, {"held_out": True}],
    "dark-room": [{}, {"held_out": True}],
    "dark-key-door": [{"size": 50}],  # so many tasks that hardly any is met twice
}
"""Settings besides the defaults with which a family is another one."""
CASES = [(name, changes) for name in PROBLEMS for changes in VARIANTS.get(name, [{}])]
SEEDS = [(0, 0), (0, 1)]
"""Of training and of the evaluation: `adaptax train --seed S` evaluates with S. Chosen before anything was measured."""


@functools.cache
def built(number):
    name, changes = CASES[number]
    return build(PROBLEMS[name], PROBLEMS[name].settings(**changes))


CONTINUOUS = [number for number in range(len(CASES)) if built(number).test.finite is None]
FINITE = [number for number in range(len(CASES)) if number not in CONTINUOUS]
NAMED = {"ids": lambda case: "-".join([CASES[case][0], *map(str, CASES[case][1].values())])}
SMALLEST_P = 0.01 / (len(CONTINUOUS) * len(SEEDS))
"""Bonferroni: so that one of all these tests fails by chance with a probability of .01 at most."""


@functools.cache
def trained_on(number, seed):
    """The training tasks of `UPDATES` updates, as the loop draws them."""
    key, problem = jax.random.key(seed), built(number)
    draw = lambda step: sample_tasks(problem, TrainState(None, None, step, key), TASKS)[0]  # noqa: E731
    tasks = jax.jit(jax.vmap(draw))(jnp.arange(UPDATES))
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), tasks)


def rows(tasks):
    leaves = [np.asarray(key_data(x)) for x in jax.tree.leaves(tasks)]
    return {b"".join(leaf[i].tobytes() for leaf in leaves) for i in range(len(leaves[0]))}


def features(tasks):
    return np.asarray(jax.jit(jax.vmap(task_features))(tasks), np.float64)


def nearest(points, others, scale):
    """Distance of each point to the nearest of the others, every feature in units of its deviation."""
    others = others / scale
    squares = np.square(others).sum(1)
    parts = [
        (np.square(x).sum(1)[:, None] + squares - 2 * x @ others.T).min(1) for x in np.array_split(points / scale, 20)
    ]
    return np.sqrt(np.maximum(np.concatenate(parts), 0))


@pytest.mark.compiles
@pytest.mark.parametrize("seeds", SEEDS, ids=["one seed", "two seeds"])
@pytest.mark.parametrize("number", CONTINUOUS, **NAMED)
def test_E48_test_tasks_are_as_far_from_training_as_independent_draws(number, seeds):
    family = built(number).test
    train, test = trained_on(number, seeds[0]), encounters(family, TESTS, seeds[1])[0]
    # What the family itself draws, with keys of another generator's making, knows nothing of splits and purposes.
    words = np.random.default_rng(20260101).integers(0, 2**32, (TESTS, 2), dtype=np.uint32)
    independent = jax.jit(jax.vmap(lambda data: family.draw(jax.random.wrap_key_data(data))))(words)
    assert not rows(train) & rows(test)
    assert len(rows(test)) > 0.99 * TESTS
    known = features(train)
    scale = np.where(known.std(0) > 1e-6, known.std(0), 1.0)
    found, expected = (nearest(features(tasks), known, scale) for tasks in (test, independent))
    assert scipy.stats.ks_2samp(found, expected).pvalue > SMALLEST_P


@pytest.mark.compiles
def test_E48_neighbours_of_training_tasks_would_be_noticed():
    number = next(number for number in CONTINUOUS if CASES[number][0] == "bandit")
    known = features(trained_on(number, 0))
    tests = features(encounters(built(number).test, TESTS, 0)[0])
    near = tests.copy()
    near[:512] = known[:512] + 1e-7  # as many as there were
    found, expected = (nearest(x, known, known.std(0)) for x in (near, tests))
    assert scipy.stats.ks_2samp(found, expected).pvalue < SMALLEST_P


@pytest.mark.parametrize("number", FINITE, **NAMED)
def test_E48_finite_families_say_how_many_tasks_there_are_and_whether_splits_share_them(number):
    problem = built(number)
    keys = jax.random.split(jax.random.key(0), 64 * max(getattr(problem, split).finite for split in SPLITS))
    drawn = {split: rows(jax.jit(jax.vmap(getattr(problem, split).sample))(keys)) for split in SPLITS}
    assert all(len(drawn[split]) == getattr(problem, split).finite for split in SPLITS)
    shares = not drawn["train"].isdisjoint(drawn["test"])
    assert shares == (drawn["train"] == drawn["test"]) == (not tasks_are_held_out(problem))
    assert shares == ("held_out" not in CASES[number][1])


def test_every_family_is_tried():
    assert {name for name, _ in CASES} == set(PROBLEMS)
    assert {CASES[number][0] for number in FINITE} == {
        "grid-navigation", "dark-room", "cart-pole", "cue", "t-maze", "correlated-bandit", "half-cheetah-direction",
        "treasure-mountain",
    }  # fmt: skip
