"""Films of robots, of trials whose every number is known."""

import json

import numpy as np
import pytest

pytest.importorskip("mujoco")

from adaptax.problems import ant_direction, ant_goal, half_cheetah_direction, half_cheetah_velocity, hopper_parameters
from adaptax.problems.mujoco.ant import Heading, Place
from adaptax.problems.mujoco.half_cheetah import Direction, Velocity
from adaptax.problems.mujoco.random_parameters import CHANGED, HOPPER, Body
from adaptax.reports.films import films
from adaptax.reports.robot_films import robot_film
from tests.reports.browser import in_node, needs_node
from tests.reports.test_films import recording


def seen_by_a_cheetah(*xs):
    """Standing at some places."""
    seen = np.zeros((len(xs), 20), np.float32)
    seen[:, 17] = xs
    return seen


def cheetah(problem, task):
    """Two episodes of two steps: forwards, then backwards."""
    seen = np.stack([seen_by_a_cheetah(0, 0.1, 0.3), seen_by_a_cheetah(0, -0.05, -0.1)])
    (film,) = films(recording(problem, task, seen, np.zeros((2, 2, 6)), [[1, 2], [0.5, -0.25]]))
    return film


def test_a_half_cheetah_runs_and_what_is_wanted_is_hidden():
    film = cheetah(half_cheetah_velocity(2, 2), Velocity(np.array([1.5])))
    assert film["kind"] == "figure"
    assert (film["hidden"], film["still"]["wanted"]) == ("the velocity that is wanted", "wanted: 1.5 m/s")
    assert [m["x"] for m in film["moments"]] == [0, 0.1, 0.3, 0, -0.05, -0.1]
    assert [m["speed"] for m in film["moments"]] == [None, 2, 4, None, -1, -1]  # steps of .05 s
    assert film["moments"][2]["text"] == "Episode 1, step 2 of 2: at 0.3 m, 4 m/s; return so far 3."
    assert film["moments"][5]["text"] == "Episode 2, step 2 of 2: at −0.1 m, −1 m/s; return so far 0.25."
    assert film["marks"] == [{"at": 0, "label": "Episode 1"}, {"at": 3, "label": "Episode 2"}]
    torso = np.array([moment["lines"][0] for moment in film["moments"]])
    np.testing.assert_allclose(np.sort(torso[:, ::2].T, 0)[0], [-0.5, -0.4, -0.2, -0.5, -0.55, -0.6], atol=2e-3)
    np.testing.assert_allclose(torso[:, 1::2], 0.7, atol=2e-3)
    json.dumps(film, allow_nan=False)


def test_a_direction_has_its_word():
    assert cheetah(half_cheetah_direction(2, 2), Direction(np.array([-1.0])))["still"]["wanted"] == "wanted: backwards"
    assert cheetah(half_cheetah_direction(2, 2), Direction(np.array([1.0])))["still"]["wanted"] == "wanted: forwards"


def seen_by_an_ant(x, y):
    """Standing somewhere, as ant-goal sees it."""
    seen = np.zeros(113, np.float32)
    seen[:7] = x, y, 0.75, 1, 0, 0, 0
    return seen


def test_an_ant_is_seen_across_the_way_to_its_goal():
    seen = np.stack([seen_by_an_ant(0, 0), seen_by_an_ant(0.6, 0.8), seen_by_an_ant(0.8, -0.6)])[None]
    trial = recording(ant_goal(1, 2), Place(np.array([[1.2, 1.6]])), seen, np.zeros((1, 2, 8)), [[-1, -1]])
    (film,) = films(trial)
    assert (film["still"]["goal"], film["still"]["wanted"], film["note"]) == (2, "goal 2 m away", "")
    assert [m["x"] for m in film["moments"]] == pytest.approx([0, 1, 0], abs=1e-6)
    assert film["moments"][1]["text"].startswith("Episode 1, step 1 of 2: at 1 m, ")
    assert "at 0 m, 1 m aside" in film["moments"][2]["text"]


def test_what_is_not_seen_is_summed_up_and_the_film_says_so():
    seen = np.zeros((1, 3, 27), np.float32)
    seen[..., :5] = 0.75, 1, 0, 0, 0
    seen[..., 13] = 2.0  # m/s along x
    trial = recording(ant_direction(1, 2), Heading(np.array([np.pi])), seen, np.zeros((1, 2, 8)), [[0, 0]])
    (film,) = films(trial)
    assert [m["x"] for m in film["moments"]] == pytest.approx([0, -0.1, -0.2], abs=1e-6)  # 180° is to the right
    assert "summed up" in film["note"]
    assert film["still"]["wanted"] == "wanted: 180°, to the right here"


def test_who_falls_is_said_to_have_fallen_and_what_is_no_number_is_not_drawn():
    seen = np.zeros((1, 4, 11), np.float32)
    seen[0, :, 0] = 1.25
    model = HOPPER.model
    task = Body(*(np.ones((1, *getattr(model, name).shape)) for name in CHANGED))
    valid = [[True, True, False]]
    film = robot_film(recording(hopper_parameters(1, 3), task, seen, np.zeros((1, 3, 3)), [[1, 1, 0]], valid), 0)
    assert len(film["moments"]) == 3
    assert film["moments"][2]["text"] == "Episode 1, step 2 of 2: at 0 m, fallen; return so far 2."
    seen[0, 2] = np.nan
    film = robot_film(recording(hopper_parameters(1, 3), task, seen, np.zeros((1, 3, 3)), [[1, 1, 0]], valid), 0)
    assert "no number" in film["moments"][2]["text"]
    assert all(x is None for line in film["moments"][2]["lines"] for x in line)
    json.dumps(film, allow_nan=False)


def test_a_film_of_long_episodes_stays_small():
    seen = np.random.default_rng(0).normal(size=(2, 201, 20)).astype(np.float32)
    task = Velocity(np.array([1.5]))
    (film,) = films(recording(half_cheetah_velocity(2, 200), task, seen, np.zeros((2, 200, 6)), np.zeros((2, 200))))
    assert len(json.dumps(film)) < 150_000


DRAWN = """
  const drawn = [];
  const element = name => ({ name, style: {}, attributes: {}, clientWidth: 400, namespaceURI: "",
    setAttribute(key, value) { this.attributes[key] = value; }, appendChild(child) { drawn.push(child); },
    replaceChildren() { drawn.length = 0; } });
  globalThis.document = { createElementNS: (space, name) => element(name) };
  return given.map(([moment, reveal]) => {
    Scenes.draw(element("svg"), "figure", moment, { reveal, width: 400 });
    return { texts: drawn.filter(e => e.name === "text").map(e => e.textContent),
      limbs: drawn.filter(e => e.name === "line" && e.attributes["stroke-linecap"]).map(e => e.attributes) };
  });
"""


@needs_node
def test_limbs_are_drawn_where_they_are_and_what_is_wanted_only_if_it_is_revealed():
    film = cheetah(half_cheetah_velocity(2, 2), Velocity(np.array([1.5])))
    moment = {**film["still"], **film["moments"][2]}
    hidden, shown = in_node(["scenes.js"], DRAWN, [[moment, False], [moment, True]])
    assert "4 m/s" in hidden["texts"]
    assert "4 m/s, wanted: 1.5 m/s" in shown["texts"]
    assert len(hidden["limbs"]) == 2 * 8  # each with an edge
    torso = hidden["limbs"][1]
    scale = 100  # 4 m are 400 px
    assert abs(torso["x2"] - torso["x1"]) == pytest.approx(scale, abs=0.5)
    assert (torso["x1"] + torso["x2"]) / 2 == pytest.approx(200, abs=0.5)
    assert torso["stroke-width"] == pytest.approx(2 * 0.046 * scale)
    broken = {**moment, "lines": [[None, None, None, None], *moment["lines"][1:]]}
    (without,) = in_node(["scenes.js"], DRAWN, [[broken, False]])
    assert len(without["limbs"]) == 2 * 7
