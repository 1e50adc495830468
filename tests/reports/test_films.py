"""Films are compared with trials whose every number is written down here."""

import json

import numpy as np
import pytest

from adaptax.evaluation.recording import Episode, Recording
from adaptax.problems import (
    bernoulli_bandit,
    cart_pole,
    dark_room,
    gaussian_bandit,
    grid_navigation,
    point_robot,
    two_step,
)
from adaptax.problems.bandit import BernoulliArms
from adaptax.problems.cart_poles import CartPoleTask
from adaptax.problems.gaussian_bandits import GaussianArms
from adaptax.problems.grid_worlds import GridGoal
from adaptax.problems.point_robots import PointGoal
from adaptax.reports.bandit_films import posterior, pulls_shown
from adaptax.reports.film_parts import MOST_MOMENTS, figures, steps_shown
from adaptax.reports.films import caption, films, maker


def recording(problem, tasks, observations, actions, rewards, valid=None, episodes=None, total=None):
    """One task's trial, `[episode, step]`."""
    rewards = np.asarray(rewards, np.float32)[None]
    episodes = episodes or [Episode(i, 0, False) for i in range(rewards.shape[1])]
    valid = np.ones(rewards.shape, bool) if valid is None else np.asarray(valid, bool)[None]
    total = total or rewards.shape[1]
    arrays = np.asarray(observations)[None], np.asarray(actions)[None], rewards, valid
    return Recording(problem, tasks, tuple(episodes), total, *arrays)


def pulled(problem, tasks, arms, rewards):
    return recording(
        problem, tasks, np.zeros((len(arms), 2, 0)), np.asarray(arms)[:, None], np.asarray(rewards)[:, None]
    )


def test_a_bandit_counts_pulls_and_has_the_posterior_of_each_arm():
    tasks = BernoulliArms(np.array([[0.2, 0.9, 0.5]]))
    (film,) = films(pulled(bernoulli_bandit(3, 4), tasks, [1, 1, 0, 1], [1, 0, 0, 1]))
    assert film["kind"] == "bandit"
    assert film["hidden"]
    moments = film["moments"]
    assert len(moments) == 5
    assert [[arm["pulls"] for arm in m["arms"]] for m in moments] == [
        [0, 0, 0],
        [0, 1, 0],
        [0, 2, 0],
        [1, 2, 0],
        [1, 3, 0],
    ]
    assert [arm["mean"] for arm in moments[-1]["arms"]] == [0.333, 0.6, 0.5]  # Beta(1, 2), Beta(3, 2), Beta(1, 1)
    assert [arm["truth"] for arm in moments[0]["arms"]] == [0.2, 0.9, 0.5]
    assert (moments[-1]["arms"][2]["low"], moments[-1]["arms"][2]["high"]) == (0.025, 0.975)  # uniform
    low = moments[-1]["arms"][0]["low"]
    assert low == pytest.approx(1 - np.sqrt(0.975), abs=1e-3)  # of Beta(1, 2), P(p < x) = 1 − (1 − x)²
    assert (moments[0]["chosen"], moments[0]["reward"]) == (None, None)
    assert [(m["chosen"], m["reward"]) for m in moments[1:]] == [(1, 1), (1, 0), (0, 0), (1, 1)]
    assert moments[4]["text"] == "Pull 4 of 4: arm 2 brings 1 (pulled 3 times by now); 2 in all."


def test_a_gaussian_arm_has_a_normal_posterior():
    mean, low, high = posterior(np.array([0, 3]), np.array([0.0, 6.0]), "normal", noise=1.0)
    np.testing.assert_allclose(mean, [0, 6 / 4])
    np.testing.assert_allclose(high - low, 2 * 1.959964 * np.sqrt([1, 1 / 4]))
    tasks = GaussianArms(np.array([[0.5, -1.0]]))
    (film,) = films(pulled(gaussian_bandit(2, 1), tasks, [1], [-2.0]))
    assert [arm["mean"] for arm in film["moments"][1]["arms"]] == [0, -1]
    assert posterior(np.array([2, 0]), np.array([3.0, 0.0]), "")[0][0] == 1.5


def test_of_many_pulls_the_first_are_all_shown_and_the_last():
    assert pulls_shown(20) == list(range(21))
    shown = pulls_shown(2000)
    assert shown[:61] == list(range(61))
    assert shown[-1] == 2000
    assert len(shown) <= 165
    assert (np.diff(shown) > 0).all()


def test_a_grid_shows_the_path_and_where_the_goal_may_still_be():
    problem = grid_navigation(1, size=3, horizon=4)  # goals: 2, 5, 6, 7, 8
    cells = [[0, 1, 2, 5, 5]]
    (film,) = films(recording(problem, GridGoal(np.array([5])), cells, [[2, 2, 1, 0]], [[-0.1, -0.1, 1, 1]]))
    assert film["kind"] == "grid"
    still, moments = film["still"], film["moments"]
    assert still["path"] == [(0, 0), (0, 1), (0, 2), (1, 2), (1, 2)]
    assert still["goal"] == [1, 2]
    assert [m["span"] for m in moments] == [[0, 0], [0, 1], [0, 2], [0, 3], [0, 4]]
    assert [sum(x > 0 for x in m["belief"]) for m in moments] == [5, 5, 4, 1, 1]
    assert moments[2]["belief"][2] == 0
    assert moments[2]["belief"][5] == 0.25
    assert [m["found"] for m in moments] == [False, False, False, True, True]
    assert "is on the goal" in moments[3]["text"]


def test_in_a_dark_room_a_step_tells_of_the_cell_that_it_begins_on():
    problem = dark_room(1, size=3, horizon=4)
    cells = [[0, 1, 2, 1, 1]]
    (film,) = films(recording(problem, GridGoal(np.array([1])), cells, [[2, 2, 4, 0]], [[0, 1, 0, 1]]))
    moments = film["moments"]
    assert [sum(x > 0 for x in m["belief"]) for m in moments] == [9, 8, 1, 1, 1]
    assert moments[1]["belief"][0] == 0
    assert moments[2]["belief"][1] == 1
    assert "is on the goal" in moments[1]["text"]


def test_what_is_not_all_recorded_shows_no_belief():
    problem = grid_navigation(2, size=3, horizon=1)
    tasks = GridGoal(np.array([5]))
    (film,) = films(recording(problem, tasks, [[0, 1]], [[2]], [[-0.1]], episodes=[Episode(1, 0, False)], total=2))
    assert film["moments"][0]["belief"] is None
    assert film["moments"][0]["text"].startswith("Episode 2")


def test_paths_in_a_plane_are_told_apart_by_stage_and_end_where_the_episode_did():
    problem = point_robot(4, horizon=3)
    observations = [[[0, 0], [0.1, 0], [0.2, 0], [9, 9]], [[0, 0], [0, 0.1], [0, 0.2], [0, 0.3]]]
    episodes = [Episode(0, 0, True), Episode(1, 1, True)]
    found = recording(
        problem, PointGoal(np.array([[0.2, 0.0]])), observations, np.zeros((2, 3, 2)),
        [[-0.1, 0, 0], [-0.3, -0.3, -0.4]], [[1, 1, 0], [1, 1, 1]], episodes, total=4,
    )  # fmt: skip
    (film,) = films(found)
    paths = film["still"]["paths"]
    assert film["kind"] == "plane"
    assert [path["stage"] for path in paths] == [0, 1]
    assert paths[0]["points"] == [[0, 0], [0.1, 0], [0.2, 0]]  # what came after its end is not there
    assert [path["label"] for path in paths] == [
        "Before adaptation, best action known",
        "After 1 step, best action known",
    ]
    assert [m["now"] for m in film["moments"]] == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2], [1, 3]]
    assert film["moments"][-1]["text"].endswith("0.36 from the goal, return so far −1.")
    assert [mark["at"] for mark in film["marks"]] == [0, 3]
    assert film["still"]["bounds"][1] < 0.3
    assert "best action known" in caption(found)


def test_a_cart_is_where_it_was_and_falls_only_if_it_fell():
    tasks = CartPoleTask(*(np.array([x]) for x in (0.5, 0.1, 1.0, 10.0)))
    states = [[[0.1, 0, 0.05, 0], [0.2, 0, 0.3, 0], [0.2, 0, 0.3, 0]]]
    fell = recording(cart_pole(1, horizon=2), tasks, states, [[1, 0]], [[1, 0]], [[1, 0]])
    stood = recording(cart_pole(1, horizon=2), tasks, states, [[1, 0]], [[1, 1]])
    (film,), (other,) = films(fell), films(stood)
    assert film["kind"] == "cart-pole"
    assert film["still"] == {"length": 1, "mass": 1}
    assert [(m["x"], m["angle"], m["push"]) for m in film["moments"]] == [(0.1, 0.05, 1), (0.2, 0.3, 0)]
    assert "has fallen" in film["moments"][-1]["text"]
    assert "still upright" in other["moments"][-1]["text"]


def test_all_else_is_series_of_what_was_seen_done_and_earned():
    problem = two_step(2)
    tasks = {"x": np.array([1.0])}
    found = recording(problem, tasks, [[0, 1, 0, 2, 0]], [[0, 1, 1, 0]], [[0, 1, 0, 0.5]])
    (film,) = films(found)
    assert film["kind"] == "generic"
    series = {one["name"]: one for one in film["still"]["series"]}
    assert series["reward"]["values"] == [0, 1, 0, 0.5]
    assert series["action"] == {"name": "action", "values": [0, 1, 1, 0], "shape": "steps"}
    assert series["seen"]["values"] == [0, 1, 0, 2]
    assert [m["at"] for m in film["moments"]] == [0, 1, 2, 3]
    assert film["moments"][-1]["text"].endswith("return so far 1.5.")


def test_long_series_are_summed_up_and_say_so():
    count = 5000
    found = recording(
        two_step(2500), {"x": np.zeros(1)}, [np.zeros(count + 1)], [np.zeros(count, int)], [np.ones(count)]
    )
    (film,) = films(found)
    reward = film["still"]["series"][0]["values"]
    assert sum(reward) == count
    assert len(reward) <= 600
    assert "One point for 9 steps" in film["note"]
    assert len(film["moments"]) <= MOST_MOMENTS


def test_films_are_plain_data_without_what_json_does_not_have():
    tasks = BernoulliArms(np.array([[0.2, 0.9]]))
    found = films(pulled(bernoulli_bandit(2, 2), tasks, [1, 0], [1, 0]))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert figures([np.nan, np.inf, 0.12345, 1e-7, 123456.7, 2.0]) == [None, None, 0.123, 1e-07, 123000, 2]


def test_an_episode_has_its_first_and_last_moment_and_not_too_many():
    assert steps_shown(3, 1) == [0, 1, 2, 3]
    shown = steps_shown(1000, 10)
    assert (shown[0], shown[-1]) == (0, 1000)
    assert len(shown) == MOST_MOMENTS // 10


def test_who_looks_like_a_grid_only_in_part_is_shown_as_series():
    grid, other = grid_navigation(1, size=3, horizon=1), point_robot(1, horizon=1)
    kinds = [
        maker(recording(grid, {"x": np.zeros(1)}, [[0, 1]], [[2]], [[-0.1]])),
        maker(recording(other, {"x": np.zeros(1)}, [[[0, 0], [0, 1]]], [[[0, 0]]], [[-0.1]])),
    ]
    assert [kind.__name__ for kind in kinds] == ["series_film"] * 2
