"""Tasks of ants, by protocol; their steps: `test_locomotion.py`."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax import problems
from adaptax.core.errors import UseError


@pytest.mark.parametrize(("protocol", "angles"), [("promp", [0, math.pi]), ("varibad", [-1, 1])])
def test_ants_run_where_the_protocol_says(protocol, angles):
    family = problems.ant_direction(protocol=protocol).train
    drawn = jax.vmap(family.sample)(jax.random.split(jax.random.key(0), 100)).angle
    np.testing.assert_allclose(sorted(set(drawn.tolist())), angles, rtol=1e-6)


def test_ants_run_all_around_and_goals_fill_a_disc():
    angles = jax.vmap(problems.ant_direction().train.sample)(jax.random.split(jax.random.key(0), 2000)).angle
    assert 0 <= angles.min() < 0.05
    assert 2 * math.pi - 0.05 < angles.max() <= 2 * math.pi
    places = jax.vmap(problems.ant_goal().train.sample)(jax.random.split(jax.random.key(0), 2000)).position
    distances = jnp.linalg.norm(places, axis=-1)
    assert distances.max() <= 3.0001
    np.testing.assert_allclose((distances < 1.5).mean(), 0.25, atol=0.04)  # uniform over the area


def test_a_protocol_that_nobody_has_is_refused():
    with pytest.raises(UseError, match=r"ant_direction\(protocol\): expected one of .*pearl.*, got 'oops'"):
        problems.ant_direction(protocol="oops")
