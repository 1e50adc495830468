"""Rules of families and of what tasks show; in whole environments: `test_check.py`."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from adaptax.problems.checks import rules
from adaptax.problems.task_informed import Informed
from tests.problems.checks.made_up import recorded, told
from tests.sample_problems import clockwork

KEY = jax.random.key(0)


def families_of(finite=None, **pools):
    problem = SimpleNamespace(**{name: SimpleNamespace(finite=finite) for name in pools}, shifted=None)
    return problem, {name: np.asarray(pool, np.int32) for name, pool in pools.items()}


@pytest.mark.parametrize(
    ("finite", "pools", "expected"),
    [
        (None, ([1, 2], [3, 4], [5, 6]), []),
        (
            None,
            ([1, 2], [3, 4], [2, 1]),
            [("splits", "train and test", "no task in common", "2 in both, of 256 draws")],
        ),
        (None, ([1, 1], [2, 2], [3, 3]), [("splits", "train.sample", "many tasks", "3 in all families")]),
        (None, ([1, 1], [1, 1], [1, 1]), [("same tasks", "train.sample", "tasks that differ", "256 equal ones")]),
        (1, ([1, 1], [1, 1], [1, 1]), []),
        (2, ([1, 1], [1, 1], [1, 1]), [("same tasks", "train.sample", "tasks that differ", "256 equal ones")]),
        (2, ([1, 2], [1, 2], [2, 1]), []),
        (2, ([1, 2], [1, 2, 3], [2, 1]), [("splits", "validation.finite", "at most 2 tasks", "3 at least")]),
    ],
)
def test_tasks_differ_and_families_have_none_in_common(finite, pools, expected):
    problem, pools = families_of(finite, **dict(zip(("train", "validation", "test"), pools, strict=True)))
    found = told(rules.distinct(problem, pools, KEY))
    assert [line[:3] for line in found] == [line[:3] for line in expected]
    assert all(line[3].startswith(wanted[3]) for line, wanted in zip(found, expected, strict=True))


def test_a_task_that_is_shown_after_every_step_is_a_leak():
    tasks = {"goal": np.array([[1.0, 2.0], [1.0, 4.0]])}
    problem = SimpleNamespace(env=SimpleNamespace())
    shown = {(..., 1): np.array([[2.0], [4.0]])}
    expected = [("leak", "observation[1] after every step", "what an agent may see", "entry 1 of task['goal']")]
    assert told(rules.leak(problem, tasks, recorded(after=shown))) == expected
    assert told(rules.leak(problem, tasks, recorded(observation=shown))) == []  # not after the step
    assert told(rules.leak(problem, tasks, recorded(after={**shown, (1, 3, 1): 0.0}))) == []
    assert told(rules.leak(problem, tasks, recorded(after={(..., 0): 1.0}))) == []  # in all tasks
    told_it = SimpleNamespace(env=Informed(clockwork(3, 1).env, (0.0,), (1.0,)))
    assert told(rules.leak(told_it, tasks, recorded(after=shown))) == []


@pytest.mark.parametrize(("distinct", "found"), [(100, []), (150, ["150 at least"])])
def test_where_a_pool_is_too_small_to_count_more_are_drawn(distinct, found):
    draw = lambda key: jax.random.key_data(key)[1] % distinct  # noqa: E731
    family = SimpleNamespace(finite=100, sample=draw)
    problem = SimpleNamespace(train=family, validation=family, test=family, shifted=None)
    pools = dict.fromkeys(("train", "validation", "test"), np.arange(90))
    assert [line[3] for line in told(rules.distinct(problem, pools, KEY))] == found


def test_what_python_draws_is_told_by_name():
    good, known = jax.random.uniform, (lambda task: 2 * task)
    drawn = lambda x: np.random.default_rng().normal()  # noqa: E731
    for bad, where in (({"sample": drawn}, "validation.sample"), ({"oracle": drawn}, "validation.oracle"), ({}, None)):
        of = SimpleNamespace(sample=good, oracle=known)
        problem = SimpleNamespace(train=of, validation=SimpleNamespace(**{**vars(of), **bad}), test=of, shifted=None)
        found = told(rules.drawn_again(problem, np.ones(3, np.float32), KEY))
        assert [line[:2] for line in found] == ([] if where is None else [("determinism", f"{where}, traced twice")])


def test_shifted_tasks_are_a_family_where_there_are_such():
    problem = SimpleNamespace(train=1, validation=2, test=3, shifted=None)
    assert rules.families(problem) == {"train": 1, "validation": 2, "test": 3}
    problem.shifted = 4
    assert list(rules.families(problem)) == ["train", "validation", "test", "shifted"]
