"""Figures of a plan; what the command prints and refuses: `tests/cli/test_plan.py`."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from adaptax.core.errors import ConfigError
from adaptax.core.types import TrainState
from adaptax.experiment import memory, planning
from adaptax.experiment.options import TrainOptions
from adaptax.experiment.planning import TrainingPlan, check_trains, plan, plan_for
from adaptax.registry.presets import settings_for
from adaptax.runs.recipe import Recipe
from tests.claims.tiny_run import recipe

PLAN = TrainingPlan(
    title="rl2 on bandit (num_arms 3)",
    needed_bytes=1_234_567,
    free_bytes=2_345_678_901,
    fits=True,
    advice="",
    largest=["2 × (8×5 float32, 160 MB)", "1 × (8 bool, 8e-06 MB)"],
    devices=1,
    parameters=12_345,
    updates=40,
    steps_per_update=1_000,
    ends_early=False,
    checkpoint_bytes=999_950,
)


def test_what_is_needed_in_words():
    assert PLAN.rows() == [
        ("memory", "1.2 MB of 2.35 GB free, beside the program itself"),
        ("largest", "2 × (8×5 float32, 160 MB)"),
        ("", "1 × (8 bool, 8e-06 MB)"),
        ("work", "40 updates × 1,000 = 40,000 environment steps"),
        ("parameters", "12,345"),
        ("disk", "1.0 MB for each checkpoint, of which 3 are kept"),
    ]
    more = dataclasses.replace(PLAN, needed_bytes=None, free_bytes=None, largest=[], devices=4, ends_early=True)
    assert [text for _, text in more.rows()][:2] == [
        "unknown of unknown free, beside the program itself; 4 devices of the processor",
        "40 updates × 1,000 = 40,000 environment steps at most: episodes may end early",
    ]


def test_a_plan_is_shown_line_by_line_and_as_data():
    lines = repr(PLAN).splitlines()
    assert lines[0] == "rl2 on bandit (num_arms 3)"
    assert lines[3:5] == ["            1 × (8 bool, 8e-06 MB)", f"work        {PLAN.rows()[3][1]}"]
    assert "<td>12,345</td>" in PLAN._repr_html_()
    assert PLAN.to_json() == {name: value for name, value in dataclasses.asdict(PLAN).items() if name != "title"}


def test_what_learns_from_nothing_is_not_trained():
    check_trains(recipe())
    with pytest.raises(ConfigError, match=r"^plan: q-learning learns every task from nothing, so there is nothing"):
        check_trains(Recipe("q-learning", "chain", *settings_for("q-learning", "chain")))
    with pytest.raises(ConfigError, match="nothing to train"):
        plan("q-learning", "chain")


@pytest.fixture
def program(monkeypatch):
    """A program that only counts, of two trainings with six numbers each, in place of the one that trains."""
    state = jax.eval_shape(
        lambda: TrainState(
            meta={"w": jnp.zeros((2, 2, 3)), "n": jnp.zeros((2, 4), jnp.int32)},
            opt_state=jnp.zeros((), jnp.float16),
            step=jnp.zeros((), jnp.int32),
            key=jax.random.split(jax.random.key(0)),
        )
    )
    count = lambda state, more: dataclasses.replace(state, step=state.step + more)  # noqa: E731
    asked = []
    monkeypatch.setattr(memory, "program_of", lambda *given: asked.append(given) or (count, state))
    monkeypatch.setattr(memory, "free_bytes", lambda: 1000)
    return asked


def test_figures_of_a_plan_by_hand(program):
    said = []
    found = plan_for(recipe(), TrainOptions(seeds=2, devices=1), said.append)
    assert (found.parameters, found.updates) == (6, 40)  # of one training; integers are none
    assert found.steps_per_update == 2 * 8 * 5
    assert found.checkpoint_bytes == 12 * 4 + 8 * 4 + 2 + 4 + 2 * 8
    assert (found.devices, found.ends_early, found.free_bytes) == (1, False, 1000)
    assert found.title == recipe().title()
    ((_, _, devices, seeds),) = program
    assert (devices, seeds) == (1, 2)
    assert said == ["rl2 on bandit: compiling to know, as a training does first …"]


@pytest.mark.parametrize(
    ("needed", "free", "fits", "advice"),
    [
        (1000, 1000, True, ""),
        (1001, 1000, False, "Lower --num-tasks from 8 to 6"),
        (4000, 1000, False, "Lower --num-tasks (now 8) together with --num-minibatches (now 2), or the length"),
        (None, 1000, True, ""),
        (10**12, None, True, ""),
    ],
)
def test_what_does_not_fit_is_told_with_what_to_lower(needed, free, fits, advice, program, monkeypatch):
    monkeypatch.setattr(planning.memory, "needed_bytes", lambda program, devices: needed)
    monkeypatch.setattr(planning.memory, "free_bytes", lambda: free)
    found = plan_for(recipe(), TrainOptions(devices=1), lambda line: None)
    assert (found.fits, bool(found.advice)) == (fits, not fits)
    assert found.advice.startswith(advice)
