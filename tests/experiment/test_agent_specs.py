import dataclasses

import pytest

from adaptax.algorithms.memory.settings import RL2Settings
from adaptax.algorithms.standard_rl.settings import A2CSettings, PPOLearnerSettings, QLearningSettings
from adaptax.core.errors import CheckpointError, ConfigError
from adaptax.experiment.agent_specs import RunSpec, early_of, resolve
from adaptax.problems.settings import TabularMDPSettings, TwoStepSettings
from adaptax.registry.presets import settings_for
from adaptax.runs.directory import write_json
from adaptax.runs.recipe import Recipe

MDP = TabularMDPSettings(num_states=3, num_episodes=20)


@pytest.fixture
def make(tmp_path):
    """Writes the configuration of a run; a run is resolved without its weights."""

    def run(name, algorithm="rl2", problem="tabular-mdp", of_problem=MDP, seed=0, seeds=1, **changes):
        settings = dataclasses.replace(settings_for(algorithm, problem)[0], **changes)
        directory = tmp_path / name
        directory.mkdir()
        recipe = Recipe(algorithm, problem, settings, of_problem)
        write_json(
            directory / "config.json", {"format": 1, **recipe.to_json(), "options": {"seed": seed, "seeds": seeds}}
        )
        return str(directory)

    return run


def episodes(specs):
    return {spec.name: spec.problem_settings.num_episodes for spec in specs}


def test_everyone_has_a_trial_that_suits_it(make):
    words = [make("a"), make("b", "maml", of_problem=dataclasses.replace(MDP, num_episodes=80)), "q-learning", "psrl"]
    problem, found = resolve(words, None, None)
    assert problem == "tabular-mdp"
    # Trained for 20 and 80; the preset of learners; the longest trained trial; random at the end.
    assert episodes(found) == {"rl2": 20, "maml": 80, "q-learning": 1000, "psrl": 80, "random": 80}
    assert [x.kind for x in found] == ["meta-trained", "meta-trained", "from scratch", "classical", "classical"]
    assert all(x.problem_settings.num_states == 3 for x in found)
    assert found[2].early.num_episodes == 100
    assert [x.early is None for x in found] == [True, True, False, True, True]
    assert episodes(resolve(words, "tabular-mdp", 200)[1])["q-learning"] == 200


def test_agents_alone_need_a_problem():
    problem, found = resolve(["psrl", "random", "q-learning"], "tabular-mdp", None)
    assert episodes(found) == {"psrl": 10, "random": 10, "q-learning": 1000}
    assert problem == "tabular-mdp"
    with pytest.raises(ConfigError, match="at least one run's directory, or --problem NAME"):
        resolve(["psrl"], None, None)
    with pytest.raises(
        ConfigError, match=r"--problem: expected one of .*; found 'tabular'; did you mean 'tabular-mdp'"
    ):
        resolve(["psrl"], "tabular", None)


def test_runs_that_differ_in_the_seed_alone_are_one_agent(make):
    words = [make("a", seed=0), make("b", seed=1, seeds=3), make("c", seed=1)]
    (rl2, _random) = resolve(words, None, None)[1]
    assert [(run.seed, run.num_seeds) for run in rl2.runs] == [(0, 1), (1, 3), (1, 1)]
    with pytest.raises(ConfigError, match=r"--seed: expected different ones .* found 1 in both .*c and .*d"):
        resolve([*words, make("d", seed=1)], None, None)


def test_runs_of_one_algorithm_with_other_settings_are_told_apart_by_their_directories(make):
    words = [make("small", memory_size=8), make("large", memory_size=16)]
    names = [x.name for x in resolve(words, None, None)[1]]
    assert names == [f"rl2 ({words[0]})", f"rl2 ({words[1]})", "random"]


def test_a_run_of_a_learner_from_scratch_keeps_its_settings(make):
    word = make("q", "q-learning", of_problem=dataclasses.replace(MDP, num_episodes=300), learning_rate=0.5)
    (learner, named, random) = resolve([word, "q-learning"], None, None)[1]
    assert learner.settings.learning_rate == 0.5
    assert learner.problem_settings.num_episodes == 300
    assert named.name == "q-learning"
    assert learner.name == f"q-learning ({word})"
    assert random.problem_settings.num_episodes == 10  # nobody was trained
    with pytest.raises(ConfigError, match="the same agent as in"):
        resolve([word, make("q2", "q-learning", of_problem=learner.problem_settings, learning_rate=0.5)], None, None)


def test_two_problems_are_refused_with_the_field_and_both_values(make):
    words = [make("a"), make("b", of_problem=dataclasses.replace(MDP, num_states=4))]
    with pytest.raises(ConfigError, match=r"TabularMDPSettings.num_states: .* found 3 in .*a and 4 in .*b"):
        resolve(words, None, None)
    bandit = make("c", problem="bandit", of_problem=settings_for("rl2", "bandit")[1])
    with pytest.raises(ConfigError, match=r"found 'bandit' in .*c, while .*a is of 'tabular-mdp'"):
        resolve([words[0], bandit], None, None)
    with pytest.raises(ConfigError, match=r"found 'tabular-mdp' in .*a, while --problem says 'bandit'"):
        resolve([words[0]], "bandit", None)


def test_words_that_are_neither_runs_nor_agents(tmp_path, make):
    with pytest.raises(ConfigError, match="found 'q-lerning', which is neither; did you mean 'q-learning'"):
        resolve(["q-lerning"], "bandit", None)
    with pytest.raises(ConfigError, match="maml: has to be trained first"):
        resolve(["maml"], "bandit", None)
    with pytest.raises(CheckpointError, match="no run there"):
        resolve([str(tmp_path / "none")], None, None)
    with pytest.raises(CheckpointError, match="no run there"):
        resolve([str(tmp_path)], None, None)
    with pytest.raises(ConfigError, match="found 'psrl' 2 times"):
        resolve([make("a"), "psrl", "psrl"], None, None)


def test_episodes_that_do_not_divide_into_a_learners_windows():
    with pytest.raises(
        ConfigError, match=r"ppo, with a trial of 25 episodes \(--episodes\): .*a multiple of streams=10"
    ):
        resolve(["ppo"], "tabular-mdp", 25)
    with pytest.raises(ConfigError, match=r"q-learning, with .*: expects a problem with discrete states"):
        resolve(["q-learning"], "point-robot", None)


def test_what_is_asked_early():
    long = dataclasses.replace(MDP, num_episodes=1000)
    assert early_of("q-learning", QLearningSettings(), long).num_episodes == 100
    assert early_of("ppo", PPOLearnerSettings(), long).num_episodes == 100
    # 10 episodes of the tenth in 10 streams are one each, in 7 windows of 3 steps with one step left over.
    assert (
        early_of("a2c", A2CSettings(num_steps=5), dataclasses.replace(long, horizon=7, num_episodes=500)).num_episodes
        == 50
    )
    assert early_of("a2c", A2CSettings(num_steps=35), dataclasses.replace(long, horizon=7, num_episodes=100)) is None
    # A short trial is asked often enough, and one that is a single episode cannot be shorter.
    assert early_of("q-learning", QLearningSettings(), dataclasses.replace(MDP, num_episodes=90)) is None
    assert early_of("q-learning", QLearningSettings(), TwoStepSettings()) is None


def test_a_run_is_what_its_configuration_says(make):
    run = resolve([make("a", seed=5, seeds=2)], None, None)[1][0].runs[0]
    assert isinstance(run, RunSpec)
    assert (run.seed, run.num_seeds, run.directory.name) == (5, 2, "a")
    assert isinstance(run.recipe.algorithm_settings, RL2Settings)
