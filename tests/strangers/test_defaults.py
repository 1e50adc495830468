"""Families that nobody has tuned for: meta-learners gain there by their defaults, or say before why they would not."""

import math

import pytest

from adaptax import experiment
from adaptax.core.errors import ConfigError
from adaptax.experiment.learning import ENOUGH, measured
from adaptax.experiment.surroundings import Surroundings
from adaptax.registry.learning_table import Row
from adaptax.registry.registry import OWN_TRAINABLE

FAMILIES = ("tests.strangers.stranger_problem:hidden_target", "tests.strangers.stranger_control:unknown_gain")


@pytest.mark.nightly
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("algorithm", OWN_TRAINABLE)
def test_a_meta_learner_gains_by_its_defaults_or_says_why_not(algorithm, family, tmp_path):
    said, refusal = [], None
    try:
        run = experiment.train(algorithm, family, directory=tmp_path / "run", eval_tasks=0, on_message=said.append)
    except ConfigError as error:
        refusal = str(error)
    if refusal is not None:
        assert "Try" in refusal
        return
    if any(line.startswith("warning: by default,") for line in said):
        return
    found = measured(Row(algorithm, family, 1), run, 500, 0, Surroundings())
    assert found["learns"], found["gain"]
    random = found["random"]
    assert found["mean"] - random["mean"] >= ENOUGH * math.hypot(found["stderr"], random["stderr"])
