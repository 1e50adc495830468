import dataclasses
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from adaptax.reports.run_page import SECTIONS, inspection_page, run_page, runs_page
from tests.reports.runs_shown import HOSTILE, facts

VOID = {"meta", "img", "br", "hr", "link", "input"}
EMPTY = ("metrics", "times", "validations", "returns", "families")


class Parsed(HTMLParser):
    """What is open, references, figures, texts, and what scripts hold."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.open, self.references, self.texts, self.tags, self.scripts, self.handlers = [], [], [], [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.references += [value for name, value in attributes if name in ("src", "href", "srcset", "data", "action")]
        self.handlers += [name for name, _ in attributes if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        (self.scripts if self.open and self.open[-1] == "script" else self.texts).append(data)

    @property
    def text(self):
        return "".join(self.texts)


def test_the_page_is_whole_in_itself():
    page = run_page(facts())
    found = Parsed(page)
    assert found.open == []
    assert all(re.fullmatch(r"#section-\d+", reference) for reference in found.references)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", page)
    assert len(page) < 5_000_000


def test_every_section_is_there_and_says_something():
    found = Parsed(run_page(facts()))
    assert all(heading in found.text for heading, _ in SECTIONS)
    assert "damaged" not in found.text
    assert not [attributes for _, attributes in found.tags if attributes.get("class") == "warning"][
        1:
    ]  # the note alone
    assert "2 settings differ" in Parsed(run_page(facts(seed=5, seeds=1))).text
    assert "rl2 earns" in found.text
    assert "poor arms" in found.text


def test_every_figure_has_words_and_a_command_that_makes_it_again():
    page = run_page(facts())
    figures = re.findall(r"<figure>.*?</figure>", page, re.S)
    assert len(figures) >= 8
    for figure in figures:
        assert re.search(r'role="img"[^>]* aria-label="[^"]+"', figure)
        assert len(re.search(r"<desc>(.*?)</desc>", figure, re.S).group(1)) > 20
        assert re.search(r"<figcaption>[^<]+", figure)
        assert "adaptax " in re.search(r"<code>(.*?)</code>", figure, re.S).group(1)
    for what in ("train", "evaluate", "inspect", "report"):
        assert f"<code>adaptax {what}</code>" in page


def test_films_are_data_in_the_page_and_come_back_as_they_were():
    found = Parsed(run_page(facts()))
    ((film, other),) = (json.loads(script) for script in found.scripts if script.startswith("["))
    assert (film["kind"], other["title"]) == ("bandit", "Held-out task 2")
    assert len(film["moments"]) == 7


@pytest.mark.parametrize("of", [run_page, lambda one: runs_page([one, facts("other")], f"adaptax report{HOSTILE}")])
def test_names_from_files_are_text_and_nothing_else(of):
    before = Parsed(of(facts()))
    found = Parsed(of(facts(text=HOSTILE)))
    assert [tag for tag, _ in found.tags if tag in ("script", "img")] == [
        tag for tag, _ in before.tags if tag == "script"
    ]
    assert found.handlers == []
    assert not any("alert" in script for script in found.scripts)
    assert HOSTILE in found.text
    assert "49" not in re.findall(r"co' (\S+)", found.text)


def test_what_is_missing_is_said_and_all_else_is_shown():
    reasons = {
        name: f"no {name} here" for name in ("evaluation", "returns", "recording", "inspection", "families", "times")
    }
    bare = dataclasses.replace(
        facts(), evaluation=None, recording=None, inspection=None, missing=reasons, **dict.fromkeys(EMPTY, ())
    )
    found = Parsed(run_page(bare))
    for name in ("evaluation", "recording", "inspection", "families", "times"):
        assert f"no {name} here" in found.text
    assert "What was trained" in found.text
    for name in EMPTY:
        Parsed(run_page(dataclasses.replace(facts(), **{name: () if name != "returns" else {}})))


def test_without_returns_there_are_means_without_bands():
    page = run_page(dataclasses.replace(facts(), returns={}, missing={"returns": "returns.npz is gone"}))
    chart = page[page.index('aria-label="Return of each pull"') :].partition("</svg>")[0]
    assert "band" not in chart
    assert "line c0" in chart
    assert "returns.npz is gone" in page


@pytest.mark.parametrize(
    "broken",
    [
        {"metrics": [{"update": 1}]},
        {"metrics": [{"update": 1, "env_steps": "x", "return": None}]},
        {"times": [{"seconds": "long"}]},
        {"inspection": {"episodes": []}},
        {"evaluation": {"agents": {}, "protocol": {}}},
        {"validations": [{}]},
        {"optimum": ["a"]},
    ],
)
def test_a_damaged_part_is_said_in_its_section_and_spares_the_others(broken):
    found = Parsed(run_page(dataclasses.replace(facts(), **broken)))
    assert "damaged" in found.text
    assert all(heading in found.text for heading, _ in SECTIONS)
    assert "Speed and memory" in found.text


def test_runs_are_side_by_side_by_seed_and_by_setting():
    runs = [facts("a", seed=0), facts("b", seed=1), facts("c", seed=0, memory=32)]
    page = runs_page(runs, "adaptax report a b c")
    found = Parsed(page)
    rows = re.findall(r"<tr><td>(\w)</td>(.*?)</tr>", page[: page.index('id="section-2"')], re.S)
    settings = [re.findall(r"<td[^>]*>(.*?)</td>", cells, re.S)[1:3] for _, cells in rows]
    assert settings == [["1", "0"], ["1", "1"], ["2", "0"]]
    assert "By setting, over seeds" in found.text
    differ = page[page.index('id="section-2"') :].partition("</table>")[0]
    assert re.findall(r"<tr><td>(--[\w-]+)</td>", differ) == ["--memory-size", "--seed"]
    assert "adaptax report a b c" in found.text
    assert page.count("data-films=") == 3
    learning = page[page.index('aria-label="Return in training"') :].partition("</svg>")[0]
    assert learning.count('class="line c0"') == 2
    assert learning.count('class="line c1"') == 1


def test_runs_that_are_alike_differ_in_nothing():
    assert "They have the same settings" in runs_page([facts("a"), facts("b")], "adaptax report a b")


def test_the_worst_tenth_is_of_the_tasks_in_which_least_is_earned():
    one = facts(seeds=1)
    scores = np.arange(30.0)
    values = np.zeros((1, 30, 6), np.float32)
    values[0, :, 0] = scores
    shown = dataclasses.replace(one, returns={**one.returns, "rl2": one.returns["rl2"]._replace(returns=values)})
    text = Parsed(run_page(shown)).text
    assert "In its worst tenth of the tasks rl2 earns 1.00 in a trial, in the median task 14.50." in text


def test_an_inspection_is_a_page_of_the_same_kind():
    content = {**facts(text=" <b>x</b>").inspection, "directory": "runs/<i>1"}
    found = Parsed(inspection_page("rl2 on bandit", content, "pull", "adaptax inspect x"))
    assert found.open == []
    assert "probabilities[2] <b>x</b>" in found.text
    assert "0.20 ± 0.10" in found.text
    assert "runs/<i>1" in found.text
    assert not [tag for tag, _ in found.tags if tag in ("b", "i", "script")]
