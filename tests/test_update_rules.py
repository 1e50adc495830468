"""The LSTM meta-learner as an inner optimiser: by hand, where it starts, and its derivative against differences."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from adaptax.few_shot import maml_train
from adaptax.inner import SGD, descend
from adaptax.selftests.enumeration import noise_like
from adaptax.sinusoids import Sinusoids
from adaptax.update_rules import FORGET_BIAS, RANGE, LSTMOptimizer, preprocess

PARAMETERS = {"w": jnp.asarray([1.0, -2.0]), "b": jnp.asarray(0.5)}
OPTIMIZER = LSTMOptimizer(0.1, size=3, decay=0.5)
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


def test_it_starts_as_gradient_descent_with_a_slight_decay():
    learned = OPTIMIZER.init(PARAMETERS)
    found = learn(learned, PARAMETERS)
    keep = _numpy_sigmoid(FORGET_BIAS)
    parameters = jax.tree.map(np.asarray, PARAMETERS)
    for step in range(STEPS):
        slope = jax.grad(loss)(parameters)
        parameters = jax.tree.map(lambda p, g, step=step: keep * p - 0.1 * 0.5**step * np.asarray(g), parameters, slope)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, parameters)


def test_one_step_by_hand():
    learned = noise_like(jax.eval_shape(OPTIMIZER.init, PARAMETERS), 0.5, jax.random.key(1))
    gradient, value = {"w": jnp.asarray([0.3, -4.0]), "b": jnp.asarray(0.02)}, jnp.asarray(1.5)
    state = OPTIMIZER.start(learned, PARAMETERS)
    found, after = OPTIMIZER.step(learned, state, PARAMETERS, gradient, value)
    reader, weights = learned.reader, {"forget": learned.forget, "input": learned.input}
    pairs = {"w0": (1.0, 0.3), "w1": (-2.0, -4.0), "b": (0.5, 0.02)}
    expected, gates = {}, {}
    for name, (parameter, slope) in pairs.items():
        seen = np.asarray([np.log(abs(slope)) / 10, np.sign(slope), np.log(1.5) / 10, 1.0])
        i, _, o, g = np.split(seen @ np.asarray(reader.input_weight) + np.asarray(reader.bias), 4)
        hidden = _numpy_sigmoid(o) * np.tanh(_numpy_sigmoid(i) * np.tanh(g))
        gate = {}
        for kind, w in weights.items():
            before = _numpy_sigmoid(float(w.bias))
            inputs = np.asarray([*hidden, parameter, before])
            gate[kind] = _numpy_sigmoid(inputs @ np.asarray(w.weight) + float(w.bias))
        expected[name] = gate["forget"] * parameter - RANGE * 0.1 * gate["input"] * slope
        gates[name] = gate
    np.testing.assert_allclose(found["w"], [expected["w0"], expected["w1"]], rtol=1e-4)
    np.testing.assert_allclose(found["b"], expected["b"], rtol=1e-4)
    order = ["b", "w0", "w1"]  # as leaves are ordered
    np.testing.assert_allclose(after.forget, [gates[name]["forget"] for name in order], rtol=1e-4)
    np.testing.assert_allclose(after.input, [gates[name]["input"] for name in order], rtol=1e-4)
    assert int(after.steps) == 1


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_E2_E4_the_unrolled_derivative_is_that_of_finite_differences(steps):
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda x: x.astype(jnp.float64), PARAMETERS)
        learned = noise_like(jax.eval_shape(OPTIMIZER.init, wide), 0.3, jax.random.key(2))
        flat, unravel = ravel_pytree((learned, wide))
        assert flat.dtype == jnp.float64
        after = jax.jit(lambda x: loss(learn(*unravel(x), steps=steps)))
        found = np.asarray(jax.grad(after)(flat))
        size = 1e-5
        nearby = jax.vmap(after)(flat[None] + size * jnp.concatenate([jnp.eye(flat.size), -jnp.eye(flat.size)]))
        true = np.asarray(nearby[: flat.size] - nearby[flat.size :]) / (2 * size)
        assert np.linalg.norm(found - true) <= 1e-7 * np.linalg.norm(true)
        first = np.asarray(jax.grad(lambda x: loss(learn(*unravel(x), first_order=True, steps=steps)))(flat))
        assert np.linalg.norm(first - true) >= 0.05 * np.linalg.norm(true)


def test_coordinates_share_the_rule_and_have_memories_of_their_own():
    learned = noise_like(jax.eval_shape(OPTIMIZER.init, PARAMETERS), 0.5, jax.random.key(1))
    parameters, gradient = {"w": jnp.asarray([1.0, 1.0, 1.0])}, {"w": jnp.asarray([0.3, 0.3, -0.3])}
    state = OPTIMIZER.start(learned, parameters)
    found, after = OPTIMIZER.step(learned, state, parameters, gradient, jnp.asarray(1.0))
    assert found["w"][0] == found["w"][1]
    assert found["w"][0] != found["w"][2]
    assert np.abs(after.reader[0][0] - after.reader[0][2]).max() > 0
    first, _ = OPTIMIZER.step(learned, state, parameters, gradient, jnp.asarray(2.0))
    assert first["w"][0] != found["w"][0]  # the loss is read too


@pytest.mark.slow
def test_the_rule_learns_to_be_faster_than_the_rate_that_it_starts_with():
    learned = OPTIMIZER.init(PARAMETERS)
    after = lambda learned: loss(learn(learned, PARAMETERS, first_order=True))  # noqa: E731
    plain = float(loss(learn(None, PARAMETERS, SGD(0.1, decay=0.5))))
    slope = jax.jit(jax.value_and_grad(after))
    for _ in range(100):
        value, gradient = slope(learned)
        learned = jax.tree.map(lambda x, g: x - 0.3 * g, learned, gradient)
    assert float(value) < plain - 0.1 * (plain - 2.0)  # 2 is the least that there is


@pytest.mark.slow
def test_it_serves_maml_train():
    model = eqx.nn.MLP(1, 1, 20, 1, key=jax.random.key(0))
    optimizer = LSTMOptimizer(0.01, size=4)
    trained = maml_train(
        model, optax.adam(5e-3), Sinusoids(), 2, 600, inner_optimizer=optimizer, first_order=True, progress=False
    )
    before, after = trained.history.before[-100:], trained.history.after[-100:]
    difference = before - after
    assert difference.mean() - 4 * difference.std() / 10 > 0.3
    assert np.abs(trained.learned.input.weight).max() > 0.01  # the rule is no longer what it started as
    task = Sinusoids()(jax.random.key(9))
    assert np.isfinite(task.query_loss(trained.adapt(task, 5)))
