import dataclasses
import random

import pytest

from adaptax.core.settings import setting
from adaptax.registry.presets import settings_for
from tests.claims import fuzzing


def test_the_same_seed_draws_the_same_and_every_way_has_its_share():
    drawn = fuzzing.cases(3, 20 * len(fuzzing.WAYS))
    assert drawn == fuzzing.cases(3, 20 * len(fuzzing.WAYS))
    assert drawn != fuzzing.cases(4, 20 * len(fuzzing.WAYS))
    assert len(drawn) == 20 * len(fuzzing.WAYS)
    assert {case.words[0] for case in drawn} >= {words[0] for words in fuzzing.OPTIONS}


def test_every_field_of_every_command_comes_up():
    fields = fuzzing.fields_of(random.Random(0))
    found = {(words[0], field.name) for words, _, field in (next(fields) for _ in range(12_000))}
    for words in fuzzing.OPTIONS:
        for part in fuzzing.parts_of(("train", "maml", "bandit") if words == ("train",) else words):
            assert {(words[0], field.name) for field in dataclasses.fields(part)} <= found


@pytest.mark.parametrize("word", ["--num-tasks", "bandit", "seed", "meta-policy-gradient"])
def test_misspelt_words_are_near_and_begin_alike(word):
    rng = random.Random(0)
    for _ in range(200):
        typed = fuzzing.misspelt(word, rng)
        assert typed[0] == word[0]
        assert abs(len(typed) - len(word)) <= 2


@dataclasses.dataclass(frozen=True)
class Sample(fuzzing.Settings):
    count: int = setting(1, low=1, high=2)
    share: float = setting(0.5, above=0, high=1)


def test_good_values_are_other_values_in_the_range():
    count, share = dataclasses.fields(Sample)
    assert fuzzing.good_value(count, 1) == "2"
    assert fuzzing.good_value(count, 2) == "1"
    assert fuzzing.good_value(share, 1.0) == "0.5"


def test_outside_is_never_inside():
    rng = random.Random(0)
    for field in dataclasses.fields(Sample):
        for _ in range(300):
            word = fuzzing.outside(field, rng)
            try:
                value = field.type(word)
            except ValueError:
                continue
            with pytest.raises(fuzzing.ConfigError):
                Sample(**{field.name: value})


def test_what_has_no_effect_is_named_with_what_decides_it():
    part, _ = settings_for("maml", "bandit")
    field = next(field for field in dataclasses.fields(part) if field.name == "max_kl")
    case = fuzzing.without_effect(random.Random(0), ("train", "maml", "bandit"), part, field)
    assert case is not None
    assert case.words[3] == "--outer"
    assert case.words[4] in ("ppo", "gradient")
    assert case.named == (("--max-kl", ".max_kl"), "outer")
