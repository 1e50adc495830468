import jax.numpy as jnp
import numpy as np

from adaptax.core.combinations import choices_of, combination, of_combination, over_combinations
from adaptax.core.spaces import Box, Discrete, MultiDiscrete


def test_combinations_of_choices_are_counted_with_the_first_changing_slowest():
    space, actions = MultiDiscrete((2, 3)), [[i, j] for i in range(2) for j in range(3)]
    assert (choices_of(space), choices_of(Discrete(4)), choices_of(Box((2,)))) == ((2, 3), (4,), ())
    index = combination(space, jnp.asarray(actions))
    np.testing.assert_array_equal(index, np.arange(6))
    np.testing.assert_array_equal(of_combination(space, index), actions)
    np.testing.assert_array_equal(of_combination(space, jnp.asarray(-1)), [-1, -1])
    one_hot = over_combinations(space.encode(jnp.asarray(actions)), space.nums, jnp.multiply)
    np.testing.assert_array_equal(one_hot, np.eye(6))
    parts = jnp.asarray([1.0, 2.0, 10.0, 20.0, 30.0])
    np.testing.assert_array_equal(over_combinations(parts, (2, 3), jnp.add), [11, 21, 31, 12, 22, 32])
    three = jnp.asarray([0.0, 1.0, 0.0, 2.0, 0.0, 4.0])
    np.testing.assert_array_equal(over_combinations(three, (2, 2, 2), jnp.add), [0, 4, 2, 6, 1, 5, 3, 7])
    for same in (combination, of_combination):
        assert same(Discrete(4), jnp.asarray(3)) == 3
