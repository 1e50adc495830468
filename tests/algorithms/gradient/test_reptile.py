import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import Reptile
from adaptax.core.types import replace
from tests.algorithms.standard_rl import bandit_by_hand as by_hand
from tests.algorithms.standard_rl.bandit_by_hand import BARE, PROBLEM, START, windows
from tests.sample_problems import quick_jit

ALGORITHM = Reptile(**BARE, inner_steps=2, outer_step=0.4)


@pytest.fixture(scope="module")
def programs():
    return quick_jit(lambda s: windows(ALGORITHM, PROBLEM, s)), quick_jit(lambda s: ALGORITHM.update(PROBLEM, s)[0])


@pytest.mark.compiles
@pytest.mark.parametrize(("step", "share"), [(0, 0.4), (5, 0.2), (10, 0.0)])
def test_moves_a_falling_share_of_the_mean_way_to_adapted_parameters(step, share, programs):
    collected, update = programs
    state = replace(by_hand.begin(ALGORITHM), step=jnp.asarray(step))
    seen = by_hand.pulls(collected(state))
    assert seen.actions.shape == (4, 3, 6)  # two inner steps, and a window that only shows what they were worth
    ends = []
    for actions, rewards in zip(seen.actions, seen.rewards, strict=True):
        once = by_hand.adapted(START, actions[0], rewards[0])
        ends.append(by_hand.adapted(once, actions[1], rewards[1]))
    expected = START + share * (np.mean(ends, 0) - START)
    np.testing.assert_allclose(by_hand.bias(update(state).meta.theta), expected, rtol=1e-5, atol=1e-7)
    assert np.abs(np.mean(ends, 0) - START).max() > 0.01


def test_tasks_differ_from_update_to_update(programs):
    collected, _ = programs
    state = by_hand.begin(ALGORITHM)
    first, second = (by_hand.pulls(collected(replace(state, step=jnp.asarray(i)))) for i in range(2))
    assert not np.array_equal(first.actions, second.actions)


def test_nothing_but_theta_is_optimised():
    assert not jax.tree.leaves(by_hand.begin(ALGORITHM).opt_state)
