import time

import pytest

from adaptax.core.errors import EnvironmentContractError
from adaptax.problems.checks.check import RULES, Finding, check, require
from adaptax.registry.registry import build
from tests.families import PROBLEMS
from tests.problems.checks.contract_cases import PLANTED
from tests.problems.checks.sound_cases import GOOD

FEW = {"steps": 200, "tasks": 8}
QUICK = {
    "reset raises",
    "observation of a wrong shape",
    "NaN at step 9",
    "its own time limit",
    "tasks that are no arrays",
}


def marked(names):
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.compiles) for name in names]


def test_there_are_enough():
    assert len(PLANTED) >= 25
    assert len(GOOD) >= 20
    assert {rule for rule, _ in PLANTED.values()} == set(RULES)


@pytest.mark.parametrize("name", marked(PLANTED))
def test_a_planted_bug_is_found_by_its_rule_and_told_in_a_line(name):
    rule, make = PLANTED[name]
    findings = check(make(), **FEW)
    assert rule in [finding.rule for finding in findings], [finding.line() for finding in findings]
    assert all("\n" not in finding.line() for finding in findings)


@pytest.mark.compiles
@pytest.mark.parametrize("name", GOOD)
def test_in_a_good_environment_nothing_is_found(name):
    assert [finding.line() for finding in check(GOOD[name]())] == []


@pytest.mark.compiles
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["a finite family", "coins", "an oracle that is met", "without noise"])
def test_few_tasks_are_no_reason_to_find_anything(name, seed):
    assert [finding.line() for finding in check(GOOD[name](), tasks=2, seed=seed)] == []


@pytest.mark.compiles
@pytest.mark.parametrize("name", PROBLEMS)
def test_in_ours_nothing_is_found(name):
    problem = build(PROBLEMS[name], PROBLEMS[name].settings())
    assert [finding.line() for finding in check(problem)] == []


def test_the_first_violation_is_named_with_task_step_field_and_value():
    (finding,) = check(PLANTED["NaN at step 9"][1](), **FEW)
    assert finding.where == "train task 0, step 9 of an episode: observation[0]"
    assert finding.found == "nan"
    assert "numbers from" in finding.expected


def test_where_something_raises_file_and_line_are_named():
    (finding,) = check(PLANTED["reset raises"][1](), **FEW)
    assert "KeyError: 'map' (contract_cases.py, line" in finding.found


def test_before_training_the_first_findings_are_an_error():
    with pytest.raises(EnvironmentContractError, match=r"Plane: numbers: .*step 9.*Nothing was trained"):
        require(PLANTED["NaN at step 9"][1]())
    require(GOOD["plane"]())


def test_a_finding_is_one_line():
    finding = Finding("rule", "where", "this", "that\nand more", "Do it")
    assert finding.line() == "rule: where: expected this, found that and more. Do it"


def test_what_is_no_problem_is_told(monkeypatch):
    (finding,) = check(3)
    assert finding.line() == (
        "problem: the factory: expected an adaptax Problem, found builtins.int. Return make_problem(…) or Problem(…)"
    )


@pytest.mark.compiles
def test_it_costs_little_before_training():
    problem, began = build(PROBLEMS["bandit"], PROBLEMS["bandit"].settings()), time.process_time()
    require(problem)
    assert time.process_time() - began < 20  # a second or two; not a benchmark, but nobody would wait for a minute
