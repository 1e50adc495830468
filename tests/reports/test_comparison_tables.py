import io

import pytest
from rich.console import Console

from adaptax.reports.comparison_tables import tables
from adaptax.reports.comparison_texts import number, percent, ratio, reached
from tests.evaluation.comparisons import ODD, small


@pytest.fixture(scope="module", params=[True, pytest.param(False, marks=pytest.mark.nightly)], ids=["bandit", "mdp"])
def content(request):
    return small(bandit=request.param)


def reached_at(value, low, high, since=0, within=1000):
    figure = {"value": value, "interval": [low, high]}
    return {"episode": figure, "steps": figure, "since": since, "within": within, "times": None}


def test_reached_ats_in_words():
    assert reached(reached_at(5, 4, 7, since=4)) == ("5", "4 … 7")
    assert reached(reached_at(301, 251, 351, since=251)) == ("≤ 301", "251 … 351")
    assert reached(reached_at(None, None, None)) == ("> 1,000", "")
    assert reached(reached_at(None, 900, None)) == ("> 1,000", "900 … never")
    assert reached(reached_at(None, None, None), "steps")[0] == "never"


def test_ratios_in_words():
    assert ratio(reached_at(1, 1, 1)) == "–"
    assert ratio({**reached_at(9, 9, 9), "times": {"value": 3.0, "more_than": None}}) == "3.0×"
    assert ratio({**reached_at(None, None, None), "times": {"value": None, "more_than": 200.0}}) == "> 200.0×"
    assert ratio({**reached_at(None, None, None), "times": {"value": None, "more_than": 0.3}}) == "–"


def test_numbers_in_words():
    assert [number(x) for x in (None, 0.0, -0.001, -1.5, 1234.4, -1234.4)] == [
        "–",
        "0.00",
        "0.00",
        "−1.50",
        "1,234",
        "−1,234",
    ]
    assert [percent(x) for x in (None, 0.256, -0.1)] == ["–", "26 %", "−10 %"]


@pytest.mark.compiles
def test_tables_fit_the_terminal(content):
    console = Console(width=100, record=True, file=io.StringIO())
    for table in tables(content):
        console.print(table)
    printed = console.export_text()
    assert max(map(len, printed.splitlines())) <= 100
    assert "q-learning" in printed
    assert "…\n" not in printed
    assert ODD in printed


@pytest.mark.compiles
def test_tables_fit_the_terminal_without_rich(content):
    printed = "\n".join(map(str, tables(content)))
    assert max(map(len, printed.splitlines())) <= 100
    assert ODD in printed
    assert number(content["agents"]["q-learning"]["families"]["held-out"]["after"]["value"]) in printed
