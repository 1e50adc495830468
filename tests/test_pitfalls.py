"""Every known trap that is cited is explained, and where a test is said to catch it there is one."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "pitfalls.md"
CITED = re.compile(r"(?<![A-Za-z0-9])E\d{1,2}[a-z]?(?![A-Za-z0-9])")
PARAGRAPHS = {
    number: text
    for number, text in re.findall(
        r"^\*\*(E\d+[a-z]?)\*\* (.*?)(?=^\*\*E|^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
}


def cited():
    """Numbers, and a file that cites each."""
    found = {}
    for folder in ("src", "tests", "docs", "examples", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".md") and path != PAGE:
                for number in CITED.findall(path.read_text().replace("_", " ")):
                    found.setdefault(number, path.relative_to(ROOT))
    return found


def test_every_number_that_is_cited_has_a_paragraph():
    found = cited()
    assert len(found) > 25
    assert {number: path for number, path in found.items() if number not in PARAGRAPHS} == {}


def test_no_number_is_explained_twice():
    assert len(PARAGRAPHS) == PAGE.read_text().count("\n**E")


@pytest.mark.parametrize("number", PARAGRAPHS)
def test_what_is_said_to_catch_it_is_there(number):
    files = re.findall(r"`(tests/[^`]+\.py)`", PARAGRAPHS[number])
    assert files
    for name in files:
        assert (ROOT / name).is_file(), name
    if number in ("E28", "E31", "E35"):  # caught by tests that are there for more than this
        return
    by_number = [name for name in files if number in CITED.findall((ROOT / name).read_text().replace("_", " "))]
    assert by_number == files
