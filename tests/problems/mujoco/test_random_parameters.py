"""Bodies of walkers and hoppers; their steps: `test_locomotion.py`."""

import math

import jax
import numpy as np

from adaptax import problems


def test_bodies_are_scaled_within_the_papers_range_and_shifted_ones_beyond():
    problem = problems.hopper_parameters()
    own = jax.vmap(problem.train.sample)(jax.random.split(jax.random.key(0), 500))
    logs = {name: np.log(getattr(own, name)) for name in ("mass", "inertia", "damping", "friction")}
    for name, base in {"mass": 1.5, "inertia": 1.5, "damping": 1.3, "friction": 1.5}.items():
        assert 2.9 < np.abs(logs[name]).max() / math.log(base) <= 3.0001
        np.testing.assert_allclose((logs[name] / math.log(base)).std(), 6 / math.sqrt(12), rtol=0.05)
    far = jax.vmap(problem.shifted.sample)(jax.random.split(jax.random.key(0), 50))
    assert np.abs(np.log(far.mass)).min() >= 3 * math.log(1.5) - 1e-4
