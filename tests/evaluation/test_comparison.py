import json
import math

import numpy as np
import pytest

from adaptax.algorithms import RL2, MultiTaskPPO, QLearning, Random, ThompsonSampling
from adaptax.core.algorithm import init
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import replace
from adaptax.evaluation.comparison import Plan, compare, oracle_of, run_agent
from adaptax.evaluation.evaluator import evaluate
from adaptax.problems import bernoulli_bandit, gaussian_bandit, informed
from tests.evaluation.comparisons import ODD, small, untrained
from tests.sample_problems import TINY, OddBandit, clockwork, train

BANDIT = bernoulli_bandit(num_arms=3, num_pulls=60)


pytestmark = pytest.mark.compiles


@pytest.mark.nightly
@pytest.mark.parametrize("updates", [0, 1])
def test_negative_control_an_untrained_memory_has_no_advantage_over_learning_from_scratch(updates):
    agent = RL2(**TINY)
    meta = train(agent, BANDIT, updates)[0].meta if updates else init(agent, BANDIT, seed=0).meta
    rl2 = TrainedAgent(agent, BANDIT, meta, name="rl2", kind="meta-trained")
    learner = untrained("q-learning", QLearning(epsilon_episodes=30, rate_decay=1.0), BANDIT, "from scratch")
    content = compare(BANDIT, [rl2, learner, untrained("random", Random(), BANDIT)], Plan(400, 100, 0))
    memory, scratch = content["agents"]["rl2"], content["agents"]["q-learning"]
    # The learner gets there, the untrained memory does not, within the same trial.
    assert scratch["reaches"]["0.5"]["episode"]["value"] < 60
    assert memory["reaches"]["0.5"]["episode"]["value"] is None
    assert memory["reaches"]["0.5"]["times"]["fastest"] == "q-learning"
    # It is worse in the end, and is not better than it was.
    pair = content["pairs"][0]
    assert (pair["first"], pair["second"]) == ("rl2", "q-learning")
    assert pair["interval"][1] < 0.5
    held_out = memory["families"]["held-out"]
    assert held_out["normalized_score_after"]["interval"][0] < 0.2
    assert (
        held_out["normalized_score_after"]["value"]
        < scratch["families"]["held-out"]["normalized_score_after"]["interval"][0]
    )


@pytest.fixture(scope="module")
def content():
    return small()


def test_everything_is_there_and_is_strict_json(content):
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert list(content["agents"]) == [ODD, "q-learning", "random"]
    assert list(content["families"]) == ["training", "held-out", "shifted"]
    assert len({family["seed"] for family in content["families"].values()}) == 3
    assert [len(pair) > 0 for pair in content["pairs"]] == [True] * 3
    assert content["reference"]["exact"]
    for agent in content["agents"].values():
        assert list(agent["reaches"]) == ["0.5", "0.8", "0.9", "0.95"]
        assert list(agent["gaps"]) == ["held-out − training", "shifted − held-out"]


def test_a_learner_is_asked_more_often_early_on(content):
    learner = content["agents"]["q-learning"]
    # 100 episodes and 10, both asked 20 times or as often as there are episodes.
    assert learner["performance"]["episodes"][:12] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 16]
    assert learner["trial"] == 100
    assert learner["measured"].startswith("best action known")
    assert content["agents"]["random"]["performance"]["episodes"] == list(range(1, 20))


def test_the_early_episodes_are_those_of_the_long_trial():
    agent, long, short = QLearning(), replace(BANDIT, episodes=40), replace(BANDIT, episodes=10)
    meta = init(agent, long, seed=0).meta
    returns = [evaluate(TrainedAgent(agent, problem, meta), num_tasks=7, seed=3).returns for problem in (long, short)]
    np.testing.assert_array_equal(returns[0][..., :10], returns[1])


def test_what_is_known_of_random_actions(content):
    random = content["agents"]["random"]
    assert random["reaches"]["0.8"]["episode"]["value"] is None
    # It is its own floor: a normalized score of 0 on average over its trial.
    shares = [figure["value"] for figure in random["performance"]["normalized_score"]]
    assert abs(np.mean(shares)) < 4 * math.sqrt(0.25 / (60 * 20)) / 0.25
    pulls = [figure["value"] for figure in random["exploration"]["pulls_by_rank"]]
    assert sum(pulls) == pytest.approx(20)
    # 40 tasks × 20 pulls, each with a chance of one third.
    assert all(abs(x - 20 / 3) < 4 * math.sqrt(20 * 2 / 9 / 40) for x in pulls)
    assert random["exploration"]["not_its_own_best"] is None


def test_regret_is_against_the_exact_oracle_in_the_trial_itself(content):
    random = content["agents"]["random"]
    target, floor = (content["reference"][key]["value"] for key in ("target", "random"))
    assert random["regret"]["episodes"][-1] == 20
    assert random["regret"]["regret"][-1]["value"] == pytest.approx(20 * (target - floor))
    assert random["regret"]["common"]["episode"] == 20
    assert content["agents"]["q-learning"]["regret"]["episodes"][-1] == 100


def test_E24_the_oracle_is_that_of_the_tasks_that_were_met():
    # With one arm that always pays its mean, what is seen is what there is to have.
    problem = gaussian_bandit(num_arms=1, num_pulls=2, noise=0.0)
    evaluation = evaluate(TrainedAgent.initial(Random(), problem, seed=0), num_tasks=20, seed=3)
    np.testing.assert_allclose(oracle_of(problem.test, 20, 3), evaluation.returns[0].mean(-1), rtol=1e-6)


@pytest.mark.nightly
def test_the_same_agent_twice_is_not_better_than_itself():
    twins = [untrained(name, ThompsonSampling(), BANDIT) for name in ("a", "b")]
    content = compare(BANDIT, [*twins, untrained("random", Random(), BANDIT)], Plan(30, 20, 1))
    a, b = (content["agents"][name] for name in "ab")
    assert content["pairs"][0]["value"] == 0.5
    assert a["performance"] == b["performance"]
    assert a["gaps"] == b["gaps"]
    assert [a["reaches"][t]["episode"] for t in a["reaches"]] == [b["reaches"][t]["episode"] for t in b["reaches"]]


@pytest.mark.nightly
def test_agents_with_a_memory_may_act_as_in_training():
    agents = [untrained("rl2", RL2(**TINY), BANDIT), untrained("random", Random(), BANDIT)]
    for explore, says in (
        (True, "in the trial itself, acting as in training"),
        (False, "in the trial itself, by its mode"),
    ):
        rl2 = compare(BANDIT, agents, Plan(20, 10, 0, explore=explore))["agents"]["rl2"]
        assert rl2["measured"] == says
        own = rl2["exploration"]["not_its_own_best"]
        assert own["total"]["value"] > 0 if explore else own is None


def test_where_no_oracle_is_known_the_best_agent_is_the_end_of_the_way():
    problem = clockwork(horizon=2, episodes=3, ends_early=False, num_actions=4)
    content = compare(problem, [untrained("random", Random(), problem)], Plan(20, 10, 0))
    assert "the last episodes of random" in content["reference"]["label"]
    assert not content["reference"]["exact"]
    assert content["shift"] == ""
    agent = content["agents"]["random"]
    assert list(agent["families"]) == ["training", "held-out"]
    assert agent["families"]["held-out"]["target"] is None
    assert agent["gaps"]["held-out − training"]["unit"] == "return"
    assert any("finite" in warning for warning in content["warnings"])


@pytest.mark.nightly
def test_an_agent_that_is_told_the_task_pulls_arms_too():
    seen = informed(BANDIT)
    told = untrained("oracle-ppo", MultiTaskPPO(hidden_size=4, num_minibatches=1, num_tasks=4), seen, "meta-trained")
    content = compare(BANDIT, [told, untrained("random", Random(), BANDIT)], Plan(8, 6, 0))
    assert content["bandit"]
    pulls = content["agents"]["oracle-ppo"]["exploration"]["pulls_by_rank"]
    assert sum(figure["value"] for figure in pulls) == pytest.approx(60)


def test_an_agent_above_the_oracle_is_noticed():
    problem = bernoulli_bandit(num_arms=2, num_pulls=5)
    honest = untrained("random", Random(), problem)
    cheat = untrained("cheat", Random(), replace(problem, env=OddBandit(2, scale=3.0)))
    content = compare(problem, [cheat, honest], Plan(100, 10, 0))
    assert any(warning.startswith("cheat is above") for warning in content["warnings"])
    assert not any(warning.startswith("random") for warning in content["warnings"])


def test_progress_counts_every_trial():
    agent = untrained("q-learning", QLearning(), BANDIT, "from scratch")
    early = TrainedAgent.initial(QLearning(), replace(BANDIT, episodes=6))
    plan, said = Plan(10, 4, 0), []
    run_agent(BANDIT, agent, plan, lambda done, text: said.append((done, text)), early)
    assert [done for done, _ in said] == [4, 14, 18, 28, 32]
    assert said[-1] == (plan.num_trials(BANDIT, early=True), "q-learning: actions")
