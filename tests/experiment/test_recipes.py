"""What is asked for becomes a recipe; which defaults follow from it: `tests/registry/test_presets.py`."""

import dataclasses

import pytest

from adaptax.algorithms.memory.settings import RL2Settings
from adaptax.algorithms.standard_rl.settings import FineTunedPPOSettings, MultiTaskPPOSettings, QLearningSettings
from adaptax.core.errors import ConfigError
from adaptax.core.settings import Settings, setting
from adaptax.experiment.options import EvaluateOptions, TrainOptions
from adaptax.experiment.recipes import options_for, options_of, recipe_for, with_changes
from adaptax.problems.settings import BanditSettings, ChainSettings
from adaptax.runs.options import KeptOptions


@dataclasses.dataclass(frozen=True)
class Colours(Settings):
    red: int = setting(1, low=0)
    shared: int = 2


@dataclasses.dataclass(frozen=True)
class Sizes(Settings):
    width: int = 3
    shared: int = 4


def test_a_change_is_made_in_the_first_that_has_the_field():
    parts = [Colours(), Sizes()]
    assert with_changes(parts, {"shared": 9, "width": 8}) == [Colours(shared=9), Sizes(width=8)]
    assert with_changes(parts, {}) == parts == [Colours(), Sizes()]


def test_a_change_of_nothing_that_there_is_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"^widht: no such field in Colours, Sizes; did you mean 'width'\?$"):
        with_changes([Colours(), Sizes()], {"red": 3, "widht": 1})
    with pytest.raises(ConfigError, match=r"Colours\.red: expected an integer ≥ 0; found -1"):
        with_changes([Colours(), Sizes()], {"red": -1})


def test_options_with_other_values():
    assert options_for(EvaluateOptions(tasks=5), {"seed": 3}) == EvaluateOptions(tasks=5, seed=3)
    with pytest.raises(ConfigError, match=r"^task: no such field in EvaluateOptions; did you mean 'tasks'\?$"):
        options_for(EvaluateOptions(), {"task": 5})


def test_options_of_a_run_are_those_that_were_typed():
    kept = KeptOptions(seed=3, seeds=2, from_="first", from_update=40, preset="10x5", used_devices=8)
    assert options_of(dataclasses.asdict(kept)) == TrainOptions(seed=3, seeds=2)


def test_settings_say_of_which_algorithm_and_problem_they_are():
    given = RL2Settings(num_tasks=32), BanditSettings(num_arms=3)
    recipe, options = recipe_for(*given, TrainOptions(), changes={"num_pulls": 7, "seed": 5, "memory_size": 9})
    assert (recipe.algorithm, recipe.problem) == ("rl2", "bandit")
    assert recipe.algorithm_settings == RL2Settings(num_tasks=32, memory_size=9)
    assert recipe.problem_settings == BanditSettings(num_arms=3, num_pulls=7)
    assert options == TrainOptions(seed=5)
    assert recipe_for(FineTunedPPOSettings(num_tasks=20), "bandit", TrainOptions())[0].algorithm == "finetuned-ppo"


def test_settings_of_several_or_of_none_are_refused():
    says = r"algorithm: expected the settings of exactly one; found MultiTaskPPOSettings, of multitask-ppo and oracle-"
    with pytest.raises(ConfigError, match=says):
        recipe_for(MultiTaskPPOSettings(), "bandit", TrainOptions())
    with pytest.raises(
        ConfigError, match=r"problem: expected the settings of exactly one; found Sizes, of none\. Give"
    ):
        recipe_for("rl2", Sizes(), TrainOptions())


def test_what_cannot_be_imported_by_its_name_is_refused():
    def make():
        pass

    for wrong in (make, 3, lambda: None):
        with pytest.raises(ConfigError, match=r"^problem: expected a name, settings, .*adaptax\.register_problem"):
            recipe_for("rl2", wrong, TrainOptions())
    with pytest.raises(ConfigError, match=r"^algorithm: expected a name.*found None\. .*adaptax\.register_algorithm"):
        recipe_for(None, "bandit", TrainOptions())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"seeds": 2}, "--seeds: q-learning learns every task from nothing, .*; found 2. More --eval-tasks"),
        ({"eval_every": 5}, "--eval-every: q-learning learns every task from nothing, so there is nothing to train"),
        ({"from_": "run"}, "--from: q-learning learns every task from nothing"),
    ],
)
def test_what_learns_from_nothing_is_not_trained(changes, says):
    assert (
        recipe_for("q-learning", "chain", TrainOptions())[0].algorithm_settings
        == recipe_for(QLearningSettings(discount=0.95), ChainSettings(), TrainOptions())[0].algorithm_settings
    )
    with pytest.raises(ConfigError, match=f"^{says}"):
        recipe_for("q-learning", "chain", TrainOptions(), changes=changes)
    assert recipe_for("rl2", "chain", TrainOptions(), changes=changes)[0].algorithm == "rl2"


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ConfigError, match="expects a problem with discrete states"):
        recipe_for("q-learning", "cart-pole", TrainOptions())
