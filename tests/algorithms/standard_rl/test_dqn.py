"""DQN: its memory, its targets and its copies, step by step."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from adaptax.algorithms.standard_rl.dqn import DQN, DQNSpaces, QNetwork
from adaptax.core.replay_buffer import ReplayBuffer
from adaptax.core.spaces import Box
from adaptax.core.types import AgentState, TimeStep, Transition
from adaptax.problems import point_robot
from tests.sample_problems import clockwork, quick_jit, same

META = DQNSpaces(Box((2,)), 3)
KEY = jax.random.key(0)
SMALL = {"hidden_size": 4, "batch_size": 8, "epsilon_episodes": 4}


def window(first, valid, ends=None):
    """A window: with n = first + i, step i shows (n, 0), does action i mod 3, brings n and leads to (n, 1)."""
    count = len(valid)
    number = np.arange(first, first + count, dtype=np.float32)[:, None]
    ends = [""] * count if ends is None else ends
    flag = lambda name: np.asarray([end == name for end in ends])[:, None]  # noqa: E731
    show = lambda place: np.stack([number, np.full_like(number, place)], -1)  # noqa: E731
    action = np.arange(count, dtype=np.int32)[:, None] % 3
    timestep = TimeStep(show(0.0), action, number, np.zeros((count, 1), bool))
    flags = flag("terminated"), flag("truncated")
    trajectory = Transition(timestep, action, number, *flags, show(1.0), None, np.asarray(valid)[:, None])
    return jax.tree.map(jnp.asarray, trajectory)


def adapter(agent):
    return quick_jit(lambda state, window, key: agent.adapt(META, state, window, key))


def begin(agent):
    return quick_jit(lambda: agent.begin(META, KEY))()


def draw(seed, *like):
    """Networks with weights of order one: fresh ones have values near 0."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), x.dtype), like)


def test_the_memory_is_a_ring_of_what_happened():
    agent = DQN(**SMALL, buffer_size=5, learning_starts=5, train_every=3)
    adapt, state = adapter(agent), begin(agent)
    windows = [window(10, [True, True, False]), window(20, [True] * 3), window(30, [False, True, True])]
    windows[1] = window(20, [True] * 3, ["", "truncated", "terminated"])
    for steps in windows:
        state = adapt(state, steps, KEY)
    # Seven steps happened: 10, 11, 20, 21, 22, 31, 32. The last two lie where the oldest two were.
    memory = state.adapted.memory
    np.testing.assert_array_equal(memory.reward, [31, 32, 20, 21, 22])
    np.testing.assert_array_equal(memory.before, [[31, 0], [32, 0], [20, 0], [21, 0], [22, 0]])
    np.testing.assert_array_equal(memory.after, [[31, 1], [32, 1], [20, 1], [21, 1], [22, 1]])
    np.testing.assert_array_equal(memory.action, [1, 2, 0, 1, 2])
    np.testing.assert_array_equal(memory.terminated, [False, False, False, False, True])
    assert memory.count == 7
    assert state.adapted.episodes == 2


def test_only_what_is_in_the_memory_is_learned_from():
    # One step in a memory of 100: a batch of eight is that step eight times, whatever is drawn.
    agent = DQN(**SMALL, buffer_size=100, learning_starts=1, train_every=1)
    adapt, state = adapter(agent), begin(agent)
    first, other = (adapt(state, window(5, [True]), jax.random.key(i)) for i in range(2))
    assert same(first, other)


def test_nothing_is_learned_before_learning_starts_or_while_nothing_happens():
    agent = DQN(**SMALL, buffer_size=50, learning_starts=5, train_every=2)
    adapt, state = adapter(agent), begin(agent)
    fresh = state.adapted
    what_learns = lambda learner: (learner.network, learner.target, learner.opt_state, learner.steps)  # noqa: E731
    for index, valid in enumerate([[True, True], [True, False], [False, True]]):  # 2, 3, 4 steps
        state = adapt(state, window(10 * index, valid), KEY)
        assert same(what_learns(state.adapted), what_learns(fresh))
    learned = adapt(state, window(40, [True, False]), KEY)
    assert learned.adapted.steps == 1
    assert not same(learned.adapted.network, fresh.network)
    idle = adapt(learned, window(50, [False, False]), jax.random.key(1))
    assert same(idle, learned)


def test_the_target_is_copied_every_so_many_gradient_steps_and_stands_still_between():
    agent = DQN(**SMALL, buffer_size=50, learning_starts=2, train_every=1, target_every=3)
    adapt, state = adapter(agent), begin(agent)
    networks = [state.adapted.network]
    for index in range(9):
        state = adapt(state, window(index, [True]), jax.random.key(index))
        steps = int(state.adapted.steps)
        assert steps == max(index, 0)  # the first step only fills the memory
        if steps:
            networks.append(state.adapted.network)
        assert same(state.adapted.target, networks[steps // 3 * 3])
        assert steps == 0 or not same(networks[-1], networks[-2])


def numpy_values(network, x):
    layer = lambda linear, x: x @ np.asarray(linear.weight, np.float64) + np.asarray(linear.bias)  # noqa: E731
    for linear in network.body.layers:
        x = np.maximum(layer(linear, x), 0)
    return layer(network.head, x)


def batch(count=30):
    rng = np.random.default_rng(1)
    numbers = lambda *shape: jnp.asarray(rng.normal(size=shape) * 2, jnp.float32)  # noqa: E731
    action = jnp.asarray(rng.integers(3, size=count), jnp.int32)
    zero = jnp.asarray(0, jnp.int32)
    return ReplayBuffer(numbers(count, 2), action, numbers(count), numbers(count, 2), jnp.arange(count) % 4 == 0, zero)


@pytest.mark.parametrize("double", [False, True])
def test_loss_and_gradient_by_hand(double):
    agent = DQN(**SMALL, double=double, discount=0.9)
    fresh = begin(agent).adapted.network
    network, target = draw(0, fresh)[0], draw(1, fresh)[0]
    steps = batch()
    before, after = (np.asarray(x, np.float64) for x in (steps.before, steps.after))
    judged, chosen = numpy_values(target, after), numpy_values(network, after).argmax(-1)
    best = judged[range(30), chosen] if double else judged.max(-1)
    assert (judged.argmax(-1) != chosen).sum() > 5  # or single and double targets would be the same
    goal = np.asarray(steps.reward) + 0.9 * np.where(np.asarray(steps.terminated), 0, best)
    error = numpy_values(network, before)[range(30), np.asarray(steps.action)] - goal
    expected = (error**2).mean() / 2
    loss, (slope, of_target) = quick_jit(jax.value_and_grad(agent._loss, (0, 1)))(network, target, steps)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)

    def regression(network: QNetwork):
        """The loss with goals that are plain numbers: its gradient does not know where they came from."""
        quality = jnp.take_along_axis(network(steps.before), steps.action[:, None], -1)[:, 0]
        return 0.5 * jnp.mean((quality - jnp.asarray(goal, jnp.float32)) ** 2)

    for a, b in zip(jax.tree.leaves(slope), jax.tree.leaves(quick_jit(jax.grad(regression))(network)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert all((x == 0).all() for x in jax.tree.leaves(of_target))


@pytest.mark.compiles
@pytest.mark.parametrize(("end", "value"), [("truncated", 2.0), ("terminated", 1.0)])
def test_E11_a_time_limit_is_not_termination(end, value):
    # A state that pays 1 and leads to itself, γ = ½: 1 + ½ + ¼ + … = 2 if the limit only stops the experience.
    agent = DQN(**SMALL, discount=0.5, train_every=1, learning_starts=1, buffer_size=4, learning_rate=0.02)
    steps = window(1, [True], [end])
    steps = dataclasses.replace(steps, next_observation=steps.timestep.observation)
    one = lambda state, key: (agent.adapt(META, state, steps, key), None)  # noqa: E731
    learn = quick_jit(lambda state: jax.lax.scan(one, state, jax.random.split(KEY, 2000))[0])
    agent = dataclasses.replace(agent, target_every=20)
    learner = learn(begin(agent)).adapted
    np.testing.assert_allclose(learner.network(jnp.asarray([1.0, 0.0]))[0], value, rtol=0.01)
    assert learner.episodes == 2000


def test_actions_are_epsilon_greedy_and_epsilon_falls_over_episodes():
    agent = DQN(**SMALL, epsilon=0.9, final_epsilon=0.3)
    state, count = begin(agent), 4000
    learner = dataclasses.replace(state.adapted, network=draw(2, state.adapted.network)[0])
    observation = jnp.asarray([0.5, -1.0])
    best = int(jnp.argmax(learner.network(observation)))
    timestep = TimeStep(observation, jnp.asarray(0, jnp.int32), jnp.zeros(()), jnp.asarray(False))

    def actions(episodes, key, explore=True):
        agent_state = AgentState(dataclasses.replace(learner, episodes=episodes), None)
        return agent.act(META, agent_state, timestep, key, explore=explore)[0]

    many = quick_jit(jax.vmap(actions, (None, 0)))
    for episodes, epsilon in ((0, 0.9), (1, 0.75), (4, 0.3), (9, 0.3)):
        counts = np.bincount(many(jnp.asarray(episodes, jnp.int32), jax.random.split(KEY, count)), minlength=3)
        expected = np.full(3, epsilon / 3)
        expected[best] += 1 - epsilon
        assert scipy.stats.chisquare(counts, count * expected).pvalue > 1e-4
    assert all(actions(jnp.asarray(0, jnp.int32), jax.random.key(i), explore=False) == best for i in range(20))


def test_continuous_actions_are_refused():
    with pytest.raises(ValueError, match="DQN: expected a Discrete space of actions"):
        DQN().describe(point_robot())
    problem = clockwork(2, 2, num_actions=7)
    assert DQN().describe(problem) == DQNSpaces(Box((1,)), 7, problem.env.ends_early)
