from pathlib import Path
from types import SimpleNamespace

from adaptax.experiment.options import TrainOptions
from adaptax.experiment.run import Run
from tests.claims.tiny_run import recipe


def run(**changes):
    algorithm, state = SimpleNamespace(num_updates=40), SimpleNamespace(meta="θ")
    return Run(recipe(), TrainOptions(seeds=3), Path("here"), algorithm, "problem", state, done=30, **changes)


def test_it_says_what_was_trained_and_how_far():
    assert run().title == "rl2 on bandit (num_arms 3, num_pulls 5)"
    assert repr(run()) == f"<Run here: {run().title}, 30 of 40 updates>"
    assert repr(run(stopped=True)) == f"<Run here: {run().title}, 30 of 40 updates, stopped>"


def test_its_agent_has_all_seeds_and_the_algorithm_s_name():
    agent = run().agent
    assert (agent.meta, agent.num_seeds, agent.name, agent.problem) == ("θ", 3, "rl2", "problem")


def test_its_figures_are_where_it_is_and_how_fast_it_was():
    assert run(seconds=2.0, env_steps=10, steps_per_second=5.0).figures() == {
        "directory": "here", "seconds": 2.0, "env_steps": 10, "steps_per_second": 5.0,
    }  # fmt: skip
