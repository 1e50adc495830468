"""The LSTM meta-learner as an inner optimiser: by hand, where it starts, and its derivative against differences."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from adaptax.few_shot.maml import maml_train
from adaptax.few_shot.sinusoids import Sinusoids
from adaptax.optimization import update_rules
from adaptax.optimization.inner_optimizers import SGD, descend
from adaptax.optimization.update_rules import (
    FORGET_BIAS,
    QUANTILES,
    Gates,
    LSTMOptimizer,
    gates_of_adaptation,
    gates_over_steps,
    preprocess,
    spread_by_group,
)
from tests.claims.enumeration import noise_like

PARAMETERS = {"w": jnp.asarray([1.0, -2.0]), "b": jnp.asarray(0.5)}
OPTIMIZER = LSTMOptimizer(0.1, size=3, decay=0.5, speed=0.5, read_through=True)
STEPS = 3


def loss(parameters):
    """A loss that is no quadratic, so that its second derivative changes on the way."""
    return jnp.sum(jnp.cosh(parameters["w"] * jnp.asarray([1.0, 0.5]))) + parameters["b"] ** 4


def learn(learned, parameters, optimizer=OPTIMIZER, first_order=False, steps=STEPS):
    state = optimizer.start(learned, parameters)
    for _ in range(steps):
        parameters, state, _ = descend(optimizer, learned, state, parameters, loss, first_order=first_order)
    return parameters


def _numpy_sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_preprocessing_of_gradients_by_hand():
    found = preprocess(jnp.asarray([np.exp(-5.0), -np.exp(2.0), 0.0, np.exp(-11.0)]))
    np.testing.assert_allclose(found, [[-0.5, 1], [0.2, -1], [-1, 0], [-1, np.exp(-1.0)]], rtol=1e-5, atol=1e-7)


def test_its_derivative_is_finite_where_a_gradient_is_zero():
    slope = jax.jacobian(preprocess)(jnp.asarray([0.0, 1e-30, 2.0]))
    assert np.isfinite(slope).all()


@pytest.mark.compiles
def test_it_starts_as_gradient_descent_and_nothing_else():
    learned = OPTIMIZER.init(PARAMETERS)
    found, plain = learn(learned, PARAMETERS), learn(None, PARAMETERS, SGD(0.1, decay=0.5))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, plain)
    parameters = jax.tree.map(np.asarray, PARAMETERS)
    for step in range(STEPS):
        slope = jax.grad(loss)(parameters)
        parameters = jax.tree.map(lambda p, g, step=step: p - 0.1 * 0.5**step * np.asarray(g), parameters, slope)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, parameters)


def test_one_step_by_hand():
    learned = noise_like(jax.eval_shape(OPTIMIZER.init, PARAMETERS), 0.5, jax.random.key(1))
    gradient, value = {"w": jnp.asarray([0.3, -4.0]), "b": jnp.asarray(0.02)}, jnp.asarray(1.5)
    state = OPTIMIZER.start(learned, PARAMETERS)
    found, after = OPTIMIZER.step(learned, state, PARAMETERS, gradient, value)
    reader, weights = learned.reader, {"forget": learned.forget, "input": learned.input}
    unit = {"forget": _numpy_sigmoid(FORGET_BIAS), "input": 1 / 10}  # what the gates are at the start
    pairs = {"w0": (1.0, 0.3), "w1": (-2.0, -4.0), "b": (0.5, 0.02)}
    expected, gates = {}, {}
    for name, (parameter, slope) in pairs.items():
        seen = np.asarray([np.log(abs(slope)) / 10, np.sign(slope), np.log(1.5) / 10, 1.0])
        i, _, o, g = np.split(seen @ np.asarray(reader.input_weight) + np.asarray(reader.bias), 4)
        hidden = _numpy_sigmoid(o) * np.tanh(_numpy_sigmoid(i) * np.tanh(g))
        gate = {}
        for kind, w in weights.items():
            start, speed = {"forget": FORGET_BIAS, "input": -np.log(10 - 1)}[kind], 0.5
            before = _numpy_sigmoid(start + speed * float(w.bias)) / unit[kind]
            inputs = np.asarray([*hidden, parameter, before])
            weight, bias = speed * np.asarray(w.weight), start + speed * float(w.bias)
            gate[kind] = _numpy_sigmoid(inputs @ weight + bias) / unit[kind]
        expected[name] = gate["forget"] * parameter - 0.1 * gate["input"] * slope
        gates[name] = gate
    np.testing.assert_allclose(found["w"], [expected["w0"], expected["w1"]], rtol=1e-4)
    np.testing.assert_allclose(found["b"], expected["b"], rtol=1e-4)
    order = ["b", "w0", "w1"]  # as leaves are ordered
    np.testing.assert_allclose(after.forget, [gates[name]["forget"] for name in order], rtol=1e-4)
    np.testing.assert_allclose(after.input, [gates[name]["input"] for name in order], rtol=1e-4)
    assert int(after.steps) == 1


def _wide_start():
    """θ and the rule's weights in float64: flat, and back."""
    wide = jax.tree.map(lambda x: x.astype(jnp.float64), PARAMETERS)
    learned = noise_like(jax.eval_shape(OPTIMIZER.init, wide), 0.3, jax.random.key(2))
    flat, unravel = ravel_pytree((learned, wide))
    assert flat.dtype == jnp.float64
    return flat, unravel


def _differences(function, flat, size=1e-5):
    nearby = jax.vmap(function)(flat[None] + size * jnp.concatenate([jnp.eye(flat.size), -jnp.eye(flat.size)]))
    return np.asarray(nearby[: flat.size] - nearby[flat.size :]) / (2 * size)


@pytest.mark.compiles
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_E2_E4_the_unrolled_derivative_is_that_of_finite_differences(steps):
    with jax.enable_x64(True):
        flat, unravel = _wide_start()
        after = jax.jit(lambda x: loss(learn(*unravel(x), steps=steps)))
        found, true = np.asarray(jax.grad(after)(flat)), _differences(after, flat)
        assert np.linalg.norm(found - true) <= 1e-7 * np.linalg.norm(true)
        for part in jax.tree.leaves(unravel(np.arange(flat.size, dtype=np.float64))):  # each part, not only the largest
            where = np.asarray(part, int).ravel()
            assert np.linalg.norm(found[where] - true[where]) <= 1e-6 * np.linalg.norm(true[where]) + 1e-9
        first = np.asarray(jax.grad(lambda x: loss(learn(*unravel(x), first_order=True, steps=steps)))(flat))
        assert np.linalg.norm(first - true) >= 0.05 * np.linalg.norm(true)


@pytest.mark.compiles
@pytest.mark.parametrize("first_order", [True, False])
def test_what_counts_as_constant_is_held_in_finite_differences_too(first_order, monkeypatch):
    """Run once and write down what the gates read (and the gradients, in first order); then that is all they get."""
    optimizer = dataclasses.replace(OPTIMIZER, read_through=False)
    with jax.enable_x64(True):
        flat, unravel = _wide_start()
        after = lambda x: loss(learn(*unravel(x), optimizer, first_order=first_order))  # noqa: E731
        found = np.asarray(jax.jit(jax.grad(after))(flat))
        notes = []

        def write_down(x):
            notes.append(preprocess(x))
            return notes[-1]

        monkeypatch.setattr(update_rules, "preprocess", write_down)
        slopes = _slopes(*unravel(flat), optimizer)
        assert len(notes) == 2 * STEPS

        def frozen(x):
            read = iter(notes)
            monkeypatch.setattr(update_rules, "preprocess", lambda _: next(read))
            learned, parameters = unravel(x)
            state = optimizer.start(learned, parameters)
            for step in range(STEPS):
                slope = slopes[step] if first_order else jax.grad(loss)(parameters)
                parameters, state = optimizer.step(learned, state, parameters, slope, jnp.zeros(()))
            return loss(parameters)

        true = _differences(frozen, flat)
        assert np.linalg.norm(found - true) <= 1e-7 * np.linalg.norm(true)
        monkeypatch.undo()
        whole = np.asarray(jax.grad(lambda x: loss(learn(*unravel(x))))(flat))
        assert np.linalg.norm(whole - found) >= 1e-5 * np.linalg.norm(whole)  # far more than differences are off


def _slopes(learned, parameters, optimizer):
    state, slopes = optimizer.start(learned, parameters), []
    for _ in range(STEPS):
        value, slope = jax.value_and_grad(loss)(parameters)
        parameters, state = optimizer.step(learned, state, parameters, slope, value)
        slopes.append(slope)
    return slopes


def test_coordinates_share_the_rule_and_have_memories_of_their_own():
    learned = noise_like(jax.eval_shape(OPTIMIZER.init, PARAMETERS), 0.5, jax.random.key(1))
    parameters, gradient = {"w": jnp.asarray([1.0, 1.0, 1.0])}, {"w": jnp.asarray([0.3, 0.3, -0.3])}
    state = OPTIMIZER.start(learned, parameters)
    found, after = OPTIMIZER.step(learned, state, parameters, gradient, jnp.asarray(1.0))
    assert found["w"][0] == found["w"][1]
    assert found["w"][0] != found["w"][2]
    assert np.abs(after.reader[0][0] - after.reader[0][2]).max() > 0
    other, _ = OPTIMIZER.step(learned, state, parameters, gradient, jnp.asarray(2.0))
    assert other["w"][0] != found["w"][0]  # the loss is read too
    lifted = dataclasses.replace(state, offset=jnp.asarray(0.75))
    same, after = OPTIMIZER.step(learned, lifted, parameters, gradient, jnp.asarray(1.25))
    np.testing.assert_array_equal(same["w"], other["w"])  # 1.25 + 0.75 = 2
    assert float(after.offset) == 0.75


@pytest.mark.learning
def test_the_rule_learns_to_be_faster_than_the_rate_that_it_starts_with():
    learned = OPTIMIZER.init(PARAMETERS)
    after = lambda learned: loss(learn(learned, PARAMETERS, first_order=True))  # noqa: E731
    plain = float(loss(learn(None, PARAMETERS, SGD(0.1, decay=0.5))))
    slope = jax.jit(jax.value_and_grad(after))
    for _ in range(100):
        value, gradient = slope(learned)
        learned = jax.tree.map(lambda x, g: x - 0.3 * g, learned, gradient)
    assert float(value) < plain - 0.1 * (plain - 2.0)  # 2 is the least that there is


@pytest.mark.compiles
def test_it_serves_maml_train():
    model = eqx.nn.MLP(1, 1, 20, 1, key=jax.random.key(0))
    optimizer = LSTMOptimizer(0.01, size=4)
    trained = maml_train(model, optax.adam(5e-3), Sinusoids(), 2, 600, inner_optimizer=optimizer, first_order=True)
    before, after = trained.history.before[-100:], trained.history.after[-100:]
    difference = before - after
    assert difference.mean() - 4 * difference.std() / 10 > 0.3
    assert np.abs(trained.learned.input.weight).max() > 0.01  # the rule is no longer what it started as
    task = Sinusoids()(jax.random.key(9))
    assert np.isfinite(task.query_loss(trained.adapt(task, 5)))


def test_gates_over_steps_are_those_of_the_steps():
    learned = noise_like(jax.eval_shape(OPTIMIZER.init, PARAMETERS), 0.5, jax.random.key(1))
    found = gates_over_steps(OPTIMIZER, learned, PARAMETERS, loss, STEPS)
    assert list(found) == ["['b']", "['w']"]
    state, parameters = OPTIMIZER.start(learned, PARAMETERS), PARAMETERS
    for step in range(STEPS):
        parameters, state, _ = descend(OPTIMIZER, learned, state, parameters, loss)
        for kind in ("forget", "input"):
            b, *w = np.asarray(getattr(state, kind))
            of_b, of_w = (getattr(found[name], kind) for name in ("['b']", "['w']"))
            np.testing.assert_allclose([of_b.mean[step], of_w.mean[step]], [b, np.mean(w)], rtol=1e-5)
            np.testing.assert_allclose(of_b.quantiles[step], np.full(len(QUANTILES), b), rtol=1e-5)
            np.testing.assert_allclose(of_w.quantiles[step], np.quantile(w, QUANTILES), rtol=1e-5)
    assert np.ptp(np.asarray(found["['w']"].input.mean)) > 1e-3  # steps differ, so an order of them can be seen


def test_gates_of_several_tasks_are_pooled():
    forget = jnp.arange(12.0).reshape(2, 2, 3)  # [task, step, coordinate]; b is the first coordinate
    gates = Gates((), forget, 10 * forget, jnp.asarray([1, 2]), jnp.zeros(2))
    found = spread_by_group(gates, PARAMETERS)
    np.testing.assert_allclose(found["['b']"].forget.mean, [3, 6])  # of 0, 6 and of 3, 9
    np.testing.assert_allclose(found["['w']"].input.mean, [45, 75])  # of 10, 20, 70, 80 and of 40, 50, 100, 110
    np.testing.assert_allclose(found["['w']"].forget.quantiles[0], np.quantile([1, 2, 7, 8], QUANTILES), rtol=1e-6)


def test_gates_are_1_before_meta_training():
    gates = gates_of_adaptation(OPTIMIZER, OPTIMIZER.init(PARAMETERS), PARAMETERS, loss, STEPS)
    np.testing.assert_array_equal(gates.forget, np.ones((STEPS, 3)))
    np.testing.assert_allclose(gates.input, np.ones((STEPS, 3)), rtol=1e-6)
