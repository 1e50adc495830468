"""What all memories read and are read by; each kind by its name: `test_memory.py`."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.spaces import Box, Discrete
from adaptax.networks.heads import Readout
from adaptax.networks.memory.base import Memory, MemorySizes, Seen, dense_input_size
from tests.sample_problems import program


class Still(Memory):
    """Remembers nothing, in three numbers."""

    @property
    def size(self):
        return 3

    def initial(self):
        return jnp.zeros(3)

    def step(self, state, x):
        return state, state

    def unroll(self, xs, valid=None, starts=None):
        return jnp.zeros((*xs.shape[:2], 3))


def sizes(observation, action, policy_size=0):
    return MemorySizes(observation, action, size=3, policy_size=policy_size, span=4)


def test_what_is_read_by_hand():
    rows = [jnp.asarray(x, jnp.float32) for x in ([1, 0], [0, 1], [0, 1, 0], [0.5], [1])]
    observation, previous, action, reward, first = rows
    plain = [1, 0, 0, 1, 0, 0, 0.5, 0, 0.5, 1]
    pairs = [0, 0, 0, 0, 1, 0]  # the second state with the second action
    for countable, expected in ((False, plain), (True, [*plain, *pairs, *(0.5 * x for x in pairs)])):
        seen = Seen(observation, previous, action, reward, first, countable)
        np.testing.assert_array_equal(Still().inputs(seen), expected)
        batch = jax.tree.map(lambda x: jnp.asarray(np.stack([0 * np.asarray(x), x])[:, None]), seen)
        np.testing.assert_array_equal(Still().inputs(batch)[:, 0], [np.zeros(len(expected)), expected])


@pytest.mark.parametrize(
    ("observation", "action", "countable", "inputs"),
    [
        (Discrete(4), Discrete(3), True, 4 + 2 * 3 + 2 + 2 * 4 * 3),
        (Box((0,)), Discrete(3), False, 2 * 3 + 2),
        (Box((2, 3)), Discrete(3), False, 6 + 2 * 3 + 2),
        (Discrete(4), Box((2,)), False, 4 + 2 * 2 + 2),
    ],
)
def test_how_much_is_read(observation, action, countable, inputs):
    found = sizes(observation, action)
    assert (found.countable, dense_input_size(found)) == (countable, inputs)
    lengths = observation.encoded_size, action.encoded_size, 1
    o, a, number = (jnp.asarray(np.zeros((5, length), np.float32)) for length in lengths)
    assert Still().inputs(Seen(o, o, a, number, number, countable)).shape == (5, inputs)


def heads(initial_std, key, *made_for):
    return [Still().heads(sizes(*each), initial_std, key) for each in made_for]


def test_a_policy_reads_the_memory_itself_or_through_a_layer(key):
    spaces = Box((2,)), Discrete(4)
    (none, direct), (readout, through) = program(heads)(1.0, key, (*spaces, 0), (*spaces, 3))
    assert none is None
    assert (readout.from_memory.weight.shape, readout.from_observation.weight.shape) == ((3, 3), (2, 3))
    assert direct.log_std is through.log_std is None
    assert direct.layer.weight.shape == (3, 4)
    np.testing.assert_array_equal(direct.layer.weight, through.layer.weight)
    own = program(Readout)(3, 2, 3, jax.random.fold_in(key, 1))  # the layer draws from a key of its own
    np.testing.assert_allclose(readout.from_memory.weight, own.from_memory.weight, rtol=1e-5)
    ((_, wide),) = eqx.filter_eval_shape(heads, 1.0, key, (*spaces, 5))
    assert wide.layer.weight.shape == (5, 4)


def test_the_deviation_of_continuous_actions_is_that_of_the_start(key):
    ((_, policy),) = program(heads)(0.25, key, (Box((2,)), Box((2,), -1.0, 1.0), 0))
    np.testing.assert_allclose(policy.log_std, [math.log(0.25)] * 2, rtol=1e-6)
