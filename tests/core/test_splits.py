"""What keeps tasks of different splits apart, and leaves every task as it was drawn."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.problem import TaskDistribution
from adaptax.core.splits import MOST_DRAWS, NUMBERS, SHARES, SPLITS, fold_in_name, is_in_split, split_number, words
from adaptax.problems.bandit import UniformBernoulliArms


class Family(TaskDistribution):
    """Tasks of every kind of leaf, made of a key."""

    make: object = eqx.field(static=True)
    split: str = eqx.field(static=True)
    finite: int | None = eqx.field(static=True, default=None)

    def draw(self, key):
        return self.make(key)

    def oracle(self, task):
        return jnp.asarray(jnp.nan)


def odd(key):
    """A goal, a limit that is none, a mask, whole numbers, truth values, names, a key, half precision."""
    return {
        "goal": jax.random.uniform(key),
        "limit": jnp.asarray(jnp.inf),
        "none": jnp.asarray(jnp.nan),
        "three": jnp.asarray(3.0),
        "mask": jax.random.bernoulli(key, 0.5, (4,)).astype(jnp.float32),
        "name": jax.random.randint(key, (2,), 0, 1000),
        "small": jax.random.randint(key, (2,), 0, 100).astype(jnp.uint8),
        "yes": jax.random.bernoulli(key),
        "half": jax.random.normal(key, (3,)).astype(jnp.bfloat16),
        "key": key,
        "nothing": jnp.zeros((0,)),
    }


def data(tree):
    return [np.asarray(jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x) for x in tree]


def rows(tasks):
    leaves = [x.reshape(len(x), -1) for x in data(jax.tree.leaves(tasks))]
    return [b"".join(leaf[i].tobytes() for leaf in leaves) for i in range(len(leaves[0]))]


@pytest.mark.parametrize("split", [*SPLITS, "shifted"])
def test_E34_a_task_is_bit_for_bit_what_the_family_drew(split):
    family = Family(odd, split)
    task = jax.tree.map(lambda x: x[0], jax.vmap(family.sample)(jax.random.split(jax.random.key(0), 8)))
    # The key is a part of this task, so that it tells which draw it was.
    for found, drawn in zip(*(data(jax.tree.leaves(x)) for x in (task, jax.jit(odd)(task["key"]))), strict=True):
        assert found.dtype == drawn.dtype
        assert found.tobytes() == drawn.tobytes()


@pytest.mark.parametrize(
    "make",
    [
        odd,
        jax.random.uniform,  # of 2²³ numbers, so that two of 60,000 are the same
        lambda key: jax.random.randint(key, (3,), 0, 50),
        lambda key: {"key": key},
        lambda key: jax.random.bernoulli(key, 0.5, (24,)),
    ],
    ids=["all kinds", "one number", "whole numbers", "keys", "truth values"],
)
def test_E21_E34_no_task_is_in_two_splits_whatever_it_is_made_of(make):
    keys = jax.random.split(jax.random.key(1), 20_000)
    found = {split: set(rows(jax.jit(jax.vmap(Family(make, split).sample))(keys))) for split in SPLITS}
    assert not found["train"] & found["test"]
    assert not found["train"] & found["validation"]
    assert not found["validation"] & found["test"]
    assert min(map(len, found.values())) > 10_000


def test_E21_the_shares_divide_all_numbers():
    assert list(SHARES.values()) == [(0, 12), (12, 14), (14, 16)]
    assert NUMBERS == 16
    counts = np.bincount(jax.vmap(split_number)(jax.random.normal(jax.random.key(0), (64_000, 3))), minlength=NUMBERS)
    assert np.abs(counts - 4000).max() < 5 * 4000**0.5


def test_every_bit_of_a_task_counts():
    task = jnp.asarray([0.5, 0.25, 3.0])
    others = [task.at[i].set(jnp.nextafter(task[i], 9.0)) for i in range(3) for _ in range(1)] + [task[::-1]]
    hashes = [int(jnp.sum(words(x) * jnp.arange(4, dtype=jnp.uint32))) for x in [task, *others]]
    assert len(set(hashes)) == len(hashes)
    numbers = jax.vmap(lambda bit: split_number(jnp.uint32(12345) ^ (jnp.uint32(1) << bit)))(
        jnp.arange(32, dtype=jnp.uint32)
    )
    assert len(set(numbers.tolist())) > 8
    ordered = jax.vmap(lambda i: split_number(jnp.stack([i, i + 1])) != split_number(jnp.stack([i + 1, i])))
    assert 0.8 < ordered(jnp.arange(1000)).mean() < 1


def test_what_is_equal_is_in_one_split():
    assert split_number(jnp.asarray([0.0, 1.0])) == split_number(jnp.asarray([-0.0, 1.0]))


@pytest.mark.parametrize(("count", "seeds"), [(4000, (0, 0)), (4000, (0, 1))], ids=["one seed", "two seeds"])
def test_E48_held_out_tasks_are_as_far_from_training_as_independent_draws(count, seeds):
    """Nearest distances of test to training tasks, against those of tasks that plain NumPy draws."""
    arms = 3
    root, other = map(jax.random.key, seeds)
    train = jax.vmap(UniformBernoulliArms(arms, "train").sample)(jax.random.split(root, 20_000)).probabilities
    test = jax.vmap(UniformBernoulliArms(arms, "test").sample)(jax.random.split(other, count)).probabilities
    independent = np.random.default_rng(0).uniform(size=(count, arms)).astype(np.float32)
    found, expected = (np.sort(nearest(x, np.asarray(train))) for x in (np.asarray(test), independent))
    assert found[0] > 0
    assert largest_gap(found, expected) < 1.63 / (count / 2) ** 0.5  # Kolmogorov and Smirnov, p = .01


def nearest(points, others):
    return np.concatenate([np.square(x[:, None] - others[None]).sum(-1).min(1) for x in np.array_split(points, 40)])


def largest_gap(one, other):
    both = np.concatenate([one, other])
    return np.abs(
        np.searchsorted(one, both, "right") / len(one) - np.searchsorted(other, both, "right") / len(other)
    ).max()


def test_E48_a_purpose_is_no_step():
    key = jax.random.key(0)
    named = {name: fold_in_name(key, name) for name in ("update", "evaluation", "tasks of train", "tasks of test")}
    numbered = jax.random.split(key, 4096)
    seen = {tuple(x) for x in data([numbered])[0].tolist()}
    assert len({tuple(data([x])[0].tolist()) for x in named.values()} | seen) == len(named) + len(seen)


def test_a_family_of_one_task_that_does_not_say_so_ends():
    for split in SPLITS:
        task = Family(lambda key: jnp.asarray(2.0), split).sample(jax.random.key(0))
        assert task == 2
    assert MOST_DRAWS < 1000


def test_a_finite_family_shares_its_tasks():
    keys = jax.random.split(jax.random.key(0), 400)
    few = {
        split: set(rows(jax.vmap(Family(lambda key: jax.random.randint(key, (), 0, 5), split, 5).sample)(keys)))
        for split in SPLITS
    }
    assert few["train"] == few["validation"] == few["test"]
    assert len(few["train"]) == 5


def test_is_in_split_is_what_sample_keeps_to():
    keys = jax.random.split(jax.random.key(3), 500)
    for split in [*SPLITS, "shifted"]:
        tasks = jax.vmap(UniformBernoulliArms(2, split).sample)(keys)
        assert jax.vmap(lambda task, split=split: is_in_split(task, split))(tasks).all()
