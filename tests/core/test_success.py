"""Success, as environments say it: what comes through rollouts, what counts, and that nothing learns from it."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms.classical.random import Random
from adaptax.algorithms.gradient.maml import MAML
from adaptax.algorithms.memory.rl2 import RL2
from adaptax.core.algorithm import init
from adaptax.core.meta_learner import without_success
from adaptax.core.problem import Environment, Step, make_problem
from adaptax.core.rollout import run_trial
from adaptax.core.spaces import Box
from adaptax.core.success import success_rate, successes
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import SUCCESS, TimeStep, Transition, replace
from adaptax.evaluation.evaluator import evaluate
from adaptax.evaluation.protocols import PROTOCOLS
from adaptax.problems.task_values import ValueTasks

HORIZON = 5


class Timed(Environment):
    """It succeeds in the steps between two times that are the task, whatever is done; after a third time it ends."""

    observation_space: Box = eqx.field(static=True, default=Box((1,)))
    action_space: Box = eqx.field(static=True, default=Box((1,), -1.0, 1.0))
    horizon: int = eqx.field(static=True, default=HORIZON)
    ends_early: bool = eqx.field(static=True, default=True)
    says: bool = eqx.field(static=True, default=True)

    def reset(self, task, key):
        return jnp.zeros(()), jnp.zeros(1)

    def step(self, state, action, task, key):
        after = state + 1
        success = (after > task["begin"]) & (after <= task["end"]) if self.says else None
        reward = -jnp.abs(action[0] - 0.5)
        return Step(after, after[None], reward, after > task["over"], success=success)


def timed(episodes=2, says=True, **times):
    """All tasks are one: success from `begin` to `end`, and an end after `over` steps."""
    known = {"begin": 9.0, "end": 9.0, "over": 9.0, **times}
    ranges = tuple((name, value, value + 1e-3, False) for name, value in known.items())
    return make_problem(Timed(says=says), lambda split: ValueTasks(split=split, ranges=ranges, choices=()), episodes)


def evaluated(problem, protocol=None, agent=None, **changes):
    agent = agent or TrainedAgent.initial(Random(), problem)
    return evaluate(agent, num_tasks=3, protocol=protocol, **changes)


CASES = {
    "never": ({}, False, False),
    "in the midst": ({"begin": 1.5, "end": 3.5}, True, False),
    "in the last step": ({"begin": 3.5, "end": 9.0}, True, True),
    "after it was over": ({"begin": 3.5, "end": 9.0, "over": 1.5}, False, False),
    "in the step that ends it": ({"begin": 1.5, "end": 2.5, "over": 1.5}, True, True),
}


@pytest.mark.parametrize(("times", "ever", "last"), CASES.values(), ids=CASES)
def test_an_episode_succeeds_in_any_step_or_in_its_last(times, ever, last):
    found = evaluated(timed(**times))
    assert found.successes.ever.shape == (1, 3, 2)
    assert (found.successes.ever == ever).all()
    assert (found.successes.last == last).all()
    assert {name: set(x.ravel()) for name, x in found.success_rates.items()} == {"ever": {ever}, "last": {last}}
    assert found.to_json()["success"]["episodes"] == {"ever": [ever] * 2, "last": [last] * 2}


def test_what_does_not_say_so_has_none():
    found = evaluated(timed(says=False))
    assert (found.successes, found.success_rates) == (None, {})
    assert "success" not in found.to_json()
    assert Step(0, 0, 0, 0).success is None


def test_successes_are_told_apart_by_episode_and_environment():
    flags = np.zeros((4, 2), bool)  # two episodes of two steps, in two environments
    success, over = flags.copy(), flags.copy()
    success[0, 0] = success[3, 1] = over[1] = over[3] = True
    step = TimeStep(None, None, None, None)
    trajectory = Transition(step, None, None, over, np.zeros_like(over), None, None, ~flags, success=success)
    found = successes(trajectory, 2)
    np.testing.assert_array_equal(found.ever, [[True, False], [False, True]])
    np.testing.assert_array_equal(found.last, [[False, False], [False, True]])
    assert success_rate(trajectory) == 0.25


MAML_TINY = MAML(num_tasks=2, trajectories=2, num_updates=1, hidden_size=4)
RL2_TINY = RL2(memory_size=4, critic_size=4, num_tasks=2, num_minibatches=1, num_updates=1)
LEARNERS = {"maml": (MAML_TINY, 4), "rl2": (RL2_TINY, 2)}


@pytest.mark.compiles
@pytest.mark.parametrize(("algorithm", "episodes"), LEARNERS.values(), ids=LEARNERS)
def test_nothing_learns_from_success_and_training_reports_it(algorithm, episodes):
    times = {"begin": 1.5, "end": 9.0, "over": 3.5}
    after = {}
    for says in (True, False):
        problem = timed(episodes, says, **times)
        state, metrics = jax.jit(functools.partial(algorithm.update, problem))(init(algorithm, problem, seed=0))
        after[says] = jax.tree.leaves(eqx.filter(state.meta, eqx.is_inexact_array))
        assert (SUCCESS in metrics) == says
        assert not says or metrics[SUCCESS] == 1
    for one, other in zip(after[True], after[False], strict=True):
        np.testing.assert_array_equal(one, other)


def test_experience_is_learned_from_without_it():
    problem = timed()
    agent = Random()
    task, key = problem.test.sample(jax.random.key(0)), jax.random.key(1)
    trial = run_trial(agent, problem, agent.describe(problem), task, key)
    assert trial.success.shape == (2 * HORIZON, 1)

    class Holder(eqx.Module):
        trajectory: Transition

    assert without_success(Holder(trial)).trajectory.success is None
    assert replace(trial, success=None).reward is trial.reward


@pytest.mark.compiles
def test_a_protocol_gives_an_agent_with_a_memory_thirteen_episodes_of_which_the_last_three_count():
    problem = timed(begin=1.5, end=9.0)
    agent = TrainedAgent.initial(RL2_TINY, problem)
    found = evaluated(problem, PROTOCOLS["metaworld"], agent)
    assert found.returns.shape == found.successes.ever.shape == (1, 3, 13)
    assert (found.steps == HORIZON).all()
    assert found.success_rates["last"].shape == (1, 3)
    # Judged, it acts by its mode, so what it does there depends on what it has seen alone; before, on noise too.
    again = evaluated(problem, PROTOCOLS["metaworld"], agent, seed=0)
    np.testing.assert_array_equal(found.returns, again.returns)


@pytest.mark.compiles
def test_a_protocol_adapts_to_ten_episodes_and_judges_in_fresh_ones():
    problem = timed(20, begin=1.5, end=9.0)
    algorithm = MAML(num_tasks=2, trajectories=10, num_updates=1, hidden_size=4, inner_learning_rate=5.0)
    agent = TrainedAgent.initial(algorithm, problem)
    found = evaluated(problem, PROTOCOLS["metaworld"], agent)
    assert found.returns.shape == (1, 3, 13)
    judged = found.returns[..., 10:]
    assert (judged == judged[..., :1]).all()  # by the mode, in an environment that draws nothing
    # It is the agent after one inner step: the same as an evaluation shows after its first window.
    unadapted = MAML(num_tasks=2, trajectories=10, num_updates=1, hidden_size=4, inner_learning_rate=0.0)
    untouched = evaluated(problem, PROTOCOLS["metaworld"], TrainedAgent(unadapted, problem, agent.meta))
    assert (untouched.returns[..., :10] == found.returns[..., :10]).all()
    assert (untouched.returns[..., 10:] != judged).all()


class Graded(Timed):
    """It says how much of a success it was."""

    def step(self, state, action, task, key):
        step = super().step(state, action, task, key)
        return replace(step, success=step.success.astype(jnp.float32))


def test_success_is_yes_or_no():
    from adaptax.core.errors import EnvironmentContractError

    problem = replace(timed(), env=Graded())
    with pytest.raises(EnvironmentContractError, match=r"Graded\.step: success: expected a bool array of shape \(\)"):
        evaluated(problem)


def test_windows_that_do_not_divide_a_protocol_are_refused():
    from adaptax.core.errors import UseError

    problem = timed(8)
    agent = TrainedAgent.initial(MAML(num_tasks=2, trajectories=4, num_updates=1, hidden_size=4), problem)
    with pytest.raises(UseError, match="expected windows that divide 10 episodes"):
        evaluated(problem, PROTOCOLS["metaworld"], agent)
