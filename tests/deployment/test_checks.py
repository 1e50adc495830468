import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.errors import DivergenceError, UseError
from adaptax.core.spaces import Box, Discrete
from adaptax.core.step_checks import HUGE
from adaptax.core.step_checks import is_in as is_in_rollouts
from adaptax.deployment import checks


def test_E41_an_agent_judges_observations_as_rollouts_do():
    rng = np.random.default_rng(0)
    edges = [-HUGE, -2.0, -1.0, 0.0, 1.0, 2.0, HUGE, np.inf, -np.inf, np.nan, 1e17]
    for space in (Box((2,)), Box((2,), -1, 1), Box((2,), 0), Box((2,), high=2), Box((2,), -1, 3e18), Box((0,))):
        for _ in range(40):
            x = rng.choice(edges, space.shape).astype(np.float32)
            assert checks.is_in(space, x) == bool(is_in_rollouts(space, jnp.asarray(x))), (space, x)
    for x in range(-2, 4):
        assert checks.is_in(Discrete(2), np.int32(x)) == bool(is_in_rollouts(Discrete(2), jnp.asarray(x)))


@pytest.mark.parametrize(
    ("space", "found", "expected"),
    [
        (Discrete(3), 2, np.int32(2)),
        (Discrete(3), np.int64(0), np.int32(0)),
        (Discrete(3), jnp.asarray(1), np.int32(1)),
        (Box((2,)), [1, 2.5], np.float32([1, 2.5])),
        (Box((2,)), np.float64([1e-50, -3]), np.float32([0, -3])),
        (Box((2,)), [True, False], np.float32([1, 0])),
        (Box((0,)), [], np.zeros(0, np.float32)),
        (Box(()), 4, np.float32(4)),
    ],
)
def test_what_is_meant_is_an_array_of_the_space_s_type(space, found, expected):
    seen = checks.observation("act(observation)", space, found)
    assert seen.dtype == expected.dtype
    assert seen.shape == space.shape if isinstance(space, Box) else seen.shape == ()
    np.testing.assert_array_equal(seen, expected)


def test_an_observation_is_a_copy():
    shown = np.ones(2, np.float32)
    seen = checks.observation("act(observation)", Box((2,)), shown)
    shown[0] = 5
    np.testing.assert_array_equal(seen, [1, 1])


@pytest.mark.parametrize(
    ("space", "found", "said"),
    [
        (Discrete(3), 3, "expected an integer from 0 to 2, found 3"),
        (Discrete(3), 1.0, "expected an integer from 0 to 2, found float64 of shape ()"),
        (Discrete(3), True, "expected an integer from 0 to 2, found bool of shape ()"),
        (Box((2,), -1, 1), [0.0, 1.5], "from -1 to 1, found 1.5 at index [1]"),
        (Box((2,), 0), [1e300, 0.0], f"from 0 to inf and of magnitude below {HUGE:g}, found inf at index [0]"),
        (Box(()), [1.0], "expected a finite number and of magnitude below"),
        (Box((1,)), (np.zeros(1), {}), "found a tuple"),
        (Box((2,)), [[1.0], [1.0, 2.0]], "found a list"),
        (Box((1,)), None, "found nothing (None)"),
    ],
)
def test_E41_what_is_none_of_the_space_is_refused_with_where_it_stands(space, found, said):
    with pytest.raises(UseError) as refusal:
        checks.observation("act(observation)", space, found)
    line = str(refusal.value)
    assert line.startswith("act(observation): ")
    assert said in line
    assert checks.UNCHANGED in line
    assert "\n" not in line


@pytest.mark.parametrize("found", [2, 2.0, np.float64(2), np.int8(2), np.asarray(2.0), jnp.asarray(2.0), True])
def test_a_reward_is_one_number(found):
    given = checks.reward("observe(reward)", found)
    assert isinstance(given, float)
    assert given == float(found)


@pytest.mark.parametrize("found", [np.nan, np.inf, HUGE, 1e300, [1.0], None, "1", 1j])
def test_E41_a_reward_that_is_none_is_refused(found):
    with pytest.raises(UseError, match=r"^observe\(reward\): expected a finite number.*pass one number$"):
        checks.reward("observe(reward)", found)


def test_E41_actions_are_clipped_into_a_box_and_none_else_leaves():
    np.testing.assert_array_equal(
        checks.action("RL2", Box((3,), -1, 1), np.float32([-7, 0.5, 3])), np.float32([-1, 0.5, 1])
    )
    assert checks.action("RL2", Discrete(2), np.int32(1)) == 1
    for space, found, said in (
        (Discrete(2), np.int32(2), "put out 2, expected an integer from 0 to 1"),
        (Discrete(2), np.int32(-1), "put out -1"),
        (Box((2,), -1, 1), np.float32([0, np.nan]), r"put out nan at index \[1\], expected finite numbers of shape"),
        (Box((2,), -1, 1), np.float32([np.inf, 0]), r"put out inf at index \[0\]"),
    ):
        with pytest.raises(DivergenceError, match=rf"^act\(\): RL2 {said}"):
            checks.action("RL2", space, found)


def test_E41_what_was_learned_must_be_finite_whatever_else_there_is():
    sound = [np.float32([1, 2]), jnp.ones(2, jnp.bfloat16), jnp.asarray(3), jax.random.key(0), np.bool_(True)]
    checks.learned("act()", "RL2", sound)
    for bad in (np.float32([1, np.nan]), jnp.asarray(jnp.inf, jnp.bfloat16)):
        with pytest.raises(DivergenceError, match=r"^act\(\): what RL2 learned from this became NaN or infinite"):
            checks.learned("act()", "RL2", [*sound, bad])
