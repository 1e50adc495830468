"""Losses that read and change a model's state, and losses that ask for a key."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from adaptax.few_shot import adapt, maml_train
from adaptax.few_shot.sinusoids import Sinusoids
from tests.few_shot.cases import LR, Bowl, assert_same, bowls, outer_gradient, regressions, theta, train


class Shifted(eqx.Module):
    """½ (θ − s)² to adapt to, where s is what the loss before has left; each loss leaves s + ½ θ + t behind."""

    shift: jax.Array

    def left(self, model, state):
        return {"s": state["s"] + 0.5 * model["theta"] + self.shift, "calls": state["calls"] + 1}

    def support_loss(self, model, state):
        return 0.5 * (model["theta"] - state["s"]) ** 2, self.left(model, state)

    def query_loss(self, model, state):
        return 0.5 * (model["theta"] - 2.0 * state["s"]) ** 2, self.left(model, state)


class PlainShifted:
    """The same, which cannot be stacked."""

    def __init__(self, shift):
        self.shift = shift

    left, support_loss, query_loss = Shifted.left, Shifted.support_loss, Shifted.query_loss


def state(value=0.25):
    return {"s": jnp.asarray(value), "calls": jnp.asarray(3)}


SHIFTS = (0.5, -1.0, 2.0)


def shifted(kind=Shifted):
    return [kind(jnp.asarray(shift)) for shift in SHIFTS]


def by_hand(theta, s, shift, steps, first_order=False):
    """Query loss and state after `steps` steps in one task, and the derivative of the loss by θ, forward."""
    phi, dphi, ds = theta, 1.0, 0.0
    for _ in range(steps):
        gradient, dgradient = phi - s, dphi - ds
        s, ds = s + 0.5 * phi + shift, ds + 0.5 * dphi
        phi, dphi = phi - LR * gradient, dphi - LR * dgradient
        if first_order:
            dphi, ds = 1.0, 0.0
    error = phi - 2.0 * s
    return 0.5 * error**2, s + 0.5 * phi + shift, error * (dphi - 2.0 * ds)


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_a_state_goes_through_the_inner_steps_and_the_meta_gradient_through_it(steps, first_order):
    with jax.enable_x64(True):
        expected = np.mean([by_hand(0.7, 0.25, shift, steps, first_order)[2] for shift in SHIFTS])
        options = {"inner_lr": LR, "state": state(), "first_order": first_order}
        for checkpoint in (False, True):
            found = outer_gradient(theta(), shifted(), steps, checkpoint=checkpoint, **options)["theta"]
            assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("outer_loss", ["last", "mean"])
@pytest.mark.parametrize("kind", [Shifted, PlainShifted])
def test_the_outer_loop_goes_on_with_the_mean_of_the_tasks_states(kind, outer_loss):
    # Without an outer step of any length θ stays 0.7, and states alone change.
    with jax.enable_x64(True):
        s, histories = 0.25, []
        for _ in range(3):
            each = [by_hand(0.7, s, shift, 2) for shift in SHIFTS]
            histories.append(np.mean([loss for loss, _, _ in each]))
            s = np.mean([new for _, new, _ in each])
        given = state()
        trained = train(theta(), shifted(kind), 2, 3, optax.sgd(0.0), inner_lr=LR, state=given, outer_loss=outer_loss)
        np.testing.assert_allclose(trained.history.after, histories, rtol=1e-12)
        assert float(trained.state["s"]) == pytest.approx(s, rel=1e-12)
        assert int(trained.state["calls"]) == 3 + 3 * 3  # two support losses and a query loss in each outer step
        assert trained.state["calls"].dtype == given["calls"].dtype
        assert (float(given["s"]), int(given["calls"])) == (0.25, 3)


def test_stacked_and_mixed_tasks_have_one_state():
    with jax.enable_x64(True):
        stacked, plain = shifted(), shifted(PlainShifted)
        mixtures = [stacked, plain, [plain[0], stacked[1], stacked[2]]]
        runs = [train(theta(), tasks, 1, 2, optax.sgd(0.1), inner_lr=LR, state=state()) for tasks in mixtures]
        for run in runs[1:]:
            assert_same((run.model, run.state), (runs[0].model, runs[0].state), rtol=1e-12)


def test_adaptation_returns_the_state_that_it_ends_with():
    task, steps = shifted()[0], 2
    model, after = adapt(theta(), task, steps, LR, state=state())
    phi, s = 0.7, 0.25
    for _ in range(steps):
        s, phi = s + 0.5 * phi + 0.5, phi - LR * (phi - s)
    assert float(model["theta"]) == pytest.approx(phi, rel=1e-6)
    assert float(after["s"]) == pytest.approx(s, rel=1e-6)
    assert int(after["calls"]) == 3 + steps
    trained = train(theta(), shifted(), 1, 2, optax.sgd(0.1), inner_lr=LR, state=state())
    assert_same(trained.adapt(task, 1), adapt(trained.model, task, 1, LR, state=trained.state))


def test_E3b_a_task_that_diverged_does_not_stay_in_the_state():
    class Sometimes(Shifted):
        def query_loss(self, model, state):
            loss, after = super().query_loss(model, state)
            factor = jnp.where(state["calls"] > 5, jnp.nan, 1.0)
            return factor * loss, after | {"s": factor * after["s"]}

    skipping = optax.apply_if_finite(optax.sgd(0.1), 100)
    one, three = (train(theta(), [Sometimes(jnp.asarray(1.0))], 1, n, skipping, state=state()) for n in (1, 3))
    assert np.isfinite(one.history.after).all()
    assert np.isnan(three.history.after[1:]).all()
    assert int(three.state["calls"]) == 5
    assert_same((three.model, three.state), (one.model, one.state))


# Equinox's own states


class Normalised(eqx.Module):
    """A regressor with batch normalisation over the points of a task."""

    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    last: eqx.nn.Linear

    def __init__(self, key):
        one, two = jax.random.split(key)
        self.first = eqx.nn.Linear(1, 3, key=one)
        self.norm = eqx.nn.BatchNorm(3, "points", momentum=0.9, mode="ema")
        self.last = eqx.nn.Linear(3, 1, key=two)

    def __call__(self, x, state):
        x, state = self.norm(self.first(x), state)
        return self.last(jnp.tanh(x)), state


def predictions(model, inputs, state):
    return jax.vmap(model, axis_name="points", in_axes=(0, None), out_axes=(0, None))(inputs[:, None], state)


class Points(eqx.Module):
    """Inputs and targets, `[support or query, point]`; the query loss reads the running statistics."""

    inputs: jax.Array
    targets: jax.Array

    def support_loss(self, model, state):
        found, state = predictions(model, self.inputs[0], state)
        return jnp.mean((found[:, 0] - self.targets[0]) ** 2), state

    def query_loss(self, model, state):
        found, state = predictions(eqx.nn.inference_mode(model), self.inputs[1], state)
        return jnp.mean((found[:, 0] - self.targets[1]) ** 2), state


def statistics(states):
    """Running mean and variance."""
    return jax.tree.leaves(eqx.filter(states, eqx.is_inexact_array))


@pytest.mark.compiles
def test_E3b_batch_statistics_are_carried_and_equinox_s_state_may_be_read_more_than_once():
    with jax.enable_x64(True):
        model, states = eqx.nn.make_with_state(Normalised)(jax.random.key(0))
        tasks = [Points(task.inputs, task.targets) for task in regressions()]
        trained = maml_train(model, optax.sgd(0.0), tasks, 2, 1, inner_lr=0.1, state=states)
        # By hand: the first support loss sets mean and variance, the second moves them by a tenth.
        expected = []
        for task in tasks:
            one = jax.vmap(model.first)(task.inputs[0][:, None])

            def support(model, task=task):
                return task.support_loss(model, jax.tree.map(lambda x: x, states))[0]

            stepped = eqx.apply_updates(
                model, jax.tree.map(lambda g: -0.1 * g, eqx.filter_grad(support)(eqx.nn.inference_mode(model, False)))
            )
            two = jax.vmap(stepped.first)(task.inputs[0][:, None])
            expected.append([0.9 * f(one, 0) + 0.1 * f(two, 0) for f in (jnp.mean, jnp.var)])
        for found, *each in zip(statistics(trained.state), *expected, strict=True):
            np.testing.assert_allclose(found, np.mean(each, 0), rtol=1e-9)
        assert_same(eqx.filter(trained.model, eqx.is_array), eqx.filter(model, eqx.is_array))
        assert jax.tree.leaves(states)  # Equinox's own refuses to be read after it was used up


@pytest.mark.compiles
@pytest.mark.parametrize("optimizer", [None, optax.chain(optax.clip_by_global_norm(0.3), optax.adam(0.1, eps=1e-2))])
def test_E2_meta_gradients_with_batch_statistics_are_central_differences(optimizer):
    with jax.enable_x64(True):
        model, states = eqx.nn.make_with_state(Normalised)(jax.random.key(0))
        tasks = [Points(task.inputs, task.targets) for task in regressions()]
        parameters, static = eqx.partition(model, eqx.is_inexact_array)
        vector, unravel = jax.flatten_util.ravel_pytree(parameters)
        method = {"inner_optimizer": optimizer} if optimizer else {"inner_lr": 0.3}

        def objective(vector):
            model, losses = eqx.combine(unravel(vector), static), []
            for task in tasks:
                how = {"lr": 0.3} if optimizer is None else method
                adapted, after = adapt(model, task, 2, state=states, **how)
                losses.append(task.query_loss(adapted, after)[0])
            return sum(losses) / len(losses)

        offsets = 1e-6 * jnp.eye(vector.size)
        sides = jax.jit(jax.vmap(objective))(jnp.concatenate([vector[None] + offsets, vector[None] - offsets]))
        differences = (sides[: vector.size] - sides[vector.size :]) / 2e-6
        exact = outer_gradient(model, tasks, 2, state=states, **method)
        exact = np.concatenate([np.ravel(x) for x in jax.tree.leaves(exact)])
        assert np.linalg.norm(exact - differences) <= 1e-7 * np.linalg.norm(differences)


def test_first_values_of_a_state_that_are_still_in_the_model_are_not_trained():
    model = Normalised(jax.random.key(0))
    states = eqx.nn.State(model)
    tasks = [Points(task.inputs, task.targets) for task in regressions()]
    decaying = optax.chain(optax.add_decayed_weights(0.5), optax.sgd(0.1))
    trained = maml_train(model, decaying, tasks, 1, 1, state=states)
    is_index = lambda x: isinstance(x, eqx.nn.StateIndex)  # noqa: E731
    for before, after in zip(*(jax.tree.leaves(m, is_leaf=is_index) for m in (model, trained.model)), strict=True):
        if is_index(before):
            assert_same(before.init, after.init)


# Keys


class Recorded(eqx.Module):
    """Its losses are the random numbers that they get, so that histories show them."""

    place: jax.Array

    def support_loss(self, model, key):
        return model["theta"] * jax.random.normal(key)

    def query_loss(self, model, key):
        return 0.0 * model["theta"] + jax.random.normal(key)


def numbers(keys):
    return [float(jax.random.normal(key)) for key in keys]


def test_E20_every_task_and_every_inner_step_has_a_key_of_its_own_that_anyone_can_compute():
    from adaptax.core.splits import fold_in_name

    fold, root = jax.random.fold_in, jax.random.key(7)
    tasks = [fold(fold_in_name(fold(root, step), "task"), number) for step in range(2) for number in range(3)]
    support = [fold(fold_in_name(task, "support_loss"), k) for task in tasks for k in range(2)]
    query = [fold(fold_in_name(task, "query_loss"), k) for task in tasks for k in (0, 2)]
    assert len(set(numbers([*support, *query]))) == len(support) + len(query)

    stack = [Recorded(jnp.asarray(float(i))) for i in range(3)]
    trained = train(theta(), stack, 2, 2, optax.sgd(0.0), key=root)
    expected = np.reshape(numbers(query), (2, 3, 2)).mean(1)
    np.testing.assert_allclose(np.stack(trained.history, 1), expected, rtol=1e-5)
    # θ moves by the numbers of its own task and steps.
    adapted = adapt(theta(), stack[1], 2, 0.1, key=tasks[1])
    assert float(adapted["theta"]) == pytest.approx(0.7 - 0.1 * sum(numbers(support[2:4])), rel=1e-5)


@pytest.mark.compiles
def test_E20_keys_are_the_tasks_own_whether_stacked_unrolled_or_recomputed():
    class Plain:
        support_loss, query_loss = Recorded.support_loss, Recorded.query_loss

    class Scored(Recorded):
        def query_loss(self, model, key):
            return model["theta"] ** 2 + jax.random.normal(key)

    class PlainScored:
        support_loss, query_loss = Recorded.support_loss, Scored.query_loss

    stacked, plain = [Scored(jnp.asarray(0.0)) for _ in range(3)], [PlainScored() for _ in range(3)]
    with jax.enable_x64(True):
        kinds = (stacked, plain, [plain[0], stacked[1], stacked[2]], [stacked[0], plain[1], stacked[2]])
        runs = [train(theta(), tasks, 2, 2, optax.sgd(0.1), inner_lr=0.1) for tasks in kinds]
        runs.append(train(theta(), stacked, 2, 2, optax.sgd(0.1), inner_lr=0.1, checkpoint=True))
        for run in runs[1:]:
            assert_same((run.model, run.history), (runs[0].model, runs[0].history), rtol=1e-12)
        other = train(theta(), stacked, 2, 2, optax.sgd(0.1), inner_lr=0.1, key=jax.random.key(1))
        assert abs(other.history.after - runs[0].history.after).min() > 1e-3


@pytest.mark.compiles
def test_tasks_that_are_chosen_or_sampled_have_keys_of_their_own():
    sampler = lambda key: Recorded(jax.random.normal(key))  # noqa: E731
    chosen = [Recorded(jnp.asarray(float(i))) for i in range(4)]
    for tasks in (sampler, chosen):
        after = train(theta(), tasks, 1, 30, optax.sgd(0.0), tasks_per_step=2).history.after
        assert len(np.unique(after)) == 30  # means of two numbers that are never drawn again
        # The mean of two independent ones has a variance of ½; of one that is used twice it would be 1.
        many = train(theta(), tasks, 1, 400, optax.sgd(0.0), tasks_per_step=2).history.after
        assert many.var() == pytest.approx(0.5, abs=5 * 0.5 * np.sqrt(2 / 400))


@pytest.mark.compiles
def test_dropout_is_trained_and_the_same_key_gives_the_same():
    class Dropped(eqx.Module):
        mlp: eqx.nn.MLP
        dropout: eqx.nn.Dropout = eqx.nn.Dropout(0.5)

        def __call__(self, x, key):
            return self.mlp(self.dropout(jnp.repeat(x, 4), key=key))

    class Noisy(eqx.Module):
        task: eqx.Module

        def support_loss(self, model, key):
            keys = jax.random.split(key, self.task.support_inputs.size)
            found = jax.vmap(model)(self.task.support_inputs[:, None], keys)[:, 0]
            return jnp.mean((found - self.task.targets(self.task.support_inputs)) ** 2)

        def query_loss(self, model):
            return self.task.query_loss(lambda x: eqx.nn.inference_mode(model)(x, None))

    model = Dropped(eqx.nn.MLP(4, 1, 8, 1, key=jax.random.key(0)))
    sampler = lambda key: Noisy(Sinusoids()(key))  # noqa: E731
    runs = [train(model, sampler, 1, 5, optax.adam(0.01), tasks_per_step=4) for _ in range(2)]
    assert_same(runs[0].model, runs[1].model)
    task = sampler(jax.random.key(3))
    one, same, other = (runs[0].adapt(task, 1, key=jax.random.key(k)) for k in (0, 0, 1))
    assert_same(one, same)
    assert abs(float(task.query_loss(one)) - float(task.query_loss(other))) > 1e-6


def test_losses_without_these_parameters_get_neither():
    class Old(Bowl):
        def loss(self, model, *args, **kwargs):
            assert not args
            assert not kwargs
            return super().loss(model)

    assert_same(train(theta(), bowls(Old), 1, 2).model, train(theta(), bowls(), 1, 2).model)


# Mistakes


class Wrong(Shifted):
    def left(self, model, state):
        return {"s": jnp.ones(3), "calls": state["calls"]}


class Fewer(Shifted):
    def left(self, model, state):
        return {"s": state["s"]}


class Forgetful(Shifted):
    def query_loss(self, model, state):
        return model["theta"] ** 2


@pytest.mark.parametrize(
    ("task", "given", "error", "match"),
    [
        (
            Shifted,
            None,
            ValueError,
            r"support_loss\(model, …\) has a parameter `state`, and there is none; pass state=",
        ),
        (Wrong, state(), ValueError, r"state\['s'\] expected float32\[\], found float32\[3\]"),
        (Fewer, state(), ValueError, "must return a state of the structure that it was given"),
        (Forgetful, state(), ValueError, r"must return \(loss, state\), also where it leaves the state as it is"),
        (Shifted, {"s": "mean"}, TypeError, r"state must be a pytree of arrays.*found a str at state\['s'\]"),
        (lambda x: Bowl(x, x), state(), ValueError, "expected a loss with a parameter `state`.*found none"),
    ],
)
def test_mistakes_with_states_are_told(task, given, error, match):
    with pytest.raises(error, match=match):
        train(theta(), [task(jnp.asarray(1.0))], 1, state=given)


def test_a_loss_that_asks_for_a_key_where_there_is_none_is_told():
    with pytest.raises(ValueError, match=r"task.support_loss\(model, …\) has a parameter `key`.*pass key="):
        adapt(theta(), Recorded(jnp.asarray(0.0)), 1)
