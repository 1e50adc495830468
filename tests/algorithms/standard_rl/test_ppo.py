"""PPO from nothing, for all tasks at once, and trained on; informed of the task and not."""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from adaptax.algorithms.standard_rl import actor_critic
from adaptax.algorithms.standard_rl.multitask_ppo import MultiTaskPPO
from adaptax.algorithms.standard_rl.ppo import PPO, epochs, normalized
from adaptax.core import parallel
from adaptax.core.rollout import evaluation_episodes, num_windows, run_trial
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import AgentState, Window, replace
from adaptax.evaluation.evaluator import evaluate, oracle_return, sample_tasks
from adaptax.problems import bernoulli_bandit
from adaptax.problems.task_informed import informed
from tests.algorithms.standard_rl.test_actor_critic import (
    SPACES,
    numpy_advantages,
    random_learner,
    random_lesson,
    random_trajectory,
)
from tests.sample_problems import clockwork, program, quick_jit, same, train

KEY = jax.random.key(0)
SMALL = {"hidden_size": 4, "streams": 2, "max_gradient_norm": 1e6, "num_epochs": 1, "num_minibatches": 1}


def own_trajectory(learner):
    """A window that the learner has acted in itself."""
    trajectory = random_trajectory()
    act = quick_jit(lambda policy: policy.log_prob(trajectory.timestep.observation, trajectory.action))
    return replace(trajectory, aux={"log_prob": act(learner.network.policy)})


def adapter(agent):
    return quick_jit(lambda state, trajectory, key: agent.adapt(SPACES, state, trajectory, key))


def test_advantages_are_normalised_over_what_happened():
    batch = quick_jit(normalized)(random_lesson())
    seen = np.asarray(batch.advantage)[np.asarray(batch.valid)]
    np.testing.assert_allclose([seen.mean(), seen.std()], [0, 1], atol=1e-6)
    assert (batch.advantage[~batch.valid] == 0).all()


@pytest.mark.compiles
def test_the_first_epoch_goes_along_the_gradient_of_an_actor_critic():
    # At the old policy the ratio is 1, so nothing is clipped, and ∇ρ A is A ∇ log π: A2C's, on normalised advantages.
    ppo = PPO(**SMALL, discount=0.9, gae_lambda=0.7, entropy_cost=0.1)
    learner = random_learner(ppo)
    trajectory = own_trajectory(learner)
    values_of = program(learner.values)
    values, bootstraps = (
        np.asarray(values_of(x), np.float64) for x in (trajectory.timestep.observation, trajectory.next_observation)
    )
    raw = numpy_advantages(trajectory, values, bootstraps, False, discount=0.9, gae_lambda=0.7)
    valid = np.asarray(trajectory.valid)
    returns = learner.returns.observe(jnp.asarray((raw + values)[valid], jnp.float32))
    advantage = jnp.asarray((raw - raw[valid].mean()) / raw[valid].std() * valid, jnp.float32)
    target = jnp.asarray((raw + values - float(returns.mean)) / float(returns.std), jnp.float32)

    def loss(network):
        """A2C's, on plain numbers."""
        policy = network.policy(trajectory.timestep.observation)
        error = target - network.critic(trajectory.timestep.observation)
        gain = policy.log_prob(trajectory.action) * advantage + 0.1 * policy.entropy()
        return jnp.sum(jnp.where(trajectory.valid, 0.5 * error**2 - gain, 0.0)) / float(valid.sum())

    slope = quick_jit(jax.grad(loss))(learner.network)
    stepped = adapter(ppo)(AgentState(learner, None), trajectory, KEY).adapted
    moments = optax.tree.get(stepped.opt_state, "mu")
    for moment, g in zip(jax.tree.leaves(moments), jax.tree.leaves(slope), strict=True):
        np.testing.assert_allclose(10 * moment, g, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(stepped.returns.mean, returns.mean, rtol=1e-5)


@pytest.mark.compiles
def test_steps_are_shuffled_into_minibatches():
    # In one batch their order does not matter; in three it does, and each epoch makes three steps.
    learner = random_learner(PPO(**SMALL))
    trajectory = own_trajectory(learner)

    def improved(agent):
        adapt = adapter(agent)
        return [adapt(AgentState(learner, None), trajectory, jax.random.key(i)).adapted for i in range(2)]

    first, other = improved(PPO(**SMALL))
    for a, b in zip(jax.tree.leaves(first.network), jax.tree.leaves(other.network), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    first, other = improved(PPO(**SMALL | {"num_minibatches": 3, "num_epochs": 2}))
    assert not same(first.network, other.network)
    assert optax.tree.get(first.opt_state, "count") == 6


@pytest.mark.compiles
def test_a_policy_that_has_gone_too_far_is_not_pushed_further():
    # One action of positive advantage, twice as likely as when it was done: beyond 1 + ε there is no more to gain.
    ppo = PPO(**SMALL, entropy_cost=0.0)
    learner = random_learner(ppo)
    trajectory = own_trajectory(learner)
    old = trajectory.aux["log_prob"] - np.log(2)
    trajectory = replace(trajectory, aux={"log_prob": old})
    batch = quick_jit(lambda x: actor_critic.make_batch(ppo, x, trajectory, discount=0.9, gae_lambda=1.0))(learner)
    good = dataclasses.replace(batch, advantage=jnp.asarray(batch.valid, jnp.float32))

    @quick_jit
    def policy_slope(batch):
        returns, optimizer = learner.returns, actor_critic.adam(ppo)
        steps = jax.tree.map(lambda x: jax.lax.collapse(x, 0, 2), batch)
        stepped = epochs(ppo, optimizer, learner, returns, steps, 0)[0]
        return jax.tree.leaves(optax.tree.get(stepped.opt_state, "mu").policy)

    assert all((x == 0).all() for x in policy_slope(good))
    bad = dataclasses.replace(good, advantage=-good.advantage)
    assert any((x != 0).any() for x in policy_slope(bad))


@dataclasses.dataclass(frozen=True)
class Paid(PPO):
    """Learns from rewards in another currency."""

    factor: float = 1.0

    def adapt(self, meta, agent, trajectory, key):
        return super().adapt(meta, agent, replace(trajectory, reward=self.factor * trajectory.reward), key)


@pytest.mark.compiles
def test_E13_scale_of_rewards_changes_nothing():
    # A power of two is exact in floating point, so every action is the same; a factor of 1000 is so up to rounding.
    problem = clockwork(horizon=3, episodes=40, num_actions=3)
    task = problem.test.sample(KEY)

    def trial(factor):
        learner = Paid(**SMALL | {"num_minibatches": 2, "num_epochs": 3}, learning_rate=0.1, factor=factor)
        trajectory = run_trial(learner, problem, learner.describe(problem), task, jax.random.key(1))
        return trajectory.action, trajectory.aux["log_prob"]

    actions, log_probs = quick_jit(jax.vmap(trial))(jnp.asarray([1.0, 1024.0, 1000.0]))
    np.testing.assert_array_equal(actions[0], actions[1])
    np.testing.assert_allclose(log_probs[0], log_probs[1], rtol=1e-6)
    np.testing.assert_allclose(log_probs[0, :9], log_probs[2, :9], rtol=1e-3)
    assert np.ptp(np.asarray(log_probs)) > 0.1  # it learns


# ---------------------------------------------------------------- for all tasks at once

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
