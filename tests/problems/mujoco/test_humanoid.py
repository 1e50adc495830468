"""A humanoid's reward and fall by hand; its steps: `test_locomotion.py`."""

import jax.numpy as jnp
import pytest

from adaptax import problems
from adaptax.problems.mujoco.ant import Heading


def test_a_step_is_paid_by_the_engines_own_duration_and_contact_costs_ten_at_most():
    env = problems.humanoid_direction().env
    readings = jnp.zeros(378).at[0].set(0.003).at[1].set(0.006)
    forward, sideways = (Heading(jnp.asarray(angle)) for angle in (0.0, jnp.pi / 2))
    still = jnp.zeros(17)
    assert float(env.reward(readings, still, forward)) == pytest.approx(0.25 * 1 + 5)
    assert float(env.reward(readings, still, sideways)) == pytest.approx(0.25 * 2 + 5)
    assert float(env.reward(readings, still + 0.4, forward)) == pytest.approx(5.25 - 0.1 * 17 * 0.16)
    assert float(env.reward(readings.at[-1].set(1e6), still, forward)) == pytest.approx(5.25 - 10)
    assert float(env.reward(readings.at[-1].set(1e3), still, forward)) == pytest.approx(5.25 - 0.5)


@pytest.mark.parametrize(("height", "fallen"), [(0.99, True), (1.0, False), (2.0, False), (2.01, True)])
def test_it_has_fallen_outside_of_one_to_two_metres(height, fallen):
    assert bool(problems.humanoid_direction().env.fallen(jnp.zeros(378).at[2].set(height))) is fallen
