import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.errors import DivergenceError, EnvironmentContractError
from adaptax.core.spaces import Box, Discrete
from adaptax.core.step_checks import HUGE, action_is_in, check_action, check_outcome, check_types, is_in, is_sound
from adaptax.problems import bernoulli_bandit, point_robot

BAD = [np.nan, np.inf, -np.inf, HUGE, -HUGE, 1e30]


@pytest.mark.parametrize("value", BAD)
def test_numbers_that_break_a_loss_are_not_sound(value):
    assert not is_sound(jnp.asarray([0.0, value], jnp.float32))
    assert not is_in(Box((2,)), jnp.asarray([value, 0.0], jnp.float32))
    assert not is_in(Box((2,), -1.0, 1.0), jnp.asarray([value, 0.0], jnp.float32))
    assert not action_is_in(Box((2,), -1.0, 1.0), jnp.asarray([value, 0.0], jnp.float32))


def test_what_is_sound_squares_to_a_finite_number():
    x = jnp.asarray(np.nextafter(np.float32(HUGE), np.float32(0)))
    assert is_sound(x)
    assert jnp.isfinite(x * x)


def test_bounds_belong_to_a_box_and_what_lies_beyond_does_not():
    space = Box((2,), -1.0, 1.0)
    assert is_in(space, jnp.asarray([-1.0, 1.0]))
    assert not is_in(space, jnp.asarray([0.0, np.nextafter(np.float32(1), np.float32(2))]))
    assert action_is_in(space, jnp.asarray([5.0, 0.0]))  # environments clip actions
    half = Box((1,), low=0.0)
    assert is_in(half, jnp.asarray([1e6]))
    assert not is_in(half, jnp.asarray([-0.1]))


@pytest.mark.parametrize(("value", "inside"), [(-1, False), (0, True), (4, True), (5, False)])
def test_of_a_discrete_space_only_the_numbers_below_it(value, inside):
    assert bool(is_in(Discrete(5), jnp.asarray(value))) == inside
    assert bool(action_is_in(Discrete(5), jnp.asarray(value))) == inside


@pytest.mark.parametrize(
    ("observation", "found"),
    [
        (jnp.zeros(3), r"float32 of shape \(3,\)"),
        (jnp.zeros(2, jnp.int32), r"int32 of shape \(2,\)"),
        (None, "nothing"),
        ((jnp.zeros(2),), "a tuple"),
        ([0.0, 0.0], "a list"),
    ],
)
def test_a_wrong_observation_is_named_while_the_program_is_traced(observation, found):
    env = point_robot().env
    check_types(env, jnp.zeros(2), "reset")
    with pytest.raises(
        EnvironmentContractError,
        match=rf"PointRobot.reset: observation: expected a float array of shape \(2,\), found {found}",
    ):
        check_types(env, observation, "reset")


@pytest.mark.parametrize(
    ("reward", "terminated", "says"),
    [
        (
            jnp.zeros(1),
            jnp.asarray(False),
            r"reward: expected a float array of shape \(\), found float32 of shape \(1,\)",
        ),
        (jnp.asarray(1), jnp.asarray(False), r"reward: .*found int32 of shape \(\)"),
        (1.0, jnp.asarray(False), "reward: .*found a float"),
        (jnp.zeros(()), jnp.asarray(0.0), r"terminated: expected a bool array of shape \(\), found float32"),
        (jnp.zeros(()), None, "terminated: .*found nothing"),
    ],
)
def test_a_wrong_outcome_is_named(reward, terminated, says):
    env = bernoulli_bandit().env
    check_outcome(env, jnp.zeros(()), jnp.asarray(False))
    with pytest.raises(EnvironmentContractError, match=says):
        check_outcome(env, reward, terminated)


def test_a_policy_that_puts_out_no_action_is_told_apart_from_the_environment():
    check_action(bernoulli_bandit().env, jnp.asarray(1))
    with pytest.raises(DivergenceError, match="the policy's output: action: expected an integer array"):
        check_action(bernoulli_bandit().env, jnp.zeros(()))
