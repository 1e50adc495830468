"""The first state and the program that trains from it, compiled side by side: the same as one after the other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms.memory.rl2 import RL2
from adaptax.core.algorithm import init
from adaptax.core.errors import DivergenceError
from adaptax.core.types import key_data, replace
from adaptax.problems import bernoulli_bandit
from adaptax.training.beginning import begin
from adaptax.training.loop import train

PROBLEM = bernoulli_bandit(num_arms=3, num_pulls=4)
ALGORITHM = RL2(memory_size=4, critic_size=4, num_tasks=8, num_minibatches=2, num_updates=3)


def same(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(np.asarray(key_data(a)), np.asarray(key_data(b)))


@pytest.mark.compiles
@pytest.mark.parametrize(("seeds", "devices"), [(1, 1), (2, 2)])
def test_state_and_training_are_those_of_one_after_the_other(seeds, devices):
    state, program = begin(ALGORITHM, PROBLEM, seed=5, num_seeds=seeds, devices=devices)
    plain = init(ALGORITHM, PROBLEM, seed=5, num_seeds=seeds)
    same(state, plain)
    how = {"num_updates": 3, "num_seeds": seeds, "devices": devices}
    found = []
    ended = train(ALGORITHM, PROBLEM, state, **how, program=program, on_compiled=found.append)
    same(ended, train(ALGORITHM, PROBLEM, plain, **how))
    assert found == [program()]  # it was not compiled again


@pytest.mark.compiles
def test_E38_what_jax_is_told_in_this_thread_holds():
    with jax.threefry_partitionable(False):
        other, _ = begin(ALGORITHM, PROBLEM, seed=5)
        same(other, init(ALGORITHM, PROBLEM, seed=5))
    usual, _ = begin(ALGORITHM, PROBLEM, seed=5)
    weights = [np.asarray(state.meta.network.memory.weight) for state in (usual, other)]
    assert (weights[0] != weights[1]).any()


class Broken(RL2):
    """Its first state is no number."""

    def init(self, problem, key):
        state = super().init(problem, key)
        return replace(state, meta=jax.tree.map(lambda x: x * jnp.nan if x.dtype == jnp.float32 else x, state.meta))


@pytest.mark.compiles
def test_a_first_state_that_is_not_finite_is_refused():
    broken = Broken(memory_size=4, critic_size=4, num_tasks=8, num_minibatches=2, num_updates=3)
    with pytest.raises(
        DivergenceError, match=r"before the first update: leaf .* is NaN or infinite; nothing was trained"
    ):
        begin(broken, PROBLEM, seed=0)


@pytest.mark.compiles
def test_an_update_that_cannot_be_traced_says_so_at_once():
    class Odd(RL2):
        def learn(self, problem, state, experience):
            raise ValueError("cannot be traced")

    with pytest.raises(ValueError, match="cannot be traced"):
        begin(Odd(memory_size=4, critic_size=4, num_tasks=8, num_minibatches=2), PROBLEM, seed=0)
