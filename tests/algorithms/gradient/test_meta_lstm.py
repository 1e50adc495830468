import jax
import numpy as np
import pytest

from adaptax.algorithms import FOMAML, MAML, MetaLSTM
from adaptax.algorithms.gradient.settings import MetaLSTMSettings
from adaptax.core.errors import ConfigError
from adaptax.core.types import replace
from adaptax.optimization.update_rules import spread_by_group
from tests.algorithms.standard_rl import bandit_by_hand as by_hand
from tests.algorithms.standard_rl.bandit_by_hand import BARE, RATE
from tests.claims.enumeration import noise_like

pytestmark = pytest.mark.compiles

ALGORITHM = MetaLSTM(**BARE, outer="gradient", rule_size=3)


def test_it_starts_as_maml():
    several = {**BARE, "outer": "gradient", "inner_steps": 3, "inner_decay": 0.5}
    algorithms = MetaLSTM(**several, rule_size=3), MAML(**several)
    problem = replace(by_hand.PROBLEM, episodes=24)
    found, expected = (by_hand.windows(a, problem, by_hand.begin(a, problem)) for a in algorithms)
    assert np.ptp(expected.aux["policy"].logits[0, 3, 0, 0] - expected.aux["policy"].logits[0, 0, 0, 0]) > 0.1
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6), found, expected)


@pytest.mark.parametrize("first_order", [True, False])
def test_and_so_does_the_outer_gradient_of_the_policy(first_order):
    several = {**BARE, "outer": "gradient", "inner_steps": 2, "inner_decay": 0.5}
    maml = FOMAML(**several) if first_order else MAML(**several)
    lstm = MetaLSTM(**several, rule_size=3, first_order=first_order)
    problem = replace(by_hand.PROBLEM, episodes=18)
    found, expected = (_slope(algorithm, problem).policy for algorithm in (lstm, maml))
    assert np.abs(by_hand.bias(expected)).max() > 1e-3
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found, expected)


def _slope(algorithm, problem):
    state = by_hand.begin(algorithm, problem)
    return by_hand.gain(algorithm, state.meta, by_hand.gather(algorithm, state, problem), problem)[1]


def test_gradients_are_constants_unless_asked_otherwise():
    first, second = ALGORITHM, MetaLSTM(**BARE, outer="gradient", rule_size=3, first_order=False)
    state = by_hand.begin(first)
    batch = by_hand.gather(first, state)
    _, short = by_hand.gain(first, state.meta, batch)
    _, whole = by_hand.gain(second, state.meta, batch)
    found, expected = by_hand.bias(short.policy), by_hand.first_order_gradients(batch).mean(0)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    assert np.abs(by_hand.bias(whole.policy) - found).max() > 1e-4


def test_an_update_changes_the_rule():
    state = by_hand.begin(ALGORITHM)
    after, _ = jax.jit(lambda state: ALGORITHM.update(by_hand.PROBLEM, state))(state)
    before, after = (s.meta.theta.learned for s in (state, after))
    assert (np.asarray(before.input.weight) != np.asarray(after.input.weight)).any()
    assert float(before.forget.bias) != float(after.forget.bias)


def test_an_estimator_of_what_counts_as_constant_is_refused():
    with pytest.raises(ConfigError, match="estimator: has an effect only if first_order is False"):
        MetaLSTMSettings(estimator="dice")


def test_the_gates_of_a_trial_are_those_that_adapted_in_it():
    several = MetaLSTM(**BARE, outer="gradient", inner_steps=3, inner_decay=0.5, rule_size=3)
    problem = replace(by_hand.PROBLEM, episodes=24)
    state = by_hand.begin(several, problem)
    learned = noise_like(state.meta.theta.learned, 0.5, jax.random.key(1))
    meta = replace(state.meta, theta=replace(state.meta.theta, learned=learned))
    trajectories = by_hand.windows(several, problem, replace(state, meta=meta))
    gates = jax.vmap(several.gates, (None, 0))(meta, trajectories)
    logits, seen = np.asarray(trajectories.aux["policy"].logits)[:, :, 0, 0], by_hand.pulls(trajectories)
    assert gates.forget.shape == gates.input.shape == (4, 3, 3)  # a number per arm
    for task in range(4):
        for step in range(3):
            before, after = logits[task, step], logits[task, step + 1]
            slope = by_hand.adapted(before, seen.actions[task, step], seen.rewards[task, step], 1.0) - before
            rate = RATE * 0.5**step * np.asarray(gates.input)[task, step]
            expected = np.asarray(gates.forget)[task, step] * before + rate * slope
            np.testing.assert_allclose(expected, after, rtol=1e-3, atol=1e-5)
    assert np.ptp(np.asarray(gates.input)) > 0.05
    np.testing.assert_allclose(gates.offset, -seen.rewards[:, :3].mean(-1), rtol=1e-6)  # what the rule reads
    assert list(spread_by_group(gates, meta.theta.policy)) == ["head.layer.bias"]  # a matrix with no rows is left out
