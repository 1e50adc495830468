"""Inner optimisers of optax within `maml_train`: exact meta-gradients, finite where a gradient is 0."""

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from adaptax.few_shot import adapt, maml_train
from adaptax.optimization.inner_optax import Optax
from tests.few_shot.cases import Bowl, assert_same, bowls, flat, network, outer_gradient, regressions, theta, train

RATE, B1, B2, EPS, MOMENTUM, NORM = 0.1, 0.9, 0.99, 1e-2, 0.8, 0.3
CLIP = optax.clip_by_global_norm(NORM)


def adam(gradient, memory, k):
    """Kingma & Ba 2015, algorithm 1."""
    m, v = memory
    m, v = B1 * m + (1 - B1) * gradient, B2 * v + (1 - B2) * gradient**2
    return RATE * (m / (1 - B1**k)) / ((v / (1 - B2**k)) ** 0.5 + EPS), (m, v)


def momentum(gradient, memory, k):
    """Polyak 1964."""
    trace = gradient + MOMENTUM * memory[0]
    return RATE * trace, (trace, memory[1])


def clipped(rule):
    """Pascanu et al. 2012, algorithm 1."""

    def step(gradient, memory, k):
        norm = jnp.sum(gradient**2) ** 0.5
        return rule(gradient * jnp.minimum(1.0, NORM / norm), memory, k)

    return step


METHODS = {
    "adam": (optax.adam(RATE, B1, B2, EPS), adam),
    "momentum": (optax.sgd(RATE, MOMENTUM), momentum),
    "clipped adam": (optax.chain(CLIP, optax.adam(RATE, B1, B2, EPS)), clipped(adam)),
    "clipped momentum": (optax.chain(CLIP, optax.sgd(RATE, MOMENTUM)), clipped(momentum)),
}


def by_hand(rule, steps, first_order=False):
    """The mean query loss as a function of one vector of parameters, without optax and without this package."""
    parameters, static = eqx.partition(network(), eqx.is_inexact_array)
    vector, unravel = jax.flatten_util.ravel_pytree(parameters)

    def of_task(start, task):
        support = lambda vector: task.support_loss(eqx.combine(unravel(vector), static))  # noqa: E731
        now, memory = start, (jnp.zeros_like(start),) * 2
        for k in range(1, steps + 1):
            gradient = jax.grad(support)(now)
            step, memory = rule(jax.lax.stop_gradient(gradient) if first_order else gradient, memory, k)
            now = now - step
        return task.query_loss(eqx.combine(unravel(now), static))

    return vector, lambda start: sum(of_task(start, task) for task in regressions()) / 3


@pytest.mark.compiles
@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("name", METHODS)
def test_meta_gradients_are_those_of_the_rules_written_out_and_unrolled(name, first_order):
    with jax.enable_x64(True):
        transformation, rule = METHODS[name]
        vector, objective = by_hand(rule, 3, first_order)
        expected = jax.jit(jax.grad(objective))(vector)
        for checkpoint in (False, True):
            found = outer_gradient(
                network(), regressions(), 3, inner_optimizer=transformation, first_order=first_order,
                checkpoint=checkpoint,
            )  # fmt: skip
            np.testing.assert_allclose(flat(found), expected, rtol=1e-10, atol=1e-13)


@pytest.mark.compiles
@pytest.mark.parametrize("name", METHODS)
def test_E2_meta_gradients_are_central_differences_and_are_not_first_order(name):
    with jax.enable_x64(True):
        transformation = METHODS[name][0]
        vector, _ = by_hand(METHODS[name][1], 0)
        _, unravel = jax.flatten_util.ravel_pytree(eqx.filter(network(), eqx.is_inexact_array))
        static = eqx.partition(network(), eqx.is_inexact_array)[1]

        def objective(vector):
            model = eqx.combine(unravel(vector), static)
            tasks = regressions()
            return sum(t.query_loss(adapt(model, t, 3, inner_optimizer=transformation)) for t in tasks) / 3

        offsets = 1e-6 * jnp.eye(vector.size)
        sides = jax.jit(jax.vmap(objective))(jnp.concatenate([vector[None] + offsets, vector[None] - offsets]))
        differences = (sides[: vector.size] - sides[vector.size :]) / 2e-6
        exact = flat(outer_gradient(network(), regressions(), 3, inner_optimizer=transformation))
        scale = np.linalg.norm(differences)
        assert np.linalg.norm(exact - differences) <= 1e-7 * scale
        first = flat(outer_gradient(network(), regressions(), 3, inner_optimizer=transformation, first_order=True))
        assert np.linalg.norm(first - differences) >= 0.02 * scale


class Partly(eqx.Module):
    """½ (θ − c)², and another weight that nothing reads while adapting."""

    centre: jax.Array

    def support_loss(self, model):
        return 0.5 * (model["theta"] - self.centre) ** 2

    def query_loss(self, model):
        return 0.5 * (model["theta"] - self.centre) ** 2 + 0.5 * model["unread"] ** 2


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("name", METHODS)
def test_E2b_meta_gradients_are_right_where_weights_have_gradients_of_exactly_0(name, first_order):
    # The weight that nothing reads stays as it is: its meta-gradient is that of ½ w², which is w.
    with jax.enable_x64(True):
        model = {"theta": jnp.asarray(0.7), "unread": jnp.asarray(0.25)}
        found = outer_gradient(
            model, [Partly(jnp.asarray(0.0))], 2, inner_optimizer=METHODS[name][0], first_order=first_order
        )
        assert found["unread"] == 0.25
        assert np.isfinite(found["theta"])
        assert found["theta"] != 0


@pytest.mark.parametrize("name", METHODS)
def test_E2b_meta_gradients_are_finite_at_a_minimum_and_training_goes_on(name):
    at_minimum = Bowl(jnp.asarray(1.0), jnp.asarray(0.7))  # all gradients are 0: the norm that is clipped, too
    trained = train(theta(0.7), [at_minimum, *bowls()], 2, 3, optax.sgd(0.1), inner_optimizer=METHODS[name][0])
    assert np.isfinite(float(trained.model["theta"]))
    assert float(trained.model["theta"]) != pytest.approx(0.7, rel=1e-3)


def test_E2b_at_a_minimum_the_meta_gradient_of_a_step_of_adam_is_that_of_the_formula():
    # g = θ − c, φ = θ − α g / (|g| + ε) and L = ½ a (φ − d)²: at g = 0 dL/dθ = a (θ − d) (1 − α / ε).
    class Moved(eqx.Module):
        support: jax.Array
        query: jax.Array

        def support_loss(self, model):
            return 0.5 * (model["theta"] - self.support) ** 2

        def query_loss(self, model):
            return 0.5 * (model["theta"] - self.query) ** 2

    with jax.enable_x64(True):
        task = Moved(jnp.asarray(0.7), jnp.asarray(0.2))
        found = outer_gradient(theta(0.7), [task], 1, inner_optimizer=optax.adam(0.1, eps=0.5))["theta"]
        assert found == pytest.approx(0.5 * (1 - 0.1 / 0.5), rel=1e-12)


def test_a_network_with_relus_that_are_off_is_trained():
    dead = eqx.tree_at(lambda m: m.bias, network(), jnp.asarray([-50.0, 0.4, -1.0]))
    dead = eqx.tree_at(lambda m: m.activation, dead, jax.nn.relu)
    trained = train(dead, regressions(), 2, 5, optax.adam(0.01), inner_optimizer=METHODS["clipped adam"][0])
    assert np.isfinite(trained.history.after).all()
    assert trained.history.after[-1] < trained.history.after[0]


def test_what_an_optimiser_remembers_is_fresh_in_each_task_and_the_result_adapts_with_it():
    trained = train(theta(), bowls(), 2, 3, optax.sgd(0.05), inner_optimizer=optax.adam(0.1))
    assert trained.inner_optimizer == Optax(trained.inner_optimizer.transformation)
    task = bowls()[2]
    found = trained.adapt(task, 2)
    assert_same(found, trained.adapt(task, 2))
    assert_same(found, adapt(trained.model, task, 2, inner_optimizer=trained.inner_optimizer.transformation))
    # At the first step Adam moves by its rate, whatever the gradient's length.
    assert float(trained.adapt(task, 1)["theta"] - trained.model["theta"]) == pytest.approx(0.1, rel=1e-5)


def test_E2b_an_optimiser_whose_derivative_is_not_finite_is_refused_before_training():
    def update(gradient, state, parameters=None):
        return jax.tree.map(lambda g: g / jnp.sqrt((g - g) ** 2), gradient), state

    bad = optax.GradientTransformation(lambda parameters: optax.EmptyState(), update)
    with pytest.raises(ValueError, match="where a gradient is exactly 0"):
        maml_train(theta(), optax.sgd(0.1), bowls(), 1, 1, inner_optimizer=bad)


def test_what_is_no_inner_optimiser_is_told():
    with pytest.raises(TypeError, match=r"inner_optimizer must be one of optax, such as optax.adam\(1e-2\).*found 0.1"):
        train(theta(), bowls(), 1, inner_optimizer=0.1)
    with pytest.raises(ValueError, match="inner_lr and inner_optimizer cannot both be given"):
        train(theta(), bowls(), 1, inner_optimizer=optax.sgd(0.1), inner_lr=0.1)
