"""One step of an agent in an environment: a point on a line that moves as it is told, within ± 1."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.errors import DivergenceError
from adaptax.core.interaction import checked, interact
from adaptax.core.problem import Environment, Step
from adaptax.core.spaces import Box
from adaptax.core.types import TimeStep, Transition, replace


class Line(Environment):
    """The reward is the action that arrives; so is what it does to the state."""

    horizon = 3
    ends_early = True

    @property
    def observation_space(self):
        return Box((1,), -10.0, 10.0)

    @property
    def action_space(self):
        return Box((1,), -1.0, 1.0)

    def reset(self, task, key):
        return jnp.zeros(()), jnp.zeros(1)

    def step(self, state, action, task, key):
        state = state + action[0]
        return Step(state, state[None], action[0], state > task)


KEY = jax.random.key(0)


@pytest.mark.parametrize(("chosen", "done"), [(0.25, 0.25), (7.0, 1.0), (-7.0, -1.0)])
def test_E36_what_is_done_lies_in_the_space_and_is_what_the_agent_sees(chosen, done):
    step, seen = interact(Line(), jnp.asarray(0.5), jnp.asarray([chosen]), jnp.asarray(1.2), KEY)
    assert float(step.reward) == float(seen.reward) == float(seen.action[0]) == done
    assert float(step.state) == float(seen.observation[0]) == 0.5 + done
    assert bool(step.terminated) == (done == 1.0)
    assert not seen.first


def test_what_is_no_action_never_reaches_the_environment():
    with pytest.raises(DivergenceError, match=r"the policy's output: action: .*Line was not given it"):
        interact(Line(), jnp.asarray(0.5), jnp.asarray(0), jnp.asarray(1.2), KEY)


def _trajectory():
    """Two steps in two environments, all of them sound."""
    numbers, truth = jnp.full((2, 2), 0.5), jnp.ones((2, 2), bool)
    vectors = numbers[..., None]
    seen = TimeStep(vectors, vectors, numbers, ~truth)
    return Transition(seen, vectors, numbers, ~truth, ~truth, vectors, None, truth)


@pytest.mark.parametrize("field", ["observation", "action", "next_observation", "reward"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -1e30])
def test_a_step_that_broke_the_contract_has_a_reward_of_nan_and_the_others_keep_theirs(field, value):
    def broken(trajectory):
        if field == "observation":
            seen = trajectory.timestep
            return replace(trajectory, timestep=replace(seen, observation=seen.observation.at[1, 0].set(value)))
        return replace(trajectory, **{field: getattr(trajectory, field).at[1, 0].set(value)})

    expected = [[0.5, 0.5], [np.nan, 0.5]]
    np.testing.assert_array_equal(checked(Line(), broken(_trajectory())).reward, expected)
    np.testing.assert_array_equal(checked(Line(), _trajectory()).reward, 0.5)


def test_what_stands_in_an_idle_step_breaks_nothing():
    trajectory = _trajectory()
    idle = trajectory.valid.at[1].set(False)
    trajectory = replace(trajectory, valid=idle, next_observation=jnp.full((2, 2, 1), jnp.nan))
    np.testing.assert_array_equal(checked(Line(), trajectory).reward, [[np.nan] * 2, [0.5] * 2])


def test_an_action_beyond_the_bounds_is_one_since_it_is_clipped_and_an_observation_is_not():
    trajectory = replace(_trajectory(), action=jnp.full((2, 2, 1), 20.0))
    np.testing.assert_array_equal(checked(Line(), trajectory).reward, 0.5)
    trajectory = replace(_trajectory(), next_observation=jnp.full((2, 2, 1), 20.0))
    assert np.isnan(checked(Line(), trajectory).reward).all()
