"""Arrays come out of a vector of words as they went in, bit by bit, in programs and on the host."""

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.core.host_packing import Packing

ODD = np.asarray([[np.nan, -0.0], [np.inf, 1e-40]], np.float32)
ODD.view(np.uint32)[0, 0] = 0x7FC12345  # a NaN of its own
ARRAYS = [
    ODD,
    np.asarray(True),
    np.arange(-3, 3, dtype=np.int32).reshape(3, 2),
    np.asarray([[[2**32 - 1]]], np.uint32),
    np.arange(4, dtype=np.uint8),
    np.zeros((0, 3), np.float32),
    np.asarray([False, True]),
]


def assert_bits(one, other):
    for a, b in zip(map(np.asarray, one), map(np.asarray, other), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert a.tobytes() == b.tobytes()


def test_all_ways_of_packing_and_unpacking_agree():
    packing = Packing(ARRAYS)
    assert packing.apart == [4]  # bytes are no words
    assert packing.size == 4 + 1 + 6 + 1 + 0 + 2
    here, there = packing.pack_on_host(ARRAYS), jax.jit(packing.pack)(ARRAYS)
    assert_bits(here, there)
    assert_bits(packing.unpack_on_host(there), ARRAYS)
    assert_bits(jax.jit(packing.unpack)(here), ARRAYS)


def test_keys_travel_as_their_words():
    keys = jax.random.split(jax.random.key(3), (2, 3))
    packing = Packing([keys, jnp.ones(2)])
    assert packing.size == 12 + 2
    back, ones = jax.jit(lambda x: packing.unpack(packing.pack([x, jnp.ones(2)])))(keys)
    np.testing.assert_array_equal(jax.random.key_data(back), jax.random.key_data(keys))
    assert ones.tolist() == [1, 1]


def test_what_is_large_or_alone_stays_as_it_is():
    shapes = [jax.ShapeDtypeStruct((n,), jnp.float32) for n in (2, 5, 3)]
    assert Packing(shapes, limit=4).packed == [0, 2]
    assert Packing(shapes, limit=2).packed == []  # one is no less than one
    alone = Packing(shapes[:1])
    x = np.ones(2, np.float32)
    assert alone.pack([x])[0] is x
    assert alone.pack_on_host([x])[0] is x
    assert_bits(alone.unpack_on_host([x]), [x])


def test_rows_are_packed_side_by_side():
    packing = Packing([x[0] for x in (ODD, ARRAYS[2][:2])])
    rows = jax.jit(jax.vmap(packing.pack))([ODD, ARRAYS[2][:2]])
    assert rows[0].shape == (2, 4)
    assert_bits(jax.jit(jax.vmap(packing.unpack))(rows), [ODD, ARRAYS[2][:2]])
