import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.composite_spaces import ActionMask, Dict, Encoded, Image, Tuple
from adaptax.core.spaces import Box, Discrete, MultiDiscrete

PARTS = {
    "where": Box((2,), [-1, 0], [1, 100]),
    "kind": Discrete(3),
    "mask": ActionMask(2),
    "seen": Image((1, 2, 1)),
    "two": MultiDiscrete((2, 2)),
}
VALUES = {
    "where": [0.5, 25.0],
    "kind": 2,
    "mask": [1, 0],
    "seen": np.asarray([[[0], [255]]], np.uint8),
    "two": [1, 0],
}


def test_an_element_is_one_vector_in_the_order_of_names():
    space = Dict(PARTS)
    element = space.flatten({name: jnp.asarray(value) for name, value in VALUES.items()})
    np.testing.assert_array_equal(element, [0, 0, 1, 1, 0, 0, 255, 0, 1, 1, 0, 0.5, 25])
    assert element.shape == space.shape
    assert space.contains(element)
    np.testing.assert_allclose(space.encode(element), [0, 0, 1, 1, 0, -0.5, 0.5, 0, 1, 1, 0, 0.5, -0.5])
    np.testing.assert_array_equal(space.legal(space.encode(element)), [True, False])
    np.testing.assert_array_equal(np.flatnonzero(space.numeric), [11, 12])
    assert space.images == ((5, (1, 2, 1)),)


def test_batches_are_flattened_and_encoded_like_single_ones():
    space = Dict(PARTS)
    elements = jax.vmap(space.sample)(jax.random.split(jax.random.key(0), 6)).reshape(2, 3, -1)
    encoded = space.encode(elements)
    for i in range(2):
        for j in range(3):
            np.testing.assert_allclose(encoded[i, j], space.encode(elements[i, j]), atol=1e-6)
    parts = {name: jnp.broadcast_to(jnp.asarray(x), (4, *np.shape(x))) for name, x in VALUES.items()}
    np.testing.assert_array_equal(
        space.flatten(parts)[3], space.flatten({k: jnp.asarray(v) for k, v in VALUES.items()})
    )


def test_it_is_as_gymnasium_flattens():
    ours = Dict({"a": Box((2, 2)), "b": Discrete(3)})
    theirs = gymnasium.spaces.Dict({"a": gymnasium.spaces.Box(-9, 9, (2, 2)), "b": gymnasium.spaces.Discrete(3)})
    sample = theirs.sample()
    flat = gymnasium.spaces.flatten(theirs, sample)
    np.testing.assert_array_equal(ours.flatten({k: jnp.asarray(v) for k, v in sample.items()}), flat)


def test_a_tuple_is_one_whose_parts_have_numbers():
    space = Tuple([Discrete(2), Box((1,))])
    np.testing.assert_array_equal(space.flatten((jnp.asarray(1), jnp.asarray([7.0]))), [0, 1, 7])


@pytest.mark.parametrize("parts", [{"where": [0, 0]}, {**VALUES, "more": 1}, {**VALUES, "where": [1.0, 2.0, 3.0]}])
def test_parts_that_do_not_fit_are_refused(parts):
    with pytest.raises(ValueError, match="flatten"):
        Dict(PARTS).flatten(parts)


def test_one_mask_is_enough():
    with pytest.raises(ValueError, match="at most one mask"):
        Dict({"a": ActionMask(2), "b": ActionMask(2)})


def test_what_is_encoded_remembers_masks_and_pictures():
    space = Encoded(Dict(PARTS), 2)
    assert space.shape == (15,)
    assert space.mask_place == slice(3, 5)
    assert space.images == ((5, (1, 2, 1)),)
    np.testing.assert_array_equal(np.flatnonzero(space.numeric), [11, 12, 13, 14])
    x = jnp.arange(15.0)
    np.testing.assert_array_equal(space.encode(x), x)


def test_spaces_are_equal_by_what_they_are():
    assert Dict(PARTS) == Dict(dict(reversed(PARTS.items())))
    assert hash(Dict(PARTS)) == hash(Dict(PARTS))
    assert Dict(PARTS) != Dict({"where": PARTS["where"]})
    assert Tuple([Discrete(2)]) != Dict({"0": Discrete(2)})
    assert Encoded(Discrete(2)) == Encoded(Discrete(2))
    assert Encoded(Discrete(2)) != Encoded(Discrete(2), 1)
    assert Image((2, 2, 1)) != Box((2, 2, 1), 0, 255)
