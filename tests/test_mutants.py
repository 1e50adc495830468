"""The planted bugs are still the bugs that were meant; `python tests/mutants/run.py` plants them."""

import ast
from pathlib import Path

import pytest

from tests.mutants.mutants import MUTANTS
from tests.mutants.run import planted

ROOT = Path(__file__).parents[1]


def test_there_are_enough_and_each_has_a_name_of_its_own():
    assert len(MUTANTS) >= 30
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_another_program_and_its_tests_exist(mutant):
    source = (ROOT / "src/adaptax" / mutant.file).read_text(encoding="utf-8")
    assert ast.dump(ast.parse(planted(source, mutant))) != ast.dump(ast.parse(source))
    files = [word for word in mutant.tests if word.startswith("tests/")]
    assert files
    assert all((ROOT / file).exists() for file in files)
