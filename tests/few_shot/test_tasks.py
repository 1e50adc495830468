import itertools

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from adaptax.few_shot.maml import adapt
from adaptax.optimization.inner_optimizers import MetaSGD
from tests.few_shot.cases import (
    LR,
    Bowl,
    PlainBowl,
    Regression,
    TwoLosses,
    assert_same,
    bowls,
    network,
    outer_gradient,
    regressions,
    theta,
    train,
)


@pytest.mark.compiles
def test_stacked_unrolled_and_mixed_tasks_give_the_same():
    with jax.enable_x64(True):
        stacked, plain = bowls(), bowls(PlainBowl)
        mixtures = [stacked, plain, [stacked[0], plain[1], stacked[2]], (plain[0], stacked[1], plain[2])]
        runs = [train(theta(), tasks, 2, 5, optax.adam(0.1), inner_lr=LR) for tasks in mixtures]
        for run in runs[1:]:
            assert_same(run.model, runs[0].model, rtol=1e-12)
            assert_same(run.history, runs[0].history, rtol=1e-12)


@pytest.mark.compiles
def test_tasks_of_other_shapes_types_or_static_parts_are_not_stacked():
    with jax.enable_x64(True):
        short, long = regressions(2)
        long = Regression(jnp.tile(long.inputs, (1, 2)), jnp.tile(long.targets, (1, 2)))
        single = Regression(*(x.astype(jnp.float32).astype(jnp.float64) for x in (short.inputs, short.targets)))
        tasks = [short, long, single]
        together = outer_gradient(network(), tasks, 1, inner_lr=0.5)
        each = [outer_gradient(network(), [task], 1, inner_lr=0.5) for task in tasks]
        assert_same(together, jax.tree.map(lambda *xs: sum(xs) / 3, *each), atol=1e-13)

        class Shifted(Bowl):
            shift: float

            def loss(self, model):
                return super().loss({"theta": model["theta"] + self.shift})

        values = [Shifted(jnp.asarray(1.0), jnp.asarray(0.0), shift) for shift in (0.0, 1.0)]
        found = outer_gradient(theta(0.0), values, 1, inner_lr=LR)["theta"]
        assert found == pytest.approx(0.5 * (1 - LR) ** 2, rel=1e-12)


def test_many_tasks_of_one_structure_are_traced_once():
    traced = []

    class Counted(Bowl):
        def loss(self, model):
            traced.append(1)
            return super().loss(model)

    counts = []
    for num in (1, 50):
        traced.clear()
        train(theta(), bowls(Counted) * num, 1)
        counts.append(len(traced))
    assert counts[0] == counts[1]


def test_support_and_query_losses_are_told_apart():
    # φ = θ − α θ; ∂/∂θ ½ (φ − 1)² = (1 − α) ((1 − α) θ − 1).
    model = theta(2.0)
    assert float(adapt(model, TwoLosses(), 1, LR)["theta"]) == pytest.approx(2.0 * (1 - LR))
    gradient = outer_gradient(model, [TwoLosses()], 1, inner_lr=LR)["theta"]
    assert gradient == pytest.approx((1 - LR) * ((1 - LR) * 2.0 - 1.0), rel=1e-6)


def test_a_task_s_own_learning_rate_and_order_override_the_arguments():
    class Own(Bowl):
        inner_lr: float | None = None
        first_order: bool | None = None

    bowl = lambda **own: Own(jnp.asarray(2.0), jnp.asarray(0.0), **own)  # noqa: E731
    gradient = lambda **own: outer_gradient(theta(1.0), [bowl(**own)], 1, inner_lr=0.1)["theta"]  # noqa: E731
    assert gradient() == pytest.approx(2.0 * 0.8**2, rel=1e-6)
    assert gradient(inner_lr=0.2) == pytest.approx(2.0 * 0.6**2, rel=1e-6)
    assert gradient(first_order=True) == pytest.approx(2.0 * 0.8, rel=1e-6)
    assert gradient(inner_lr=jnp.asarray(0.2), first_order=True) == pytest.approx(2.0 * 0.6, rel=1e-6)
    assert float(adapt(theta(1.0), bowl(inner_lr=0.2), 1, 0.1)["theta"]) == pytest.approx(0.6)
    orders = [bowl(first_order=True), bowl(first_order=False)]
    both = outer_gradient(theta(1.0), orders, 1, inner_lr=0.1)["theta"]
    assert both == pytest.approx((2.0 * 0.8 + 2.0 * 0.8**2) / 2, rel=1e-6)
    with pytest.raises(ValueError, match=r"tasks\[1\] \(Own\) has an inner_lr, which MetaSGD does not use"):
        train(theta(), [bowl(), bowl(inner_lr=0.2)], 1, inner_optimizer=MetaSGD(0.1))


@pytest.mark.compiles
def test_a_sampler_gives_fresh_tasks_at_every_step():
    def sampler(key):
        return Bowl(jnp.asarray(1.0), jax.random.normal(key))

    trained = train(theta(0.0), sampler, 0, 200, optax.sgd(0.0), tasks_per_step=2)
    # ½ c², averaged over two c ~ N(0, 1): mean ½, variance ¼.
    assert len(np.unique(trained.history.before)) == 200
    assert abs(trained.history.before.mean() - 0.5) < 4 * np.sqrt(0.25 / 200)
    again, other = (train(theta(), sampler, 1, 3, key=jax.random.key(k)).history.after for k in (0, 1))
    np.testing.assert_array_equal(again, train(theta(), sampler, 1, 3).history.after)
    assert not np.array_equal(again, other)


@pytest.mark.compiles
def test_a_sampler_may_carry_arrays():
    class FromBank(eqx.Module):
        centres: jax.Array

        def __call__(self, key):
            return Bowl(jnp.asarray(1.0), jax.random.choice(key, self.centres))

    before = train(
        theta(0.0), FromBank(jnp.asarray([2.0, 4.0])), 0, 50, optax.sgd(0.0), tasks_per_step=1
    ).history.before
    assert set(before) == {2.0, 8.0}


@pytest.mark.compiles
def test_tasks_per_step_chooses_among_a_sequence_without_replacement():
    tasks = [Bowl(jnp.asarray(1.0), jnp.sqrt(jnp.asarray(2.0**k))) for k in range(4)]
    before = train(theta(0.0), tasks, 0, 60, optax.sgd(0.0), tasks_per_step=2).history.before
    pairs = {(2.0**i + 2.0**j) / 4 for i, j in itertools.combinations(range(4), 2)}
    np.testing.assert_allclose(sorted(set(np.round(before, 3))), sorted(pairs), rtol=1e-5)
    with pytest.raises(ValueError, match=r"tasks_per_step=2 needs .* all of one structure.*found 1 like .*PlainBowl"):
        train(theta(), bowls(PlainBowl), 1, tasks_per_step=2)
    with pytest.raises(ValueError, match=r"tasks_per_step=4 needs at least as many tasks.*found 3 like"):
        train(theta(), bowls(), 1, tasks_per_step=4)


class Nothing(eqx.Module):
    def losses(self, model):
        return 0.0


class Vectors(eqx.Module):
    def loss(self, model):
        return jnp.ones(3) * model["theta"]


class Tuples(eqx.Module):
    def loss(self, model):
        return model["theta"], {}


class QueryOnly(eqx.Module):
    def query_loss(self, model):
        return model["theta"]


@pytest.mark.parametrize(
    ("tasks", "error", "match"),
    [
        ([], ValueError, "tasks is empty"),
        (3, TypeError, "tasks must be a sequence of tasks or a function from a key.*found int"),
        (TwoLosses(), TypeError, "found TwoLosses, which is itself a task: put it into a list"),
        ([*bowls(), Nothing()], TypeError, r"tasks\[3\] \(Nothing\) must have loss\(model\)"),
        (lambda key: {}, TypeError, r"a task of the sampler must have loss\(model\)"),
        ([QueryOnly()], TypeError, "support_loss is missing"),
        ([Vectors()], ValueError, r"tasks\[0\] \(Vectors\).loss\(model\) must be .* scalar; found float32\[3\]"),
        ([Tuples()], ValueError, r"must be a floating-point scalar; found \("),
    ],
)
def test_mistakes_are_told(tasks, error, match):
    with pytest.raises(error, match=match):
        train(theta(), tasks, 1)


def test_the_order_of_a_task_must_be_known_when_compiling():
    class Own(Bowl):
        first_order: jax.Array

    with pytest.raises(TypeError, match="first_order must be True, False or None"):
        train(theta(), [Own(jnp.asarray(1.0), jnp.asarray(1.0), jnp.asarray(True))], 1)
