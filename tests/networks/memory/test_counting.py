"""Counts beside symmetric memories: exact, forgotten with a trial, and no more attached to names than the memories."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.networks import Counting, Symmetric
from tests.networks.memory.test_symmetric import (
    ACTIONS,
    BATCH,
    SIZE,
    STATES,
    TIME,
    _bandit_inputs,
    _experience,
    _inputs,
)
from tests.sample_problems import quick_jit


def _memory(kind=Counting, *, has_states=True):
    size = STATES if has_states else 2
    build = lambda key: kind(size, ACTIONS, SIZE, 6, 10, key=key, has_states=has_states)  # noqa: E731
    return quick_jit(build)(jax.random.key(0))


def _counted(states, actions, rewards, until):
    """Number of tries and sum of rewards of each pair in the steps before `until`, counted by hand."""
    found = np.zeros((BATCH, STATES, ACTIONS, 2))
    for step in range(until):
        for env in range(BATCH):
            found[env, states[step, env], actions[step, env]] += [1.0, rewards[step + 1, env]]
    return found


@pytest.mark.compiles
def test_counts_and_sums_are_exact():
    memory = _memory()
    states, actions, rewards, first = _experience()
    state = jax.tree.map(lambda x: jnp.zeros((BATCH, *x.shape)), memory.initial())
    step = quick_jit(jax.vmap(memory.step))
    for time, x in enumerate(_inputs(states, actions, rewards, first)):
        state, _ = step(state, x)
        np.testing.assert_allclose(state[2], _counted(states, actions, rewards, time), atol=1e-5)
    assert state[2][..., 0].sum() == BATCH * (TIME - 1)


@pytest.mark.compiles
def test_scores_are_those_of_the_symmetric_memory_with_what_the_counts_say_added():
    counting, plain = _memory(has_states=False), _memory(Symmetric, has_states=False)
    actions, rewards = _experience()[1:3]
    xs = _bandit_inputs(actions, rewards)[:, 0]
    state, other = counting.initial(), plain.initial()
    for x in xs:
        state, output = counting.step(state, x)
        other, _ = plain.step(other, x)
    np.testing.assert_allclose(state[0], other[0], atol=1e-6)
    number, total = np.asarray(state[2][0, :, 0]), np.asarray(state[2][0, :, 1])
    steps = np.full(ACTIONS, np.log1p(number.sum()) / 3)
    known = np.stack([np.log1p(number) / 3, total / (1 + number), 1 / np.sqrt(1 + number), steps], -1)
    features = np.asarray(plain.from_pair(state[0][0]) + plain.from_context(state[1])[None])
    weight, bias = (np.asarray(x) for x in (counting.from_counts.weight, counting.from_counts.bias))
    scores = np.tanh(features + known @ weight + bias) @ np.asarray(plain.score.weight)[:, 0]
    np.testing.assert_allclose(output[:ACTIONS], scores, atol=1e-6)


@pytest.mark.compiles
def test_new_names_only_rename_the_scores_and_a_trial_begins_with_nothing():
    memory = _memory()
    states, actions, rewards, first = _experience()
    names, places = np.asarray([2, 0, 1]), np.asarray([1, 3, 0, 2])
    out = np.asarray(memory.unroll(_inputs(states, actions, rewards, first)))
    renamed = np.asarray(memory.unroll(_inputs(places[states], names[actions], rewards, first)))
    np.testing.assert_allclose(renamed[..., names], out[..., :ACTIONS], atol=1e-6)
    assert np.abs(out[-1, :, :ACTIONS] - out[-1, :, :1]).max() > 1e-3
    xs = _inputs(states, actions, rewards, first)
    starts = jnp.arange(2 * TIME)[:, None] % TIME == 0
    twice = memory.unroll(jnp.concatenate([xs, xs]), starts=jnp.broadcast_to(starts, (2 * TIME, BATCH)))
    np.testing.assert_allclose(twice[TIME:], out, atol=1e-6)
