"""Problems: what they are made of, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.errors import UseError
from adaptax.core.problem import FAR, Problem, known_features, make_problem, standardized, task_features
from adaptax.core.spaces import Box, Discrete
from adaptax.core.splits import SPLITS
from adaptax.core.types import replace
from adaptax.problems.bandit import BernoulliBandit, UniformBernoulliArms
from tests.shops import Shop, shops


def test_features_are_all_numbers_of_a_task_as_floats():
    task = {"a": jnp.asarray([[0.5, 0.25], [1.0, 2.0]]), "b": jnp.asarray(7, jnp.int32)}
    features = task_features(task)
    assert features.dtype == jnp.float32
    assert features.tolist() == [0.5, 0.25, 1.0, 2.0, 7.0]


def test_E37_keys_of_a_task_are_no_features():
    task = {"key": jax.random.key(3), "number": jnp.asarray([0.5])}
    assert task_features(task).tolist() == [0.5]
    assert task_features({"key": jax.random.key(3)}).shape == (0,)


def test_features_of_a_complex_number_are_its_parts():
    assert task_features({"z": jnp.asarray([1 + 2j, 3 - 4j])}).tolist() == [1, 3, 2, -4]


def test_E37_what_has_no_mean_does_not_reach_networks():
    numbers = [[1.0, jnp.inf, jnp.nan, 2.0], [2.0, jnp.inf, jnp.nan, jnp.inf], [6.0, jnp.inf, jnp.nan, -3e38]]
    known = known_features(jnp.asarray(numbers))
    assert known.tolist() == [[1, 0, 0, 2], [2, 0, 0, 2], [6, 0, 0, 2]]
    seen = standardized(jnp.asarray(numbers), known.mean(0)[None], jnp.asarray([[2.0, 1, 1, 1]]))
    assert seen.tolist() == [[-1, FAR, 0, 0], [-0.5, FAR, 0, FAR], [1.5, FAR, 0, -FAR]]


def test_features_of_ordinary_tasks_are_read_as_they_were(key):
    tasks = 1e3 * jax.random.normal(key, (100, 5))
    np.testing.assert_array_equal(known_features(tasks), tasks)
    mean, std = tasks.mean(0)[None], tasks.std(0)[None]
    np.testing.assert_array_equal(standardized(tasks, mean, std), (tasks - mean) / std)


def test_a_problem_knows_the_length_of_its_trials():
    assert make_problem(BernoulliBandit(2), lambda split: UniformBernoulliArms(2, split), 7).trial_steps == 7


def test_a_problem_needs_episodes_and_the_splits_in_their_places():
    arms = {split: UniformBernoulliArms(2, split) for split in SPLITS}
    with pytest.raises(ValueError, match="at least 1 episode"):
        Problem(BernoulliBandit(2), arms["train"], arms["validation"], arms["test"], 0)
    with pytest.raises(ValueError, match=r"Problem\.test.*split='test'.*split='train'"):
        Problem(BernoulliBandit(2), arms["train"], arms["validation"], arms["train"], 1)


def test_shifted_tasks_have_a_split_of_their_own_and_say_how_they_differ():
    env, family = BernoulliBandit(2), lambda split: UniformBernoulliArms(2, split)
    problem = make_problem(env, family, 7, shifted=family("shifted"), shift="not at all")
    assert (problem.shifted, problem.shift) == (family("shifted"), "not at all")
    assert (make_problem(env, family, 7).shifted, make_problem(env, family, 7).shift) == (None, "")
    with pytest.raises(ValueError, match=r"Problem\.shifted.*split='shifted'.*split='train'"):
        make_problem(env, family, 7, shifted=family("train"), shift="not at all")
    assert make_problem(env, family, 7, shifted=family("test"), shift="not at all").shifted == family("test")
    for wrong in ({"shifted": family("shifted")}, {"shift": "not at all"}):
        with pytest.raises(ValueError, match=r"Problem\.shift: expected a line that says how"):
            make_problem(env, family, 7, **wrong)


def test_a_problem_is_a_leafless_pytree_that_jit_accepts():
    problem = make_problem(BernoulliBandit(2), lambda split: UniformBernoulliArms(2, split), 7)
    assert jax.tree.leaves(problem) == []
    assert jax.jit(lambda problem: problem.trial_steps * jnp.ones(()))(problem) == 7


@pytest.mark.parametrize(
    ("actions", "says"), [(Discrete(5), "a mask of 5 actions"), (Box((2,)), "no mask, as actions are continuous")]
)
def test_a_mask_is_of_the_environments_actions(actions, says):
    class Mistaken(Shop):
        def __init__(self):
            super().__init__("one", pictures=False)
            self.action_space = actions

    with pytest.raises(UseError, match=f"Mistaken.observation_space: expected {says}.*found one of 6"):
        replace(shops(), env=Mistaken())
