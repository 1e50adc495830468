"""The planted bugs are still the bugs that were meant; `python tests/mutants/run.py` plants them."""

from pathlib import Path

import pytest

from tests.mutants.mutant import Mutant
from tests.mutants.mutants import MUTANTS
from tests.mutants.run import Failure, Verdict, readme

ROOT = Path(__file__).parents[1]
SAMPLE = Mutant("a sign", "x.py", "a + b", "a - b", "E1", ("tests/optimization/test_losses.py",))


def test_there_are_enough_and_each_has_a_name_of_its_own():
    assert len(MUTANTS) >= 30
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_another_program_and_its_tests_exist(mutant):
    source = (ROOT / "src/adaptax" / mutant.file).read_text(encoding="utf-8")
    assert mutant.planted(source) != source
    assert mutant.why
    assert mutant.tests
    for test in mutant.tests:
        file, _, function = test.partition("::")
        assert (ROOT / file).exists()
        assert not function or f"def {function}(" in (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("source", ["c = a * b", "c = a + b\nd = a + b"])
def test_a_bug_whose_place_is_not_unique_is_refused(source):
    with pytest.raises(ValueError, match=r"a sign: expected in x\.py exactly once, found [02] times"):
        SAMPLE.planted(source)


def test_a_bug_that_is_none_is_refused():
    same = Mutant("a space", "x.py", "a + b", "a  +  b  # sum", "E1", ())
    with pytest.raises(ValueError, match=r"a space: expected another program"):
        same.planted("c = a + b")


def test_a_planted_bug_changes_nothing_else():
    assert SAMPLE.planted("c = a + b\nd = c") == "c = a - b\nd = c"


def test_the_table_says_what_was_caught_and_by_what():
    table = readme(
        [SAMPLE], {"a sign": Verdict(Failure("tests/optimization/test_losses.py::test_x", "assert"), True, 3.0)}
    )
    assert "1 of 1 are caught, 1 of them by a test that runs only when asked for (slow)" in table
    assert "| a sign | E1 | `x.py` | `tests/optimization/test_losses.py::test_x` (slow) |" in table
    assert "**nothing**" in readme([SAMPLE], {"a sign": Verdict(None, False, 3.0)})
