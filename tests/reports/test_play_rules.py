"""The tasks of a page, and those of a demonstration, are those of adaptax."""

import dataclasses

import jax
import numpy as np
import pytest
from scipy.special import betaincinv

from adaptax import problems
from adaptax.algorithms.classical.gittins import index_table
from adaptax.experiment.demonstration_tasks import FAMILIES
from adaptax.problems.exact import GRID_MOVES, grid_goals, grid_plan
from adaptax.problems.settings import (
    BanditSettings,
    CartPoleSettings,
    GridNavigationSettings,
    PointRobotSettings,
    PointRobotSparseSettings,
)
from adaptax.reports.play_words import WORDS
from tests.reports.browser import in_node, needs_node

COUNT = 200
SETTINGS = {
    "bandit": BanditSettings(num_arms=4, num_pulls=30),
    "grid-navigation": GridNavigationSettings(),
    "point-robot": PointRobotSettings(horizon=30),
    "point-robot-sparse": PointRobotSparseSettings(),
    "cart-pole": CartPoleSettings(variation=0.5),
}
MAKERS = {
    "bandit": problems.bernoulli_bandit,
    "grid-navigation": problems.grid_navigation,
    "point-robot": problems.point_robot,
    "point-robot-sparse": problems.point_robot_sparse,
    "cart-pole": problems.cart_pole,
}


def plain(settings):
    return dataclasses.asdict(settings)


@pytest.fixture(scope="module")
def steps():
    """Of each family: tasks, states, actions and luck by chance, and what the problem itself makes of them."""
    kept = {}

    def get(name):
        if name in kept:
            return kept[name]
        problem, rng = MAKERS[name](**plain(SETTINGS[name])), np.random.default_rng(0)
        keys = jax.random.split(jax.random.key(1), COUNT)
        tasks = jax.vmap(problem.test.sample)(keys)
        states = {
            "bandit": None,
            "grid-navigation": rng.integers(25, size=COUNT).astype(np.int32),
            "cart-pole": rng.uniform(-1, 1, (COUNT, 4)).astype(np.float32) * np.float32([2.4, 2, 0.2, 2]),
        }.get(name, rng.uniform(-0.7, 0.7, (COUNT, 2)).astype(np.float32))
        if name == "point-robot":  # some within reach of the goal
            near = np.asarray(tasks.position) + rng.uniform(-0.1, 0.1, (COUNT, 2)).astype(np.float32)
            states[::2] = near[::2]
        space = problem.env.action_space
        if space.integers:
            actions = rng.integers(space.num, size=COUNT).astype(np.int32)
        else:
            actions = rng.uniform(-0.2, 0.2, (COUNT, 2)).astype(np.float32)
            actions[::2] = np.asarray(tasks.position)[::2] - states[::2]
        found = jax.vmap(problem.env.step)(states, actions, tasks, keys)
        best = jax.vmap(problem.test.oracle)(tasks)
        luck = jax.vmap(jax.random.uniform)(keys)
        (leaves, *_) = jax.tree.leaves(tasks)
        if name == "cart-pole":
            names = ("half_length", "pole_mass", "cart_mass", "force")
            told = [{n: float(getattr(tasks, n)[i]) for n in names} for i in range(COUNT)]
        else:
            field = {"bandit": "probabilities", "grid-navigation": "cell"}.get(name, "position")
            told = [{field: np.asarray(leaves[i]).tolist()} for i in range(COUNT)]
        states = [None] * COUNT if states is None else states.tolist()
        kept[name] = (told, states, actions.tolist(), np.asarray(luck).tolist()), found, np.asarray(best)
        return kept[name]

    return get


@needs_node
@pytest.mark.compiles
@pytest.mark.parametrize("name", WORDS)
def test_a_step_in_the_page_is_a_step_of_the_problem(name, steps):
    (tasks, states, actions, luck), wanted, best = steps(name)
    code = """
      const { families } = adaptaxEnvironments, family = families[given.name], settings = given.settings;
      return given.tasks.map((task, i) => {
        const found = family.step(settings, task, given.states[i], given.actions[i], () => given.luck[i]);
        return [found.reward, found.terminated, found.state, family.best(settings, task)];
      });"""
    given = {"name": name, "settings": plain(SETTINGS[name]), "tasks": tasks, "states": states, "actions": actions}
    found = in_node(["play/environments.js"], code, {**given, "luck": luck})
    np.testing.assert_allclose([x[0] for x in found], wanted.reward, atol=1e-5)
    assert [x[1] for x in found] == wanted.terminated.tolist()
    np.testing.assert_allclose([x[3] for x in found], best, rtol=1e-5, atol=1e-5)
    if name != "bandit":
        np.testing.assert_allclose([x[2] for x in found], wanted.state, atol=1e-5)
        assert name == "grid-navigation" or len(set(wanted.reward.tolist())) > (name != "cart-pole")


@pytest.mark.compiles
@pytest.mark.parametrize("name", FAMILIES)
def test_a_step_of_a_demonstration_is_a_step_of_the_problem(name, steps):
    (tasks, states, actions, luck), wanted, best = steps(name)
    family = FAMILIES[name](SETTINGS[name])
    for i in range(COUNT):
        (task,) = (np.asarray(x) for x in tasks[i].values())
        state = states[i] if states[i] is None or name == "grid-navigation" else np.asarray(states[i])
        after, _, reward, terminated = family.step(task, state, np.asarray(actions[i]), luck[i])
        assert reward == pytest.approx(float(wanted.reward[i]), abs=1e-5)
        assert terminated == bool(wanted.terminated[i])
        assert family.best(task) == pytest.approx(float(best[i]), abs=1e-4)
        if name != "bandit":
            np.testing.assert_allclose(after, wanted.state[i], atol=1e-5)


def test_the_grid_of_a_demonstration_is_the_paper_s():
    family = FAMILIES["grid-navigation"](GridNavigationSettings())
    assert tuple(family.goals) == grid_goals(5)
    assert family.moves == GRID_MOVES


@needs_node
def test_tasks_of_a_page_are_of_the_family():
    code = """
      const { families, stream } = adaptaxEnvironments, found = {};
      for (const name in given) {
        const random = stream(3);
        found[name] = Array.from({ length: 500 }, () => families[name].draw(given[name], random));
      }
      return found;"""
    drawn = in_node(["play/environments.js"], code, {name: plain(x) for name, x in SETTINGS.items()})
    arms = np.asarray([x["probabilities"] for x in drawn["bandit"]])
    assert arms.shape == (500, 4)
    assert np.mean(arms) == pytest.approx(0.5, abs=4 / np.sqrt(12 * 2000))
    assert np.std(arms) == pytest.approx(1 / np.sqrt(12), abs=0.02)
    assert {x["cell"] for x in drawn["grid-navigation"]} == set(grid_goals(5))
    goals = np.asarray([x["position"] for x in drawn["point-robot"]])
    assert np.all(np.abs(goals) <= 0.5)
    np.testing.assert_allclose(np.std(goals, 0), 1 / np.sqrt(12), atol=0.03)
    arc = np.asarray([x["position"] for x in drawn["point-robot-sparse"]])
    np.testing.assert_allclose(np.hypot(*arc.T), 1)
    assert np.all(arc[:, 1] >= 0)
    logs = np.log(np.asarray([x["force"] for x in drawn["cart-pole"]]) / 10)
    assert np.all(np.abs(logs) <= 0.5)
    assert np.std(logs) == pytest.approx(0.5 / np.sqrt(3), abs=0.03)


@needs_node
def test_the_page_s_gittins_index_is_that_of_the_package():
    code = """
      const index = adaptaxBeside.gittinsTable(given), found = [];
      for (let m = 0; m < given; m++) for (let left = 1; left <= given - m; left++) for (let s = 0; s <= m; s++)
        found.push(index(m, s, left));
      return found;"""
    found = in_node(["play/environments.js", "play/beside.js"], code, 30)
    np.testing.assert_allclose(found, index_table(30, 128)[1], atol=1e-6)


@needs_node
def test_the_bands_are_those_of_the_posterior():
    code = "return given.map(([won, lost]) => adaptaxSeats.band(won, lost));"
    counts = [(0, 0), (1, 0), (0, 3), (7, 2), (40, 60), (95, 5)]
    scripts = ["play/environments.js", "play/seats.js"]
    for (won, lost), found in zip(counts, in_node(scripts, code, counts), strict=True):
        np.testing.assert_allclose(found, betaincinv(1 + won, 1 + lost, [0.025, 0.975]), atol=1e-6)


@needs_node
def test_the_search_beside_earns_the_optimum_over_all_goals():
    plan = grid_plan(5, 15, 4)
    code = """
      const { Seat, Beside } = adaptaxSeats, { families } = adaptaxEnvironments;
      return families["grid-navigation"].goals(5).map((cell) => {
        const seat = new Seat("grid-navigation", given.settings, { cell }, 1);
        const beside = new Beside(seat, adaptaxBeside.players["grid-navigation"](given.settings, given.plan));
        while (!beside.done) beside.tick();
        return seat.returns;
      });"""
    given = {
        "settings": plain(GridNavigationSettings()),
        "plan": {"actions": plan.actions.tolist(), "cells": plan.cells.tolist()},
    }
    found = np.asarray(in_node(["play/environments.js", "play/beside.js", "play/seats.js"], code, given))
    np.testing.assert_allclose(found.mean(0), plan.returns, atol=1e-5)


@needs_node
def test_who_is_beside_on_a_cart_never_falls_and_in_the_plane_goes_straight():
    code = """
      const { Seat, Beside } = adaptaxSeats, { families, stream } = adaptaxEnvironments;
      return Object.entries(given).map(([name, settings]) => [1, 2, 3, 4, 5].map((seed) => {
        const task = families[name].draw(settings, stream(seed)), seat = new Seat(name, settings, task, seed);
        const beside = new Beside(seat, adaptaxBeside.players[name](settings, null));
        while (!beside.done) beside.tick();
        return [...seat.returns, families[name].best(settings, task)];
      }));"""
    names = ("cart-pole", "point-robot", "point-robot-sparse", "grid-navigation")
    scripts = ["play/environments.js", "play/beside.js", "play/seats.js"]
    for found in in_node(scripts, code, {name: plain(SETTINGS[name]) for name in names}):
        for *returns, best in found:
            np.testing.assert_allclose(returns, best, rtol=1e-6)
