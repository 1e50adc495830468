import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms.classical.random import Random
from adaptax.algorithms.memory.rl2 import RL2
from adaptax.algorithms.standard_rl.ppo import PPO
from adaptax.core.algorithm import FromScratch, init
from adaptax.core.errors import UseError
from adaptax.core.experience import sample_tasks as sample_training
from adaptax.core.splits import is_in_split
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import AgentState, TrainState, Window
from adaptax.evaluation.encounters import encounters, oracle_return, sample_tasks
from adaptax.evaluation.evaluator import Evaluation, evaluate
from adaptax.problems import bernoulli_bandit
from adaptax.problems.bandit import UniformBernoulliArms
from tests.sample_problems import clockwork

PROBLEM = bernoulli_bandit(num_arms=3, num_pulls=5)
RANDOM = Random()
RL2_TINY = RL2(memory_size=4, critic_size=4, num_tasks=4, num_minibatches=2)


def random_returns(**changes):
    arguments = {"num_tasks": 100, "seed": 0, **changes}
    return evaluate(TrainedAgent.initial(RANDOM, PROBLEM, seed=0), **arguments).returns


@pytest.mark.compiles
def test_shapes_and_reproducibility():
    returns = random_returns()
    assert returns.shape == (1, 100, 5)
    np.testing.assert_array_equal(returns, random_returns())
    assert (returns != random_returns(seed=1)).any()


@pytest.mark.compiles
def test_an_odd_number_of_tasks_over_several_chunks_is_complete(monkeypatch):
    monkeypatch.setattr("adaptax.evaluation.trials.CHUNK", 8)
    done = []
    returns = random_returns(num_tasks=37, on_progress=done.append)
    assert returns.shape == (1, 37, 5)
    assert done == [16, 32, 37]
    # The same tasks and the same randomness, however they are cut into chunks.
    monkeypatch.setattr("adaptax.evaluation.trials.CHUNK", 1024)
    np.testing.assert_array_equal(returns, random_returns(num_tasks=37))


def test_E21_evaluation_tasks_are_of_the_test_split_and_never_of_training():
    tasks = sample_tasks(PROBLEM.test, 500, jax.random.key(0))
    assert jax.vmap(lambda task: is_in_split(task, "test"))(tasks).all()
    training = jax.vmap(PROBLEM.train.sample)(jax.random.split(jax.random.key(0), 500))
    assert jax.vmap(lambda task: is_in_split(task, "train"))(training).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_E48_no_task_of_an_evaluation_is_near_one_of_the_first_updates(seed):
    """By the marks of before, test task 2j was training task j up to 4e-7: nearest distances were 0 or nearly."""
    state = TrainState(None, None, jnp.asarray(0), jax.random.key(0))
    trained = [sample_training(PROBLEM, dataclasses.replace(state, step=jnp.asarray(i)), 2000)[0] for i in range(3)]
    trained = np.concatenate([np.asarray(tasks.probabilities) for tasks in trained])
    tested = np.asarray(encounters(PROBLEM.test, 2000, seed)[0].probabilities)
    nearest = np.sqrt([np.square(x - trained).sum(-1).min() for x in tested])
    assert nearest.min() > 1e-5  # of independent draws, with probability 1 − 5e-8
    assert (nearest < 1e-3).sum() < 3  # .05 are expected


def test_E21_agents_are_evaluated_in_test_tasks_and_not_in_those_of_training():
    # No arm pays in the tasks of the test split; those of training are as they were.
    problem = dataclasses.replace(PROBLEM, test=UniformBernoulliArms(num_arms=3, split="test", highest=0.0))
    meta = init(RANDOM, problem, seed=0).meta
    assert not evaluate(TrainedAgent(RANDOM, problem, meta), num_tasks=50).returns.any()
    assert evaluate(TrainedAgent(RANDOM, problem, meta), num_tasks=50, family=problem.train).returns.any()


def test_E20_every_evaluation_task_is_another_one():
    tasks = np.asarray(sample_tasks(PROBLEM.test, 1000, jax.random.key(0)).probabilities)
    assert len(np.unique(tasks, axis=0)) == 1000


@pytest.mark.compiles
def test_all_agents_meet_the_same_tasks():
    # An agent that always pulls arm 0 gets p₀ on average, and random the mean of p, of the very same tasks.
    tasks = sample_tasks(PROBLEM.test, 4000, jax.random.split(jax.random.key(3))[0])
    expected = float(np.asarray(tasks.probabilities).mean()) * 5
    evaluation = evaluate(TrainedAgent.initial(RANDOM, PROBLEM, seed=0), num_tasks=4000, seed=3)
    noise = np.sqrt(5 * 0.25 / 4000)
    assert abs(evaluation.summary.mean - expected) < 4 * noise


def test_E26_evaluation_leaves_the_agent_bitwise_as_it_was():
    meta = init(RL2_TINY, PROBLEM, seed=0).meta
    before = [np.asarray(x).tobytes() for x in jax.tree.leaves(meta)]
    evaluate(TrainedAgent(RL2_TINY, PROBLEM, meta), num_tasks=10)
    assert [np.asarray(x).tobytes() for x in jax.tree.leaves(meta)] == before


@pytest.mark.compiles
def test_E15_every_task_is_entered_with_a_fresh_memory_and_in_any_company():
    meta = init(RL2_TINY, PROBLEM, seed=0).meta
    alone = evaluate(TrainedAgent(RL2_TINY, PROBLEM, meta), num_tasks=32).returns
    again = evaluate(TrainedAgent(RL2_TINY, PROBLEM, meta), num_tasks=32).returns
    np.testing.assert_array_equal(alone, again)


@pytest.mark.compiles
def test_several_seeds():
    meta = init(RL2_TINY, PROBLEM, seed=0, num_seeds=3).meta
    evaluation = evaluate(TrainedAgent(RL2_TINY, PROBLEM, meta, 3), num_tasks=20)
    assert evaluation.returns.shape == (3, 20, 5)
    first = evaluate(TrainedAgent(RL2_TINY, PROBLEM, jax.tree.map(lambda x: x[0], meta)), num_tasks=20)
    np.testing.assert_allclose(evaluation.returns[:1], first.returns, atol=1e-5)


@pytest.mark.compiles
def test_mode_is_deterministic_and_sampling_is_not():
    meta = init(RL2_TINY, PROBLEM, seed=0).meta
    mode = evaluate(TrainedAgent(RL2_TINY, PROBLEM, meta), num_tasks=200).scores
    sampled = evaluate(TrainedAgent(RL2_TINY, PROBLEM, meta), num_tasks=200, explore=True).scores
    assert (mode != sampled).any()


def test_oracle_return_is_the_mean_of_the_best_arms():
    tasks = sample_tasks(PROBLEM.test, 50, jax.random.key(0))
    assert oracle_return(PROBLEM, tasks) == pytest.approx(np.asarray(tasks.probabilities).max(1).mean(), rel=1e-6)


def test_curves_by_hand():
    returns = np.array([[[1.0, 2.0], [3.0, 6.0]], [[1.0, 4.0], [5.0, 8.0]]])
    evaluation = Evaluation(returns, np.full(returns.shape, 7))
    np.testing.assert_allclose(evaluation.scores, [[3, 9], [5, 13]])
    np.testing.assert_allclose(evaluation.episode_returns, [2.5, 5.0])
    # First episode: seeds' means 2, 3 (variance of the mean 1/4), tasks' means 1, 4 (9/4), interaction 1/4 less.
    # Second episode: 4, 6 (1) and 3, 7 (4), no interaction.
    np.testing.assert_allclose(evaluation.stderr_per_episode, [1.5, 5**0.5])
    assert evaluation.to_json()["steps"] == 14


def test_E24_a_mean_above_the_exact_optimum_is_noticed_and_noise_is_not():
    rng = np.random.default_rng(0)
    scores = rng.normal(10.0, 1.0, (1, 10_000, 1))
    steps = np.ones_like(scores)
    assert Evaluation(scores + 0.05, steps).exceeds(10.0)  # 5 standard errors
    assert not Evaluation(scores + 0.01, steps).exceeds(10.0)


def test_E22_what_is_reported_is_the_last_state_and_no_maximum():
    # The figures are functions of one evaluation: there is no history to take a best from.
    evaluation = Evaluation(np.zeros((1, 4, 2)), np.ones((1, 4, 2)))
    assert set(evaluation.to_json()) == {
        "mean",
        "stderr",
        "iqm",
        "interval",
        "iqm_interval",
        "episode_returns",
        "steps",
    }


@dataclasses.dataclass(frozen=True)
class Counting(FromScratch):
    """Its action is the number of windows that it has adapted to."""

    def describe(self, problem):
        return jnp.zeros(0)

    def begin(self, meta, key):
        return AgentState(jnp.asarray(0), None)

    def act(self, meta, agent, timestep, key, *, explore):
        return agent.adapted, None, None

    def adapt(self, meta, agent, trajectory, key):
        return AgentState(agent.adapted + 1, None)

    def window(self, problem):
        return Window(num_envs=2, steps=problem.env.horizon)


def test_an_agent_that_adapts_to_windows_is_evaluated_after_each_and_that_is_not_in_its_curve():
    problem = clockwork(horizon=2, episodes=6, ends_early=False)
    agent = Counting()
    evaluation = evaluate(TrainedAgent.initial(agent, problem, seed=0), num_tasks=3)
    assert evaluation.evaluation_episodes.shape == (1, 3, 3)
    # An episode of two steps pays 100 × 0 + a and 100 × 1 + a.
    np.testing.assert_array_equal(evaluation.evaluation_episodes[0, 0], 100 + 2 * np.arange(3))
    np.testing.assert_array_equal(evaluation.window_returns[0, 0], 100 + 2 * np.arange(3))
    np.testing.assert_array_equal(evaluation.returns[0, 0], 100 + 2 * np.repeat(np.arange(3), 2))
    after = evaluation.to_json()["after_windows"]
    assert [point["mean"] for point in after["mode"]] == [100, 102, 104]
    assert [point["stderr"] for point in after["sample"]] == [0, 0, 0]


class Telling(Counting):
    """Its action is 1 where it explores."""

    def act(self, meta, agent, timestep, key, *, explore):
        return jnp.asarray(int(explore)), None, None


@pytest.mark.parametrize("explore", [False, True])
def test_E15_who_learns_from_windows_explores_in_them_and_never_in_evaluation_episodes(explore):
    problem, agent = clockwork(horizon=2, episodes=4, ends_early=False), Telling()
    evaluation = evaluate(TrainedAgent.initial(agent, problem, seed=0), num_tasks=2, explore=explore)
    np.testing.assert_array_equal(evaluation.returns, np.full((1, 2, 4), 102))
    np.testing.assert_array_equal(evaluation.evaluation_episodes, np.full((1, 2, 2), 100))


def test_a_trial_of_one_window_has_no_evaluation_episodes():
    evaluation = evaluate(TrainedAgent.initial(RANDOM, PROBLEM, seed=0), num_tasks=4)
    assert evaluation.evaluation_episodes is None
    assert "after_windows" not in evaluation.to_json()


def test_many_windows_are_evaluated_now_and_then_and_compared_with_the_trial_between():
    problem = clockwork(horizon=2, episodes=80, ends_early=False)  # 40 windows of two streams
    agent = Counting()
    evaluation = evaluate(TrainedAgent.initial(agent, problem, seed=0), num_tasks=2)
    assert evaluation.evaluation_episodes.shape == (1, 2, 20)
    np.testing.assert_array_equal(evaluation.evaluation_episodes[0, 0], 100 + 2 * np.arange(0, 40, 2))
    # Two windows lie between an evaluation and the next; the second knows one more.
    np.testing.assert_array_equal(evaluation.window_returns[0, 1], 101 + 2 * np.arange(0, 40, 2))


def test_a_prime_number_of_windows_is_learned_from_and_not_evaluated():
    problem, agent = clockwork(horizon=2, episodes=46, ends_early=False), Counting()
    counting = TrainedAgent.initial(agent, problem)
    assert counting.learns_from_windows
    assert not counting.has_evaluation_episodes
    evaluation = evaluate(counting, num_tasks=2)
    assert evaluation.evaluation_episodes is None
    np.testing.assert_array_equal(evaluation.returns[0, 0], 100 + 2 * np.repeat(np.arange(23), 2))


@pytest.mark.compiles
def test_learners_from_scratch_come_to_the_same_on_two_devices_as_on_one(monkeypatch):
    # Each device draws the networks of its own tasks inside of its program.
    problem = clockwork(horizon=3, episodes=8, num_actions=3)
    agent = PPO(hidden_size=8, streams=2, num_minibatches=2, learning_rate=0.1)
    meta = agent.describe(problem)
    assert len(jax.local_devices()) == 2
    two = evaluate(TrainedAgent(agent, problem, meta), num_tasks=5)
    one_device = jax.local_devices()[:1]
    monkeypatch.setattr("adaptax.evaluation.trials.jax.local_devices", lambda: one_device)
    one = evaluate(TrainedAgent(agent, problem, meta), num_tasks=5)
    np.testing.assert_array_equal(two.returns, one.returns)
    np.testing.assert_array_equal(two.evaluation_episodes, one.evaluation_episodes)
    assert two.evaluation_episodes.shape == (1, 5, 4)
    assert len(np.unique(two.returns)) > 5


@pytest.mark.compiles
def test_tasks_of_another_family_can_be_evaluated():
    # All arms of shifted bandits pay at most 0.3; those of training are marked as such.
    shifted = evaluate(TrainedAgent.initial(RANDOM, PROBLEM, seed=0), num_tasks=2000, family=PROBLEM.shifted).summary
    assert abs(shifted.mean - 5 * 0.15) < 4 * shifted.stderr


WRONG = {
    "agent": (None, "runs/rl2-bandit-1", RANDOM, PROBLEM, TrainedAgent),
    "num_tasks": (None, 0, -1, 2.0, True, "2", np.nan, [2]),
    "seed": (None, -1, 2**32, 0.0, False, "0", np.inf),
    "explore": (None, 0, 1.0, "no", np.ones(1, bool)),
    "family": (PROBLEM, "test", 0, UniformBernoulliArms),
}


@pytest.mark.parametrize("argument", WRONG)
def test_E41_what_an_evaluation_cannot_use_is_refused_before_anything_is_done(argument):
    right = {"agent": TrainedAgent.initial(RANDOM, PROBLEM), "num_tasks": 2}
    for wrong in WRONG[argument]:
        with pytest.raises(UseError, match=rf"^evaluate\({argument}\): expected .*, found .*; nothing was done"):
            evaluate(**{**right, argument: wrong})


def test_an_evaluation_says_what_it_found():
    found = Evaluation(np.array([[[1.0, 2.0, 4.0], [3.0, 2.0, 6.0]]]), np.ones((1, 2, 3)))
    assert repr(found) == "Evaluation(9 ± 2 in a trial; 1 seed × 2 tasks × 3 episodes, the first 2, the last 5)"
    assert repr(Evaluation(found.returns * np.nan, found.steps)).startswith("Evaluation(nan ± nan in a trial;")


def test_an_evaluation_is_a_small_table_in_a_notebook():
    returns = np.array([[[1.0, 2.0, 4.0], [3.0, 2.0, 6.0]]])
    page = Evaluation(returns, np.ones((1, 2, 3)), title="<b>mine</b> on X")._repr_html_()
    assert "<b>mine" not in page
    assert "&lt;b&gt;mine&lt;/b&gt; on X" in page
    # The mean of 7 and 11 has a standard error of 2, times 12.706 of Student's t; that of 2 and 2 none.
    assert "whole trial</th><td>9</td><td>-16.41 to 34.41</td>" in page
    assert "episode 2</th><td>2</td><td>2 to 2</td>" in page
    assert "1 training seed × 2 tasks × 3 episodes" in page
    assert "<td>nan</td><td>unknown</td>" in Evaluation(returns * np.nan, returns)._repr_html_()
    long = Evaluation(np.ones((2, 3, 5000)), np.ones((2, 3, 5000)))._repr_html_()
    assert long.count("<tr>") < 15
    assert "episode 5,000" in long


def test_an_evaluation_says_who_was_evaluated_on_what():
    found = evaluate(TrainedAgent.initial(RANDOM, PROBLEM, name="chance"), num_tasks=2)
    assert found.title == f"chance on {type(PROBLEM.env).__name__}"
    assert repr(found).startswith(f"Evaluation({found.title}: ")
    assert found.title in found._repr_html_()


def test_tasks_that_are_shared_are_those_that_would_be_drawn_and_as_many():
    """Of fewer tasks JAX would take the last one again and again, and say nothing."""
    agent = TrainedAgent.initial(Random(), PROBLEM)
    met = encounters(PROBLEM.test, 6, 3)
    shared = evaluate(agent, num_tasks=6, seed=3, met=met)
    np.testing.assert_array_equal(shared.returns, evaluate(agent, num_tasks=6, seed=3).returns)
    with pytest.raises(UseError, match=r"^evaluate\(met\): expected 7 tasks, .* found 6; nothing was done"):
        evaluate(agent, num_tasks=7, seed=3, met=met)
