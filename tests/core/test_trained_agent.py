import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import QLearning, Random
from adaptax.core.errors import UseError
from adaptax.core.trained_agent import TrainedAgent, join_seeds
from adaptax.problems import bernoulli_bandit

PROBLEM = bernoulli_bandit(num_arms=2, num_pulls=4)


def leaves(agent):
    return [np.asarray(x) for x in jax.tree.leaves(agent.meta)]


@pytest.fixture(scope="module")
def pair():
    meta = {"weights": jnp.arange(6.0).reshape(2, 3), "count": jnp.array([4, 5])}
    return TrainedAgent(Random(), PROBLEM, meta, 2, name="two")


def test_one_of_several_trainings(pair):
    second = pair.of_seed(1)
    assert (second.num_seeds, second.name) == (1, "two")
    for one, both in zip(leaves(second), leaves(pair), strict=True):
        np.testing.assert_array_equal(one, both[1])
    assert second.of_seed(0) is second
    with pytest.raises(UseError, match="expected an integer, 0 to 1, found 2"):
        pair.of_seed(2)
    for wrong in (-1, 0.0, "0", None):
        with pytest.raises(UseError, match="expected an integer, 0 to 1"):
            pair.of_seed(wrong)


def test_trainings_are_joined_in_their_order(pair):
    alone = pair.of_seed(1)
    joined = join_seeds([alone, pair])
    assert joined.num_seeds == 3
    for all_three, one, both in zip(leaves(joined), leaves(alone), leaves(pair), strict=True):
        np.testing.assert_array_equal(all_three, np.concatenate([one[None], both]))
    assert join_seeds([pair]).num_seeds == 2
    for kept, one in zip(leaves(join_seeds([alone])), leaves(alone), strict=True):
        np.testing.assert_array_equal(kept, one)  # a single training has no seed axis


def test_who_learns_from_windows():
    assert TrainedAgent.initial(QLearning(), PROBLEM).learns_from_windows
    assert not TrainedAgent.initial(Random(), PROBLEM).learns_from_windows


def test_an_agent_says_who_it_is_and_how_large_and_prints_no_arrays():
    problem = bernoulli_bandit(num_arms=2)
    agent = TrainedAgent(QLearning(), problem, {"w": jnp.zeros((2, 60, 20)), "b": jnp.zeros((2,))}, 2)
    assert repr(agent) == "TrainedAgent(QLearning on BernoulliBandit: 2 trainings, 1,201 numbers in θ)"
    assert repr(agent.of_seed(1)) == "TrainedAgent(QLearning on BernoulliBandit: 1,201 numbers in θ)"
    assert repr(TrainedAgent(Random(), problem, None, name="chance")) == "TrainedAgent(chance on BernoulliBandit)"
