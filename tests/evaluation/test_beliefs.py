"""How far beliefs are from the posterior: by figures that are known."""

import json

import numpy as np
import pytest

from adaptax.evaluation.beliefs import Beliefs, has_beliefs
from adaptax.problems.exact import grid_posterior
from tests.problems.test_grid_posterior import walks

SIZE, STEPS, TASKS = 3, 12, 40


def beliefs(change=lambda exact: exact):
    goals = np.random.default_rng(1).choice([2, 5, 6, 7, 8], TASKS)
    cells, rewards = walks(goals, SIZE, STEPS, 2)
    exact = grid_posterior(cells, rewards, SIZE)[:-1].swapaxes(0, 1)
    latents = np.stack([*np.divmod(goals, SIZE), np.zeros(TASKS)], 1)[:, None].repeat(STEPS, 1).astype(float)
    return Beliefs(change(exact), exact, cells.T, goals, latents, SIZE, STEPS // 2)


def test_who_believes_the_posterior_is_not_far_from_it():
    found = beliefs()
    np.testing.assert_allclose(found.divergence, 0, atol=1e-12)
    np.testing.assert_array_equal(found.on_empty, 0)
    np.testing.assert_allclose(found.r2, 1, atol=1e-3)  # these latents hold row and column
    for row in found.calibration:
        assert abs(row["said"] - row["are_goals"]) < 4 * np.sqrt(0.25 / row["cells"]) + 1e-9
    assert sum(row["cells"] for row in found.calibration) == TASKS * STEPS * SIZE**2


def test_who_believes_in_what_was_seen_empty():
    found = beliefs(lambda exact: 0.9 * exact + 0.1 / SIZE**2)
    share = (found.exact == 0).sum(-1).mean(0) / SIZE**2
    np.testing.assert_allclose(found.on_empty, 0.1 * share)
    number = (found.exact > 0).sum(-1)  # cells that are alike
    np.testing.assert_allclose(found.divergence, (-np.log(0.9 + 0.1 * number / SIZE**2)).mean(0))
    start = -np.log(0.9 + 0.1 * 5 / 9)
    assert found.divergence[0] == pytest.approx(start)


def test_who_excludes_the_goal_is_far_and_not_infinitely():
    wrong = beliefs(lambda exact: np.eye(SIZE**2)[np.zeros((TASKS, STEPS), int)])
    assert (wrong.divergence > 20).all()
    assert np.isfinite(wrong.divergence).all()
    assert (wrong.on_empty == 1).all()


def test_what_is_written_down_is_plain():
    content = json.loads(json.dumps(beliefs().to_json()))
    assert set(content) == {"divergence", "on_empty", "calibration", "latents_r2", "tasks"}
    assert (len(content["divergence"]), content["tasks"]) == (STEPS, TASKS)


def test_a_picture_shows_a_trial_to_the_goal():
    figures = pytest.importorskip("adaptax.reports.belief_figures")
    found = beliefs()
    task = figures.telling_task(found)
    steps = figures.shown_steps(found, task)
    reached = np.flatnonzero(found.cells[task] == found.goals[task])
    assert steps == list(range(int(reached[0]) + figures.AFTER + 1))[:STEPS]
    figure = figures.belief_figure(found, title="What is believed")
    above, below = figure.subfigs
    assert len(above.axes) == 2 * len(steps)
    shown = np.array([axes.images[0].get_array() for axes in above.axes]).reshape(2, len(steps), SIZE, SIZE)
    np.testing.assert_allclose(shown[1] ** 2, found.exact[task, steps].reshape(-1, SIZE, SIZE))
    np.testing.assert_array_equal(below.axes[0].lines[0].get_ydata(), found.divergence)


def test_beliefs_are_asked_for_on_grids_only_and_of_who_has_them():
    from adaptax.algorithms import RL2, VariBAD
    from adaptax.core.trained_agent import TrainedAgent
    from adaptax.problems import bernoulli_bandit, grid_navigation

    counted = {"reward_decoder": "next-state", "reward_likelihood": "bernoulli"}
    grid = grid_navigation(num_episodes=1, size=3, horizon=2)
    assert has_beliefs(TrainedAgent(VariBAD(**counted), grid, None))
    assert not has_beliefs(TrainedAgent(VariBAD(), grid, None))
    assert not has_beliefs(TrainedAgent(RL2(), grid, None))
    assert not has_beliefs(TrainedAgent(VariBAD(**counted), bernoulli_bandit(2, 2), None))


def test_a_table_has_a_row_for_each_episode():
    from adaptax.cli.inspect import beliefs_table

    found = beliefs(lambda exact: 0.9 * exact + 0.1 / SIZE**2)
    table = beliefs_table(found)
    assert [row[0] for row in table.rows] == ["1", "2"]
    first = found.divergence[: STEPS // 2]
    assert table.rows[0][1:3] == (f"{first.mean():.4f}", f"{first.max():.4f}")


@pytest.mark.compiles
def test_an_agent_is_asked_before_every_step_of_the_evaluations_own_trials():
    import jax

    from adaptax.algorithms import VariBAD
    from adaptax.core.trained_agent import TrainedAgent
    from adaptax.evaluation.beliefs import record_beliefs
    from adaptax.evaluation.evaluator import evaluate
    from adaptax.networks.memory.belief import gaussian
    from adaptax.problems import grid_navigation
    from tests.algorithms.belief.test_varibad import COUNTED, SMALL

    agent = TrainedAgent.initial(VariBAD(**SMALL, **COUNTED), grid_navigation(num_episodes=2, size=3, horizon=2))
    found = record_beliefs(agent, num_tasks=12, seed=3, explore=True)
    assert found.decoded.shape == found.exact.shape == (12, 4, 9)
    np.testing.assert_allclose(found.decoded.sum(-1), 1)
    np.testing.assert_allclose(found.exact[:, 0], np.isin(np.arange(9), [2, 5, 6, 7, 8])[None] / 5 * np.ones((12, 1)))
    returns = evaluate(agent, num_tasks=12, seed=3, explore=True).returns[0].sum(-1)
    reached = (found.cells == found.goals[:, None]).sum(1)
    np.testing.assert_allclose(returns, reached - 0.1 * (4 - reached), rtol=1e-5)
    # Before the first step every belief is the prior, and what is decoded of it the same but for what was drawn.
    assert (found.latents[:, 0] == 0).all()
    draws = jax.random.normal(jax.random.key(0), (4000, 2))
    assert (np.asarray(gaussian(found.latents[0, 0]).log_std) == 0).all()
    logits = np.asarray(agent.meta.decoder.rewards.table(draws))
    expected = (1 / (1 + np.exp(-logits))).mean(0)
    np.testing.assert_allclose(found.decoded[:, 0].mean(0), expected / expected.sum(), rtol=0.02)
