import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.networks.memory.recurrent import CELLS, Inputs, Memoryless, Recurrent, scan_cell, split_gates
from tests.sample_problems import quick_jit

GATES = {"lstm": 4, "gru": 3}
RNG = np.random.default_rng(0)


def _numpy_sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _numpy_lstm(x, h, c, from_input, weight, bias):
    i, f, o, g = np.split(x @ from_input + h @ weight + bias, 4)
    c = _numpy_sigmoid(f) * c + _numpy_sigmoid(i) * np.tanh(g)
    return _numpy_sigmoid(o) * np.tanh(c), c


def _numpy_gru(x, h, _, from_input, weight, bias):
    (r_x, z_x, n_x), (r_h, z_h, n_h) = np.split(x @ from_input + bias, 3), np.split(h @ weight, 3)
    z = _numpy_sigmoid(z_x + z_h)
    n = np.tanh(n_x + _numpy_sigmoid(r_x + r_h) * n_h)
    return (1 - z) * n + z * h, None


@functools.cache
def _memory(kind):
    if kind == "none":
        return Memoryless(3, 5, jax.random.key(0))
    return quick_jit(lambda key: Recurrent(kind, 3, 5, 10, key))(jax.random.key(0))


def _inputs(time=6, batch=2):
    xs = jnp.asarray(RNG.normal(size=(time, batch, 3)), jnp.float32)
    return xs, jnp.asarray(RNG.random((time, batch)) < 0.6)


@pytest.mark.compiles
@pytest.mark.parametrize(("kind", "reference"), [("lstm", _numpy_lstm), ("gru", _numpy_gru)])
def test_cells_against_numpy(kind, reference):
    memory = _memory(kind)
    weights = [np.asarray(x, np.float64) for x in (memory.input_weight, memory.weight, memory.bias)]
    xs, _ = _inputs()
    for stream in range(2):
        h, c = np.zeros(5), np.zeros(5)
        for x, out in zip(xs[:, stream], memory.unroll(xs)[:, stream], strict=True):
            h, c = reference(np.asarray(x, np.float64), h, c, *weights)
            np.testing.assert_allclose(out, h, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["lstm", "gru", "none"])
def test_E9_unroll_is_step_by_step(kind):
    memory = _memory(kind)
    xs, valid = _inputs()
    unrolled = memory.unroll(xs, valid)
    for stream in range(2):
        state = memory.initial()
        for t in range(6):
            new, out = memory.step(state, xs[t, stream])
            if valid[t, stream]:
                state = new
                np.testing.assert_allclose(unrolled[t, stream], out, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_step_that_did_not_happen_leaves_the_state_alone(kind):
    memory = _memory(kind)
    xs, _ = _inputs()
    kept = np.asarray([True, False, True, True, False, True])
    valid = jnp.asarray(np.stack([kept, kept], 1))
    unrolled = memory.unroll(xs.at[~kept].set(1e3), valid)
    np.testing.assert_allclose(unrolled[kept], memory.unroll(xs[kept]), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(unrolled[1], unrolled[0])
    np.testing.assert_array_equal(unrolled[4], unrolled[3])


@pytest.mark.parametrize("kind", ["lstm", "gru", "none"])
def test_E51_a_trial_in_the_middle_begins_with_a_fresh_state(kind):
    memory = _memory(kind)
    xs, _ = _inputs()
    starts = np.zeros((6, 2), bool)
    starts[[0, 2, 3], 0] = starts[[0, 4], 1] = True
    unrolled = memory.unroll(xs, None, jnp.asarray(starts))
    for stream, cuts in enumerate([[0, 2, 3, 6], [0, 4, 6]]):
        for begin, end in itertools.pairwise(cuts):
            alone = memory.unroll(xs[begin:end])[:, stream]
            np.testing.assert_allclose(unrolled[begin:end, stream], alone, rtol=1e-5, atol=1e-6)
    assert (np.abs(unrolled - memory.unroll(xs))[4:, 1] > 1e-4).any() == (kind != "none")


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_memory_lasts_and_memoryless_does_not(kind):
    xs, _ = _inputs()
    changed = xs.at[0].add(1.0)
    difference = lambda memory: np.abs(memory.unroll(changed) - memory.unroll(xs)).max((1, 2))  # noqa: E731
    assert (difference(_memory(kind)) > 1e-4).all()
    assert (difference(_memory("none"))[1:] == 0).all()
    assert _memory("none").initial() == ()


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_fresh_states_are_zero_and_causal(kind):
    memory = _memory(kind)
    assert all((s == 0).all() and s.shape == (5,) for s in memory.initial())
    assert len(memory.initial()) == CELLS[kind].num_states
    xs, _ = _inputs()
    np.testing.assert_array_equal(memory.unroll(xs)[:3], memory.unroll(xs.at[3:].set(9.0))[:3])


def _problem(kind, masked, fresh, dtype):
    cell, gates = CELLS[kind], GATES[kind]
    size, time, batch = 3, 5, 2
    draw = lambda *shape: jnp.asarray(RNG.normal(size=shape), dtype)  # noqa: E731
    valid = jnp.asarray(RNG.random((time, batch)) < 0.6, dtype) if masked else None
    kept = jnp.asarray([[1, 0], [1, 1], [0, 1], [1, 0], [1, 1]], dtype) if fresh else None
    state, inputs = tuple(draw(batch, size) for _ in range(cell.num_states)), draw(time, batch, gates * size)
    target = draw(time, batch, size)

    def custom(weight, state, inputs):
        outputs = scan_cell(cell, weight, state, Inputs(split_gates(inputs, size), valid, kept))
        return jnp.sum(target * jnp.sin(outputs))

    def plain(weight, state, inputs):
        def step(state, now):
            x, valid, kept = now
            if kept is not None:
                state = tuple(jnp.where(kept[:, None] > 0, s, 0.0) for s in state)
            new, _ = cell.step(state, split_gates(x, size), split_gates(state[0] @ weight, size))
            if valid is not None:
                new = tuple(jnp.where(valid[:, None] > 0, n, s) for n, s in zip(new, state, strict=True))
            return new, new[0]

        return jnp.sum(target * jnp.sin(jax.lax.scan(step, state, (inputs, valid, kept))[1]))

    return custom, plain, (draw(size, gates * size), state, inputs)


@pytest.mark.compiles
@pytest.mark.parametrize(("masked", "fresh"), [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_E14_gradient_through_time_is_complete(kind, masked, fresh):
    with jax.enable_x64(True):
        custom, plain, arguments = _problem(kind, masked, fresh, jnp.float64)
        gradient = quick_jit(jax.grad(custom, (0, 1, 2)))(*arguments)
        automatic = quick_jit(jax.grad(plain, (0, 1, 2)))(*arguments)
        for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(automatic), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)

        # Central differences along random directions, one for each argument.
        value = quick_jit(custom)
        for which in range(3):
            direction = jax.tree.map(lambda x: jnp.asarray(RNG.normal(size=x.shape)), arguments[which])

            def along(step, which=which, direction=direction):
                moved = jax.tree.map(lambda x, along: x + step * along, arguments[which], direction)
                return value(*arguments[:which], moved, *arguments[which + 1 :])

            difference = (along(1e-5) - along(-1e-5)) / 2e-5
            pairs = zip(jax.tree.leaves(gradient[which]), jax.tree.leaves(direction), strict=True)
            slope = sum(jnp.vdot(g, d) for g, d in pairs)
            np.testing.assert_allclose(slope, difference, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("span", [2, 10, 500])
def test_gates_are_open_for_the_spans_of_a_trial(span):
    size = 200
    longest = max(span - 1, 2)
    biases = quick_jit(lambda key: [Recurrent(kind, 3, size, span, key).bias for kind in ("lstm", "gru")])
    lstm, gru = (np.exp(np.asarray(bias)) for bias in biases(jax.random.key(0)))
    i, f, o, g = np.split(lstm, 4)
    r, z, n = np.split(gru, 3)
    for spans in (f, z):
        assert spans.min() >= 0.999
        assert longest * 0.9 < spans.max() <= longest * 1.001
    np.testing.assert_allclose(i, 1 / f, rtol=1e-5)  # what is kept for long is written slowly
    for bias in (o, g, r, n):
        np.testing.assert_array_equal(bias, 1)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_recurrent_weights_are_orthogonal(kind):
    for block in np.split(np.asarray(_memory(kind).weight), GATES[kind], axis=1):
        np.testing.assert_allclose(block @ block.T, np.eye(5), atol=1e-5)


def test_memoryless_without_any_input():
    memory = Memoryless(0, 4, jax.random.key(0))
    np.testing.assert_array_equal(memory.unroll(jnp.zeros((3, 2, 0))), np.zeros((3, 2, 4)))
