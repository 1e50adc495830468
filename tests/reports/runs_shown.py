"""Runs as a report is given them, with numbers that are easy to follow; nothing is trained."""

import numpy as np

from adaptax.evaluation.recording import Episode, FamilyReturns, Recording
from adaptax.problems import bernoulli_bandit
from adaptax.problems.bandit import BernoulliArms
from adaptax.reports.run_facts import AgentReturns, RunFacts, Setting

# ruff: noqa: E501  (numbers in rows)
HOSTILE = """</script><script>alert("1")</script> & 'co' {{ 7 * 7 }} <img src=x onerror=alert(2)>"""
PULLS, TASKS = 6, 30


def curve(value, episodes=PULLS):
    ends = [[value - 1, value + 1]] * episodes
    return {"value": [value] * episodes, "stderr": [0.1] * episodes, "interval": ends}


def returns(seeds, level):
    draws = np.random.default_rng(0).random((seeds, TASKS, PULLS))
    return (draws < np.linspace(0.5, level, PULLS)).astype(np.float32)


def agent(values):
    mean = float(values.sum(-1).mean())
    ends = [mean - 0.5, mean + 0.5]
    return {
        "mean": mean, "stderr": 0.2, "iqm": mean, "interval": ends, "iqm_interval": ends,
        "episode_returns": values.mean((0, 1)).tolist(), "steps": 6.0,
    }  # fmt: skip


def recording(name=""):
    rng = np.random.default_rng(1)
    arms, paid = rng.integers(3, size=(2, PULLS, 1)), rng.integers(2, size=(2, PULLS, 1)).astype(np.float32)
    return Recording(
        bernoulli_bandit(3, PULLS), BernoulliArms(rng.random((2, 3))), tuple(Episode(i, 0, False) for i in range(PULLS)),
        PULLS, np.zeros((2, PULLS, 2, 0)), arms, paid, np.ones((2, PULLS, 1), bool),
    )  # fmt: skip


def facts(name="run", *, seed=0, seeds=3, text="", memory=64):
    """A run of which everything is known; `text` is added to every text that comes from files or people."""
    trained, other = returns(seeds, 0.9), returns(1, 0.5)
    names = {f"rl2{text}": trained, "random": other, f"gittins{text}": returns(1, 0.95)}
    parts = {f"probabilities[{i}]{text}": curve(0.1 * i) for i in range(3)}
    metrics = [
        {"update": i + 1, "env_steps": 100 * (i + 1), "return": 3.0 + i, f"loss{text}": 1 / (i + 1),
         "by_seed": {"return": [3.0 + i, 2.5 + i, 3.5 + i][:seeds], f"loss{text}": [1 / (i + 1)] * seeds}}
        for i in range(5)
    ]  # fmt: skip
    return RunFacts(
        f"runs/{name}{text}", f"{name}{text}", f"rl2{text}", f"bandit{text}", (f"an agent{text}", f"arms{text}"), "default",
        [Setting("--memory-size", 64, memory), Setting("--memory", "lstm", f"gru{text}")],
        [Setting("--seed", 0, seed), Setting("--seeds", 1, seeds)],
        {"Python": f"3{text}"}, 5, metrics, [{"env_steps": 200, "validation_return": 4.0}],
        [{"update": 5, "env_steps": 500, "seconds": 2.0}],
        {
            "agents": {name: agent(values) for name, values in names.items()}, "oracle": 4.8, "optimum": None,
            "reference": None, "protocol": {"tasks": TASKS, "episodes": PULLS, "horizon": 1, "held_out": True, "seed": 0},
        },
        {name: AgentReturns(values, np.ones_like(values)) for name, values in names.items()},
        None,
        {
            "episodes": list(range(PULLS)), "r2": {"pooled": curve(0.5), **parts}, "accuracy": None, "memory_size": 7,
            "distance_correlation": curve(0.3), "protocol": {"tasks": 20},
        },
        {"held-out": FamilyReturns(9, 0.5, 0.8, 0.1, 0.1, 0.85), f"shifted{text}": FamilyReturns(9, 0.2, 0.3, 0.1, 0.1, np.nan)},
        f"poor arms{text}", recording(), {f"size{text}": "1"},
        {"train": f"adaptax train{text}", "evaluate": "adaptax evaluate", "inspect": "adaptax inspect", "report": "adaptax report"},
        notes=[f"a note{text}"],
    )  # fmt: skip
