"""Pictures of a demonstration: what is in them is what happened."""

import re
from xml.etree import ElementTree

import pytest

from adaptax.deployment.pretrained import NAMES
from adaptax.experiment.demonstration import demo
from adaptax.reports.moving_picture import moving_picture
from adaptax.reports.terminal_pictures import ACROSS, DOWN, lines

MOST = 500_000
"""Bytes of a picture."""


@pytest.fixture(scope="module")
def films():
    kept = {}
    return lambda name: kept.setdefault(name, demo(name, tasks=1, seed=2).trials[0])


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_moves_is_still_where_asked_and_is_small(name, films):
    film = films(name).film
    text = moving_picture(film)
    root = ElementTree.fromstring(text)
    assert len(text.encode()) <= MOST
    assert root.get("aria-label").startswith(film["title"])
    assert "prefers-reduced-motion: reduce" in text
    assert text.count("@keyframes") >= 5
    assert not re.search(r"<script|https?://(?!www\.w3\.org)|url\((?!#)", text)
    used = {x for element in root.iter() for x in element.get("class", "").split() if re.fullmatch(r"k\d+", x)}
    assert used == set(re.findall(r"@keyframes (k\d+)", text))  # nothing moves that is not drawn
    (seconds,) = {float(x) for x in re.findall(r"animation:k\d+ ([\d.]+)s", text)}
    (twice,) = {float(x) for x in re.findall(r"animation:k\d+ ([\d.]+)s", moving_picture(film, 2.0))}
    assert seconds == pytest.approx(2 * twice - 2.5, abs=0.02)


def test_the_last_numbers_of_a_bandit_s_picture_are_what_was_earned(films):
    shown = films("bandit")
    text = moving_picture(shown.film)
    earned = round(sum(shown.returns))
    assert f"{{transform:translateY({-20 * earned}px);animation" in text
    assert f"{{transform:translateY({-20 * 100}px);animation" in text


def words(drawn):
    return ["".join(piece for piece, _ in line) for line in drawn]


def test_arms_in_a_terminal(films):
    film = films("bandit").film
    drawn = words(lines("bandit", film["moments"][-1]))
    assert len(drawn) == 11
    pulls = [int(re.search(r"(\d+) pulls", line)[1]) for line in drawn[:-1]]
    assert sum(pulls) == 100
    assert sum(line.startswith("▶") for line in drawn) == 1
    for line, arm in zip(drawn, film["moments"][-1]["arms"], strict=False):
        bar = line[9:41]
        assert bar.index("│") == min(int(arm["truth"] * 32), 31)
        filled = round(arm["mean"] * 32) if arm["pulls"] else 0
        assert abs(bar.count("█") - filled) <= 1
    assert drawn[-1].startswith("pull 100 of 100")


def test_cells_in_a_terminal():
    moment = {
        "rows": 3, "columns": 3, "path": [(0, 0), (1, 0)], "goal": (2, 1), "belief": [0] * 4 + [0.5, 0, 0, 0.5, 0],
        "text": "said",
    }  # fmt: skip
    assert [line.split() for line in words(lines("grid", moment)) if line] == [
        ["·", "★", "·"], ["●", "░░", "·"], ["·", "·", "·"], ["said"],
    ]  # fmt: skip


def test_ways_in_a_terminal():
    moment = {
        "bounds": (-1, 1, -1, 1), "start": (0, 0), "goal": (1, 1), "text": "said",
        "paths": [{"points": [[-1, -1]], "stage": 0}, {"points": [[0, 0], [1, 0]], "stage": 1}],
    }  # fmt: skip
    *drawn, said = words(lines("plane", moment))
    assert said == "said"
    assert len(drawn) == DOWN
    assert drawn[0] == " " * (ACROSS - 1) + "★"
    assert drawn[DOWN // 2] == " " * (ACROSS // 2) + "+" + " " * (ACROSS // 2 - 1) + "●"
    assert drawn[-1] == "·" + " " * (ACROSS - 1)
