import jax
import numpy as np
import pytest

from adaptax.algorithms import MetaLSTM
from adaptax.errors import ConfigError
from adaptax.gradient_settings import MetaLSTMSettings
from adaptax.update_rules import FORGET_BIAS
from tests.algorithms import bandit_by_hand as by_hand
from tests.algorithms.bandit_by_hand import BARE, RATE, START

pytestmark = pytest.mark.slow

ALGORITHM = MetaLSTM(**BARE, outer="gradient", rule_size=3)


def test_it_starts_as_maml_with_a_slight_decay():
    state = by_hand.begin(ALGORITHM)
    lives = by_hand.gather(ALGORITHM, state).lives
    seen = by_hand.pulls(lives)
    keep = 1 / (1 + np.exp(-FORGET_BIAS))
    for task in range(4):
        step = by_hand.adapted(START, seen.actions[task, 0], seen.rewards[task, 0], RATE) - START
        np.testing.assert_allclose(lives.aux["policy"].logits[task, 1, 0, 0], keep * START + step, rtol=1e-4, atol=1e-5)


def test_gradients_are_constants_unless_asked_otherwise():
    first, second = ALGORITHM, MetaLSTM(**BARE, outer="gradient", rule_size=3, first_order=False)
    state = by_hand.begin(first)
    batch = by_hand.gather(first, state)
    _, short = by_hand.gain(first, state.meta, batch)
    _, whole = by_hand.gain(second, state.meta, batch)
    keep = 1 / (1 + np.exp(-FORGET_BIAS))  # dφ'/dθ, if ∇L is a constant and the gates do not read anything yet
    found, expected = by_hand.bias(short.policy), keep * by_hand.first_order_gradients(batch).mean(0)
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
