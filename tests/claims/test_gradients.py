"""The parts of `python -m tests.claims gradients` that are not tested on their own, and their order."""

import jax
import pytest

from tests.claims import gradients
from tests.claims.checks import measured

pytestmark = pytest.mark.compiles


def passed(checks):
    checks = list(checks)
    assert checks
    assert all(check.passed for check in checks), "\n".join(check.line() for check in checks)


def test_swapping_all_other_tasks_changes_nothing_of_a_tasks_inner_loop():
    passed(gradients.check_isolation(jax.random.key(1)))


def test_E7_the_step_is_the_natural_one():
    with jax.enable_x64(True):
        passed(gradients.check_natural_step(jax.random.key(1)))


def test_E6_the_baseline_takes_nothing_from_the_gradient():
    with jax.enable_x64(True):
        passed(gradients.check_baseline(jax.random.key(1)))


def test_checks_come_in_order_from_several_threads(monkeypatch):
    def of(name):
        return lambda *arguments: iter([measured(name, 0.0)])

    seen = []
    monkeypatch.setattr(gradients.exactness, "check_exactness", lambda c, n, key: seen.append(n) or of(c.__name__)())
    for module, name in [
        (gradients.exactness, "check_first_order"), (gradients.exactness, "check_invariances"),
        (gradients.sampling, "check_estimators"), (gradients.sampling, "check_magic_box"),
        (gradients.sampling, "check_sampling"), (gradients, "check_isolation"),
        (gradients, "check_natural_step"), (gradients, "check_baseline"),
    ]:  # fmt: skip
        monkeypatch.setattr(module, name, of(name))
    names = [check.name for check in gradients.run(seed=0, n=7)]
    assert names[:6] == ["MAML", "MetaSGD", "CAVIA", "ANIL", "check_sampling", "check_first_order"]
    assert names[-1] == "check_baseline"
    assert len(names) == 12
    assert seen == [7] * 4
