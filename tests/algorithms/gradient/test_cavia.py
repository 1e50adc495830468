import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import CAVIA
from adaptax.problems import tabular_mdp
from tests.algorithms.standard_rl import bandit_by_hand as by_hand
from tests.sample_problems import program, quick_jit, same

PROBLEM = tabular_mdp(num_states=3, num_actions=2, horizon=4, num_episodes=4)
SETTINGS = {
    "hidden_size": 4, "num_tasks": 3, "trajectories": 2, "outer": "gradient", "inner_learning_rate": 5.0,
    "context_size": 2,
}  # fmt: skip
ALGORITHM = CAVIA(num_layers=1, **SETTINGS)


@pytest.fixture(scope="module")
def case():
    state = program(ALGORITHM.init)(PROBLEM, jax.random.key(0))
    return state.meta, by_hand.gather(ALGORITHM, state, PROBLEM)


def _adapted(meta, batch):
    agent = program(ALGORITHM.begin)(meta, jax.random.key(0))
    window = jax.tree.map(lambda x: x[0, 0], batch.trajectories)
    return agent, program(ALGORITHM.adapt)(meta, agent, window, jax.random.key(0))


@pytest.mark.compiles
def test_a_context_of_zeros_is_what_moves(case):
    before, after = _adapted(*case)
    np.testing.assert_array_equal(before.adapted.parameters, np.zeros(2))
    assert after.adapted.parameters.shape == (2,)
    assert (np.asarray(after.adapted.parameters) != 0).all()


@pytest.mark.compiles
def test_the_context_is_a_bias_of_the_first_layer(case):
    meta, batch = case
    context = _adapted(meta, batch)[1].adapted.parameters
    first, head = jax.tree.map(np.asarray, (meta.theta.policy.body.layers[0], meta.theta.policy.head.layer))
    hidden = np.eye(3) @ first.weight[:3] + first.bias + np.asarray(context) @ first.weight[3:]
    expected = np.tanh(hidden) @ head.weight + head.bias
    seen, logits = (
        np.asarray(x)[0, 1] for x in (batch.trajectories.timestep.observation, batch.trajectories.aux["policy"].logits)
    )
    np.testing.assert_allclose(logits, expected[seen], rtol=1e-4, atol=1e-6)


@pytest.mark.compiles
def test_all_tasks_share_one_network_and_all_of_it_is_meta_learned(case):
    meta, batch = case
    _, gradient = by_hand.gain(ALGORITHM, meta, batch, PROBLEM)
    assert all(np.abs(x).max() > 0 for x in jax.tree.leaves(gradient.policy))
    assert meta.theta.context is None


def test_without_adaptation_the_weights_of_the_context_do_not_matter(case):
    meta, _ = case
    weight = meta.theta.policy.body.layers[0].weight
    other = eqx.tree_at(lambda m: m.theta.policy.body.layers[0].weight, meta, weight.at[3:].add(1.0))
    show = lambda meta: program(ALGORITHM.policy)(meta.theta, jnp.zeros(2), jnp.arange(3))  # noqa: E731
    assert same(show(meta), show(other))


def test_a_policy_without_hidden_layers_reads_the_context_too():
    algorithm = CAVIA(num_layers=0, **SETTINGS)
    meta = program(algorithm.init)(PROBLEM, jax.random.key(0)).meta
    logits = lambda context: algorithm.policy(meta.theta, context, jnp.asarray(0)).logits  # noqa: E731
    np.testing.assert_array_equal(program(algorithm.begin)(meta, jax.random.key(0)).adapted.parameters, np.zeros(2))
    np.testing.assert_allclose(
        quick_jit(jax.jacobian(logits))(jnp.zeros(2)).T, meta.theta.policy.head.layer.weight[3:], rtol=1e-5
    )
