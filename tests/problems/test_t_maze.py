"""The T-maze: solved by a memory as long as the corridor, and by nothing else."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.algorithm import FromScratch
from adaptax.core.rollout import collect
from adaptax.core.types import AgentState
from adaptax.problems import t_maze
from adaptax.problems.settings import TMazeSettings
from adaptax.problems.t_maze import BACK, CORRIDOR, DOWN, FORWARD, JUNCTION, UP, Place, TMaze, TMazeTask
from tests.sample_problems import program

TASKS = TMazeTask(jnp.arange(2, dtype=jnp.int32))


@dataclasses.dataclass(frozen=True)
class Walker(FromScratch):
    """Goes forward, and turns as the sign said that was seen at most `span` steps ago; up where there was none."""

    span: int

    def describe(self, problem):
        return None

    def begin(self, meta, key):
        return AgentState(None, jnp.asarray([UP, -1], jnp.int32))

    def act(self, meta, agent, timestep, key, *, explore):
        seen = timestep.observation
        turn, age = agent.memory
        fresh = jnp.stack([UP + seen, jnp.zeros_like(seen)])
        memory = jnp.where(seen < CORRIDOR, fresh, jnp.stack([turn, age + 1]))
        turn = jnp.where((memory[1] >= 0) & (memory[1] <= self.span), memory[0], UP)
        return jnp.where(seen == JUNCTION, turn, FORWARD), memory, None


def rewards_of(agent, length, num_episodes=1):
    """Rewards `[task, episode, step]`, one trial for each side."""
    problem = t_maze(length, num_episodes)
    trial = program(collect)(agent, problem, None, TASKS, jax.random.split(jax.random.key(0), 2))
    return np.asarray(trial.reward)[..., 0].reshape(num_episodes, length + 1, 2).transpose(2, 0, 1)


@pytest.mark.parametrize(("length", "episodes"), [(1, 1), (7, 2), (1000, 1)])
def test_a_memory_as_long_as_the_corridor_has_the_optimum(length, episodes):
    returns = rewards_of(Walker(length), length, episodes).sum(-1)
    np.testing.assert_array_equal(returns, np.ones((2, episodes)))
    assert tuple(t_maze(length, episodes).optimum) == (1.0,) * episodes


def test_a_memory_that_is_one_step_too_short_is_chance():
    rewards = rewards_of(Walker(6), 7)
    np.testing.assert_array_equal(rewards.sum((1, 2)), [1, 0])
    assert (rewards[..., :-1] == 0).all()


def walked(actions, length, side):
    """Observations and rewards of the environment, by hand: a list of actions."""
    env, task = TMaze(length), TMazeTask(jnp.asarray(side, jnp.int32))
    state, observation = env.reset(task, jax.random.key(0))
    seen, rewards = [int(observation)], []
    for action in actions:
        step = env.step(state, jnp.asarray(action, jnp.int32), task, jax.random.key(0))
        state = step.state
        seen.append(int(step.observation))
        rewards.append(float(step.reward))
        assert not step.terminated
    return seen, rewards


@pytest.mark.parametrize("side", [0, 1])
def test_by_hand(side):
    seen, rewards = walked([FORWARD] * 4 + [UP + side], 4, side)
    assert seen == [side, CORRIDOR, CORRIDOR, CORRIDOR, JUNCTION, JUNCTION]
    assert rewards == [0, 0, 0, 0, 1]
    assert walked([FORWARD] * 4 + [DOWN - side], 4, side)[1] == [0, 0, 0, 0, 0]
    for note in (BACK, UP, DOWN):  # to oneself: late from then on, and not at the junction in time
        seen, rewards = walked([FORWARD, note, FORWARD, FORWARD, UP + side], 4, side)
        assert rewards == [0, -0.25, -0.25, -0.25, 0]
        assert JUNCTION not in seen
    assert walked([BACK] * 5, 4, side)[1] == [-0.25] * 4 + [0]


def test_random_actions_earn_what_a_sum_over_their_first_mistake_says():
    length = 6
    mistake = [0.75 * 0.25**k for k in range(length)]  # after k steps forward; all steps from there cost
    expected = -sum(p * (length - k) / length for k, p in enumerate(mistake)) + 0.25**length * 0.25
    # Every sequence of what matters, by the environment itself: forward or not, then the turn.
    env, total = TMaze(length), 0.0
    step = jax.jit(lambda state, action: env.step(state, action, TMazeTask(jnp.asarray(1)), jax.random.key(0)))

    def mean(state, clock):
        if clock > length:
            return 0.0
        found = 0.0
        kinds = {FORWARD: 0.25, UP: 0.75} if clock < length else {UP: 0.75, DOWN: 0.25}
        for action, chance in kinds.items():
            after = step(state, jnp.asarray(action, jnp.int32))
            found += chance * (float(after.reward) + mean(after.state, clock + 1))
        return found

    total = mean(Place(jnp.asarray(0, jnp.int32), jnp.asarray(0, jnp.int32)), 0)
    assert total == pytest.approx(expected, abs=1e-6)


def test_after_the_first_observation_nothing_depends_on_the_side_until_the_turn():
    rng = np.random.default_rng(0)
    for _ in range(5):
        actions = [*rng.integers(0, 4, 5).tolist(), FORWARD]
        one, other = (walked(actions, 5, side) for side in (0, 1))
        assert one[0][1:] == other[0][1:]
        assert one[1] == other[1]


def test_settings_know_the_horizon():
    assert TMazeSettings(length=1000).horizon == t_maze(1000).env.horizon == 1001
    with pytest.raises(ValueError, match=r"TMaze\(length\): expected at least 1 step"):
        TMaze(0)
