"""What is said of a cause that was found; how it is found: `tests/training/test_diagnosis.py`."""

from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from adaptax.core.errors import AdaptaxError, DivergenceError, EnvironmentContractError, ResourceError
from adaptax.experiment import causes
from adaptax.training import diagnosis
from adaptax.training.diagnosis import Violation

REWARD = Violation(3, 7, "reward", None, float("nan"), "a finite number")
ACTION = Violation(3, 7, "action", 1, float("inf"), "a finite number")
ALGORITHM = SimpleNamespace(num_tasks=100, num_minibatches=10)
PROBLEM = SimpleNamespace(env=SimpleNamespace(), test="test tasks")
STATE = object()


def trained(error, found, monkeypatch, update=0):
    """What is raised instead of an error of a training, what was said, and what was looked into."""
    asked, said = [], []
    error.update, error.state = update, STATE
    monkeypatch.setattr(diagnosis, "violation_in_update", lambda *given: asked.append(given) or found)
    monkeypatch.setattr(diagnosis, "violation_in_init", lambda *given, **more: asked.append((*given, more)) or found)
    with pytest.raises(AdaptaxError) as raised, causes.of_training(
        ALGORITHM, PROBLEM, Path("run"), seed=4, num_seeds=2, on_message=said.append
    ):  # fmt: skip
        raise error
    return raised.value, said, asked


def test_an_environment_that_broke_its_contract_in_an_update_is_named(monkeypatch):
    error = DivergenceError("loss")
    told, said, asked = trained(error, REWARD, monkeypatch, 5)
    assert type(told) is EnvironmentContractError
    assert str(told) == (
        "SimpleNamespace: update 5: task 3, step 7 of an episode: reward: expected a finite number, found nan. The "
        "last good checkpoint, in run, is as it was; `adaptax check-env` finds more"
    )
    assert said == ["update 5: not finite; looking for the cause …"]
    assert asked == [(ALGORITHM, PROBLEM, STATE, 2)]
    assert told.__cause__ is error


def test_before_the_first_update_nothing_was_trained(monkeypatch):
    told, said, asked = trained(DivergenceError("loss"), REWARD, monkeypatch)
    assert str(told).startswith("SimpleNamespace: before the first update: task 3")
    assert "Nothing was trained; `adaptax check-env`" in str(told)
    assert said == ["before the first update: not finite; looking for the cause …"]
    assert asked == [(ALGORITHM, PROBLEM, {"seed": 4, "num_seeds": 2})]


def test_else_it_was_the_agent(monkeypatch):
    for found, says in (
        (ACTION, "update 5: the policy's output: task 3, step 7 of an episode: action[1]: expected a finite number"),
        (None, "update 5: loss. The last good checkpoint, in run, is as it was"),
    ):
        told, _, _ = trained(DivergenceError("update 5: loss"), found, monkeypatch, 5)
        assert (type(told), str(told)[: len(says)]) == (DivergenceError, says)


def test_of_memory_that_was_too_small_it_is_said_what_to_lower(monkeypatch):
    full = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 3 GB\nmore")
    told, said, asked = trained(full, None, monkeypatch)
    assert type(told) is ResourceError
    assert str(told) == "out of memory: RESOURCE_EXHAUSTED: 3 GB. Lower --num-tasks from 100 to 40"
    assert said == asked == []


@pytest.mark.parametrize("error", [jax.errors.JaxRuntimeError("INTERNAL: no"), ValueError("no"), KeyboardInterrupt()])
def test_all_else_is_let_through(error, monkeypatch):
    with pytest.raises(type(error)) as raised, causes.of_training(
        ALGORITHM, PROBLEM, Path("run"), seed=0, num_seeds=1, on_message=pytest.fail
    ):  # fmt: skip
        raise error
    assert raised.value is error


def evaluated(found, monkeypatch, *, task=2, **options):
    """The same of an evaluation, in task 2, by the second of two agents."""
    error, asked, said = EnvironmentContractError("a return is NaN"), [], []
    error.task, error.trained = task, 1
    one = SimpleNamespace(algorithm=ALGORITHM, meta="θ of 1")
    agent = SimpleNamespace(algorithm=ALGORITHM, problem=PROBLEM, of_seed={1: one}.get)
    agent.learns_from_windows, agent.has_evaluation_episodes = False, True
    drawn = {"x": np.arange(10)}, [f"key {i}" for i in range(10)]
    monkeypatch.setattr(causes, "encounters", lambda family, count, seed: asked.append((family, count, seed)) or drawn)
    again = lambda *given, **more: asked.append((*given[2:], more)) or found  # noqa: E731
    monkeypatch.setattr(diagnosis, "violation_in_evaluation", again)
    options = {"num_tasks": 10, "seed": 6, "explore": False, "on_message": said.append, **options}
    with pytest.raises((EnvironmentContractError, DivergenceError)) as raised, causes.of_evaluation(agent, **options):
        raise error
    return raised.value, error, asked, said


def test_the_trial_of_an_evaluation_is_run_again_in_its_task(monkeypatch):
    told, error, asked, said = evaluated(REWARD, monkeypatch)
    again = "θ of 1", {"x": 2}, "key 2", {"explore": False, "with_evaluation": True}
    assert asked == [("test tasks", 10, 6), again]
    assert said == ["task 2: not finite; looking for the cause …"]
    assert str(told).startswith("SimpleNamespace: task 2, step 7 of an episode: reward: expected a finite number")
    assert told.__cause__ is error
    told, *_ = evaluated(ACTION, monkeypatch)
    assert type(told) is DivergenceError
    assert str(told).startswith("SimpleNamespace: the policy's output: task 2, step 7")
    assert evaluated(None, monkeypatch, family="others", explore=True)[2][0] == ("others", 10, 6)


def test_what_is_not_found_again_or_was_named_already_stays_as_it_is(monkeypatch):
    told, error, asked, _ = evaluated(None, monkeypatch)
    assert told is error
    assert len(asked) == 2
    told, error, asked, said = evaluated(REWARD, monkeypatch, task=None)
    assert told is error
    assert asked == said == []
