"""Tasks of half-cheetahs, by protocol; their steps: `test_locomotion.py`."""

import jax
import pytest

from adaptax import problems
from adaptax.core.errors import UseError
from adaptax.problems.mujoco import half_cheetah


def test_directions_are_two_and_velocities_differ_by_protocol():
    signs = jax.vmap(problems.half_cheetah_direction().train.sample)(jax.random.split(jax.random.key(0), 200)).sign
    assert sorted(set(signs.tolist())) == [-1, 1]
    for protocol, fastest in {"varibad": 3, "promp": 2}.items():
        family = problems.half_cheetah_velocity(protocol=protocol).train
        goals = jax.vmap(family.sample)(jax.random.split(jax.random.key(0), 2000)).goal
        assert 0 <= goals.min() < 0.02
        assert fastest - 0.02 < goals.max() <= fastest


def test_pearl_trains_for_100_velocities_and_is_tested_on_30_others():
    family = problems.half_cheetah_velocity(protocol="pearl")
    drawn = {
        split: set(jax.vmap(getattr(family, split).sample)(jax.random.split(jax.random.key(0), 3000)).goal.tolist())
        for split in ("train", "test")
    }
    assert (len(drawn["train"]), len(drawn["test"])) == (100, 30)
    assert not drawn["train"] & drawn["test"]
    assert half_cheetah.pearl_goals() == half_cheetah.pearl_goals()


def test_a_protocol_that_nobody_has_is_refused():
    with pytest.raises(UseError, match=r"half_cheetah_velocity\(protocol\): expected one of .*pearl.*, got 'oops'"):
        problems.half_cheetah_velocity(protocol="oops")
