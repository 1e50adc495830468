"""Pages in a real browser: nothing overflows, nothing is complained of, keys work. Skipped where there is none."""

import dataclasses
import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from adaptax.problems import cart_pole, grid_navigation, point_robot, two_step
from adaptax.problems.cart_poles import CartPoleTask
from adaptax.problems.grid_worlds import GridGoal
from adaptax.problems.point_robots import PointGoal
from adaptax.reports.run_page import run_page, runs_page
from tests.reports.runs_shown import HOSTILE, facts
from tests.reports.test_films import recording

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")

MEASURE = """<script>addEventListener("load", () => setTimeout(() => {
  const found = { width: innerWidth, scroll: document.documentElement.scrollWidth, wide: [], small: [] };
  for (const e of document.querySelectorAll("body *")) {
    const box = e.getBoundingClientRect();
    if (box.right > innerWidth + 1 && box.width && !e.closest(".wide, .skip, svg, details:not([open]) > :not(summary)"))
      found.wide.push(e.tagName + "." + e.className);
  }
  %s
  document.title = "MEASURED" + JSON.stringify(found) + "END";
}, 300));</script>"""
KEYS = """
  const player = document.querySelector(".player"), said = () => player.querySelector(".player-text").textContent;
  const event = key => new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
  const press = key => player.querySelector("svg").dispatchEvent(event(key));
  found.said = [said()];
  for (const key of ["ArrowRight", "ArrowRight", "ArrowLeft", "End", "Home", "r", " "]) {
    press(key);
    found.said.push(said());
  }
  found.revealed = player.querySelector("input[type=checkbox]").checked;
  found.playing = player.querySelector(".player-play").textContent;
  press("End");
  found.stopped = player.querySelector(".player-play").textContent;
  found.label = player.querySelector("svg").getAttribute("aria-label");
  found.unnamed = [...document.querySelectorAll("button, input, select, svg")].filter(
    e => !e.getAttribute("aria-label") && !(e.labels && e.labels.length)).map(e => e.outerHTML.slice(0, 80));
"""


def browsed(page, folder, width):
    """What a page measures of itself in a window of a width, after two seconds of its own time."""
    path = folder / "page.html"
    path.write_text(page)
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=2000"]
    done = subprocess.run(
        [BROWSER, *options, f"--user-data-dir={folder}/own", f"--window-size={width},900", "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not complaints, complaints
    measured = re.search(r"<title>MEASURED(.*?)END</title>", done.stdout, re.S)
    assert measured, done.stdout[:2000] + done.stderr[-2000:]
    return json.loads(html.unescape(measured.group(1)))


def opened(page, folder, width, also=""):
    """What a page measures of itself in a window."""
    return browsed(page.replace("</body>", MEASURE % also + "</body>"), folder, width)


def in_a_frame(page, folder, width):
    """The same in a frame, which may be narrower than a window; it is told to the page around it."""
    inner = page.replace("</body>", MEASURE.replace("document.title =", "parent.document.title =") % "" + "</body>")
    text = inner.replace("&", "&amp;").replace('"', "&quot;")
    around = f'<!DOCTYPE html><title>t</title><body><iframe width="{width}" height="900" srcdoc="{text}"></iframe>'
    return browsed(around, folder, 1400)


def of_all_kinds():
    """A page with a film of each kind."""
    goal, carts = GridGoal(np.array([5])), CartPoleTask(*(np.array([x]) for x in (0.5, 0.1, 1.0, 10.0)))
    path, to = [[[0, 0], [0.1, 0], [0.2, 0]]], PointGoal(np.array([[0.2, 0.1]]))
    shown = [
        recording(grid_navigation(1, size=3, horizon=2), goal, [[0, 1, 2]], [[2, 2]], [[-0.1, -0.1]]),
        recording(point_robot(1, horizon=2), to, path, np.zeros((1, 2, 2)), [[-0.1, -0.1]]),
        recording(cart_pole(1, horizon=2), carts, [[[0, 0, 0, 0]] * 3], [[1, 0]], [[1, 1]]),
        recording(two_step(2), {"x": np.zeros(1)}, [[0, 1, 0, 2, 0]], [[0, 1, 1, 0]], [[0, 1, 0, 0.5]]),
    ]
    runs = [dataclasses.replace(facts(f"run-{number}"), recording=one) for number, one in enumerate(shown)]
    return runs_page([facts(), *runs], "adaptax report")


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_wider_than_the_window_and_no_error_is_logged(tmp_path, width):
    long = "a_very_long_name_without_any_space_" * 4
    for page in (run_page(facts()), run_page(facts(text=f" {long}")), of_all_kinds()):
        found = in_a_frame(page, tmp_path, width)
        assert found["width"] == width
        assert found["scroll"] <= width
        assert found["wide"] == []


def test_what_is_too_wide_is_noticed(tmp_path):
    page = run_page(facts()).replace("<main>", '<main><p style="width: 500px">wide</p>')
    found = in_a_frame(page, tmp_path, 400)
    assert found["scroll"] > 400
    assert found["wide"] == ["P."]


def test_a_film_is_played_by_keys_and_tells_what_happens(tmp_path):
    found = opened(run_page(facts()), tmp_path, 800, KEYS)
    said = found["said"]
    assert said[0].startswith("Before the first of 6 pulls")
    assert [text.split(" of")[0] for text in said[1:6]] == ["Pull 1", "Pull 2", "Pull 1", "Pull 6", "Before the first"]
    assert found["revealed"]
    assert (found["playing"], found["stopped"]) == ("Pause", "Play")
    assert found["label"].startswith("Pull 6 of 6")
    assert found["unnamed"] == []


def test_hostile_names_do_nothing_in_a_browser(tmp_path):
    page = run_page(facts(text=HOSTILE)).replace("alert(", "console.error(")
    assert in_a_frame(page, tmp_path, 400)["scroll"] <= 400
