import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.composite_spaces import ActionMask, Image
from adaptax.core.spaces import Box, Discrete, MultiDiscrete


def test_discrete_is_encoded_as_one_hot_and_nothing_as_zeros():
    space = Discrete(3)
    assert space.encoded_size == 3
    np.testing.assert_array_equal(
        space.encode(jnp.asarray([[2, 0], [1, -1]])), [[[0, 0, 1], [1, 0, 0]], [[0, 1, 0], [0, 0, 0]]]
    )
    assert space.null() == -1
    assert space.null().dtype == jnp.int32
    np.testing.assert_array_equal(space.encode(space.null()), np.zeros(3))


def test_discrete_contains():
    np.testing.assert_array_equal(Discrete(3).contains(jnp.asarray([-1, 0, 2, 3])), [False, True, True, False])
    assert not Discrete(3).contains(Discrete(3).null())


def test_discrete_samples_are_uniform():
    samples = jax.vmap(Discrete(4).sample)(jax.random.split(jax.random.key(0), 40_000))
    counts = np.bincount(np.asarray(samples), minlength=4)
    assert len(counts) == 4
    np.testing.assert_array_less(np.abs(counts - 10_000), 4 * np.sqrt(40_000 * 0.25 * 0.75))


@pytest.mark.parametrize("bound", [3.4e38, 1e6, np.inf])
def test_E33_bounds_that_promise_nothing_are_no_scale(bound):
    space = Box((2,), -bound, bound)
    seen = jnp.asarray([0.5, -3.0])
    np.testing.assert_array_equal(space.encode(seen), seen)
    np.testing.assert_array_equal(space.encode(jnp.stack([seen, 2 * seen])), [[0.5, -3], [1, -6]])


def test_an_action_may_be_anywhere_in_its_range():
    space = Box((2,), -1e6, 1e6)
    np.testing.assert_allclose(space.encode_action(jnp.asarray([1e6, -5e5])), [1, -0.5])
    np.testing.assert_allclose(space.from_policy(jnp.asarray([1.0, -0.5])), [1e6, -5e5])


def test_what_is_done_of_an_action_lies_between_the_bounds():
    np.testing.assert_array_equal(Box((3,), -1.0, 2.0).clip(jnp.asarray([-5.0, 0.5, 7.0])), [-1, 0.5, 2])
    np.testing.assert_array_equal(Box((2,)).clip(jnp.asarray([-1e9, 1e9])), np.float32([-1e9, 1e9]))
    np.testing.assert_array_equal(Box((2,), 0.0).clip(jnp.asarray([-1.0, 1e9])), np.float32([0, 1e9]))
    assert np.isnan(Box((1,), -1.0, 1.0).clip(jnp.asarray([jnp.nan]))).all()
    assert Discrete(3).clip(jnp.asarray(2)) == 2


@pytest.mark.parametrize("num", [0, -1])
def test_empty_discrete_is_refused(num):
    with pytest.raises(ValueError, match=r"Discrete\(num\): expected a positive integer"):
        Discrete(num)


@pytest.mark.parametrize(("shape", "size"), [((), 1), ((0,), 0), ((3,), 3), ((2, 3), 6)])
def test_box_is_encoded_as_a_vector(shape, size):
    space = Box(shape)
    assert space.encoded_size == size
    x = jnp.arange(5.0 * size).reshape(5, *shape)
    np.testing.assert_array_equal(space.encode(x), np.arange(5.0 * size).reshape(5, size))
    assert space.encode(x[0]).shape == (size,)
    np.testing.assert_array_equal(space.null(), np.zeros(shape))


def test_box_contains():
    space = Box((2,), -1.0, 2.0)
    assert space.contains(jnp.asarray([-1.0, 2.0]))
    assert not space.contains(jnp.asarray([0.0, 2.1]))
    assert not space.contains(jnp.asarray([-1.1, 0.0]))
    assert Box((2,)).contains(jnp.asarray([-1e30, 1e30]))


@pytest.mark.parametrize(("low", "high", "mean", "std"), [(-1.0, 3.0, 1, 4 / np.sqrt(12)), (-np.inf, np.inf, 0, 1)])
def test_box_samples(low, high, mean, std):
    space = Box((2,), low, high)
    samples = jax.vmap(space.sample)(jax.random.split(jax.random.key(0), 20_000))
    assert jax.vmap(space.contains)(samples).all()
    np.testing.assert_array_less(np.abs(samples.mean(0) - mean), 4 * std / np.sqrt(20_000))
    np.testing.assert_array_less(np.abs(samples.std(0) / std - 1), 4 / np.sqrt(2 * 20_000))


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (1.0, 0.0), (np.nan, 1.0)])
def test_empty_box_is_refused(low, high):
    with pytest.raises(ValueError, match=r"Box\(low, high\): expected low < high"):
        Box((2,), low, high)


def test_spaces_are_hashable_and_compare_by_value():
    assert len({Discrete(2), Discrete(2), Box((1,)), Box((1,)), Box((2,))}) == 3


def test_a_bounded_box_is_encoded_from_minus_one_to_one():
    space = Box((2,), -1.0, 3.0)
    np.testing.assert_allclose(space.encode(jnp.asarray([[-1.0, 3.0], [1.0, 2.0]])), [[-1, 1], [0, 0.5]])
    np.testing.assert_array_equal(space.encode(space.null()), [0, 0])


def test_a_policys_actions_come_back():
    box = Box((2, 1), -0.1, 0.1)
    policy_action = jnp.asarray([0.3, -2.0])
    assert box.from_policy(policy_action).shape == (2, 1)
    np.testing.assert_allclose(box.from_policy(policy_action), [[0.03], [-0.2]], rtol=1e-6)
    np.testing.assert_allclose(box.policy_action(box.from_policy(policy_action)), policy_action, rtol=1e-6)
    assert Discrete(3).policy_action(Discrete(3).from_policy(jnp.asarray(2))) == 2


def test_bounds_may_differ_between_entries():
    space = Box((3,), [-1, 0, -np.inf], [1, 10, np.inf])
    np.testing.assert_allclose(space.encode_action(jnp.asarray([[1.0, 10, 7], [-1, 5, -7]])), [[1, 1, 7], [-1, 0, -7]])
    np.testing.assert_allclose(space.from_policy(jnp.asarray([1.0, 1, 7])), [1, 10, 7])
    np.testing.assert_array_equal(space.clip(jnp.asarray([[5.0, -5, 1e9]])), [[1, 0, np.float32(1e9)]])
    np.testing.assert_array_equal(space.null(), [0, 5, 0])
    assert space.contains(jnp.asarray([0.5, 10, 99]))
    assert not space.contains(jnp.asarray([0.5, 10.1, 99]))
    samples = np.asarray(jax.vmap(space.sample)(jax.random.split(jax.random.key(0), 2000)))
    assert bool(jax.vmap(space.contains)(samples).all())
    np.testing.assert_allclose(samples.mean(0), [0, 5, 0], atol=0.25)
    np.testing.assert_allclose(samples.std(0), [3**-0.5, 10 * 12**-0.5, 1], rtol=0.06)


def test_equal_bounds_are_one():
    assert Box((2,), [-1, -1], [2.0, 2.0]) == Box((2,), -1.0, 2.0)
    assert hash(Box((2,), np.zeros(2), np.asarray([1, 2]))) == hash(Box((2,), [0, 0], [1, 2]))


def test_E33_only_bounds_that_are_narrow_are_a_scale():
    space = Box((3,), [-1, -1e6, -3.4e38], [1, 1e6, 3.4e38])
    np.testing.assert_array_equal(space.encode(jnp.asarray([[0.5, 7, 9]])), [[0.5, 7, 9]])
    assert not space.bounded


def test_actions_with_bounds_of_3e38_are_drawn_and_done_as_if_there_were_none():
    space = Box((1,), -3.4e38, 3.4e38)
    assert space == Box((1,))
    np.testing.assert_array_equal(space.from_policy(jnp.asarray([0.5])), [0.5])


@pytest.mark.parametrize("low", [[0, 1], [0, 0, 0], [[0, 0]]])
def test_bounds_that_do_not_fit_are_refused(low):
    with pytest.raises(ValueError, match="Box"):
        Box((2,), low, [1, 1])


def test_several_choices():
    space = MultiDiscrete((2, 3))
    np.testing.assert_array_equal(space.encode(jnp.asarray([[1, 2], [0, 0]])), [[0, 1, 0, 0, 1], [1, 0, 1, 0, 0]])
    np.testing.assert_array_equal(space.encode(space.null()), np.zeros(5))
    np.testing.assert_array_equal(space.contains(jnp.asarray([[1, 2], [2, 0], [0, -1]])), [True, False, False])
    samples = np.asarray(jax.vmap(space.sample)(jax.random.split(jax.random.key(0), 600)))
    assert {tuple(x) for x in samples} == {(i, j) for i in range(2) for j in range(3)}
    with pytest.raises(ValueError, match="positive integers"):
        MultiDiscrete((2, 0))


def test_images_are_brightness():
    space = Image((2, 2, 1))
    np.testing.assert_allclose(
        space.encode(jnp.asarray([[[[0], [255]], [[51], [0]]]], jnp.uint8)), [[-0.5, 0.5, -0.3, -0.5]]
    )
    assert space.null().dtype == jnp.uint8
    assert not space.numeric.any()


def test_a_mask_that_allows_nothing_allows_everything():
    space = ActionMask(3)
    found = space.legal(space.encode(jnp.asarray([[1.0, 0, 1], [0, 0, 0]])))
    np.testing.assert_array_equal(found, [[True, False, True], [True, True, True]])
    assert Discrete(3).legal(jnp.zeros(3)) is None
