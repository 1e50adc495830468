"""The memory of pairs: new names for states and actions must change nothing but the names."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.networks import Symmetric
from tests.sample_problems import quick_jit

STATES, ACTIONS, SIZE, TIME, BATCH = 4, 3, 5, 7, 2
RNG = np.random.default_rng(0)


@functools.cache
def _memory(has_states, num_actions=ACTIONS):
    size = STATES if has_states else 2
    build = lambda key: Symmetric(size, num_actions, SIZE, 6, 10, key=key, has_states=has_states)  # noqa: E731
    return quick_jit(build)(jax.random.key(0))


def _experience(num_actions=ACTIONS):
    """States, actions, rewards and whether an episode begins, `[time, batch]`."""
    shape = (TIME, BATCH)
    states, actions = RNG.integers(STATES, size=shape), RNG.integers(num_actions, size=shape)
    return states, actions, RNG.normal(size=shape), RNG.random(shape) < 0.3


def _inputs(states, actions, rewards, first, num_actions=ACTIONS):
    """Nothing has been done before the first step."""
    now = np.eye(STATES)[states]
    before = np.concatenate([np.zeros_like(now[:1]), now[:-1]])
    done = np.eye(num_actions)[actions]
    done = np.concatenate([np.zeros_like(done[:1]), done[:-1]])
    signals = np.stack([rewards, first], -1)
    return jnp.asarray(np.concatenate([now, before, done, signals], -1), jnp.float32)


def _bandit_inputs(actions, rewards, num_actions=ACTIONS):
    done, seen = np.eye(num_actions)[actions], RNG.normal(size=(*actions.shape, 2))
    signals = np.stack([rewards, np.ones_like(rewards)], -1)
    return jnp.asarray(np.concatenate([seen, 0 * seen, done, signals], -1), jnp.float32)


@pytest.mark.compiles
def test_new_names_for_actions_and_states_only_rename_the_scores():
    memory = _memory(has_states=True)
    states, actions, rewards, first = _experience()
    names, places = np.asarray([2, 0, 1]), np.asarray([1, 3, 0, 2])
    out = np.asarray(memory.unroll(_inputs(states, actions, rewards, first)))
    renamed = np.asarray(memory.unroll(_inputs(places[states], names[actions], rewards, first)))
    np.testing.assert_allclose(renamed[..., names], out[..., :ACTIONS], atol=1e-6)
    np.testing.assert_allclose(renamed[..., ACTIONS:], out[..., ACTIONS:], atol=1e-6)
    assert np.abs(out[-1, :, :ACTIONS] - out[-1, :, :1]).max() > 1e-3  # the actions were told apart


@pytest.mark.compiles
def test_weights_serve_any_number_of_actions():
    three, seven = _memory(has_states=False), _memory(has_states=False, num_actions=7)
    shapes = lambda memory: [x.shape for x in jax.tree.leaves(memory)]  # noqa: E731
    assert shapes(three) == shapes(seven)
    actions, rewards = RNG.integers(ACTIONS, size=(TIME, BATCH)), RNG.normal(size=(TIME, BATCH))
    few = _bandit_inputs(actions, rewards)
    seen, rest = few[..., :4], few[..., -2:]
    many = jnp.concatenate([seen, few[..., 4:7], jnp.zeros((TIME, BATCH, 4)), rest], -1)
    small, large = np.asarray(three.unroll(few)), np.asarray(seven.unroll(many))
    np.testing.assert_allclose(large[..., :ACTIONS], small[..., :ACTIONS], atol=1e-6)
    untried = large[..., ACTIONS:7]
    np.testing.assert_allclose(untried, untried[..., :1] * np.ones(4), atol=1e-6)


def test_only_the_pair_that_was_tried_remembers():
    memory = _memory(has_states=True)
    x = _inputs(np.asarray([[1], [3]]), np.asarray([[2], [0]]), np.asarray([[0.0], [1.5]]), np.asarray([[1], [0]]))
    start = memory.initial()
    untouched, _ = memory.step(start, x[0, 0])
    np.testing.assert_array_equal(untouched[0], 0)  # nothing was done yet
    (table, _), _ = memory.step(untouched, x[1, 0])
    changed = np.abs(np.asarray(table)).sum(-1) > 0
    assert changed[1, 2]
    assert changed.sum() == 1


def _after(memory, first, best):
    """The memory of a pair whose successor has the memories `best`, or follows in a new episode."""
    table = jnp.zeros((STATES, ACTIONS, SIZE)).at[3].set(best)
    x = _inputs(np.asarray([[1], [3]]), np.asarray([[2], [0]]), np.asarray([[0.0], [1.5]]), np.asarray([[1], [first]]))
    return np.asarray(memory.step((table, jnp.zeros(SIZE)), x[1, 0])[0][0])[1, 2]


def test_E10_what_follows_counts_within_an_episode_and_not_over_its_end():
    memory = _memory(has_states=True)
    assert np.abs(_after(memory, 0, 0.9) - _after(memory, 0, 0.0)).max() > 1e-3
    np.testing.assert_array_equal(_after(memory, 1, 0.9), _after(memory, 1, 0.0))


@pytest.mark.compiles
@pytest.mark.parametrize("has_states", [True, False])
def test_E9_unroll_is_step_by_step(has_states):
    memory = _memory(has_states)
    states, actions, rewards, first = _experience()
    xs = _inputs(states, actions, rewards, first) if has_states else _bandit_inputs(actions, rewards)
    valid = jnp.asarray(RNG.random((TIME, BATCH)) < 0.6)
    unrolled = memory.unroll(xs, valid)
    step = quick_jit(lambda state, x: memory.step(state, x))  # noqa: PLW0108 (a module with arrays has no hash)
    for stream in range(BATCH):
        state = memory.initial()
        for t in range(TIME):
            new, output = step(state, xs[t, stream])
            if valid[t, stream]:
                np.testing.assert_allclose(unrolled[t, stream], output, atol=1e-6)
                state = new


@pytest.mark.compiles
@pytest.mark.parametrize("has_states", [True, False])
def test_E51_a_trial_in_the_middle_begins_with_empty_memories(has_states):
    memory = _memory(has_states)
    states, actions, rewards, first = _experience()
    xs = _inputs(states, actions, rewards, first) if has_states else _bandit_inputs(actions, rewards)
    starts = np.zeros((TIME, BATCH), bool)
    starts[0], starts[2, 0], starts[3, 1] = True, True, True
    unrolled = memory.unroll(xs, None, jnp.asarray(starts))
    for stream in range(BATCH):
        cuts = [*np.flatnonzero(starts[:, stream]), TIME]
        for begin, end in itertools.pairwise(cuts):
            alone = memory.unroll(xs[begin:end])[:, stream]
            np.testing.assert_allclose(unrolled[begin:end, stream], alone, atol=1e-6)


@pytest.mark.compiles
def test_sizes():
    memory = _memory(has_states=True)
    assert memory.size == ACTIONS + SIZE
    assert memory.initial()[0].shape == (STATES, ACTIONS, SIZE)
    assert memory.unroll(jnp.zeros((TIME, BATCH, 2 * STATES + ACTIONS + 2))).shape == (TIME, BATCH, ACTIONS + SIZE)
    one = Symmetric(
        1, ACTIONS, SIZE, 6, 10, key=jax.random.key(0), has_states=True
    )  # a single state is none to tell apart
    assert one.unroll(jnp.zeros((TIME, BATCH, 2 + ACTIONS + 2))).shape == (TIME, BATCH, ACTIONS + SIZE)
