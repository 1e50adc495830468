import math

import pytest

from tests.claims.checks import at_least, at_most, measured


@pytest.mark.parametrize(("figure", "passed"), [(0.9, True), (1.0, True), (1.1, False), (math.nan, False)])
def test_at_most(figure, passed):
    assert at_most("x", figure, 1.0).passed is passed


@pytest.mark.parametrize(("figure", "passed"), [(0.9, False), (1.0, True), (1.1, True), (math.nan, False)])
def test_at_least(figure, passed):
    assert at_least("x", figure, 1.0).passed is passed


def test_a_line_says_figure_bar_and_verdict():
    line = at_most("an error", 2e-8, 1e-7, "of ten").line()
    assert " ".join(line.split()) == "ok an error 2e-08 (≤ 1e-07) of ten"
    assert at_most("an error", 1.0, 1e-7).line().startswith("FAIL")
    line = measured("a bias", 0.25).line()
    assert line.startswith("--")
    assert "(measured)" in line
