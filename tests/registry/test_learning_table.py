import subprocess
import sys

from adaptax.registry.learning_table import MULTITASK, TASKS, learning_table, suits
from adaptax.registry.registry import PROBLEMS, TRAINABLE


def test_every_meta_learner_has_a_row_on_every_problem_that_it_suits():
    table = learning_table()
    assert table.tasks == TASKS
    of = {(row.algorithm, row.problem) for row in table.cells.values()}
    assert of == {(algorithm, problem) for algorithm in TRAINABLE for problem in PROBLEMS if suits(algorithm, problem)}
    assert all(name == f"{row.algorithm}-{row.problem}" for name, row in table.cells.items())
    assert {row.seeds for row in table.cells.values() if row.problem == "point-robot"} == {5}
    assert {row.seeds for row in table.cells.values() if row.problem != "point-robot"} == {3}


def test_the_policy_without_memory_is_the_first_of_each_problem():
    firsts = {}
    for row in learning_table().cells.values():
        firsts.setdefault(row.problem, row.algorithm)
    assert set(firsts.values()) == {MULTITASK}


def test_what_does_not_suit_has_no_row():
    assert not suits("maml", "two-step")  # a trial is one episode
    assert suits("rl2", "two-step")
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
