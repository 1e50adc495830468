"""Trials one after the other, computed by hand from the clockwork problem; and held to the same trials in slots."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms.classical.random import Random
from adaptax.core.problem import make_problem
from adaptax.core.rollout import run_trial
from adaptax.core.streams import RESET_POOL, first_trials, stream
from adaptax.core.types import replace
from adaptax.problems import bernoulli_bandit, cart_pole
from tests.sample_problems import Clockwork, Counter, Length, Lengths, clockwork, quick_jit, same

NO_META, KEY = jnp.zeros(0), jax.random.key(0)


@functools.cache
def _run(horizon, episodes, training_steps=None, num_envs=1):
    problem = replace(clockwork(horizon, episodes), training_steps=training_steps)
    return quick_jit(
        lambda length: stream(Counter(), problem, NO_META, Length(length), jax.random.key(0), num_envs=num_envs)
    )


def _stream(length, *sizes, **options):
    last, trajectory = _run(*sizes, **options)(jnp.asarray(length))
    return jax.tree.map(lambda x: np.asarray(x[0]), replace(last, adapted=None)), jax.tree.map(
        lambda x: np.asarray(x[:, 0]), trajectory
    )


def test_E51_the_next_episode_begins_at_once_and_the_next_trial_after_the_last_one():
    # Episodes of 2 of 3 steps, 2 in a trial: slots would be half of a third idle.
    last, steps = _stream(2, 3, 2)
    assert steps.valid.all()
    np.testing.assert_array_equal(steps.timestep.observation[:, 0], [0, 1, 0, 1, 0, 1])
    np.testing.assert_array_equal(steps.timestep.first, [True, False] * 3)
    np.testing.assert_array_equal(steps.terminated, [False, True] * 3)
    np.testing.assert_array_equal(steps.truncated, [False] * 6)
    np.testing.assert_array_equal(steps.next_observation[:, 0], [1, 2] * 3)  # before the reset
    # An episode that has ended early counts in full: the second one is at 3, not at 2.
    np.testing.assert_array_equal(steps.clock, [0, 1, 3, 4, 0, 1])
    # The counter is its memory: fresh in the second trial, which sees nothing of the first.
    np.testing.assert_array_equal(steps.action, [0, 1, 2, 3, 0, 1])
    np.testing.assert_array_equal(steps.timestep.action, [-1, 0, 1, 2, -1, 0])
    np.testing.assert_array_equal(steps.timestep.reward, [0, 0, 101, 2, 0, 0])
    np.testing.assert_array_equal(steps.reward, [0, 101, 2, 103, 0, 101])
    np.testing.assert_array_equal(first_trials(steps.clock), [True] * 4 + [False] * 2)
    # The second trial would go on with its second episode.
    assert (last.memory, last.timestep.observation[0], last.timestep.action) == (2, 0, 1)
    assert last.timestep.first


def test_E51_where_no_episode_ends_early_a_stream_is_one_trial_in_slots():
    _, steps = _stream(4, 3, 2)
    np.testing.assert_array_equal(steps.clock, np.arange(6))
    np.testing.assert_array_equal(steps.truncated, [False, False, True] * 2)
    np.testing.assert_array_equal(steps.action, np.arange(6))
    trial = run_trial(Counter(), clockwork(3, 2), NO_META, Length(jnp.asarray(4)), KEY)
    slots = jax.tree.map(lambda x: np.asarray(x[:, 0]), trial)
    assert same(replace(steps, clock=None, aux=None), replace(slots, aux=None))


def test_E51_a_trial_of_so_many_steps_goes_on_over_episodes_whatever_their_number():
    last, steps = _stream(2, 3, 2, training_steps=5)
    np.testing.assert_array_equal(steps.clock, np.arange(5))
    np.testing.assert_array_equal(steps.timestep.first, [True, False, True, False, True])
    np.testing.assert_array_equal(steps.action, np.arange(5))  # one trial, one memory
    np.testing.assert_array_equal(steps.terminated, [False, True, False, True, False])
    assert last.memory == 0  # it is over, in the middle of an episode: what would come is another trial
    assert last.timestep.first
    _, cut = _stream(9, 3, 2, training_steps=5)
    np.testing.assert_array_equal(cut.truncated, [False, False, True, False, False])  # time limits hold all the same
    np.testing.assert_array_equal(cut.timestep.observation[:, 0], [0, 1, 2, 0, 1])


def test_E51_environments_are_at_different_places():
    class Uneven(Clockwork):
        """Ends with its second or third step, by chance."""

        def step(self, state, action, task, key):
            step = super().step(state, action, task, key)
            return replace(step, terminated=(state == 2) | ((state == 1) & jax.random.bernoulli(key)))

    problem = make_problem(Uneven(3, True, 1000), lambda split: Lengths(3, split), 2)
    run = quick_jit(lambda key: stream(Counter(), problem, NO_META, Length(jnp.asarray(9)), key, num_envs=50)[1])
    steps = jax.tree.map(np.asarray, run(KEY))
    assert len({tuple(clock) for clock in steps.clock.T}) > 2
    for env in range(50):
        clock, first = 0, True
        for t in range(6):
            assert steps.clock[t, env] == clock
            assert steps.timestep.first[t, env] == first
            over = steps.terminated[t, env]
            clock = (3 * (clock // 3 + 1) if over else clock + 1) % 6
            first = over


class Numbered(Clockwork):
    """Shows a number that its reset has drawn, too."""

    dear: bool = eqx.field(static=True, default=False)

    def __init__(self, dear):
        super().__init__(3, True, 1000)
        self.dear = dear

    @property
    def dear_reset(self):
        return self.dear

    def reset(self, task, key):
        return super().reset(task, key)[0], jax.random.uniform(key, (1,))


@pytest.mark.parametrize("dear", [False, True])
def test_E51_first_states_are_independent_or_of_a_pool_where_they_are_dear(dear):
    problem = make_problem(Numbered(dear), lambda split: Lengths(3, split), 20)

    def run(key):
        return stream(Counter(), problem, NO_META, Length(jnp.asarray(1)), key, num_envs=2)[1]

    seen = np.asarray(quick_jit(run)(KEY).timestep.observation[..., 0])  # each episode is one step
    assert seen.shape == (60, 2)
    assert np.unique(seen).size == (2 * (RESET_POOL + 1) if dear else seen.size)
    assert np.unique(seen[:RESET_POOL]).size == 2 * RESET_POOL
    # A dear reset is not computed in the loop.
    loop = [e for e in jax.make_jaxpr(run)(KEY).eqns if e.primitive.name == "scan"][-1].params["jaxpr"]
    assert ("random_fold_in" in str(loop)) == (not dear)


def test_E51_of_a_stream_the_first_trial_is_as_in_slots_but_for_what_is_idle():
    problem = cart_pole(num_episodes=3, horizon=40)
    rates = {}
    for name, run in {"slots": run_trial, "stream": lambda *args: stream(*args)[1]}.items():
        algorithm = Random()

        def returns(key, run=run, algorithm=algorithm):
            steps = run(algorithm, problem, algorithm.describe(problem), problem.train.sample(key), key)
            counts = steps.valid if steps.clock is None else first_trials(steps.clock)
            return jnp.sum(jnp.where(counts, steps.reward, 0.0)), jnp.sum(steps.valid)

        rates[name] = jax.tree.map(np.asarray, quick_jit(jax.vmap(returns))(jax.random.split(KEY, 2000)))
    (slots, few), (streams, all_of_them) = rates["slots"], rates["stream"]
    assert abs(slots.mean() - streams.mean()) < 4 * np.hypot(slots.std(), streams.std()) / 2000**0.5
    assert (all_of_them == 120).all()
    assert few.mean() < 0.6 * 120


@pytest.mark.parametrize("training_steps", [0, 5])
def test_a_number_of_steps_is_for_problems_with_early_ends(training_steps):
    with pytest.raises(ValueError, match=r"Problem\.training_steps: expected at least 1 step, and only where"):
        replace(bernoulli_bandit(2, 3), training_steps=training_steps)
    assert replace(clockwork(3, 2), training_steps=5).stream_steps == 5
    assert clockwork(3, 2).stream_steps == 6
