import dataclasses
import json
from pathlib import Path

import pytest

from adaptax.cli.train import understood
from adaptax.core.entry import Defaults, Entry, Preset
from adaptax.core.errors import ConfigError
from adaptax.core.settings import episodes_of, horizon_of
from adaptax.experiment.options import TrainOptions
from adaptax.experiment.recipes import recipe_for
from adaptax.registry import registry
from adaptax.registry.learning_table import why_left_out
from adaptax.registry.paper_tables import TABLES
from adaptax.registry.presets import agent_for, named_presets, presets_for, settings_for
from adaptax.registry.registry import FROM_SCRATCH, LEARNERS, NATIVE_PROBLEMS, PROBLEMS, TRAINABLE
from adaptax.registry.resolve import resolve_problem

PRESETS = named_presets()
PUBLISHED = json.loads((Path(__file__).parent / "settings_of_0_1.json").read_text())
"""Defaults of every class of settings in 0.1, and what each preset of each pair changes in them."""
NAMED = [name for name in PUBLISHED["presets"] if not name.endswith(" default") and " 500x" not in name]
"""Default presets follow from the problem's size since, and from what was measured, those of 500 pulls count; the
others are what they were."""


@pytest.mark.parametrize("name", NAMED)
def test_presets_say_what_they_said(name):
    algorithm, problem, preset = name.split()
    made = settings_for(algorithm, problem, preset)
    kinds = PUBLISHED["algorithms"][algorithm], PUBLISHED["problems"][problem]
    for settings, defaults, changes in zip(made, kinds, PUBLISHED["presets"][name], strict=True):
        expected = {**defaults, **changes}
        assert {field: getattr(settings, field) for field in expected} == expected


@pytest.mark.parametrize(("arms", "foresight"), [(5, 0.95), (10, 0.95), (50, 0.97)])
def test_who_pulls_hundreds_of_times_counts(arms, foresight):
    algorithm, problem = settings_for("rl2", "bandit", f"500x{arms}")
    assert (problem.num_pulls, problem.num_arms) == (500, arms)
    assert (algorithm.memory, algorithm.memory_size, algorithm.num_tasks) == ("counting", 16, 256)
    assert (algorithm.gae_lambda, algorithm.entropy_cost) == (foresight, 0.02)


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
    within_episodes = {
        "rl2", "varibad", "off-policy-rl2", "multitask-ppo", "oracle-ppo", "q-learning", "sarsa", "dqn",
    }  # fmt: skip
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


def shared_defaults():
    return {id(e.defaults): e.defaults for e in LEARNERS.values() if e.defaults is not None}.values()


@pytest.mark.parametrize("shared", shared_defaults(), ids=lambda shared: shared.summary)
def test_defaults_name_only_settings_that_there_are(shared):
    assert {*shared.changes, *shared.of_problem} <= set(PROBLEMS)
    for of_kinds in shared.changes.values():
        for kind, changes in of_kinds.items():
            assert set(changes) <= {field.name for field in dataclasses.fields(kind)}
            assert any(issubclass(entry.settings, kind) for entry in LEARNERS.values() if entry.defaults is shared)
    for problem, changes in shared.of_problem.items():
        assert set(changes) <= {field.name for field in dataclasses.fields(PROBLEMS[problem].settings)}


def test_every_preset_is_of_a_problem_that_there_is():
    for name, entry in LEARNERS.items():
        assert {*entry.presets, *entry.measured} <= set(PROBLEMS), name
        assert set(entry.besides) <= {field.name for field in dataclasses.fields(entry.settings)}, name


SOME = TRAINABLE["maml"].settings


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"besides": {"inner_step": 3}}, "MAMLSettings has no setting 'inner_step'; did you mean 'inner_steps'"),
        ({"presets": {"bandit": {"x": Preset("x", {"zzz": 1})}}}, "preset 'x' of wrong on bandit: .* 'zzz'"),
        ({"presets": {"bandit": {"x": Preset("x", {}, {"pulls": 1})}}}, "BanditSettings has no setting 'pulls'"),
        ({"defaults": Defaults("x", {"bandit": {SOME: {"q": 1}}})}, "the defaults on bandit: .* no setting 'q'"),
        ({"defaults": Defaults("x", {}, {"bandit": {"arms": 1}})}, "BanditSettings has no setting 'arms'"),
    ],
)
def test_a_preset_that_names_what_settings_have_not_is_refused(changes, says):
    registry.enter_algorithm("wrong", Entry("nowhere:X", "wrong", SOME, **changes), from_scratch=False)
    try:
        with pytest.raises(ConfigError, match=says):
            settings_for("wrong", "bandit", list(presets_for("wrong", "bandit"))[-1])
    finally:
        registry.forget("wrong")


def test_which_presets_were_measured_is_said():
    assert all(preset.measured for presets in PRESETS.values() for preset in presets.values())
    assert presets_for("maml", "point-robot")["default"].measured
    assert not presets_for("maml", "cart-pole")["default"].measured


def test_defaults_of_gradient_based_methods_follow_the_problem():
    algorithm, problem = settings_for("maml", "point-robot")
    assert (algorithm.trajectories, algorithm.inner_learning_rate, problem.num_episodes) == (20, 0.1, 80)
    assert settings_for("rl2", "point-robot")[1].num_episodes == 3


@pytest.mark.parametrize(("steps", "foresight"), [(2, 0.9), (100, 0.9), (250, 0.96), (1000, 0.99), (10_000, 0.99)])
def test_the_longer_a_trial_the_further_rl2_looks(steps, foresight):
    """As was found on bandits of 500 pulls and on 10 to 100 episodes of random MDPs."""
    settings = PROBLEMS["bandit"].settings(num_pulls=steps)
    assert settings_for("rl2", "bandit", of=settings)[0].gae_lambda == foresight


def test_where_simulators_on_the_host_make_steps_rl2_learns_several_times_from_each():
    """By default it is what examples/your_simulator.py trains with."""
    families = {"walks": (1, 64, 1000, 0.9), "pendulums": (1, 64, 300, 0.95), "pendulums ": (20, 16, 100, 0.95)}
    for family, (times, tasks, updates, foresight) in families.items():
        name = f"tests.problems.host.walks:{family.strip()}"
        kind = resolve_problem(name).settings
        of = kind(episodes=2 * times) if times > 1 else None
        settings = settings_for("rl2", name, of=of)[0]
        assert (settings.num_tasks, settings.num_updates, settings.gae_lambda) == (tasks, updates, foresight)
        assert (settings.memory, settings.num_epochs, settings.num_minibatches) == ("gru", 8, 8)
        assert (settings.learning_rate, settings.discount, settings.normalize_observations) == (1e-3, 0.99, True)
        registry.forget(name)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("algorithm", TRAINABLE)
def test_an_update_is_no_longer_than_a_few_hundred_thousand_steps(algorithm, problem):
    settings, of_problem = settings_for(algorithm, problem)
    if refused(algorithm, problem):
        return
    episodes = {
        **dict.fromkeys(("rl2", "off-policy-rl2", "varibad", "pearl"), lambda: episodes_of(of_problem)[1]),
        "meta-policy-gradient": lambda: settings.replicas * (settings.exploration_episodes + 2),
    }.get(algorithm, lambda: getattr(settings, "streams", 0) or (settings.inner_steps + 1) * settings.trajectories)()
    fewest = {"rl2": 64, "varibad": 64, "maml": 8, "pearl": 2}.get(algorithm, 20)
    assert settings.num_tasks >= min(fewest, 8)
    assert settings.num_tasks * episodes * of_problem.horizon <= max(400_000, 8 * 80 * of_problem.horizon)


def test_defaults_follow_what_is_typed_of_the_problem():
    recipe, _ = recipe_for("maml", "point-robot", TrainOptions(), changes={"num_episodes": 10, "horizon": 20})
    assert (recipe.algorithm_settings.trajectories, recipe.algorithm_settings.inner_steps) == (5, 1)
    assert recipe.problem_settings.num_episodes == 10
    typed = {"num_episodes": 10, "trajectories": 2, "num_tasks": 3}
    recipe, _ = recipe_for("maml", "point-robot", TrainOptions(), changes=typed)
    assert (recipe.algorithm_settings.trajectories, recipe.algorithm_settings.num_tasks) == (2, 3)
    given = TRAINABLE["maml"].settings(trajectories=4)
    recipe, _ = recipe_for(given, "point-robot", TrainOptions(), changes={"num_episodes": 8})
    assert recipe.algorithm_settings == given
    named, _ = recipe_for("rl2", "bandit", TrainOptions(), preset="10x5", changes={"num_pulls": 1000})
    assert named.algorithm_settings.gae_lambda == 0.9


def test_a_command_line_has_the_same_defaults():
    typed = understood(["maml", "point-robot", "--num-episodes", "10", "--inner-steps", "1"], "train", "")
    recipe, _ = recipe_for("maml", "point-robot", TrainOptions(), changes={"num_episodes": 10, "inner_steps": 1})
    assert typed.recipe == recipe


def test_defaults_of_learners_from_scratch_have_long_trials():
    algorithm, problem = settings_for("q-learning", "tabular-mdp")
    assert (algorithm.discount, problem.num_episodes) == (0.9, 1000)
    assert settings_for("finetuned-ppo", "tabular-mdp")[1].num_episodes == 1000
    assert settings_for("multitask-ppo", "tabular-mdp")[1].num_episodes == 10


@pytest.mark.parametrize("name", ["q-learning", "sarsa", "dqn"])
def test_who_learns_from_nothing_begins_to_within_its_trial(name):
    """DQN had seen too little when a bandit's trial was over; on the two-step task all acted at random to its end."""
    for problem in NATIVE_PROBLEMS:
        if why_left_out(name, problem):
            continue
        settings, of_problem = settings_for(name, problem)
        episodes = episodes_of(of_problem)[1]
        steps = episodes * horizon_of(of_problem)
        assert getattr(settings, "learning_starts", 0) <= steps / 4, problem
        share = min(episodes / 2 / settings.epsilon_episodes, 1.0)  # when half of the trial is over
        assert settings.epsilon + (settings.final_epsilon - settings.epsilon) * share <= 0.6, problem
