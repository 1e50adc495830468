import base64
import json
import re
from html.parser import HTMLParser

import pytest

from adaptax.reports.comparison_page import report
from adaptax.reports.comparison_texts import number, reached
from tests.evaluation.comparisons import ODD, small

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


pytestmark = pytest.mark.compiles


@pytest.fixture(scope="module", params=[True, pytest.param(False, marks=pytest.mark.nightly)], ids=["bandit", "mdp"])
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
