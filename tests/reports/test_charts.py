import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from adaptax.reports.charts import Interval, Line, interval_chart, legend, line_chart, numbers_of, short, thinned

HOSTILE = """<script>alert("1")</script> & 'co' {{ 7 * 7 }}"""


def drawn(lines, **options):
    text = line_chart(lines, **{"title": "T", "x_label": "x", "y_label": "y", **options})
    return ET.fromstring(text), str(text)


def points(path):
    return [tuple(map(float, pair.split())) for pair in re.split("[ML]", path.rstrip("Z"))[1:]]


def test_points_are_where_their_numbers_are():
    tree, _ = drawn([Line("a", [0, 1, 2], [0, 10, 5])])
    path = points(next(e for e in tree if "line c0" in e.get("class", "") and e.tag == "path").get("d"))
    (x0, y0), (x1, y1), (x2, y2) = path
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    assert (y0 - y2) / (y0 - y1) == pytest.approx(0.5, abs=0.01)
    assert y1 < y2 < y0  # upwards is less in a picture
    ticks = {
        e.text: float(e.get("x")) for e in tree if e.tag == "text" and e.get("x") and e.get("text-anchor") == "middle"
    }
    assert ticks["1"] == pytest.approx(x1, abs=0.1)


def test_a_logarithmic_axis_has_decades_at_equal_distances():
    tree, _ = drawn([Line("a", [1, 10, 100], [0, 1, 2])], log=True)
    (x0, _), (x1, _), (x2, _) = points(next(e for e in tree if e.get("class") == "line c0").get("d"))
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)


def test_a_band_goes_along_its_ends_and_leaves_out_what_is_not_known():
    tree, _ = drawn([Line("a", [0, 1, 2], [0, 1, 2], [-1, 0, np.nan], [1, 2, np.nan])])
    band = points(next(e for e in tree if e.get("class") == "band c0").get("d"))
    assert len(band) == 4
    assert band[0][0] == band[3][0]
    assert band[0][1] < band[3][1]


def test_what_is_not_finite_breaks_nothing():
    for values in ([], [np.nan], [1.0], [np.inf, 1.0], [0.0, 0.0]):
        for log in (False, True):
            tree, text = drawn([Line("a", np.arange(len(values)) + 1.0, values)], log=log)
            assert "nan" not in text
            assert "inf" not in text
            assert tree.get("role") == "img"


def test_every_text_is_escaped_and_there_is_a_description():
    line = Line(HOSTILE, [0, 1], [0, 1])
    for text in (
        line_chart([line], title=HOSTILE, x_label=HOSTILE, y_label=HOSTILE),
        interval_chart([Interval(HOSTILE, 1, 0, 2)], title=HOSTILE, label=HOSTILE),
    ):
        assert "<script" not in text
        tree = ET.fromstring(text)
        assert tree.find("title").text == HOSTILE
        assert HOSTILE in tree.find("desc").text
        assert tree.get("aria-label") == HOSTILE


def test_a_description_says_where_lines_begin_and_end():
    tree, _ = drawn([Line("rl2", [1, 2, 3], [0.5, 0.6, 0.75]), Line("", [1], [7]), Line("oracle", [1, 3], [1, 1])])
    assert tree.find("desc").text == "y. rl2: 0.5 at 1, 0.75 at 3. oracle: 1."


def test_intervals_reach_from_end_to_end():
    tree = ET.fromstring(
        interval_chart([Interval("a", 1, 0, 2), Interval("b", 0, np.nan, np.nan)], title="T", label="l")
    )
    whiskers = [e for e in tree if "whisker" in e.get("class", "")]
    assert len(whiskers) == 1
    circle = next(e for e in tree if e.tag == "circle")
    ends = float(whiskers[0].get("x1")), float(whiskers[0].get("x2"))
    assert float(circle.get("cx")) == pytest.approx(np.mean(ends), abs=0.1)


def test_a_legend_names_each_line_once_and_a_table_has_their_numbers():
    lines = [
        Line("a", [0, 2], [0, 4]),
        Line("", [0, 2], [1, 1]),
        Line("a", [0], [0]),
        Line("b", [1, 2], [5, 6], look="c1"),
    ]
    assert legend(lines) == [("a", "c0"), ("b", "c1")]
    headers, rows = numbers_of(lines[:2] + lines[3:], "x")
    assert headers == ["x", "0", "2"]
    assert rows == {"a": ["0", "4"], "b": ["–", "6"]}


def test_numbers_are_short():
    assert [short(x) for x in (0, 0.1234, -5, 1234.5, 12345, 2.5e6, 3e9, np.nan)] == [
        "0", "0.123", "−5", "1,234", "12.3 k", "2.5 M", "3 G", "–",
    ]  # fmt: skip
    assert thinned(1000, 10).tolist() == [0, 111, 222, 333, 444, 555, 666, 777, 888, 999]
