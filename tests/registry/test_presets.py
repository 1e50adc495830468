import pytest

from adaptax.core.errors import ConfigError
from adaptax.registry.paper_tables import TABLES
from adaptax.registry.presets import ANEW, GRADIENT_BASED, PRESETS, agent_for, settings_for
from adaptax.registry.registry import FROM_SCRATCH, LEARNERS, PROBLEMS, TRAINABLE


@pytest.mark.parametrize(("pair", "name"), [(pair, name) for pair, presets in PRESETS.items() for name in presets])
def test_every_preset_makes_valid_settings(pair, name):
    algorithm, problem = settings_for(*pair, name)
    preset = PRESETS[pair][name]
    assert {k: getattr(algorithm, k) for k in preset.algorithm} == dict(preset.algorithm)
    assert {k: getattr(problem, k) for k in preset.problem} == dict(preset.problem)
    assert preset.summary


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"--preset: expected one of default"):
        settings_for("rl2", "bandit", "nope")


@pytest.mark.parametrize("name", TABLES)
def test_every_cell_of_a_table_makes_valid_settings(name):
    table = TABLES[name]
    for cell in table.cells.values():
        TRAINABLE[table.algorithm].settings(**cell.algorithm)
        PROBLEMS[table.problem].settings(**cell.problem)


def refused(algorithm, problem):
    """Why a pair cannot go together, whatever its settings are; None if it can."""
    settings = PROBLEMS[problem].settings
    if algorithm in ("q-learning", "sarsa") and (settings.continuous_actions or not settings.discrete_states):
        return "expects a problem with discrete states and actions.*Try dqn"
    if algorithm == "dqn" and settings.continuous_actions:
        return "expects discrete actions.*Try ppo"
    within_episodes = {"rl2", "multitask-ppo", "oracle-ppo", "q-learning", "sarsa", "dqn"}
    if problem == "two-step" and algorithm not in within_episodes:
        return "a trial is one episode, but .* episodes .* are expected.*an agent with a memory"
    return None


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("algorithm", LEARNERS)
def test_the_defaults_of_every_pair_go_together_or_it_is_said_why_they_cannot(algorithm, problem):
    algorithm_settings, problem_settings = settings_for(algorithm, problem)
    reason = refused(algorithm, problem)
    if reason is None:
        algorithm_settings.check_problem(problem_settings)
    else:
        with pytest.raises(ConfigError, match=reason):
            algorithm_settings.check_problem(problem_settings)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", FROM_SCRATCH)
def test_who_learns_from_scratch_is_built_for_a_problem_as_its_preset_says(name, problem):
    settings, problem_settings = settings_for(name, problem)
    reason = refused(name, problem)
    if reason is None:
        agent = agent_for(name, problem, problem_settings)
        assert {key: getattr(agent, key) for key in vars(settings)} == vars(settings)
    else:
        with pytest.raises(ConfigError, match=reason):
            agent_for(name, problem, problem_settings)


@pytest.mark.parametrize("presets", [ANEW, GRADIENT_BASED])
def test_every_field_of_a_shared_preset_is_one_of_somebody(presets):
    fields = {field for entry in LEARNERS.values() for field in vars(entry.settings())}
    for problem, (of_algorithms, of_problem) in presets.items():
        assert set(of_algorithms) <= fields
        assert set(of_problem) <= set(vars(PROBLEMS[problem].settings()))


def test_defaults_of_gradient_based_methods_follow_the_problem():
    algorithm, problem = settings_for("maml", "point-robot")
    assert (algorithm.trajectories, algorithm.inner_learning_rate, problem.num_episodes) == (20, 0.1, 80)
    assert settings_for("rl2", "point-robot")[1].num_episodes == 3


def test_defaults_of_learners_from_scratch_have_long_trials():
    algorithm, problem = settings_for("q-learning", "tabular-mdp")
    assert (algorithm.discount, problem.num_episodes) == (0.9, 1000)
    assert settings_for("finetuned-ppo", "tabular-mdp")[1].num_episodes == 1000
    assert settings_for("multitask-ppo", "tabular-mdp")[1].num_episodes == 10
