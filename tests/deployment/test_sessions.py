"""Sessions side by side: each is what it is alone, whatever the others do."""

import dataclasses

import numpy as np
import pytest

from adaptax.algorithms import A2C, MAML, RL2, QLearning, ThompsonSampling
from adaptax.core.errors import DivergenceError, UseError
from adaptax.core.rollout import collect
from adaptax.core.spaces import Discrete
from adaptax.core.trained_agent import TrainedAgent
from adaptax.deployment.agent import Agent
from adaptax.deployment.sessions import LANES
from adaptax.evaluation.encounters import encounters
from adaptax.evaluation.evaluator import evaluate
from adaptax.problems import bernoulli_bandit, point_robot, tabular_mdp
from tests.deployment.test_refused_numbers import Faulty
from tests.sample_problems import TINY, clockwork, quick_jit, random_state

_RL2 = RL2(memory_size=5, critic_size=3, num_tasks=4, num_minibatches=2)
_MDP = {"num_states": 3, "num_actions": 2, "horizon": 3, "num_episodes": 4}
KINDS = {
    "lstm": lambda: (_RL2, point_robot(num_episodes=2, horizon=4)),
    "gru, nothing to see": lambda: (dataclasses.replace(_RL2, memory="gru"), bernoulli_bandit(3, num_pulls=5)),
    "maml": lambda: (MAML(hidden_size=5, num_tasks=2, trajectories=2), point_robot(num_episodes=6, horizon=4)),
    "q-learning": lambda: (QLearning(), tabular_mdp(**_MDP)),
    "a2c": lambda: (A2C(hidden_size=4, streams=2, num_steps=2), clockwork(horizon=4, episodes=4, num_actions=3)),
    "thompson": lambda: (ThompsonSampling(), bernoulli_bandit(3, num_pulls=5)),
}
NUM = LANES + 3
WATCHED = (0, 3, LANES - 1, LANES, LANES + 2)


@pytest.fixture(scope="module", params=KINDS)
def agent(request):
    return Agent(TrainedAgent.initial(*KINDS[request.param]()), seed=7)


def shown(space, *shape):
    """Observations of random contents; of `clockwork` small."""
    rng = np.random.default_rng(shape)
    return rng.integers(space.num, size=shape) if isinstance(space, Discrete) else rng.normal(size=shape + space.shape)


def life(agent, sessions, numbers, groups):
    """What sessions of some numbers do when they act in groups, at times; each has observations of its own."""
    env, place = agent._env, {number: k for k, number in enumerate(numbers)}
    actions, age = {number: [] for number in numbers}, dict.fromkeys(numbers, 0)
    for group in groups:
        at = [place[number] for number in group]
        steps = [age[number] for number in group]
        seen = np.stack([shown(env.observation_space, 30, NUM)[step, n] for step, n in zip(steps, group, strict=True)])
        for number, action in zip(group, sessions.act(seen, at=at), strict=True):
            actions[number].append(action.tobytes())
        over = [step % env.horizon == env.horizon - 1 for step in steps]
        reward = [float((step + number) % 2) for step, number in zip(steps, group, strict=True)]
        after = seen if agent.algorithm.needs_last_observation else None
        sessions.observe(reward, at=at, episode_over=np.array(over), observations=after)
        for number in group:
            age[number] += 1
            if age[number] == 17:
                sessions.begin(at=[place[number]])
    return actions


@pytest.mark.compiles
def test_a_session_among_many_is_bitwise_what_it_is_alone(agent):
    rng, everyone = np.random.default_rng(2), range(NUM)
    few = [number for number in everyone if number % 13 == 0 or number in WATCHED]
    groups = [few for _ in range(8)]
    for _ in range(8):  # in turn, each a step, in any order
        order = rng.permutation(few).tolist()
        groups += [order[:2], order[2:]]
    groups += [few, few]
    together = agent.sessions(NUM)
    many = life(agent, together, list(everyone), groups)
    learned = together.adaptations
    for number in WATCHED:
        alone = agent.sessions(1, seed=7 + number)
        assert life(agent, alone, [number], [[number]] * 18)[number] == many[number], number
        assert alone.adaptations[0] == learned[number]
        assert alone.steps[0] == together.steps[number] == 1
    assert together.steps[1] == 0
    assert len({tuple(many[number]) for number in WATCHED}) > 1


@pytest.mark.compiles
def test_all_at_once_is_some_after_the_others(agent):
    together, apart = agent.sessions(NUM), agent.sessions(NUM)
    seen = shown(agent._env.observation_space, NUM)
    whole = together.act(seen)
    order = np.random.default_rng(0).permutation(NUM)
    parts = [apart.act(seen[part], at=part) for part in (order[:1], order[1:50], order[50:])]
    assert whole[order].tobytes() == np.concatenate(parts).tobytes()
    assert whole.shape == (NUM, *agent._env.action_space.shape)


@pytest.mark.compiles
def test_an_agent_of_one_session_does_what_a_session_does(agent):
    one, many = Agent(agent._batch.programs.trained, seed=7), agent.sessions(2)
    horizon = agent._env.horizon
    for step in range(12):
        seen = shown(agent._env.observation_space, 12, 1)[step, 0]
        mine, theirs = one.act(seen), many.act([seen], at=[0])[0]
        np.testing.assert_allclose(mine, theirs, atol=1e-4)
        over = step % horizon == horizon - 1
        after = seen if agent.algorithm.needs_last_observation else None
        one.observe(step % 2, episode_over=over, observation=after)
        many.observe([step % 2], at=[0], episode_over=over, observations=None if after is None else [after])
    assert one.adaptations == many.adaptations[0]


@pytest.fixture(scope="module")
def sessions():
    return Agent(TrainedAgent.initial(QLearning(), tabular_mdp(**_MDP))).sessions(3)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda s: s.act([0, 1]), r"act\(observations\): expected 3 of them, each an integer from 0 to 2, found"),
        (lambda s: s.act([3], at=[1]), r"act\(observations\) 0: expected an integer from 0 to 2, found 3"),
        (lambda s: s.act([None], at=[1]), r"act\(observations\) 0: expected an integer .* found nothing \(None\)"),
        (lambda s: s.act("012"), r"act\(observations\): expected 3 of them"),
        (lambda s: s.act([0], at=[3]), r"act\(at\): expected different numbers from 0 to 2, or 3 booleans, one True"),
        (lambda s: s.act([0, 0], at=[1, 1]), r"act\(at\): expected different numbers"),
        (lambda s: s.act([], at=[]), r"act\(at\): expected different numbers"),
        (lambda s: s.act([0], at=[False] * 3), r"act\(at\): expected different numbers"),
        (lambda s: s.begin(at="1"), r"begin\(at\): expected different numbers from 0 to 2, .* found '1'"),
        (lambda s: s.begin(at=[0.0]), r"begin\(at\): expected different numbers from 0 to 2"),
        (lambda s: s.observe([0.0] * 3), r"observe\(\): expected an act\(\) .* begin\(\) \(session 1\)"),
        (lambda s: s.observe([0.0, np.nan], at=[0, 2]), r"observe\(rewards\) 1: expected a finite number .* found nan"),
        (lambda s: s.observe(0.0, at=[0, 2]), r"observe\(rewards\): expected 2 finite numbers, found 0.0"),
        (lambda s: s.observe([0, 1], at=[0, 2], episode_over=[1, 0]), r"observe\(episode_over\): expected True"),
        (lambda s: s.observe([0], at=[0], terminated=True), r"expected episode_over=True beside terminated=True"),
        (lambda s: s.observe([0], at=[0], observations=[5]), r"observe\(observations\) 0: expected an integer"),
        (lambda s: s.act([0, 0], at=[0, 1]), r"act\(\): expected observe\(\) after the last act\(\), .* \(session 0\)"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_one_is_said_and_changes_none(sessions, call, said):
    sessions.begin()
    sessions.act([0, 1], at=[0, 2])
    before = sessions._batch.state
    with pytest.raises(UseError, match=said) as refused:
        call(sessions)
    assert sessions._batch.state is before
    assert "\n" not in str(refused.value)


def test_one_that_diverges_changes_none():
    sessions = Agent(TrainedAgent.initial(Faulty(), tabular_mdp(**_MDP))).sessions(3)
    sessions.act([0, 0, 0])
    sessions.observe([0.5, 1.0, 3.0])
    before = sessions._batch.state
    with pytest.raises(DivergenceError, match=r"Faulty"):
        sessions.act([1, 1, 1])
    assert sessions._batch.state is before
    sessions.act([1], at=[0])
    assert sessions.steps.tolist() == [2, 1, 1]


@pytest.mark.parametrize(("num", "seed"), [(0, 0), (-1, 0), (2.0, 0), (True, 0), (2, 2**32 - 1), (2, -1)])
def test_how_many_and_which_seeds_there_can_be(num, seed):
    agent = Agent(TrainedAgent.initial(QLearning(), tabular_mdp(**_MDP)))
    with pytest.raises(UseError, match=r"^sessions\((num|seed)\): expected .* found"):
        agent.sessions(num, seed=seed)


@pytest.mark.compiles
def test_E30_deployed_agents_earn_what_the_evaluator_says():
    algorithm, problem = RL2(**TINY), bernoulli_bandit(num_arms=3, num_pulls=6)
    trained = TrainedAgent(algorithm, problem, random_state(algorithm, problem, seed=4).meta)
    evaluation = evaluate(trained, num_tasks=1000, seed=3)
    met = encounters(problem.test, 1000, 3)
    trials = quick_jit(lambda: collect(algorithm, problem, trained.meta, met.tasks, met.keys, explore=False))()
    sessions, earned = Agent(trained).sessions(1000), np.zeros(1000)
    for step in range(6):
        actions = sessions.act(np.zeros((1000, 0)))
        np.testing.assert_array_equal(actions, trials.action[step, :, 0])
        reward = np.asarray(trials.reward[step, :, 0])  # what those actions bring in the evaluator's trials
        sessions.observe(reward, episode_over=True)
        earned += reward
    np.testing.assert_array_equal(earned, evaluation.scores[0])
    assert len(np.unique(trials.action)) > 1
