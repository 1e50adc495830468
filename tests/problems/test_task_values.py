import jax
import numpy as np
import pytest

from adaptax.core.errors import UseError
from adaptax.problems.task_values import FEW, ValueTasks, drawn_from

SOURCES = {"mass": (0.5, 2.0), "length": (0.1, 10.0, "log"), "motor": [-1, 1, 3]}


def drawn(family, count=2000):
    return {k: np.asarray(v) for k, v in jax.vmap(family.sample)(jax.random.split(jax.random.key(0), count)).items()}


def test_ranges_are_uniform_logarithms_too_and_choices_are_equally_likely():
    ranges, choices, values = drawn_from(SOURCES, "f")
    assert values == {"motor": (-1, 1, 3)}
    tasks = drawn(ValueTasks.of("train", ranges, choices))
    assert (tasks["mass"].min() >= 0.5, tasks["mass"].max() <= 2.0) == (True, True)
    np.testing.assert_allclose(tasks["mass"].mean(), 1.25, atol=0.04)
    np.testing.assert_allclose(np.median(np.log(tasks["length"])), 0, atol=0.2)
    np.testing.assert_allclose(np.bincount(tasks["motor"]) / 2000, 1 / 3, atol=0.04)
    assert abs(np.corrcoef(tasks["mass"], np.log(tasks["length"]))[0, 1]) < 0.08


def test_few_choices_alone_are_a_finite_family():
    for count, finite in ((FEW, FEW), (FEW + 1, None)):
        _, choices, _ = drawn_from({"kind": list(range(count))}, "f")
        assert ValueTasks.of("train", (), choices).finite == finite
    ranges, choices, _ = drawn_from(SOURCES, "f")
    assert ValueTasks.of("train", ranges, choices).finite is None


def test_splits_have_no_task_in_common():
    ranges, choices, _ = drawn_from({"mass": (0.5, 2.0)}, "f")
    found = [set(drawn(ValueTasks.of(split, ranges, choices))["mass"].tolist()) for split in ("train", "test")]
    assert found[0].isdisjoint(found[1])


def test_nobody_knows_what_the_best_earns():
    assert np.isnan(ValueTasks.of("test", (("a", 0.0, 1.0, False),), ()).oracle({"a": 0.5}))


@pytest.mark.parametrize(
    "tasks", [{}, [1], {"a": (2, 1)}, {"a": (1, 1)}, {"a": (0, 1, "log")}, {"a": (1, 2, "lin")}, {"a": []}, {"a": 3}]
)
def test_what_nothing_can_be_drawn_from_is_refused_by_name(tasks):
    with pytest.raises(UseError, match=r"maker\(tasks\)"):
        drawn_from(tasks, "maker")
