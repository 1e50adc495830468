"""Problems, splits and the marks that keep tasks of different splits apart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.problem import SPLITS, Problem, make_problem, stamp, task_features
from adaptax.problems.bandit import BernoulliBandit, UniformBernoulliArms


def bits(x):
    return np.asarray(x).view(np.int32)


@pytest.mark.parametrize("split", SPLITS)
def test_a_stamp_is_the_last_two_bits_and_changes_a_value_by_less_than_4e_7(split):
    values = jnp.asarray([0.1, -0.3, 1.0, 0.999, 3e5, 1e-20])
    stamped = stamp(values, split, jax.random.key(0))
    assert set(bits(stamped) & 3) <= set(SPLITS[split])
    np.testing.assert_array_equal(bits(stamped) >> 2, bits(values) >> 2)
    np.testing.assert_allclose(stamped, values, rtol=3 * 2.0**-23)


def test_training_uses_both_of_its_marks_about_equally():
    keys = jax.random.split(jax.random.key(1), 4096)
    marks = bits(jax.vmap(lambda key: stamp(jnp.ones(()), "train", key))(keys)) & 3
    assert set(marks) == {0, 1}
    assert abs(marks.mean() - 0.5) < 4 * 0.5 / 4096**0.5


def test_features_are_all_numbers_of_a_task_as_floats():
    task = {"a": jnp.asarray([[0.5, 0.25], [1.0, 2.0]]), "b": jnp.asarray(7, jnp.int32)}
    features = task_features(task)
    assert features.dtype == jnp.float32
    assert features.tolist() == [0.5, 0.25, 1.0, 2.0, 7.0]


def test_all_floats_of_a_task_get_one_mark_and_integers_none():
    task = {"floats": jnp.asarray([0.5, 0.25]), "integers": jnp.asarray([4, 7], jnp.int32)}
    stamped = stamp(task, "test", jax.random.key(0))
    assert set(bits(stamped["floats"]) & 3) == {3}
    np.testing.assert_array_equal(stamped["integers"], task["integers"])


def test_E21_the_splits_hold_different_marks():
    marks = [mark for marks in SPLITS.values() for mark in marks]
    assert len(set(marks)) == len(marks) == 4


def test_a_problem_knows_the_length_of_its_trials():
    assert make_problem(BernoulliBandit(2), lambda split: UniformBernoulliArms(2, split), 7).trial_steps == 7


def test_a_problem_needs_episodes_and_the_splits_in_their_places():
    arms = {split: UniformBernoulliArms(2, split) for split in SPLITS}
    with pytest.raises(ValueError, match="at least 1 episode"):
        Problem(BernoulliBandit(2), arms["train"], arms["validation"], arms["test"], 0)
    with pytest.raises(ValueError, match=r"Problem\.test.*split='test'.*split='train'"):
        Problem(BernoulliBandit(2), arms["train"], arms["validation"], arms["train"], 1)


def test_shifted_tasks_are_of_the_test_split_and_say_how_they_differ():
    env, family = BernoulliBandit(2), lambda split: UniformBernoulliArms(2, split)
    problem = make_problem(env, family, 7, shifted=family("test"), shift="not at all")
    assert (problem.shifted, problem.shift) == (family("test"), "not at all")
    assert (make_problem(env, family, 7).shifted, make_problem(env, family, 7).shift) == (None, "")
    with pytest.raises(ValueError, match=r"Problem\.shifted.*split='test'.*split='train'"):
        make_problem(env, family, 7, shifted=family("train"), shift="not at all")
    for wrong in ({"shifted": family("test")}, {"shift": "not at all"}):
        with pytest.raises(ValueError, match=r"Problem\.shift: expected a line that says how"):
            make_problem(env, family, 7, **wrong)


def test_a_problem_is_a_leafless_pytree_that_jit_accepts():
    problem = make_problem(BernoulliBandit(2), lambda split: UniformBernoulliArms(2, split), 7)
    assert jax.tree.leaves(problem) == []
    assert jax.jit(lambda problem: problem.trial_steps * jnp.ones(()))(problem) == 7
