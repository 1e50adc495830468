import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import ANIL
from adaptax.networks import PolicyHead
from adaptax.problems import tabular_mdp
from tests.algorithms.standard_rl import bandit_by_hand as by_hand
from tests.sample_problems import program

PROBLEM = tabular_mdp(num_states=3, num_actions=2, horizon=4, num_episodes=4)
ALGORITHM = ANIL(hidden_size=4, num_layers=1, num_tasks=3, trajectories=2, outer="gradient", inner_learning_rate=1.0)


@pytest.fixture(scope="module")
def case():
    state = program(ALGORITHM.init)(PROBLEM, jax.random.key(0))
    return state.meta, by_hand.gather(ALGORITHM, state, PROBLEM)


@pytest.mark.compiles
def test_the_head_adapts_and_nothing_else(case):
    meta, batch = case
    agent = program(ALGORITHM.begin)(meta, jax.random.key(0))
    window = jax.tree.map(lambda x: x[0, 0], batch.trajectories)
    adapted = program(ALGORITHM.adapt)(meta, agent, window, jax.random.key(0)).adapted.parameters
    assert isinstance(adapted, PolicyHead)
    head = meta.theta.policy.head
    for after, before in zip(jax.tree.leaves(adapted), jax.tree.leaves(head), strict=True):
        assert (np.asarray(after) != np.asarray(before)).any()
    # The second window was collected by this head on the body of θ.
    features = meta.theta.policy.body(jnp.eye(3)[batch.trajectories.timestep.observation[0, 1]])
    expected = np.asarray(features) @ np.asarray(adapted.layer.weight) + np.asarray(adapted.layer.bias)
    np.testing.assert_allclose(batch.trajectories.aux["policy"].logits[0, 1], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.compiles
def test_the_body_is_meta_learned(case):
    meta, batch = case
    _, gradient = by_hand.gain(ALGORITHM, meta, batch, PROBLEM)
    assert all(np.abs(x).max() > 0 for x in jax.tree.leaves(gradient.policy))
