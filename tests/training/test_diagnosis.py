"""What is found afterwards; `python -m tests.claims nan` breaks much more."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import RL2, Random
from adaptax.core.algorithm import init
from adaptax.core.errors import DivergenceError, EnvironmentContractError
from adaptax.core.splits import fold_in_name
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import replace
from adaptax.evaluation.encounters import encounters
from adaptax.evaluation.evaluator import evaluate
from adaptax.experiment.causes import of_evaluation
from adaptax.training.diagnosis import Violation, violation_in_evaluation, violation_in_init, violation_in_update
from adaptax.training.loop import train
from tests.claims.faulty import FAULTS, MARK, faulty

TINY = RL2(memory_size=4, critic_size=4, num_tasks=8, num_minibatches=2, num_updates=4)
NAN = next(fault for name, fault in FAULTS.items() if fault.field == "reward" and np.isnan(fault.value))


def broken(at, threshold):
    """Rewards are NaN at one step, in the tasks below a threshold; and the same problem without them, to begin with."""
    problem = faulty(NAN, at, horizon=5, threshold=threshold)
    return problem, replace(problem, train=replace(problem.train, threshold=0.0))


def fallen(problem, healthy, **options):
    """Train until it falls: what is raised."""
    state = init(TINY, healthy, seed=1, num_seeds=options.get("num_seeds", 1))
    with pytest.raises(DivergenceError, match=r"update \d: metric .* became NaN or infinite") as caught:
        train(TINY, problem, state, num_updates=4, chunk=2, **options)
    return caught.value


def wrong_tasks(problem, state, num_tasks=8):
    """Indices of an update's tasks that are broken."""
    keys = jax.random.split(jax.random.fold_in(fold_in_name(state.key, "update"), state.step), (num_tasks, 2))
    return np.flatnonzero(jax.vmap(problem.train.sample)(keys[:, 0]).broken)


@pytest.mark.compiles
@pytest.mark.parametrize("devices", [1, pytest.param(2, marks=pytest.mark.nightly)])
def test_task_step_and_field_of_the_first_violation_in_an_update(devices):
    problem, healthy = broken(3, 0.1)
    error = fallen(problem, healthy, devices=devices)
    assert int(error.state.step) == error.update - 1
    assert all(np.isfinite(np.asarray(x)).all() for x in jax.tree.leaves(error.state.meta))
    violation = violation_in_update(TINY, problem, error.state)
    assert violation.task in wrong_tasks(problem, error.state)
    assert (violation.step, violation.field) == (3, "reward")
    assert np.isnan(violation.value)
    assert violation_in_update(TINY, healthy, error.state) is None


@pytest.mark.nightly
def test_of_several_seeds_the_task_is_that_of_the_one_that_broke():
    problem, healthy = broken(2, 0.05)
    error = fallen(problem, healthy, num_seeds=2)
    violation = violation_in_update(TINY, problem, error.state, num_seeds=2)
    of_one = [jax.tree.map(lambda x, i=i: x[i], error.state) for i in range(2)]
    assert violation.task in np.concatenate([wrong_tasks(problem, state) for state in of_one])
    assert (violation.step, violation.field) == (2, "reward")


@pytest.mark.compiles
def test_before_the_first_update():
    problem, _ = broken(2, 1.0)
    with pytest.raises(DivergenceError, match="before the first update"):
        init(TINY, problem, seed=1)
    assert violation_in_init(TINY, problem, seed=1).step == 2


@pytest.mark.compiles
def test_in_an_evaluation():
    problem, _ = broken(4, 1.0)
    agent = Random()
    tasks, keys = encounters(problem.test, 1, 0)
    task = jax.tree.map(lambda x: x[0], tasks)
    violation = violation_in_evaluation(agent, problem, agent.describe(problem), task, keys[0], explore=False)
    assert (violation.task, violation.step, violation.field) == (0, 4, "reward")


@pytest.mark.compiles
def test_an_evaluation_says_which_task_and_why(capsys):
    problem, _ = broken(4, 0.3)
    agent = Random()
    meta, options = agent.describe(problem), {"num_tasks": 8, "seed": 0, "explore": False}
    tasks, _ = encounters(problem.test, 8, 0)
    first = np.flatnonzero(tasks.broken)[0]
    told = pytest.raises(EnvironmentContractError, match=rf"task {first}, step 4 of .*reward: .*found nan")
    with told, of_evaluation(TrainedAgent(agent, problem, meta), **options, on_message=print):
        evaluate(TrainedAgent(agent, problem, meta), **options)
    healthy = faulty(MARK, horizon=5)
    assert np.isfinite(evaluate(TrainedAgent(agent, healthy, agent.describe(healthy)), **options).returns).all()


def test_a_violation_is_said_in_a_line():
    assert str(Violation(3, 7, "observation", 1, jnp.nan, "a number from 0 to 1")) == (
        "task 3, step 7 of an episode: observation[1]: expected a number from 0 to 1, found nan"
    )
    assert "task 0, reset: observation:" in str(Violation(0, 0, "observation", None, 9.0, "an integer from 0 to 4"))
