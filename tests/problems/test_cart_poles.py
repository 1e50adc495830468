"""Cart-pole balancing."""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.algorithm import FromScratch
from adaptax.core.rollout import evaluate_trial
from adaptax.core.types import AgentState
from adaptax.problems import cart_pole
from adaptax.problems.cart_poles import BALANCED, BALANCED_STEPS, CartPoleTask
from tests.sample_problems import quick_jit

TEXTBOOK = np.asarray([0.5, 0.1, 1.0, 10.0])
START = [0.01, -0.02, 0.03, 0.04]
GAINS = (0.5, 0.1, 10.0, 1.0)


def as_task(quantities):
    return CartPoleTask(*jnp.asarray(np.asarray(quantities).T, jnp.float32))


def follow(env, task, start, actions):
    """States after each of `actions`."""
    states, state = [], jnp.asarray(start)
    for action in actions:
        step = env.step(state, jnp.asarray(action, jnp.int32), task, jax.random.key(0))
        state = step.state
        states.append(np.asarray(step.observation))
    return np.asarray(states)


def solve(state, force, half_length, pole_mass, cart_mass, gravity=9.8):
    """(ẍ, θ̈) from Lagrange's equations, a 2 × 2 linear system, in float64.

    (M) ẍ + m l cos θ θ̈ = F + m l θ̇² sin θ;  cos θ ẍ + 4/3 l θ̈ = g sin θ (a uniform rod: its inertia is m l² / 3).
    """
    _, _, angle, spin = state
    lever = pole_mass * half_length
    system = [[cart_mass + pole_mass, lever * np.cos(angle)], [np.cos(angle), 4 / 3 * half_length]]
    return np.linalg.solve(system, [force + lever * spin**2 * np.sin(angle), gravity * np.sin(angle)])


def test_ten_steps_as_gymnasium_takes_them():
    # CartPole-v1 of Gymnasium 1.4.0, from the same state (float64).
    expected = [
        [0.0096, 0.1746791957, 0.0308, -0.243068718],
        [0.0130935839, -0.0208688489, 0.0259386256, 0.0591679999],
        [0.0126762069, 0.1738717749, 0.0271219856, -0.2252195726],
        [0.0161536424, 0.3685958115, 0.0226175942, -0.5092253183],
        [0.0235255587, 0.1731626369, 0.0124330878, -0.2095015287],
        [0.0269888114, 0.3681046254, 0.0082430572, -0.4982366772],
        [0.0343509039, 0.172867429, -0.0017216763, -0.2029674006],
        [0.0378082525, 0.36801396, -0.0057810243, -0.4961929359],
        [0.0451685317, 0.5632169518, -0.015704883, -0.7906921424],
        [0.0564328707, 0.3683141329, -0.0315187259, -0.5029910128],
    ]
    env = cart_pole().env
    states = follow(env, as_task(TEXTBOOK), START, [1, 0, 1, 1, 0, 1, 0, 1, 1, 0])
    np.testing.assert_allclose(states, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("action", [0, 1])
@pytest.mark.parametrize("quantities", [TEXTBOOK, [0.3, 0.2, 1.5, 7.0], [1.2, 0.9, 0.4, 3.0]])
def test_a_step_follows_lagranges_equations(quantities, action):
    state = [0.3, -0.7, 0.15, 1.3]
    half_length, pole_mass, cart_mass, force = quantities
    acceleration, spin_up = solve(state, (2 * action - 1) * force, half_length, pole_mass, cart_mass)
    expected = [0.3 + 0.02 * -0.7, -0.7 + 0.02 * acceleration, 0.15 + 0.02 * 1.3, 1.3 + 0.02 * spin_up]
    after = follow(cart_pole().env, as_task(quantities), state, [action])[0]
    np.testing.assert_allclose(after, expected, rtol=1e-5)


@pytest.mark.parametrize("index", [0, 2])
@pytest.mark.parametrize("sign", [-1, 1])
def test_an_episode_ends_beyond_the_thresholds_and_not_on_them(index, sign):
    env = cart_pole().env
    limit = np.float32([2.4, 0, 12 * math.pi / 180, 0])[index]
    for value, over in ((limit, False), (np.nextafter(limit, np.float32(9)), True)):
        # Without velocity the position stays where it is in this step.
        state = jnp.zeros(4).at[index].set(sign * value)
        step = env.step(state, jnp.asarray(0), as_task(TEXTBOOK), jax.random.key(0))
        assert bool(step.terminated) == over
        assert step.reward == 1


def test_the_last_step_is_rewarded_too():
    # From rest, pushing to the right throughout, Gymnasium's pole falls in step 9, after 9 rewards.
    env, state, rewards, over = cart_pole().env, jnp.zeros(4), 0.0, False
    while not over:
        step = env.step(state, jnp.asarray(1), as_task(TEXTBOOK), jax.random.key(0))
        state, rewards, over = step.state, rewards + float(step.reward), bool(step.terminated)
    assert rewards == 9
    np.testing.assert_allclose(state, [0.14065097, 1.76038113, -0.21518605, -2.77788649], rtol=1e-5)


def test_episodes_start_uniformly_near_rest():
    env = cart_pole().env
    states = jax.vmap(lambda key: env.reset(as_task(TEXTBOOK), key)[0])(jax.random.split(jax.random.key(0), 2048))
    states = np.asarray(states)
    assert np.abs(states).max() <= 0.05
    # U[−.05, .05] has variance .01 / 12; the variance of its squares is .05⁴ (1/5 − 1/9).
    assert np.all(np.abs(states.mean(0)) < 4 * (0.01 / 12 / 2048) ** 0.5)
    assert np.all(np.abs((states**2).mean(0) - 0.01 / 12) < 4 * 0.05**2 * ((1 / 5 - 1 / 9) / 2048) ** 0.5)


def stays_up(quantities, starts, steps):
    """Whether the linear controller keeps the pole up for `steps` steps, for each row."""
    env, gains = cart_pole().env, jnp.asarray(GAINS)

    def one_step(carry, _):
        state, fell = carry
        action = (state @ gains > 0).astype(jnp.int32)
        step = jax.vmap(lambda state, action, task: env.step(state, action, task, None))(state, action, tasks)
        return (step.state, fell | step.terminated), None

    tasks, state = as_task(quantities), jnp.asarray(starts, jnp.float32)
    run = quick_jit(lambda start: jax.lax.scan(one_step, start, None, length=steps)[0][1])
    return ~np.asarray(run((state, jnp.zeros(len(starts), bool))))


def corners(size):
    """Tasks whose logarithms are −size, 0 or size, each with every corner of the starts."""
    logs = size * np.asarray(list(itertools.product([-1, 0, 1], repeat=4)))
    starts = np.asarray(list(itertools.product([-0.05, 0.05], repeat=4)))
    return TEXTBOOK * np.exp(np.repeat(logs, len(starts), 0)), np.tile(starts, (len(logs), 1))


def test_one_linear_controller_balances_every_task_at_the_edge_of_the_range_for_10_000_steps():
    assert np.all(stays_up(*corners(BALANCED), BALANCED_STEPS))


def test_the_range_is_not_much_larger_than_that():
    # So the test above can fail; and see the next one.
    assert not np.all(stays_up(*corners(1.25), 500))


@pytest.mark.compiles
def test_beyond_the_range_there_are_tasks_that_nobody_can_balance():
    quantities = TEXTBOOK * np.exp([-1.25, -1.25, -1.25, 1.25])
    env, task = cart_pole().env, as_task(quantities)
    states = jnp.zeros((1, 4))
    for _ in range(2):  # from rest in the middle, after each sequence of two pushes
        states, actions = jnp.repeat(states, 2, axis=0), jnp.tile(jnp.arange(2), len(states))
        step = jax.vmap(lambda state, action: env.step(state, action, task, None))(states, actions)
        states = step.state[~np.asarray(step.terminated)]
    assert len(states) == 0


def test_the_controller_balances_random_tasks_from_random_starts():
    rng = np.random.default_rng(0)
    quantities = TEXTBOOK * np.exp(rng.uniform(-BALANCED, BALANCED, (20_000, 4)))
    assert np.all(stays_up(quantities, rng.uniform(-0.05, 0.05, (20_000, 4)), 500))


@dataclasses.dataclass(frozen=True)
class Controller(FromScratch):
    """Pushes by the linear rule."""

    def describe(self, problem):
        return jnp.asarray(GAINS)

    def begin(self, meta, key):
        return AgentState(None, None)

    def act(self, meta, agent, timestep, key, *, explore):
        return (timestep.observation @ meta > 0).astype(jnp.int32), None, None


@pytest.mark.compiles
@pytest.mark.parametrize(("split", "variation"), [("test", 0.0), ("test", 1.0), ("shifted", 0.5)])
def test_the_controller_attains_oracle_and_optimum_in_every_episode(split, variation):
    problem = cart_pole(num_episodes=2, variation=variation)
    family = getattr(problem, split)
    agent = Controller()

    @quick_jit
    def play(key):
        tasks = jax.vmap(family.sample)(jax.random.split(key, 64))
        run = lambda task, key: evaluate_trial(agent, problem, agent.describe(problem), task, key).returns  # noqa: E731
        returns = jax.vmap(run)(tasks, jax.random.split(jax.random.fold_in(key, 1), 64))
        return returns, jax.vmap(family.oracle)(tasks)

    returns, oracle = play(jax.random.key(0))
    assert set(np.asarray(oracle)) == {500.0}
    np.testing.assert_array_equal(returns, 500.0)
    assert problem.optimum == (500.0, 500.0)


def test_where_no_controller_is_known_the_oracle_is_not_either():
    problem = cart_pole(variation=0.6)
    task = problem.test.sample(jax.random.key(0))
    assert problem.test.oracle(task) == 500
    assert np.isnan(problem.shifted.oracle(task))
    problem = cart_pole(horizon=BALANCED_STEPS + 1)
    assert np.isnan(problem.test.oracle(task))
    assert problem.optimum is None


def logarithms(family, num_tasks=2048):
    """Logarithm of each quantity over its textbook value, [task, quantity]."""
    tasks = jax.jit(jax.vmap(family.sample))(jax.random.split(jax.random.key(0), num_tasks))
    quantities = [tasks.half_length, tasks.pole_mass, tasks.cart_mass, tasks.force]
    return np.log(np.stack([np.asarray(x, float) for x in quantities], 1) / TEXTBOOK)


@pytest.mark.compiles
def test_quantities_vary_log_uniformly_and_independently():
    logs = logarithms(cart_pole(variation=0.5).train)
    assert np.abs(logs).max() <= 0.5 + 1e-6
    # U[−.5, .5]: variance 1/12; the variance of the squares is 1/180.
    assert np.all(np.abs(logs.mean(0)) < 4 * (1 / 12 / 2048) ** 0.5)
    assert np.all(np.abs(logs.var(0) - 1 / 12) < 4 * (1 / 180 / 2048) ** 0.5)
    assert np.all(np.abs(np.corrcoef(logs.T) - np.eye(4)) < 4 / 2048**0.5)


def test_without_variation_there_is_the_textbooks_task_alone():
    problem = cart_pole()
    for split in ("train", "validation", "test"):
        family = getattr(problem, split)
        assert family.finite == 1
        np.testing.assert_allclose(logarithms(family, 16), 0, atol=1e-7)
    assert (problem.episodes, problem.env.horizon) == (3, 500)
    assert (problem.shifted, problem.shift) == (None, "")


@pytest.mark.parametrize("variation", [-0.1, 1.1, math.nan])
def test_too_much_variation_is_refused(variation):
    with pytest.raises(ValueError, match=r"cart_pole\(variation\): expected a number between 0 and 1"):
        cart_pole(variation=variation)
