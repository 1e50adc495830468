"""Means over steps are over those that happened (trap E35), in the outer loop of every method."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import ANIL, CAVIA, EMAML, FOMAML, MAML, MetaSGD, ProMP, Reptile
from adaptax.core.experience import Experience
from adaptax.problems import tabular_mdp
from tests.algorithms.gradient.test_inner_loop import padded
from tests.claims.enumeration import noise_like
from tests.sample_problems import quick_jit

pytestmark = pytest.mark.compiles
MDP = tabular_mdp(num_states=3, num_actions=2, horizon=3, num_episodes=6)
SHARED = {"num_layers": 0, "num_tasks": 3, "trajectories": 4, "inner_steps": 2, "baseline": "none"}
CASES = {
    "maml": MAML(**SHARED, outer="gradient"),
    "maml by a trust region": MAML(**SHARED),
    "maml by ppo": MAML(**SHARED, outer="ppo", objective="every-step"),
    "fomaml": FOMAML(**SHARED, outer="gradient"),
    "meta-sgd": MetaSGD(**SHARED, outer="gradient"),
    "anil": ANIL(**SHARED | {"num_layers": 1, "hidden_size": 3}, outer="gradient"),
    "cavia": CAVIA(**SHARED | {"num_layers": 1, "hidden_size": 3}, outer="gradient"),
    "promp": ProMP(**SHARED),
    "e-maml": EMAML(**SHARED, outer="gradient"),
    "reptile": Reptile(**SHARED),
}


def flat(windows):
    """Leaves `[task, window, time, env, ...]` as experience has them."""
    return jax.tree.map(lambda x: jnp.moveaxis(x, 0, 2).reshape(-1, x.shape[0], *x.shape[3:]), windows)


@pytest.mark.parametrize("name", CASES)
def test_E35_idle_slots_change_no_update(name):
    algorithm = dataclasses.replace(CASES[name], num_updates=10)

    def run(key):
        state = algorithm.init(MDP, key)
        theta = noise_like(state.meta.theta, 0.5, key)
        state = dataclasses.replace(state, meta=dataclasses.replace(state.meta, theta=theta))
        lived = algorithm.collect(MDP, state)
        steps = algorithm.inner_steps + 1

        def by_window(x):
            return jnp.moveaxis(x.reshape(steps, len(x) // steps, *x.shape[1:]), 2, 0)

        windows = jax.tree.map(by_window, lived.trajectory)
        longer = Experience(lived.tasks, flat(padded(windows, 6)), extra=lived.extra)
        return state, algorithm.learn(MDP, state, lived)[0], algorithm.learn(MDP, state, longer)[0]

    before, one, other = (state.meta.theta for state in quick_jit(run)(jax.random.key(3)))
    moved = max(float(jnp.abs(x - y).max()) for x, y in zip(*map(jax.tree.leaves, (before, one)), strict=True))
    assert moved > 1e-4
    for x, y in zip(*map(jax.tree.leaves, (one, other)), strict=True):
        np.testing.assert_allclose(x, y, atol=2e-3 * moved)
