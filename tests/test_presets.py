import pytest

from adaptax.errors import ConfigError
from adaptax.presets import PRESETS, settings_for
from adaptax.published import TABLES
from adaptax.registry import PROBLEMS, TRAINABLE


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


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("algorithm", TRAINABLE)
def test_the_defaults_of_every_pair_go_together(algorithm, problem):
    algorithm_settings, problem_settings = settings_for(algorithm, problem)
    algorithm_settings.check_problem(problem_settings)


def test_defaults_of_gradient_based_methods_follow_the_problem():
    algorithm, problem = settings_for("maml", "point-robot")
    assert (algorithm.trajectories, algorithm.inner_learning_rate, problem.num_episodes) == (20, 0.1, 80)
    assert settings_for("rl2", "point-robot")[1].num_episodes == 3
