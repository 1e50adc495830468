"""The two-step task, and the signature of model-based choice that it is made for."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.algorithm import FromScratch
from adaptax.core.rollout import collect
from adaptax.core.types import AgentState
from adaptax.problems import two_step
from adaptax.problems.two_step_tasks import TwoStepState, TwoStepTask


def first_is_good(draws):
    task = TwoStepTask(jnp.asarray(draws))
    return [bool(task.first_is_good(jnp.asarray(t))) for t in range(len(draws))]


def test_reversals_follow_the_draws():
    assert first_is_good([0.3, 0.5, 0.01, 0.9, 0.02]) == [True, True, False, False, True]
    # The first draw decides where to begin, and is no reversal however small it is.
    assert first_is_good([0.01, 0.5, 0.5]) == [True, True, True]
    assert first_is_good([0.7, 0.5, 0.0]) == [False, False, True]


@pytest.mark.compiles
def test_the_good_state_changes_with_probability_one_in_forty():
    tasks = jax.vmap(two_step(50).train.sample)(jax.random.split(jax.random.key(0), 400))
    good = jax.vmap(lambda task: jax.vmap(task.first_is_good)(jnp.arange(50)))(tasks)
    changes = np.asarray(good[:, 1:] != good[:, :-1])
    assert abs(changes.mean() - 0.025) < 4 * (0.025 * 0.975 / changes.size) ** 0.5
    assert abs(np.asarray(good[:, 0]).mean() - 0.5) < 4 * 0.5 / 400**0.5


def outcomes(stage, action, first_good, num=4096):
    env = two_step(2).env
    task = TwoStepTask(jnp.asarray([0.0 if first_good else 0.9, 0.9]))
    state = TwoStepState(jnp.asarray(0, jnp.int32), jnp.asarray(stage, jnp.int32))
    keys = jax.random.split(jax.random.key(1), num)
    return jax.vmap(lambda key: env.step(state, jnp.asarray(action), task, key))(keys)


@pytest.mark.compiles
@pytest.mark.parametrize("action", [0, 1])
def test_an_action_commonly_leads_to_its_own_state_and_earns_nothing(action):
    step = outcomes(0, action, first_good=True)
    common = np.asarray(step.observation) == 1 + action
    assert set(np.asarray(step.observation)) == {1, 2}
    assert abs(common.mean() - 0.8) < 4 * (0.16 / 4096) ** 0.5
    assert not np.any(step.reward)
    assert set(np.asarray(step.state.round)) == {0}


@pytest.mark.parametrize("first_good", [True, False])
@pytest.mark.parametrize("stage", [1, 2])
def test_the_second_stage_pays_by_its_state_and_ends_the_round(stage, first_good):
    step = outcomes(stage, 0, first_good)
    expected = 0.9 if (stage == 1) == first_good else 0.1
    assert abs(np.asarray(step.reward).mean() - expected) < 4 * (0.09 / 4096) ** 0.5
    assert set(np.asarray(step.observation)) == {0}
    assert set(np.asarray(step.state.round)) == {1}


class Scripted(FromScratch):
    """Remembers the last round: [first action, state reached]; subclasses say what to choose after it."""

    def describe(self, problem):
        return None

    def begin(self, meta, key):
        return AgentState(None, (jnp.zeros(2, jnp.int32), jnp.asarray(0.5)))

    def choose(self, memory, reward, key):
        raise NotImplementedError

    def act(self, meta, agent, timestep, key, *, explore):
        last, belief = agent.memory
        began = timestep.action >= 0
        choice, updated = self.choose(last, belief, timestep.reward, key)
        choice = jnp.where(began, choice, jax.random.randint(key, (), 0, 2))
        choosing = timestep.observation == 0
        choice = jnp.where(choosing, choice, 0)  # at the second stage any will do, but it must be one
        belief = jnp.where(choosing & began, updated, belief)
        last = jnp.where(choosing, last.at[0].set(choice), last.at[1].set(timestep.observation))
        return choice, (last, belief), None


@dataclasses.dataclass(frozen=True)
class ModelFree(Scripted):
    """Repeats what was rewarded and nothing else."""

    def choose(self, last, belief, reward, key):
        return jnp.where(reward > 0.5, last[0], 1 - last[0]), belief


@dataclasses.dataclass(frozen=True)
class ModelBased(Scripted):
    """Heads for the state that was rewarded, or away from the one that was not."""

    def choose(self, last, belief, reward, key):
        return jnp.where(reward > 0.5, last[1] - 1, 2 - last[1]), belief


@dataclasses.dataclass(frozen=True)
class Bayesian(Scripted):
    """Tracks the probability that state 1 is good by Bayes' rule."""

    def choose(self, last, belief, reward, key):
        likelihood = jnp.where((last[1] == 1) == (reward > 0.5), 0.9, 0.1)
        posterior = likelihood * belief / (likelihood * belief + (1 - likelihood) * (1 - belief))
        belief = 0.975 * posterior + 0.025 * (1 - posterior)
        return (belief < 0.5).astype(jnp.int32), belief


def run(agent, num_rounds, num_tasks):
    problem = two_step(num_rounds)
    key = jax.random.key(0)
    tasks = jax.vmap(problem.test.sample)(jax.random.split(key, num_tasks))
    keys = jax.random.split(jax.random.fold_in(key, 1), num_tasks)
    return jax.jit(lambda: collect(agent, problem, None, tasks, keys))()


def stay_probabilities(agent):
    """P(repeat the first choice | rewarded, common), indexed [rewarded, common]."""
    trial = run(agent, 100, 100)
    action, reward = np.asarray(trial.action)[..., 0], np.asarray(trial.reward)[..., 0]
    state = np.asarray(trial.next_observation)[::2, :, 0]
    first, rewarded, common = action[::2], reward[1::2] > 0.5, state == 1 + action[::2]
    stay = (first[1:] == first[:-1]).astype(float)
    rewarded, common = rewarded[:-1], common[:-1]
    return np.asarray([[stay[(rewarded == r) & (common == c)].mean() for c in (0, 1)] for r in (0, 1)])


@pytest.mark.compiles
def test_a_model_free_agent_shows_only_an_effect_of_reward():
    np.testing.assert_array_equal(stay_probabilities(ModelFree()), [[0, 0], [1, 1]])


def test_a_model_based_agent_shows_only_the_interaction_of_reward_and_transition():
    np.testing.assert_array_equal(stay_probabilities(ModelBased()), [[1, 0], [0, 1]])


def test_E24_tracking_the_good_state_attains_the_optimum_and_not_more():
    returns = np.asarray(run(Bayesian(), 100, 1000).reward).sum((0, 2))
    optimum = two_step(100).optimum[0]
    assert optimum == pytest.approx(70.58553, abs=1e-5)
    assert abs(returns.mean() - optimum) < 4 * returns.std() / 1000**0.5


def test_the_optimum_by_hand_for_one_and_two_rounds():
    assert two_step(1).optimum[0] == pytest.approx(0.5, abs=1e-9)
    # After one round the better guess is right with .975 × .9 + .025 × .1 = .88.
    reach = 0.8 * 0.88 + 0.2 * 0.12
    assert two_step(2).optimum[0] == pytest.approx(0.5 + 0.1 + 0.8 * reach, abs=1e-6)


def test_the_oracle_always_heads_for_the_good_state():
    family = two_step(100).test
    assert family.oracle(family.sample(jax.random.key(0))) == pytest.approx(74)


def test_one_trial_is_one_episode():
    problem = two_step(30)
    assert (problem.episodes, problem.trial_steps) == (1, 60)
    with pytest.raises(ValueError, match="at least 1 round"):
        two_step(0)
