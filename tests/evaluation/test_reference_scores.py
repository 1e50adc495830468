"""How far from random to informed: every number here is computed by hand."""

import numpy as np
import pytest

from adaptax.evaluation.evaluator import Evaluation
from adaptax.evaluation.reference_scores import ReferenceScores, share

T_OF_1 = 12.7062
"""97.5 % of Student's t with one degree of freedom: two tasks."""


def seen(*tasks):
    """An evaluation of one training, `[task, episode]`."""
    returns = np.array([tasks], float)
    return Evaluation(returns, np.ones(returns.shape, int))


def of_two_tasks(**others):
    """Random has 1 on average over its tasks and episodes, the informed policy 5, the memory-less one 3."""
    known = {
        "informed": seen([3, 5], [6, 6]),
        "memoryless": seen([1, 1], [4, 6]),
        "random": seen([-1, 1], [2, 2]),
    }
    return ReferenceScores(**{**known, **others})


def test_scores_of_each_episode_by_hand():
    first, second = of_two_tasks().curve(seen([2, 4], [4, 7]))
    assert (first["episode"], first["return"]) == (1, 3.0)
    # Above random by 2 in both tasks, of a way of 4 in both: half of it, and nothing varies.
    assert first["score"] == {"value": 0.5, "interval": [0.5, 0.5]}
    assert first["beyond_memoryless"]["value"] == 0.0  # (1 − 1) / 4, as 3 − 3 is nothing
    # Above random by 4 and 5: 4.5 of 4. Around that by ∓.5, so the standard error is .5.
    assert second["score"]["value"] == pytest.approx(1.125)
    margin = T_OF_1 * 0.5 / 4
    assert second["score"]["interval"] == pytest.approx([1.125 - margin, 1.125 + margin], rel=1e-4)
    assert second["beyond_memoryless"]["value"] == pytest.approx(2.5 / 4)
    assert second["stderr"] == pytest.approx(1.5)


def test_E31_what_does_not_adapt_has_nothing_beyond_the_policy_without_memory():
    robust = of_two_tasks()
    for point in robust.curve(robust.memoryless):
        assert point["score"]["value"] == pytest.approx(0.5, abs=0.26)
    total = np.mean([point["beyond_memoryless"]["value"] for point in robust.curve(robust.memoryless)])
    assert total == pytest.approx(0)
    content = robust.to_json({"rl2": robust.memoryless}, oracle=9.0)
    assert {name: of["score"]["value"] for name, of in content["policies"].items()} == {
        "random": 0.0, "memory-less policy": 0.5, "informed policy": 1.0,
    }  # fmt: skip
    assert [of["return"] for of in content["policies"].values()] == [1.0, 3.0, 5.0]
    assert content["oracle"] == {"return": 9.0, "score": 2.0}
    assert "no exact optimum" in content["label"]


def test_an_interval_covers_what_it_claims():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        of = rng.normal(4.0, 2.0, 50)
        part = share((0.7 * of + rng.normal(0, 1.0, 50))[None], of)
        covered += part.interval[0] <= 0.7 <= part.interval[1]
    assert 0.92 <= covered / 400 <= 0.98


def test_no_way_is_no_score():
    flat = of_two_tasks(informed=seen([0, 0], [2, 2]))
    point = flat.curve(seen([2, 4], [4, 7]))[0]
    assert point["score"] == {"value": None, "interval": [None, None]}
    assert point["beyond_memoryless"]["value"] is None
    assert flat.to_json({}, oracle=3.0)["oracle"] == {"return": 3.0, "score": None}
    assert flat.to_json()["oracle"] is None
    (note,) = flat.notes({"rl2": seen([2, 4], [4, 7])})
    assert "not above random" in note


def many(mean, seed):
    noise = np.random.default_rng(seed).normal(0, 0.1, (1, 400, 2))
    return Evaluation(noise + np.asarray(mean, float), np.ones(noise.shape, int))


@pytest.mark.parametrize(
    ("informed", "memoryless", "agent", "said"),
    [
        (5.0, 3.0, [3.0, 4.5], []),
        (5.0, 3.0, [3.0, 3.0], ["rl2 ends not above the memory-less policy"]),
        (5.0, 3.0, [3.0, 6.0], ["rl2 ends above the informed policy"]),
        (5.0, 5.5, [3.0, 4.5], ["informed policy is not above the memory-less one", "rl2 ends not above the memory"]),
        (1.0, 0.5, [3.0, 4.5], ["informed policy is not above random"]),
    ],
)
def test_what_scores_do_not_mean_is_said(informed, memoryless, agent, said):
    scores = ReferenceScores(many(informed, 1), many(memoryless, 2), many(1.0, 3), command="adaptax reference x")
    notes = scores.notes({"rl2": many(agent, 4), "other": many(4.0, 5)})
    assert len(notes) == len(said)
    for note, words in zip(notes, said, strict=True):
        assert words in note
    assert all("adaptax reference x --num-updates N" in note for note in notes if "Train" in note)


def test_any_agent_may_show_that_the_informed_policy_is_no_ceiling():
    scores = ReferenceScores(many(5.0, 1), many(3.0, 2), many(1.0, 3))
    (note,) = scores.notes({"rl2": many([3.0, 6.0], 4), "other": many(9.0, 5), "less": many(2.0, 6)})
    assert note.startswith("rl2, other end above the informed policy")


def test_long_trials_are_scored_at_some_episodes_and_windows_by_their_evaluation_episodes():
    scores = ReferenceScores(many(5.0, 1), many(3.0, 2), many(1.0, 3))
    long = Evaluation(np.ones((1, 400, 500)), np.ones((1, 400, 500), int))
    episodes = [point["episode"] for point in scores.curve(long)]
    assert len(episodes) <= 60
    assert (episodes[0], episodes[-1]) == (1, 500)
    asked = np.broadcast_to([2.0, 5.0], (1, 400, 2))
    windows = Evaluation(np.ones((1, 400, 4)), np.ones((1, 400, 4), int), asked)
    points = scores.curve(windows)
    assert [point["episode"] for point in points] == [1, 3]
    assert [point["return"] for point in points] == [2.0, 5.0]
