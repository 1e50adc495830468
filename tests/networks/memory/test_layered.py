"""Memories of layers: every way to run them gives the same numbers, and these are what the equations say."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.spaces import Box, Discrete
from adaptax.networks import MemorySizes
from adaptax.networks.memory import transformer as attention
from adaptax.networks.memory.layered import Norm, in_order
from adaptax.networks.memory.state_space import recurrence, state_space
from adaptax.networks.memory.transformer import frequencies, transformer
from tests.sample_problems import quick_jit

SIZES = MemorySizes(Box((2,)), Discrete(2), 6, 0, 20, layers=2, heads=2)
KINDS = {
    "lru": functools.partial(state_space, parallel=False),
    "lru by rounds": functools.partial(state_space, parallel=True),
    "transformer": transformer,
    "transformer, short window": lambda sizes, key: transformer(dataclasses.replace(sizes, window=3), key),
}
RNG = np.random.default_rng(0)


@functools.cache
def memory_of(kind):
    made = quick_jit(lambda key: KINDS[kind](SIZES, key))(jax.random.key(0))
    # Away from where it starts: no norm at one and no bias at zero hides what it does.
    leaves, shape = jax.tree.flatten(made)
    moved = [x + jnp.asarray(0.1 * RNG.normal(size=x.shape), x.dtype) for x in leaves]
    return jax.tree.unflatten(shape, moved)


def experience(time, batch=2):
    """Inputs, with steps that did not happen and trials that begin in the middle."""
    xs = jnp.asarray(RNG.normal(size=(time, batch, 8)), jnp.float32)
    return xs, jnp.asarray(RNG.random((time, batch)) < 0.7), jnp.asarray(RNG.random((time, batch)) < 0.1)


def stepwise(memory, xs, valid=None, starts=None):
    return in_order(memory, xs, valid, starts)


unrolled = quick_jit(lambda memory, *args: memory.unroll(*args))
stepped = quick_jit(stepwise)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("time", [1, 7, 64])
def test_E9_unroll_is_step_by_step(kind, time):
    xs, valid, starts = experience(time)
    memory = memory_of(kind)
    found = unrolled(memory, xs, valid, starts)
    expected = stepped(memory, xs, valid, starts)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(np.asarray(found)[valid], np.asarray(expected)[valid], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_where_all_steps_happened_and_trials_are_whole_it_is_step_by_step(kind):
    xs, _, _ = experience(16)
    np.testing.assert_allclose(unrolled(memory_of(kind), xs), stepped(memory_of(kind), xs), atol=1e-5)


@pytest.mark.parametrize("kind", ["lru", "transformer, short window"])
def test_steps_that_did_not_happen_and_other_trials_leave_no_trace(kind):
    memory = memory_of(kind)
    xs, _, _ = experience(9)
    kept = np.asarray([True, False, True, True, False, True, True, True, True])
    starts = np.zeros((9, 2), bool)
    starts[5] = True
    valid = jnp.asarray(np.stack([kept, kept], 1))
    found = unrolled(memory, xs.at[~kept].set(1e3), valid, jnp.asarray(starts))
    first, second = unrolled(memory, xs[:5][kept[:5]]), unrolled(memory, xs[5:])
    np.testing.assert_allclose(found[kept], np.concatenate([first, second]), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_step_by_step(kind):
    xs, valid, starts = experience(12)
    weights = jnp.asarray(RNG.normal(size=(12, 2, 6)), jnp.float32) * valid[..., None].astype(jnp.float32)

    def loss(run):
        return lambda memory, xs: jnp.sum(weights * run(memory, xs, valid, starts))

    gradients = lambda run: quick_jit(jax.grad(loss(run), (0, 1), allow_int=True))(memory_of(kind), xs)  # noqa: E731
    found, expected = (jax.tree.leaves(gradients(run)) for run in (lambda m, *args: m.unroll(*args), stepwise))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_the_derivative_of_the_recurrence_with_shared_factors_is_that_by_definition():
    a, b = (tuple(jnp.asarray(RNG.normal(size=s), jnp.float32) for _ in "ri") for s in ((1, 1, 3), (5, 2, 3)))
    weights = jnp.asarray(RNG.normal(size=(2, 5, 2, 3)), jnp.float32)

    def by_definition(a, b):
        factor, h, outputs = jax.lax.complex(*a)[0], jnp.zeros((2, 3), jnp.complex64), []
        for added in jax.lax.complex(*b):
            h = factor * h + added
            outputs.append(h)
        return jnp.stack(outputs).real, jnp.stack(outputs).imag

    def gradients(run):
        return quick_jit(jax.grad(lambda a, b: sum(jnp.sum(w * h) for w, h in zip(weights, run(a, b))), (0, 1)))(a, b)  # noqa: B905

    for parallel in (False, True):
        found = gradients(lambda a, b: recurrence(a, b, parallel))  # noqa: B023
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), found, gradients(by_definition)
        )


def numpy_norm(norm, x):
    centered = x - x.mean(-1, keepdims=True)
    return centered / np.sqrt((centered**2).mean(-1, keepdims=True) + 1e-6) * norm.scale + norm.shift


def numpy_gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def numpy_linear(layer, x):
    return x @ layer.weight + layer.bias


def test_the_state_space_memory_against_its_equations():
    memory = jax.tree.map(lambda x: np.asarray(x, np.float64), memory_of("lru"))
    xs = RNG.normal(size=(10, 8))
    x = numpy_linear(memory.embed, xs)
    for layer in memory.layers:
        factor = np.exp(-np.exp(layer.log_rate) + 1j * layer.angle)
        u, h, outputs = numpy_norm(layer.norm, x), 0, []
        for now in u:
            added = numpy_linear(layer.into_real, now) + 1j * numpy_linear(layer.into_imaginary, now)
            h = factor * h + np.exp(layer.log_gain) * added
            outputs.append(numpy_linear(layer.out, np.concatenate([h.real, h.imag])))
        y = numpy_gelu(np.stack(outputs) + layer.skip * u)
        x = x + y / (1 + np.exp(-numpy_linear(layer.gate, y)))
    found = unrolled(memory_of("lru"), jnp.asarray(xs[:, None], jnp.float32))[:, 0]
    np.testing.assert_allclose(found, numpy_norm(memory.norm, x), atol=2e-5)


def numpy_attention(layer, u):
    """Step by step, head by head, turned by complex numbers."""
    pairs = layer.head_size // 2
    often = np.asarray(frequencies(pairs, layer.period))
    outputs = []
    for t in range(len(u)):
        heads = []
        for head in range(layer.heads):
            mine = slice(head * 2 * pairs, (head + 1) * 2 * pairs)
            q, k, v = (numpy_linear(w, u)[:, mine] for w in (layer.query, layer.key, layer.value))
            seen = range(max(0, t - layer.window + 1), t + 1)
            turned = lambda x, at: (x[:pairs] + 1j * x[pairs:]) * np.exp(2j * np.pi * often * at / layer.period)  # noqa: E731
            scores = [(turned(q[t], t) * turned(k[s], s).conj()).real.sum() / np.sqrt(2 * pairs) for s in seen]
            shares = np.exp(scores) / np.exp(scores).sum()
            heads.append(sum(share * v[s] for share, s in zip(shares, seen, strict=True)))
        outputs.append(np.concatenate(heads))
    return numpy_linear(layer.out, np.stack(outputs))


@pytest.mark.parametrize("kind", ["transformer", "transformer, short window"])
def test_the_transformer_against_its_equations(kind):
    memory = jax.tree.map(lambda x: np.asarray(x, np.float64), memory_of(kind))
    xs = RNG.normal(size=(17, 8))
    x = numpy_linear(memory.embed, xs)
    for layer in memory.layers:
        x = x + numpy_attention(layer.attention, numpy_norm(layer.attention_norm, x))
        x = x + numpy_linear(layer.down, numpy_gelu(numpy_linear(layer.up, numpy_norm(layer.norm, x))))
    found = unrolled(memory_of(kind), jnp.asarray(xs[:, None], jnp.float32))[:, 0]
    np.testing.assert_allclose(found, numpy_norm(memory.norm, x), atol=2e-5)


def test_attention_of_some_steps_at_a_time_is_that_of_all(monkeypatch):
    xs, valid, starts = experience(21)
    memory = memory_of("transformer, short window")
    at_once = unrolled(memory, xs, valid, starts)
    monkeypatch.setattr(attention, "WHOLE", 4)
    monkeypatch.setattr(attention, "BLOCK", 8)
    in_blocks = quick_jit(lambda memory, *args: memory.unroll(*args))(memory, xs, valid, starts)
    np.testing.assert_allclose(in_blocks, at_once, atol=1e-5)


def test_what_has_left_the_window_is_forgotten_and_what_is_in_it_is_not():
    memory = memory_of("transformer, short window")
    xs, _, _ = experience(12)
    moved = np.abs(unrolled(memory, xs.at[0].add(1.0)) - unrolled(memory, xs)).max((1, 2))
    assert (moved[:5] > 1e-4).all()  # two layers, each of which sees three steps
    assert (moved[5:] == 0).all()


@pytest.mark.parametrize("kind", ["lru", "transformer"])
def test_what_was_seen_first_is_known_to_the_last(kind):
    memory = memory_of(kind)
    xs, _, _ = experience(20)
    moved = np.abs(unrolled(memory, xs.at[0].add(1.0)) - unrolled(memory, xs)).max((1, 2))
    assert (moved > 1e-4).all()


def test_positions_of_an_endless_session_stay_small_and_right():
    layer = memory_of("transformer, short window").layers[0]
    period = layer.attention.period
    step = quick_jit(lambda layer, state, x: layer.step(state, x))
    state, late = layer.initial(), layer.initial()
    for t in range(5 * period):
        state, found = step(layer, state, jnp.sin(jnp.arange(6.0) + t))
        assert state.position < 2 * period
        if t >= 4 * period:  # as if the trial had begun a multiple of P later
            late, other = step(layer, late, jnp.sin(jnp.arange(6.0) + t))
            if t >= 4 * period + layer.attention.window - 1:
                np.testing.assert_allclose(found, other, atol=1e-5)


@pytest.mark.parametrize(("pairs", "period"), [(1, 2), (2, 20), (8, 200), (16, 2048)])
def test_one_pair_does_not_turn_and_the_others_turn_whole_times(pairs, period):
    often = frequencies(pairs, period)
    assert len(often) == pairs
    assert often[-1] == 0
    assert all(isinstance(m, int) and 1 <= m <= max(period / 6, 1) for m in often[:-1])
    assert sorted(often, reverse=True) == list(often)


def test_units_span_from_a_step_to_the_trial_and_never_grow():
    layer = quick_jit(lambda key: state_space(dataclasses.replace(SIZES, size=500, layers=1, span=100), key))(
        jax.random.key(1)
    ).layers[0]
    spans = np.exp(-np.asarray(layer.log_rate))
    assert 1 <= spans.min() < 1.2
    assert 80 < spans.max() <= 100
    length = np.hypot(*layer.factor())
    np.testing.assert_allclose(length, np.exp(-1 / spans), rtol=1e-5)
    assert (np.asarray(layer.angle) * spans <= np.pi).all()
    np.testing.assert_allclose(np.exp(layer.log_gain), np.sqrt(1 - length**2), rtol=1e-3)


def test_a_norm_of_what_does_not_vary_is_finite():
    norm = Norm(4)
    assert np.isfinite(jax.grad(lambda x: jnp.sum(norm(x)))(jnp.ones(4))).all()
    np.testing.assert_array_equal(norm(jnp.ones((2, 4))), np.zeros((2, 4)))
