import base64
import io
import json
import re
from html.parser import HTMLParser

import pytest
from rich.console import Console

from adaptax.comparison_plots import (
    families_figure,
    looks,
    performance_figure,
    pulls_figure,
    reaches_figure,
    regret_figure,
    svg,
)
from adaptax.comparison_report import report
from adaptax.comparison_tables import number, percent, ratio, reached, tables
from tests.contests import ODD, small

VOID = {"meta", "img", "br", "hr", "link"}


class Checked(HTMLParser):
    """Notes what is open, every reference, and all text."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.references, self.text, self.tags = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.references += [value for name, value in attributes if name in ("src", "href", "srcset", "data", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def parsed(content):
    page = Checked()
    page.feed(report(content))
    page.close()
    return page


@pytest.fixture(scope="module", params=[True, False], ids=["bandit", "mdp"])
def content(request):
    return small(bandit=request.param)


def test_the_page_is_well_formed_and_refers_to_nothing_outside(content):
    page = parsed(content)
    assert page.open == []
    assert page.references
    assert all(reference.startswith("data:image/svg+xml;base64,") for reference in page.references)
    text = report(content)
    assert "url(" not in text
    assert "@import" not in text
    assert "<script" not in text
    for reference in page.references:
        picture = base64.b64decode(reference.split(",")[1]).decode()
        assert picture.startswith("<?xml")
        # References within a picture are to its own parts.
        assert all(found.startswith("#") for found in re.findall(r'href="([^"]*)"', picture))
        assert all(found.startswith("#") for found in re.findall(r"url\(([^)]*)\)", picture))


def test_names_are_escaped(content):
    page = parsed(content)
    assert "i" not in page.tags
    text = "".join(page.text)
    assert ODD in text
    assert "runs/<a>" in text
    assert "<size> 3" in text
    assert "'a & b'" in text


def test_the_three_questions_are_answered_with_figures_of_the_json(content):
    text = "".join(parsed(content).text)
    for heading in ("1. Sample efficiency", "2. Generalisation", "3. Exploration", "How it was measured"):
        assert heading in text
    learner = content["agents"]["q-learning"]
    assert reached(learner["reaches"]["0.5"])[0] in text
    assert number(learner["regret"]["common"]["value"]) in text
    assert content["shift"] in text
    assert "60 held-out tasks" in text
    assert "one training seed" in text
    assert ("Which arms were pulled" in text) == content["bandit"]
    assert ("n/a" in text) != content["bandit"]


def test_warnings_are_shown():
    content = small()
    content["warnings"] = ["a <leak>?"]
    assert "a <leak>?" in "".join(parsed(content).text)


def test_the_report_needs_the_json_alone(content):
    assert report(json.loads(json.dumps(content))) == report(content)


@pytest.mark.parametrize("figure", [performance_figure, reaches_figure, families_figure, regret_figure, pulls_figure])
def test_pictures_are_the_same_each_time_and_fit_many_agents(figure):
    content = small()
    assert svg(figure(content)) == svg(figure(content))
    learner = content["agents"]["q-learning"]
    content["agents"] = {f"learner {i}": learner for i in range(12)}
    assert svg(figure(content)).startswith(b"<?xml")


def test_curves_and_thresholds_are_drawn_where_the_figures_are():
    content = small()
    axes = performance_figure(content).axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata()) > 2]
    for line, agent in zip(lines, content["agents"].values(), strict=True):
        assert line.get_xdata().tolist() == agent["performance"]["episodes"]
        assert line.get_ydata().tolist() == [figure["value"] for figure in agent["performance"]["share"]]
    levels = [line.get_ydata()[0] for line in axes.lines if len(line.get_xdata()) == 2]
    assert levels == [0.5, 0.8, 0.9, 0.95, 1.0]
    assert axes.get_xscale() == "log"


def test_bars_of_pulls_fill_the_trial():
    content = small()
    bars = pulls_figure(content).axes[0].patches
    widths = [
        sum(bar.get_width() for bar in bars if round(bar.get_y() + bar.get_height() / 2) == row) for row in (0, 1, 2)
    ]
    assert widths == pytest.approx([1, 1, 1])
    # Of very many arms, the last ones share a part.
    pulls = content["agents"]["random"]["exploration"]["pulls_by_rank"]
    content["agents"] = {"random": {**content["agents"]["random"]}}
    content["agents"]["random"]["exploration"]["pulls_by_rank"] = pulls * 10
    bars = pulls_figure(content).axes[0].patches
    assert len(bars) == 12
    assert sum(bar.get_width() for bar in bars) == pytest.approx(1)


def test_who_never_gets_there_has_an_arrow():
    content = small()
    axes = reaches_figure(content).axes[0]
    never = sum(
        reach["episode"]["interval"][1] is None
        for agent in content["agents"].values()
        for reach in agent["reaches"].values()
    )
    assert never > 0
    assert len(axes.texts) == never  # annotations without text


def test_every_agent_has_a_look_of_its_own_and_random_is_grey():
    drawn = looks(small())
    assert len({look["color"] for look in drawn.values()}) == 3
    assert drawn["random"]["color"] == "#8A8A8A"


def crossing(value, low, high, since=0, within=1000):
    figure = {"value": value, "interval": [low, high]}
    return {"episode": figure, "steps": figure, "since": since, "within": within, "times": None}


def test_crossings_in_words():
    assert reached(crossing(5, 4, 7, since=4)) == ("5", "4 … 7")
    assert reached(crossing(301, 251, 351, since=251)) == ("≤ 301", "251 … 351")
    assert reached(crossing(None, None, None)) == ("> 1,000", "")
    assert reached(crossing(None, 900, None)) == ("> 1,000", "900 … never")
    assert reached(crossing(None, None, None), "steps")[0] == "never"


def test_ratios_in_words():
    assert ratio(crossing(1, 1, 1)) == "–"
    assert ratio({**crossing(9, 9, 9), "times": {"value": 3.0, "more_than": None}}) == "3.0×"
    assert ratio({**crossing(None, None, None), "times": {"value": None, "more_than": 200.0}}) == "> 200.0×"
    assert ratio({**crossing(None, None, None), "times": {"value": None, "more_than": 0.3}}) == "–"


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


def test_tables_fit_the_terminal(content):
    console = Console(width=100, record=True, file=io.StringIO())
    for table in tables(content):
        console.print(table)
    printed = console.export_text()
    assert max(map(len, printed.splitlines())) <= 100
    assert "q-learning" in printed
    assert "…\n" not in printed
    assert ODD in printed
