"""Policies whose weights are put out: against NumPy, and how they begin."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms.belief.varibad import VariBAD
from adaptax.algorithms.memory.rl2 import RL2
from adaptax.algorithms.memory.settings import RL2Settings
from adaptax.core.algorithm import init
from adaptax.core.errors import ConfigError
from adaptax.networks.heads import PolicyHead, ScoreHead
from adaptax.networks.hypernetworks import Hypernetwork
from adaptax.problems import grid_navigation, point_robot
from adaptax.problems.settings import GridNavigationSettings

MEMORY, CONTEXT, SIZES = 7, 4, (5, 6, 3, 2)
CONTEXTS = 1000


def network(init="bias", sizes=SIZES):
    return Hypernetwork(MEMORY, CONTEXT, sizes, init, jax.random.key(0))


def outputs(found, count=CONTEXTS):
    """What one observation gives for many memories."""
    memories = 3.0 * jax.random.normal(jax.random.key(1), (count, MEMORY))
    observation = jax.random.normal(jax.random.key(2), (SIZES[0],))
    return np.asarray(found(memories, jnp.broadcast_to(observation, (count, SIZES[0]))))


def by_hand(found, memory, observation):
    """f_w(o) with w = W (A h + a) + b, in float64."""
    context = np.float64(memory) @ np.float64(found.context.weight) + np.float64(found.context.bias)
    weights = list(context @ np.float64(found.weights.weight) + np.float64(found.weights.bias))
    x = [float(number) for number in observation]
    for layer, (inputs, outputs) in enumerate(zip(found.sizes, found.sizes[1:], strict=False)):
        matrix, weights = weights[: inputs * outputs], weights[inputs * outputs :]
        bias, weights = weights[:outputs], weights[outputs:]
        x = [sum(x[i] * matrix[i * outputs + o] for i in range(inputs)) + bias[o] for o in range(outputs)]
        if layer < len(found.sizes) - 2:
            x = [max(number, 0.0) for number in x]
    assert not weights
    return np.asarray(x)


@pytest.mark.parametrize("sizes", [SIZES, (5, 2), (0, 2)])
def test_it_is_the_network_of_its_weights_for_each_memory(sizes):
    found = network("kaiming", sizes)
    memories = jax.random.normal(jax.random.key(3), (2, 3, MEMORY))
    seen = jax.random.normal(jax.random.key(4), (2, 3, sizes[0]))
    got = found(memories, seen)
    assert got.shape == (2, 3, 2)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_allclose(got[i, j], by_hand(found, memories[i, j], seen[i, j]), rtol=2e-5, atol=2e-5)


def test_E18_at_the_start_there_is_one_policy_for_all_contexts():
    got = outputs(network("bias"))
    assert np.ptp(got, 0).max() == 0
    assert 0 < np.abs(got).max() < 0.1  # near the uniform policy, and not nothing
    control = outputs(network("kaiming"))
    assert np.ptp(control, 0).min() > 1


def test_E18_contexts_matter_after_the_first_step():
    found = network("bias")
    memories = jax.random.normal(jax.random.key(5), (8, MEMORY))
    seen = jax.random.normal(jax.random.key(6), (8, SIZES[0]))

    def loss(network):
        return jnp.sum((network(memories, seen) - memories[:, :2]) ** 2)

    gradient = jax.grad(loss)(found)
    assert float(jnp.abs(gradient.weights.weight).max()) > 0
    stepped = jax.tree.map(lambda x, g: x - 0.01 * g, found, gradient)
    assert np.ptp(outputs(stepped), 0).min() > 1e-4


@pytest.mark.parametrize(
    ("problem", "size"), [(grid_navigation(size=3, horizon=4), 6), (point_robot(horizon=5, num_episodes=2), 0)]
)
def test_rl2_begins_with_one_policy_whatever_it_remembers(problem, size):
    settings = {"memory": "gru", "memory_size": 8, "policy_size": size, "num_tasks": 4, "num_minibatches": 2}
    network = init(RL2(**settings, policy_network="hypernetwork"), problem, seed=0).meta.network
    sizes = network.readout.sizes
    assert sizes[1:-1] == ((size, size) if size else ())
    memories = jax.random.normal(jax.random.key(0), (CONTEXTS, 8))
    seen = jnp.ones((CONTEXTS, sizes[0]))
    policy = network.policy(network.readout(memories, seen))
    assert all(np.ptp(np.asarray(x), 0).max() == 0 for x in jax.tree.leaves(policy) if x.ndim > 1)
    plain = init(RL2(**settings), problem, seed=0).meta.network
    assert isinstance(network.policy, ScoreHead)
    assert isinstance(plain.policy, PolicyHead)


def test_E18_varibad_begins_with_one_policy_whatever_it_believes():
    sizes = {"memory_size": 8, "policy_size": 6, "latent_size": 3, "num_tasks": 4, "num_minibatches": 2}
    algorithm = VariBAD(**sizes, buffer_size=4, elbo_batch=4, policy_network="hypernetwork")
    problem = grid_navigation(size=3, horizon=4)
    network = init(algorithm, problem, seed=0).meta.network
    assert network.readout.context.weight.shape[0] == network.memory.belief_size == 6
    hyper_states = jax.random.normal(jax.random.key(0), (CONTEXTS, network.memory.size))
    seen = jnp.broadcast_to(jax.nn.one_hot(4, 9), (CONTEXTS, 9))
    assert np.ptp(np.asarray(network.policy(network.readout(hyper_states, seen)).log_probs()), 0).max() == 0


def test_it_does_not_stand_behind_scores():
    for memory in ("symmetric", "counting"):
        settings = RL2Settings(memory=memory, policy_network="hypernetwork")
        with pytest.raises(ConfigError, match=f"policy_network: the scores that memory='{memory}' puts out"):
            settings.check_problem(GridNavigationSettings())
