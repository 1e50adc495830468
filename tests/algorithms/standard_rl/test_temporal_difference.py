"""Q-learning and SARSA: every update by hand, and the optimal policies of random MDPs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from adaptax.algorithms.standard_rl.temporal_difference import SARSA, QLearning, TableSizes
from adaptax.core.rollout import TrialState, rollout, start
from adaptax.core.types import AgentState, TimeStep, Transition
from adaptax.problems import bernoulli_bandit, point_robot, tabular_mdp
from tests.sample_problems import clockwork, quick_jit, same

TIMES, STATES, ACTIONS = 4, 3, 2
BOTH = pytest.mark.parametrize("agent_class", [QLearning, SARSA])


def steps(rows):
    """A window of one stream from rows of state, action, reward, next state, and how the episode ended, if it did."""
    state, action, reward, after, end = zip(*rows, strict=True)
    ints, column = (lambda x: jnp.asarray(x, jnp.int32)[:, None]), (lambda x: jnp.asarray(x)[:, None])
    end = np.asarray(end)
    none = jnp.zeros((len(rows), 1))
    timestep = TimeStep(ints(state), ints([-1] * len(rows)), none, none > 0)
    flags = (column(end == name) for name in ("terminated", "truncated"))
    rewards = column(jnp.asarray(reward, jnp.float32))
    return Transition(timestep, ints(action), rewards, *flags, ints(after), None, column(end != "idle"))


def random_window(streams, seed):
    """Three slots of `TIMES` steps in each stream; episodes terminate early, at the limit, or are truncated."""
    rng = np.random.default_rng(seed)
    columns = []
    for stream in range(streams):
        rows = []
        for slot in range(3):
            length = [2, TIMES, TIMES, 1][(stream + slot) % 4]
            end = "truncated" if (stream + slot) % 4 == 1 else "terminated"
            states = rng.integers(STATES, size=TIMES + 1)
            for t in range(TIMES):
                how = end if t == length - 1 else "idle" if t >= length else ""
                reward = 99.0 if how == "idle" else rng.normal()
                rows.append((states[t], rng.integers(ACTIONS), reward, states[t + 1], how))
        columns.append(steps(rows))
    return jax.tree.map(lambda *x: jnp.concatenate(x, 1), *columns)


def by_hand(agent, window, times):
    """Q, visits and episodes after a window, in plain Python."""
    shape = (times, STATES, ACTIONS)
    quality, visits, episodes = np.full(shape, agent.initial_value, np.float64), np.zeros(shape, int), 0

    def update(index, target):
        visits[index] += 1
        quality[index] += agent.learning_rate / visits[index] ** agent.rate_decay * (target - quality[index])

    data = jax.tree.map(np.asarray, window)
    for stream in range(data.reward.shape[1]):
        waiting, clock = None, 0
        for t in range(len(data.reward)):
            if not data.valid[t, stream]:
                continue
            at = lambda x, t=t, stream=stream: x[t, stream]  # noqa: E731
            index = (min(clock, times - 1), at(data.timestep.observation), at(data.action))
            reward, terminated, truncated = at(data.reward), at(data.terminated), at(data.truncated)
            after = quality[min(clock + 1, times - 1), at(data.next_observation)]
            nothing_after = terminated or (truncated and agent.knows_time)
            if isinstance(agent, QLearning):
                update(index, reward + agent.discount * (0 if nothing_after else after.max()))
            else:
                if waiting is not None:
                    update(waiting[0], waiting[1] + agent.discount * quality[index])
                waiting = (index, reward)
                if terminated or truncated:
                    share = min(episodes / agent.epsilon_episodes, 1)
                    epsilon = (1 - share) * agent.epsilon + share * agent.final_epsilon
                    expected = (1 - epsilon) * after.max() + epsilon * after.mean()
                    update(index, reward + agent.discount * (0 if nothing_after else expected))
                    waiting = None
            over = terminated or truncated
            clock, episodes = 0 if over else clock + 1, episodes + over
    return quality, visits, episodes


SETTINGS = {"learning_rate": 0.7, "rate_decay": 0.6, "discount": 0.8, "initial_value": 0.5, "epsilon_episodes": 5}


@BOTH
@pytest.mark.parametrize("knows_time", [False, True])
def test_updates_along_a_trajectory_are_those_computed_by_hand(agent_class, knows_time):
    agent = agent_class(**SETTINGS, knows_time=knows_time)
    meta = TableSizes(TIMES if knows_time else 1, STATES, ACTIONS)
    adapt = quick_jit(lambda window: agent.adapt(meta, agent.begin(meta, jax.random.key(0)), window, jax.random.key(1)))
    for seed in range(3):
        window = random_window(streams=3, seed=seed)
        table = adapt(window).adapted
        quality, visits, episodes = by_hand(agent, window, meta.times)
        np.testing.assert_array_equal(table.visits, visits)
        np.testing.assert_allclose(table.quality, quality, rtol=1e-5, atol=1e-6)
        assert (table.episodes, table.clock) == (episodes, 0)
        assert episodes == 9
        assert visits.sum() == np.asarray(window.valid).sum()


@BOTH
def test_steps_one_by_one_teach_what_a_window_teaches(agent_class):
    agent, meta = agent_class(**SETTINGS, knows_time=True), TableSizes(TIMES, STATES, ACTIONS)
    adapt = quick_jit(lambda state, window: agent.adapt(meta, state, window, jax.random.key(1)))
    window, fresh = random_window(streams=1, seed=0), agent.begin(meta, jax.random.key(0))
    piecewise = fresh
    for t in range(len(window.reward)):
        piecewise = adapt(piecewise, jax.tree.map(lambda x, t=t: x[t : t + 1], window))
    assert same(piecewise, adapt(fresh, window))


def learned(agent, rows, times=1):
    meta = TableSizes(times, STATES, ACTIONS)
    return agent.adapt(meta, agent.begin(meta, jax.random.key(0)), steps(rows), jax.random.key(1)).adapted


HALF = {"learning_rate": 0.5, "rate_decay": 0.0, "discount": 0.5}


def test_q_learning_by_hand():
    # Q(1, 0) ← 0 + ½ (4 − 0) = 2; then Q(0, 1) ← ½ (1 + ½ · 2) = 1: the best of state 1 counts, whatever comes next.
    # The truncated step counts what comes after it, Q(2, 1) ← ½ (6 + ½ · 1); the terminated one did not.
    rows = [(1, 0, 4.0, 0, "terminated"), (0, 1, 1.0, 1, ""), (1, 1, 0.0, 2, ""), (2, 1, 6.0, 0, "truncated")]
    table = learned(QLearning(**HALF), rows)
    np.testing.assert_array_equal(table.quality[0], [[0, 1], [2, 0], [0, 3.25]])
    np.testing.assert_array_equal(table.visits[0], [[0, 1], [1, 1], [0, 1]])


def test_sarsa_by_hand_and_its_last_step_waits():
    # Q(1, 0) ← 2 at its end. (0, 1) is learned from when (1, 1) is taken, of value 0: Q(0, 1) ← ½ (1 + ½ · 0).
    rows = [(1, 0, 4.0, 0, "terminated"), (0, 1, 1.0, 1, ""), (1, 1, 8.0, 2, "")]
    sarsa = SARSA(**HALF)
    np.testing.assert_array_equal(learned(sarsa, rows[:2]).quality[0], [[0, 0], [2, 0], [0, 0]])
    table = learned(sarsa, rows)
    np.testing.assert_array_equal(table.quality[0], [[0, 0.5], [2, 0], [0, 0]])
    assert table.pending.waiting
    np.testing.assert_array_equal(table.pending.index, [0, 1, 1])
    assert table.pending.reward == 8
    assert (table.clock, table.episodes) == (2, 1)
    # Idle steps change nothing, and neither keeps the step from being learned from later.
    idle = learned(sarsa, [*rows, (2, 0, 99.0, 2, "idle")])
    assert same(idle, table)
    # The end comes: (1, 1) ← ½ (8 + ½ · 0), and (2, 0) ← ½ · 6.
    ended = learned(sarsa, [*rows, (2, 0, 6.0, 0, "terminated")])
    np.testing.assert_array_equal(ended.quality[0], [[0, 0.5], [2, 4], [3, 0]])
    assert not ended.pending.waiting


def test_sarsa_expects_epsilon_greedy_actions_after_a_time_limit():
    # In state 1 the values are 2 and 0. ε falls from 1 to 0.2 over two episodes, so it is 0.6 in the second one:
    # 0.4 · 2 + 0.6 · 1 = 1.4, and Q(0, 0) ← ½ (1 + ½ · 1.4) = 0.85. With `knows_time` nothing comes after it: ½.
    rows = [(1, 0, 4.0, 0, "terminated"), (0, 0, 1.0, 1, "truncated")]
    settings = {**HALF, "epsilon": 1.0, "final_epsilon": 0.2, "epsilon_episodes": 2}
    np.testing.assert_allclose(learned(SARSA(**settings), rows).quality[0, 0, 0], 0.85, rtol=1e-6)
    timed = learned(SARSA(**settings, knows_time=True), rows, times=1)
    assert timed.quality[0, 0, 0] == 0.5


@BOTH
@pytest.mark.parametrize("rate_decay", [0.0, 1.0])
def test_rates_fall_with_visits(agent_class, rate_decay):
    # Rates 1, 1/2, 1/3, … make Q the mean of what it brought; a constant rate of 1 makes it the last one.
    rewards = [3.0, -1.0, 4.0, 2.0]
    table = learned(agent_class(rate_decay=rate_decay), [(0, 1, r, 0, "terminated") for r in rewards])
    assert table.quality[0, 0, 1] == pytest.approx(2.0, rel=1e-6)
    other = learned(agent_class(rate_decay=rate_decay), [(0, 1, r, 0, "terminated") for r in rewards[:3]])
    assert other.quality[0, 0, 1] == pytest.approx(2.0 if rate_decay else 4.0, rel=1e-6)


def test_epsilon_falls_linearly_over_episodes():
    agent = QLearning(epsilon=0.9, final_epsilon=0.1, epsilon_episodes=4)
    shares = [float(agent.epsilon_after(jnp.asarray(n))) for n in (0, 1, 2, 4, 5, 1000)]
    np.testing.assert_allclose(shares, [0.9, 0.7, 0.5, 0.1, 0.1, 0.1], rtol=1e-6)


def actions(agent, table, count, *, explore):
    """Actions in state 2, at the second step of an episode, for many keys."""
    meta = TableSizes(TIMES, STATES, 4)
    state = agent.begin(meta, jax.random.key(0))
    adapted = dataclasses.replace(state.adapted, quality=state.adapted.quality.at[1, 2].set(jnp.asarray(table)))
    timestep = TimeStep(jnp.asarray(2, jnp.int32), jnp.asarray(0, jnp.int32), jnp.zeros(()), jnp.asarray(False))
    one = lambda key: agent.act(meta, AgentState(adapted, state.memory), timestep, key, explore=explore)  # noqa: E731
    chosen, clock, _ = quick_jit(jax.vmap(one))(jax.random.split(jax.random.key(0), count))
    assert (clock == 1).all()
    return np.asarray(chosen)


def test_actions_are_epsilon_greedy():
    values, count = [1.0, 3.0, 2.0, 0.0], 4000
    agent = QLearning(knows_time=True, epsilon=0.4)
    counts = np.bincount(actions(agent, values, count, explore=True), minlength=4)
    assert scipy.stats.chisquare(counts, count * np.asarray([0.1, 0.7, 0.1, 0.1])).pvalue > 1e-4
    assert (actions(agent, values, 10, explore=False) == 1).all()
    never = dataclasses.replace(agent, epsilon=0.0)
    ties = np.bincount(actions(never, [1.0, 3.0, 0.0, 3.0], count, explore=True), minlength=4)
    assert (ties[[0, 2]] == 0).all()
    assert scipy.stats.binomtest(int(ties[1]), count).pvalue > 1e-4


def run_episodes(agent, problem, task, key, episodes):
    """The state of a trial after some episodes, learning from every step, and its actions."""
    meta = agent.describe(problem)

    def step(trial, clock):
        keys = jax.random.split(jax.random.fold_in(key, clock))
        trial, trajectory = rollout(agent, problem, meta, task, trial, keys[0], clock=clock, steps=1)
        state = agent.adapt(meta, AgentState(trial.adapted, trial.memory), trajectory, keys[1])
        return TrialState(state.adapted, state.memory, trial.env_state, trial.timestep, trial.active), trajectory.action

    trial = start(agent, problem, meta, task, key)
    return jax.lax.scan(step, trial, jnp.arange(episodes * problem.env.horizon, dtype=jnp.int32))


@pytest.mark.compiles
def test_optimism_tries_everything():
    # Without ε. No reward comes near the initial value, so what was tried is worse than what was not.
    agent = QLearning(epsilon=0.0, final_epsilon=0.0)
    bandit = bernoulli_bandit(num_arms=6, num_pulls=6)
    task, key = bandit.test.sample(jax.random.key(0)), jax.random.key(1)
    optimist = dataclasses.replace(agent, initial_value=100.0)
    tried = quick_jit(lambda: run_episodes(optimist, bandit, task, key, 6)[1])()
    assert sorted(tried.ravel().tolist()) == list(range(6))

    mdp = tabular_mdp(num_states=3, num_actions=4, horizon=5)
    task = mdp.test.sample(jax.random.key(2))

    def visits(initial_value):
        learner = dataclasses.replace(agent, initial_value=initial_value)
        return run_episodes(learner, mdp, task, key, 40)[0].adapted.visits

    optimistic, pessimistic = quick_jit(jax.vmap(visits))(jnp.asarray([100.0, -100.0]))
    assert (optimistic > 0).all()
    assert (pessimistic == 0).any()


MDP = tabular_mdp(num_states=4, num_actions=3, horizon=5)
LEARNER = QLearning(
    knows_time=True, discount=1.0, rate_decay=0.8, epsilon=1.0, final_epsilon=0.3, epsilon_episodes=10_000
)
EPISODES = 10_000


def shares_of_optimum(agent, seed, num_tasks):
    """Exact value of the greedy policy after learning, over that of the optimal policy, in random MDPs."""
    keys = jax.random.split(jax.random.key(seed), (num_tasks, 2))
    tasks = jax.vmap(MDP.test.sample)(keys[:, 0])
    learn = jax.vmap(lambda task, key: run_episodes(agent, MDP, task, key, EPISODES)[0].adapted.quality)
    qualities = np.asarray(quick_jit(learn)(tasks, keys[:, 1]))
    shares = []
    for task in range(num_tasks):
        rewards, transitions = (np.asarray(x[task], np.float64) for x in (tasks.rewards, tasks.transitions))
        best = value = np.zeros(4)
        for t in reversed(range(MDP.env.horizon)):
            policy = qualities[task, t].argmax(-1)
            value = (rewards + transitions @ value)[range(4), policy]
            best = (rewards + transitions @ best).max(-1)
        np.testing.assert_allclose(best[0], MDP.test.oracle(jax.tree.map(lambda x, i=task: x[i], tasks)), rtol=1e-5)
        shares.append(value[0] / best[0])
    return np.asarray(shares)


@pytest.mark.learning
def test_q_learning_finds_the_optimal_policies_of_random_mdps():
    # In each of 20 other MDPs (seed 0) it came to at least 0.995 of the optimum.
    shares = shares_of_optimum(LEARNER, seed=1, num_tasks=10)
    assert (shares <= 1 + 1e-6).all()
    assert (shares >= 0.99).sum() >= 8


@BOTH
def test_what_cannot_be_counted_is_refused(agent_class):
    for problem in (point_robot(), clockwork(2, 2)):
        with pytest.raises(ValueError, match=rf"{agent_class.__name__}: expected Discrete spaces"):
            agent_class().describe(problem)


def test_sizes_of_the_table():
    assert QLearning().describe(MDP) == TableSizes(1, 4, 3)
    assert QLearning(knows_time=True).describe(MDP) == TableSizes(5, 4, 3)
    assert SARSA().describe(bernoulli_bandit(num_arms=7, num_pulls=2)) == TableSizes(1, 1, 7)
