"""The T-maze: solved by a memory as long as the corridor, and by nothing else."""

import dataclasses
import itertools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.algorithm import FromScratch
from adaptax.core.rollout import collect
from adaptax.core.types import AgentState
from adaptax.problems import t_maze
from adaptax.problems.settings import TMazeSettings
from adaptax.problems.t_mazes import BACK, CORRIDOR, DOWN, FORWARD, JUNCTION, UP, TMaze, TMazeTask
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
    assert walked([FORWARD] * 5, 4, side)[1] == [0, 0, 0, 0, 0]
    for note in (BACK, UP, DOWN):
        seen, rewards = walked([FORWARD, note, FORWARD, note, UP + side], 4, side)
        assert rewards == [0, -1, 0, -1, 1]
        assert seen[-2] == JUNCTION


@pytest.mark.parametrize("length", [1, 2])
def test_no_note_to_oneself_is_worth_its_price(length):
    """All strategies that remember the last action alone: in the corridor and at the junction, by what it was."""
    best = Fraction(-10)
    for first in itertools.product(range(4), repeat=2):  # by the sign
        for on in itertools.product(range(4), repeat=4) if length > 1 else [()]:  # by the last action
            paid, notes = Fraction(0), list(first)
            for _ in range(length):
                paid -= sum(Fraction(note != FORWARD, 2) for note in notes)
                kept, notes = notes, [on[note] for note in notes] if on else notes
            turns = {note: {UP + side for side in range(2) if kept[side] == note} for note in kept}
            best = max(best, paid + Fraction(len(turns), 2))  # one turn for each note is right
    assert best == Fraction(1, 2)


def test_random_actions():
    length = 6
    env = TMaze(length)
    step = jax.jit(lambda clock, action: env.step(clock, action, TMazeTask(jnp.asarray(1)), jax.random.key(0)).reward)
    total = sum(float(step(jnp.asarray(t, jnp.int32), jnp.asarray(a, jnp.int32))) for t in range(7) for a in range(4))
    assert total / 4 == pytest.approx(-0.75 * length + 0.25)


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
