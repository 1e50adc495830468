"""PPO for all tasks at once, and trained on in one; informed of the task and not."""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms.standard_rl.multitask_ppo import MultiTaskPPO
from adaptax.core import parallel
from adaptax.core.rollout import evaluation_episodes, num_windows, run_trial
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import Window, replace
from adaptax.evaluation.encounters import oracle_return, sample_tasks
from adaptax.evaluation.evaluator import evaluate
from adaptax.problems import bernoulli_bandit
from adaptax.problems.task_informed import informed
from tests.sample_problems import clockwork, program, quick_jit, same, train

KEY = jax.random.key(0)
BANDIT = bernoulli_bandit(num_arms=2, num_pulls=8)
ALL = {"hidden_size": 16, "num_layers": 1, "streams": 4, "num_tasks": 64, "num_minibatches": 4, "num_updates": 60}


@functools.cache
def untrained():
    agent = MultiTaskPPO(**ALL)
    return agent, BANDIT, quick_jit(lambda key: agent.init(BANDIT, key))(KEY).meta


def trained(told):
    problem = informed(BANDIT) if told else BANDIT
    agent = MultiTaskPPO(**ALL, learning_rate=0.02)
    return agent, problem, train(agent, problem, agent.num_updates)[0].meta


@pytest.mark.learning
@pytest.mark.nightly
def test_told_the_task_it_pulls_the_best_arm_and_without_it_cannot():
    # Who is not told earns ½ per pull, whatever it does: both arms have p ~ U[0, 1]. The best arm has 2/3.
    agent, problem, meta = trained(told=True)
    tasks = sample_tasks(problem.test, 1000, jax.random.split(KEY)[0])
    best = oracle_return(problem, tasks)
    assert best == pytest.approx(2 / 3, abs=4 * (1 / 18 / 1000) ** 0.5)  # variance of the larger of two: 1/18
    noise = 4 * (0.25 / 8000) ** 0.5
    informed_pull = evaluate(TrainedAgent(agent, problem, meta), num_tasks=1000).summary.mean / 8
    assert best - 0.01 - noise < informed_pull < best + noise
    agent, problem, meta = trained(told=False)
    blind = evaluate(TrainedAgent(agent, problem, meta), num_tasks=1000)
    assert abs(blind.summary.mean / 8 - 0.5) < 4 * blind.summary.stderr / 8
    assert blind.evaluation_episodes is None


def test_without_a_rate_of_fine_tuning_nothing_changes_in_a_task():
    agent, problem, meta = untrained()
    assert num_windows(agent, problem) == 1
    state = program(agent.begin)(meta, KEY)
    assert state.adapted.opt_state is None
    task = problem.test.sample(KEY)
    trajectory = quick_jit(lambda: run_trial(agent, problem, meta, task, KEY))()
    assert same(program(agent.adapt)(meta, state, trajectory, KEY), state)
    assert len(np.unique(np.asarray(trajectory.aux["log_prob"]))) <= 2  # one policy throughout


@pytest.mark.learning
def test_with_it_training_goes_on_in_the_task():
    agent, problem, meta = untrained()
    agent = dataclasses.replace(agent, fine_tuning_rate=0.05, streams=2, num_minibatches=1)
    assert agent.window(problem) == Window(2, 1)
    state = program(agent.begin)(meta, KEY)
    assert same(state.adapted.network, meta.network)
    task = eqx.tree_at(lambda t: t.probabilities, problem.test.sample(KEY), jnp.asarray([0.0, 1.0]))
    long = replace(problem, episodes=200)
    evaluated = quick_jit(jax.vmap(lambda key: evaluation_episodes(agent, long, meta, task, key, explore=True)))
    pulled = np.asarray(evaluated(jax.random.split(KEY, 64)).action).reshape(64, 20, 2).mean((0, 2))
    assert abs(pulled[0] - 0.5) < 4 * (0.25 / 128) ** 0.5
    # Arm 1 pays always and arm 0 never. It keeps trying: an entropy bonus is all that two equal pulls teach.
    assert pulled[-5:].mean() > 0.95


@pytest.mark.compiles
def test_one_update_reports_the_return_of_an_episode_and_moves_every_moment():
    agent = MultiTaskPPO(**ALL)
    problem = clockwork(horizon=3, episodes=2, num_actions=2)
    assert agent.update_steps(problem) == 64 * 4 * 3
    state, metrics = train(agent, problem, 1)
    # Lengths are 1 to 4 of three steps, alike: 0, 100 or twice 300 on average, and half a point per action.
    assert 0 < metrics["return"][0] < 303
    assert state.meta.returns.count == np.round(state.meta.returns.count)
    assert 64 * 4 <= state.meta.returns.count <= 64 * 4 * 3


@pytest.mark.compiles
@pytest.mark.parametrize("early", [False, True])
def test_two_devices_do_what_one_does(early):
    problem = clockwork(horizon=2, episodes=2, num_actions=3) if early else BANDIT
    agent = MultiTaskPPO(**ALL | {"num_tasks": 16, "num_minibatches": 2, "num_epochs": 2, "streams": 3})
    one_update = lambda state: agent.update(problem, state)  # noqa: E731
    alone, both = quick_jit(one_update), quick_jit(parallel.over_devices(one_update, 2))
    one = two = quick_jit(lambda key: agent.init(problem, key))(KEY)
    for _ in range(3):
        one, one_metrics = alone(one)
        two, two_metrics = both(two)
    # Parameters are of order one. Sums in another order differ by 1e-7 or so, and Adam divides by small numbers.
    for a, b in zip(jax.tree.leaves(one.meta), jax.tree.leaves(two.meta), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    assert one_metrics.keys() == two_metrics.keys()
    for name, value in one_metrics.items():
        np.testing.assert_allclose(value, two_metrics[name], rtol=1e-4, atol=1e-5, err_msg=name)
    assert not same(one.meta.network, quick_jit(lambda key: agent.init(problem, key))(KEY).meta.network)
