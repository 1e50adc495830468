"""The self-test's own code, on fewer instances; and that it fails where it should."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import MAML
from tests.claims import exactness as ex

pytestmark = pytest.mark.compiles

N = 2


def passed(checks):
    checks = list(checks)
    assert checks
    assert all(check.passed for check in checks), "\n".join(check.line() for check in checks)
    return checks


@pytest.fixture(autouse=True)
def wide():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("algorithm_class", ex.SECOND_ORDER)
def test_E2_E4_meta_gradients_are_those_of_the_exact_objective_after_every_step(algorithm_class):
    max_steps = 5 if algorithm_class is MAML else 2  # programs of more steps take longer to compile
    checks = passed(ex.check_exactness(algorithm_class, N, jax.random.key(1), max_steps))
    assert checks[0].bar == "≤ 1e-07"
    assert len(checks) == (2 if algorithm_class.__name__ == "MetaSGD" else 1)


def test_E2_the_first_order_gradient_is_another_one():
    difference, cosine = passed(ex.check_first_order(N))
    assert difference.bar == "≥ 0.05"
    assert cosine.figure > 0.9  # which is why a cosine is no test


def test_without_inner_steps_and_with_tasks_in_any_order():
    passed(ex.check_invariances(N, jax.random.key(2)))


def test_E1_the_naive_estimator_would_not_pass():
    naive = MAML(**ex.EXACT, estimator="policy-gradient")
    theta, tasks = ex.instances(naive, N)(jax.random.key(1))
    found = ex.meta_gradients(naive)(theta, tasks, jnp.asarray(naive.inner_learning_rate))
    true = ex.true_gradients(ex.second_order(MAML))(theta, tasks)
    assert ex.relative(found, true).min() > 0.05


def test_central_differences_are_of_fourth_order():
    # Exact for polynomials up to the fourth degree.
    f = lambda x: jnp.stack([x[0] ** 4 * x[1], x[0] - x[1] ** 3])  # noqa: E731
    x = jnp.asarray([1.5, -2.0])
    slopes = ex.central_differences(f, x, jnp.eye(2), 0.1)
    np.testing.assert_allclose(slopes, [[4 * 1.5**3 * -2, 1.5**4], [1, -12]], rtol=1e-12)


def test_relative_error():
    np.testing.assert_allclose(ex.relative(jnp.asarray([[3.0, 4.5]]), jnp.asarray([[3.0, 4.0]])), [0.1])
