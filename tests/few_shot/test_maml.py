import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from adaptax.core.errors import AdaptaxError
from adaptax.few_shot import MAMLOptions, adapt, maml_train
from adaptax.few_shot.sinusoids import Sinusoids
from adaptax.optimization.inner_optimizers import SGD, MetaSGD
from tests.few_shot.cases import (
    CENTRES,
    CURVATURES,
    LR,
    Bowl,
    PlainBowl,
    Regression,
    assert_same,
    bowls,
    flat,
    network,
    outer_gradient,
    regressions,
    theta,
    train,
)


class Mixed(eqx.Module):
    """A model with leaves of every kind."""

    weight: jax.Array
    count: jax.Array
    activation: object
    name: str

    def __call__(self, x):
        return self.activation(self.weight * x)


# The gradient


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5])
def test_E4_meta_gradient_of_quadratics_is_the_closed_form(steps, first_order):
    with jax.enable_x64(True):
        power = steps if first_order else 2 * steps
        expected = np.mean([a * (1 - LR * a) ** power * (0.7 - c) for a, c in zip(CURVATURES, CENTRES, strict=True)])
        found = outer_gradient(theta(), bowls(), steps, inner_lr=LR, first_order=first_order)["theta"]
        assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.compiles
@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_E2_meta_gradient_equals_central_differences_and_is_not_first_order(steps):
    with jax.enable_x64(True):
        model, tasks = network(), regressions()
        parameters, static = eqx.partition(model, eqx.is_inexact_array)
        vector, unravel = jax.flatten_util.ravel_pytree(parameters)
        stacked = jax.tree.map(lambda *xs: jnp.stack(xs), *tasks)

        def objective(vector):
            model = eqx.combine(unravel(vector), static)
            return jnp.mean(jax.vmap(lambda task: task.query_loss(adapt(model, task, steps, 0.5)))(stacked))

        offsets = 1e-5 * jnp.eye(vector.size)
        sides = jax.jit(jax.vmap(objective))(jnp.concatenate([vector[None] + offsets, vector[None] - offsets]))
        differences = (sides[: vector.size] - sides[vector.size :]) / 2e-5
        scale = np.linalg.norm(differences)
        exact = flat(outer_gradient(model, tasks, steps, inner_lr=0.5))
        assert np.linalg.norm(exact - differences) <= 1e-7 * scale
        first = flat(outer_gradient(model, tasks, steps, inner_lr=0.5, first_order=True))
        assert np.linalg.norm(first - differences) >= 0.05 * scale


def test_outer_loss_may_be_the_mean_or_a_weighted_sum_over_the_steps():
    with jax.enable_x64(True):
        each = [outer_gradient(theta(), bowls(), k, inner_lr=LR)["theta"] for k in (1, 2, 3)]
        found = outer_gradient(theta(), bowls(), 3, inner_lr=LR, outer_loss="mean")["theta"]
        assert found == pytest.approx(np.mean(each), rel=1e-12)
        assert abs(found - each[-1]) > 0.05 * abs(found)
        weighted = outer_gradient(theta(), bowls(), 3, inner_lr=LR, outer_loss=(3.0, 0.0, -1.0))["theta"]
        assert weighted == pytest.approx(3 * each[0] - each[2], rel=1e-12)


def test_meta_sgd_learns_its_rates_by_their_exact_derivative():
    # With φ = θ − α a (θ − c): ∂/∂α ½ a (φ − c)² = −a² (1 − α a) (θ − c)².
    with jax.enable_x64(True):
        expected = np.mean([a**2 * (1 - LR * a) * (0.7 - c) ** 2 for a, c in zip(CURVATURES, CENTRES, strict=True)])
        trained = train(theta(), bowls(), 1, inner_optimizer=MetaSGD(LR))
        assert float(trained.learned["theta"]) - LR == pytest.approx(expected, rel=1e-12)
        sgd = train(theta(), bowls(), 1, inner_lr=LR)
        assert sgd.learned is None
        assert_same(trained.model, sgd.model, rtol=1e-12)


def test_inner_learning_rate_0_gives_the_plain_gradient():
    with jax.enable_x64(True):
        model, tasks = network(), regressions()
        plain = eqx.filter_grad(lambda m: sum(task.query_loss(m) for task in tasks) / len(tasks))(model)
        for steps, lr in ((3, 0.0), (0, 0.5)):
            assert_same(outer_gradient(model, tasks, steps, inner_lr=lr), plain, atol=1e-12)


@pytest.mark.compiles
def test_permuting_tasks_changes_nothing():
    with jax.enable_x64(True):
        for kind in (Bowl, PlainBowl):
            orders = ((0, 1, 2), (2, 0, 1))
            assert_same(
                *(
                    train(theta(), bowls(kind, o), 2, 3, optax.sgd(0.01), inner_optimizer=MetaSGD(LR)).model
                    for o in orders
                ),
                atol=1e-12,
            )


@pytest.mark.compiles
@pytest.mark.parametrize("outer_loss", ["last", "mean"])
def test_checkpointing_changes_memory_and_not_the_gradient(outer_loss):
    with jax.enable_x64(True):
        options = {"inner_lr": 0.5, "outer_loss": outer_loss}
        without, with_ = (outer_gradient(network(), regressions(), 3, checkpoint=c, **options) for c in (False, True))
        assert_same(without, with_, atol=1e-13)


# Adaptation


def test_E1d_adapted_parameters_are_theta_minus_lr_times_gradient():
    model, task = network(), regressions()[0]
    gradient = eqx.filter_grad(task.support_loss)(model)
    for lr in (0.01, 0.3):
        expected = eqx.apply_updates(model, jax.tree.map(lambda g, lr=lr: -lr * g, gradient))
        assert_same(adapt(model, task, 1, lr), expected, rtol=1e-6, atol=1e-7)
    assert_same(adapt(model, task, 1), adapt(model, task, 1, 0.01))
    assert_same(adapt(model, task, 2, 0.3), adapt(adapt(model, task, 1, 0.3), task, 1, 0.3), rtol=1e-6)
    assert_same(adapt(model, task, 0, 0.3), model)


def test_E3_tasks_in_either_order_and_arguments_untouched():
    model, tasks = network(), regressions(2)
    before = jax.tree.map(np.array, eqx.filter((model, tasks), eqx.is_array))
    one_way = [adapt(model, task, 3, 0.3) for task in tasks]
    other_way = [adapt(model, task, 3, 0.3) for task in reversed(tasks)]
    for one, other in zip(one_way, reversed(other_way), strict=True):
        assert_same(one, other)
    optimizer = optax.adam(0.1)
    first, second = (train(model, tasks, 1, 7, optimizer).model for _ in range(2))
    assert_same(first, second)
    assert_same(before, (model, tasks))
    assert np.abs(flat(eqx.filter(first, eqx.is_array)) - flat(eqx.filter(model, eqx.is_array))).max() > 0.1


def test_swapping_all_other_tasks_leaves_adapted_parameters_bitwise_equal():
    model = network()
    adapted = jax.jit(jax.vmap(lambda task: eqx.filter(adapt(model, task, 2, 0.5), eqx.is_array)))
    stack = lambda tasks: jax.tree.map(lambda *xs: jnp.stack(xs), *tasks)  # noqa: E731
    mine, *others = regressions(5)
    one, two = adapted(stack([mine, *others[:2]])), adapted(stack([mine, *others[2:]]))
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_array_equal(x[0], y[0])
        assert not np.array_equal(x[1], y[1])


def test_adapt_can_be_compiled_and_differentiated():
    bowl = Bowl(jnp.asarray(2.0), jnp.asarray(0.0))
    after = jax.jit(lambda lr, task: task.loss(adapt(theta(1.0), task, 2, lr)))
    assert float(after(0.1, bowl)) == pytest.approx(0.8**4, rel=1e-6)
    assert float(jax.grad(after)(0.1, bowl)) == pytest.approx(-8 * 0.8**3, rel=1e-6)
    assert float(jax.grad(lambda lr: adapt(theta(1.0), bowl, 2, lr, first_order=True)["theta"])(0.1)) == pytest.approx(
        -2.0 - 1.6, rel=1e-6
    )


def test_the_result_adapts_with_what_its_inner_optimiser_learned():
    trained = train(theta(), bowls(), 1, 3, optax.sgd(0.05), inner_optimizer=MetaSGD(LR))
    task = bowls()[1]
    rate = trained.learned["theta"]
    assert float(rate) != pytest.approx(LR, rel=1e-2)
    expected = trained.model["theta"] - rate * (trained.model["theta"] - task.centre)
    assert float(trained.adapt(task, 1)["theta"]) == pytest.approx(float(expected), rel=1e-6)
    with pytest.raises(ValueError, match=r"MetaSGD adapts with what it learned.*trained\.adapt"):
        adapt(trained.model, task, 1, inner_optimizer=trained.inner_optimizer)
    sgd = train(theta(), bowls(), 1, 3, inner_lr=0.125)
    assert sgd.inner_optimizer == SGD(0.125)
    assert float(sgd.adapt(task, 1)["theta"]) == float(adapt(sgd.model, task, 1, 0.125)["theta"])


@pytest.mark.compiles
def test_memory_stays_nearly_flat_with_checkpointing():
    task = Regression(*(jnp.ones((2, 4096)) for _ in range(2)))
    model = eqx.nn.MLP("scalar", "scalar", 8, 2, jnp.tanh, key=jax.random.key(0))
    parameters, static = eqx.partition(model, eqx.is_inexact_array)

    def memory(steps, checkpoint):
        def objective(parameters, task):
            model = adapt(eqx.combine(parameters, static), task, steps, 0.1, checkpoint=checkpoint)
            return task.query_loss(model)

        program = jax.jit(jax.grad(objective)).lower(parameters, task).compile()
        return program.memory_analysis().temp_size_in_bytes

    assert memory(8, False) > 2.5 * memory(2, False)
    assert memory(8, True) < 1.1 * memory(2, True)


# Training


@pytest.mark.compiles
def test_sinusoids_are_learned():
    model = eqx.nn.MLP(1, 1, 20, 1, key=jax.random.key(0))
    history = train(model, Sinusoids(), 1, 400, optax.adam(5e-3), inner_optimizer=MetaSGD(0.01)).history
    before, after = history.before[-100:], history.after[-100:]
    difference = before - after
    assert difference.mean() - 4 * difference.std() / 10 > 0.5
    assert after.mean() < history.after[:50].mean() - 0.5


def test_history_has_the_loss_before_and_after_of_every_step():
    history = train(theta(), bowls(), 2, 4, optax.sgd(0.3), inner_lr=LR).history
    value, expected = 0.7, []
    for _ in range(4):
        scores = [
            (0.5 * a * (value - c) ** 2, 0.5 * a * (1 - LR * a) ** 4 * (value - c) ** 2)
            for a, c in zip(CURVATURES, CENTRES, strict=True)
        ]
        expected.append(np.mean(scores, 0))
        value -= 0.3 * np.mean([a * (1 - LR * a) ** 4 * (value - c) for a, c in zip(CURVATURES, CENTRES, strict=True)])
    assert isinstance(history.before, np.ndarray)
    np.testing.assert_allclose(np.stack([history.before, history.after], 1), expected, rtol=1e-5)


def test_no_outer_step_returns_the_model():
    trained = train(theta(), bowls(), 1, 0)
    assert float(trained.model["theta"]) == float(theta()["theta"])
    assert trained.history.before.shape == (0,)


def test_leaves_that_are_no_floating_point_arrays_are_kept():
    class Fit(eqx.Module):
        target: jax.Array

        def loss(self, model):
            return (model(jnp.asarray(1.0)) - self.target) ** 2

    model = Mixed(jnp.asarray(0.5), jnp.asarray(3), jnp.tanh, "mixed")
    trained = train(model, [Fit(jnp.asarray(0.9))], 1, 5)
    assert float(trained.model.weight) != 0.5
    for new in (trained.model, trained.adapt(Fit(jnp.asarray(0.2)), 1)):
        assert (int(new.count), new.activation, new.name) == (3, jnp.tanh, "mixed")


def test_numpy_arrays_are_trained_too():
    model = {"theta": np.float32([0.7])}

    class Vector(Bowl):
        def loss(self, model):
            return super().loss({"theta": model["theta"][0]})

    tasks = [Vector(np.float32(1.0), np.float32(0.0))]
    assert train(model, tasks, 1, inner_lr=np.float64(0.5)).model["theta"] == pytest.approx([0.7 - 0.25 * 0.7])
    assert adapt(model, tasks[0], 1, np.float32(0.5))["theta"] == pytest.approx([0.35])
    assert model["theta"] == np.float32([0.7])


def bowl_sampler(key):
    return Bowl(jnp.asarray(1.0), jax.random.normal(key))


@pytest.mark.compiles
def test_a_key_decides_what_is_sampled_and_being_told_of_progress_changes_nothing(capsys):
    told = []
    arguments = theta(), optax.adam(0.1), bowl_sampler, 1, 250
    runs = [
        maml_train(*arguments, key=jax.random.key(3), on_progress=on_progress)
        for on_progress in (None, lambda done, history: told.append((done, history)))
    ]
    assert_same(runs[0].model, runs[1].model)
    assert_same(runs[0].history, runs[1].history)
    assert [done for done, _ in told] == [min(3 * piece, 250) for piece in range(1, 85)]
    for done, history in told:
        np.testing.assert_array_equal(history.after, runs[0].history.after[:done])
    said = capsys.readouterr()
    assert said.out + said.err == ""


@pytest.mark.compiles
def test_settings_may_be_given_together_or_one_by_one():
    settings = MAMLOptions(inner_lr=0.3, outer_loss="mean", tasks_per_step=2)
    together = maml_train(theta(), optax.sgd(0.1), bowls(), 2, 3, settings)
    one_by_one = maml_train(theta(), optax.sgd(0.1), bowls(), 2, 3, inner_lr=0.3, outer_loss="mean", tasks_per_step=2)
    changed = maml_train(theta(), optax.sgd(0.1), bowls(), 2, 3, MAMLOptions(inner_lr=0.3), **OTHERS)
    for trained in (one_by_one, changed):
        assert_same(trained.model, together.model)
    other = maml_train(theta(), optax.sgd(0.1), bowls(), 2, 3, settings, inner_lr=0.1)
    assert float(other.model["theta"]) != float(together.model["theta"])


OTHERS = {"outer_loss": "mean", "tasks_per_step": 2}


def test_a_call_of_0_1_0_that_chose_a_bar_still_works():
    with pytest.warns(DeprecationWarning, match="pass on_progress"):
        trained = maml_train(theta(), optax.sgd(0.1), bowls(), 1, 3, inner_lr=0.3, progress=False)
    assert_same(trained.model, maml_train(theta(), optax.sgd(0.1), bowls(), 1, 3, inner_lr=0.3).model)


# Mistakes


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"model": {"n": 3}}, TypeError, "nothing to train: expected floating-point arrays, found dict"),
        ({"optimizer": 0.1}, TypeError, r"optimizer must be one of optax, such as optax.adam\(1e-3\); found 0.1"),
        ({"inner_rate": 0.1}, TypeError, "expected options among inner_lr, .*; found inner_rate"),
        ({"inner_steps": -1}, ValueError, "inner_steps must be at least 0; found -1"),
        ({"inner_steps": 1.0}, TypeError, "inner_steps must be a whole number; found 1.0"),
        ({"outer_steps": True}, TypeError, "outer_steps must be a whole number; found True"),
        ({"tasks_per_step": 0}, ValueError, "tasks_per_step must be at least 1; found 0"),
        ({"outer_loss": (0.5, 0.5)}, ValueError, r"or 1 weights, one per inner step; found \(0.5, 0.5\)"),
        ({"outer_loss": "first"}, ValueError, 'outer_loss must be "last", "mean" or 1 weights.*found \'first\''),
        (
            {"inner_lr": 0.1, "inner_optimizer": SGD(0.2)},
            ValueError,
            "inner_lr and inner_optimizer cannot both be given",
        ),
    ],
)
def test_mistakes_are_told(changes, error, match):
    arguments = {"model": theta(), "optimizer": optax.sgd(0.1), "tasks": bowls(), "inner_steps": 1, "outer_steps": 1}
    with pytest.raises(error, match=match):
        maml_train(**{**arguments, **changes})


def test_divergence_names_the_outer_step():
    # At rate 4 on ½ θ² each plain step multiplies θ by −3: 1e15 · 3^8 squared is 4.3e37, but 1e15 · 3^9 squared is
    # 3.9e38, which float32 (up to 3.4e38) does not hold.
    with pytest.raises(AdaptaxError, match=r"At outer step 9 \(counted from 0\) the query loss was inf"):
        train(theta(1e15), [Bowl(jnp.asarray(1.0), jnp.asarray(0.0))], 0, 200, optax.sgd(4.0))


@pytest.mark.compiles
def test_steps_that_the_optimiser_skips_are_no_failure():
    def sampler(key):  # one task in two has no finite loss
        return Bowl(jnp.where(jax.random.bernoulli(key), jnp.nan, 1.0), jnp.asarray(0.0))

    skipping = optax.apply_if_finite(optax.sgd(0.1), 100)
    trained = train(theta(1.0), sampler, 1, 40, skipping, tasks_per_step=1)
    finite = np.isfinite(trained.history.after)
    assert 0 < finite.sum() < 40
    assert np.isfinite(float(trained.model["theta"]))
