"""Sentences of a comparison whose every figure is made up; single numbers in words: `test_comparison_tables.py`."""

import pytest

from adaptax.reports import comparison_texts as texts


def at(value, low=None, high=None, since=0, within=1000, steps=None):
    """A threshold that was reached in an episode."""
    return {
        "episode": {"value": value, "interval": [low, high]},
        "steps": {"value": steps, "interval": [None, None]},
        "since": since if value is None or since else value - 1,
        "within": within,
    }


def agent(kind, half, most, *, regret, trial=1000, gaps=None, measured="episodes"):
    common = {"value": regret, "episode": 20}
    return {
        "kind": kind, "reaches": {"0.5": half, "0.8": most}, "trial": trial, "gaps": gaps or {},
        "regret": {"common": common}, "measured": measured,
    }  # fmt: skip


def gap(value, low, high, unit="share"):
    return {"value": value, "interval": [low, high], "unit": unit}


GAPS = {
    "held-out": gap(-0.006, -0.02, 0.01), "shifted": gap(-0.25, -0.3, -0.2), "far": gap(1.5, 1.0, 2.0, "return"),
    "unknown": gap(0.1, None, None),
}  # fmt: skip


@pytest.fixture
def content():
    return {
        "horizon": 5,
        "thresholds": [0.5, 0.8],
        "reference": {"random": {"value": 0.5}, "target": {"value": 1200.0}, "label": "the oracle"},
        "agents": {
            "rl2": agent("meta-trained", at(4, 3, 5), at(None), regret=2.0, gaps=GAPS),
            "q": agent("from scratch", at(30, 20, None, since=10), at(400), regret=9.5),
            "ucb1": agent("classical", at(None, within=20), at(None), regret=7.25),
            "random": agent("classical", at(None), at(None), regret=11.0),
        },
    }


def test_what_is_trained_and_the_highest_that_it_reaches(content):
    assert texts.trained(content) == ["rl2"]
    assert texts.headline(content) == 0.5
    content["agents"]["rl2"]["reaches"]["0.8"] = at(90)
    assert texts.headline(content) == 0.8
    content["agents"]["rl2"]["reaches"] = {"0.5": at(None), "0.8": at(None)}
    assert texts.headline(content) == 0.8


def test_who_is_first_and_how_much_later_the_others_are(content):
    assert texts.fastest_sentences(content) == [
        "rl2 gets to a normalized score of 50% first, by episode 4 (3 … 5).",
        "q: by episode ≤ 30 (20 … never), 7.5 times as many.",
        "ucb1: not within its 20 episodes.",
        "80%: rl2 does not get there within its 1,000 episodes.",
    ]
    content["agents"]["maml"] = agent("meta-trained", at(None, within=300), at(None), regret=3.0)
    assert texts.fastest_sentences(content)[3:] == [
        "maml: not within its 300 episodes.",  # which is not said again
        "80%: rl2 does not get there within its 1,000 episodes.",
    ]
    for one in content["agents"].values():
        one["reaches"] = {"0.5": at(None), "0.8": at(None)}
    assert texts.fastest_sentences(content) == ["No agent gets to a normalized score of 80% within its trial."]


def test_what_is_lost_after_adaptation(content):
    content["agents"] = dict(reversed(content["agents"].items()))
    assert texts.gap_sentences(content) == [
        "rl2, held-out: −1 % (−2 % … +1 %), no difference is seen.",
        "rl2, shifted: −25 % (−30 % … −20 %), less.",
        "rl2, far: 1.50 (1.00 … 2.00), more.",
    ]
    content["agents"] = {"q": content["agents"]["q"] | {"gaps": {"shifted": gap(0.0, 0.0, 0.0)}}}
    assert texts.gap_sentences(content) == ["q, shifted: +0 % (+0 % … +0 %), no difference is seen."]


def test_what_finding_out_cost_least_first(content):
    said = "Regret in the first 20 episodes, which all trials have: rl2 2.00, ucb1 7.25, q 9.50; random 11.00."
    assert texts.regret_sentences(content) == [said]
    for one in content["agents"].values():
        one["regret"]["common"]["episode"] = 1
    content["horizon"] = 1
    assert texts.regret_sentences(content)[0].startswith("Regret in the first 1 pull, which")


def test_what_the_scores_mean(content):
    said = texts.about_normalized_scores(content)
    assert said.startswith(
        "The normalized score is 0 % for random actions (0.50 per episode) and 100 % for the oracle (1,200 per episode)"
    )
    assert "best action known" not in said
    content["agents"]["q"]["measured"] = "best action, now and then"
    more = texts.about_normalized_scores(content)
    assert more.startswith(said)
    assert "“≤”: it may have been there sooner" in more.removeprefix(said)


def test_figures_in_words():
    assert [texts.unit_of({"horizon": steps}) for steps in (1, 2)] == ["pull", "episode"]
    assert texts.spread({"value": 0.25, "interval": [-1, 2000]}) == "0.25 (−1.00 … 2,000)"
    assert texts.spread({"value": 0.25, "interval": [None, 1]}, texts.percent) == "25 % (– … 100 %)"
    assert texts.number(2.345, 1) == "2.3"
    assert [texts.number(x) for x in (-0.004, 999.99, 999.999, 1000, -1234.5)] == [
        "0.00", "999.99", "1,000", "1,000", "−1,234"
    ]  # fmt: skip
    assert [texts.percent(x, "+") for x in (-0.004, 0.004, -0.02, 0.02)] == ["0 %", "+0 %", "−2 %", "+2 %"]
    assert texts.reached(at(3, steps=15), "steps") == ("15", "")
    best, own = {"value": 0.1}, {"value": 0.2}
    assert texts.exploring({"not_the_best_mean": best, "not_its_own_best": own}) is best
    assert texts.exploring({"not_the_best_mean": None, "not_its_own_best": own}) is own
