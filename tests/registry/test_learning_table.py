import subprocess
import sys

import pytest

from adaptax.registry.learning_table import (
    FEWEST_TASKS,
    MULTITASK,
    TASKS,
    learning_table,
    standing,
    why_left_out,
)
from adaptax.registry.presets import known_to_gain_nothing
from adaptax.registry.registry import NATIVE_PROBLEMS, OWN_FROM_SCRATCH, OWN_PROBLEMS, OWN_TRAINABLE

LEARNERS = {**OWN_TRAINABLE, **OWN_FROM_SCRATCH}


def test_every_learner_has_a_row_on_every_problem_that_it_suits_and_where_something_is_gained():
    table = learning_table()
    assert table.tasks == TASKS
    of = {(row.algorithm, row.problem) for row in table.cells.values()}
    assert of == {(a, p) for a in LEARNERS for p in NATIVE_PROBLEMS if not why_left_out(a, p)}
    assert all(name == f"{row.algorithm}-{row.problem}" for name, row in table.cells.items())
    seeds = {name: row.seeds for name, row in table.cells.items() if row.algorithm in OWN_TRAINABLE}
    assert {seeds[name] for name in seeds if name.endswith("-point-robot")} == {5}
    assert {seeds[name] for name in seeds if not name.endswith("-point-robot")} == {3}
    assert {row.seeds for row in table.cells.values() if row.algorithm in OWN_FROM_SCRATCH} == {1}


def test_long_trials_are_evaluated_in_fewer_tasks():
    cells = learning_table().cells
    assert cells["maml-tabular-mdp"].tasks == TASKS  # 80 episodes of 10 steps
    assert cells["maml-point-robot"].tasks == 500  # 80 episodes of 100 steps: 4 million in all
    assert cells["ppo-tabular-mdp"].tasks == 100  # 1,000 episodes of 10 steps, learning all the while
    assert {row.tasks for row in cells.values()} <= set(range(FEWEST_TASKS, TASKS + 1))


@pytest.mark.parametrize("algorithm", LEARNERS)
def test_where_an_algorithm_stands_is_said_of_every_problem_that_it_suits(algorithm):
    found = standing(algorithm)
    suited = [p for p in OWN_PROBLEMS if not why_left_out(algorithm, p) or known_to_gain_nothing(algorithm, p)]
    assert sorted(problem for problems in found.values() for problem in problems) == sorted(suited)
    assert found.get("gains nothing", []) == [p for p in OWN_PROBLEMS if p in LEARNERS[algorithm].gains_nothing]
    assert set(found.get("measured", [])) <= set(LEARNERS[algorithm].measured)


@pytest.mark.parametrize("algorithm", LEARNERS)
def test_what_gains_nothing_is_a_problem_that_there_is_with_a_reason_and_not_among_the_measured_rows(algorithm):
    entry = LEARNERS[algorithm]
    for problem, reason in entry.gains_nothing.items():
        assert problem in OWN_PROBLEMS
        assert len(reason) > 20
        assert f"{algorithm}-{problem}" not in learning_table().cells
        assert problem not in entry.measured


def test_the_policy_without_memory_is_the_first_of_each_problem():
    firsts = {}
    for row in learning_table().cells.values():
        firsts.setdefault(row.problem, row.algorithm)
    assert set(firsts.values()) == {MULTITASK}


def test_what_does_not_suit_has_no_row():
    assert "a trial is one episode" in why_left_out("maml", "two-step")
    assert not why_left_out("rl2", "two-step")  # a trial is one episode
    assert "maml-two-step" not in learning_table().cells


def test_published_figures_have_their_source():
    row = learning_table().cells["maml-point-robot"]
    assert (row.published, row.source) == (-3.23, "after 3 steps, Finn et al. 2017, appendix A.3")
    assert all(bool(row.source) == (row.published is not None) for row in learning_table().cells.values())


def test_no_jax_is_needed_to_know_the_rows():
    program = (
        "import sys; from adaptax.registry.learning_table import learning_table as t; t(); print('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
