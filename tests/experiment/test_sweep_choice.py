"""The choice is by validation tasks and in pairs; figures are what they are by hand."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from adaptax.core.errors import CheckpointError, DivergenceError
from adaptax.experiment import sweep_choice
from adaptax.experiment.surroundings import Surroundings
from adaptax.experiment.sweep_cells import CellRecord, figures_of, read_cell, read_scores, write_scores
from adaptax.experiment.sweep_choice import alike, difference, judge, ranked, unfinished
from adaptax.experiment.sweep_options import SweepOptions
from adaptax.experiment.sweep_plan import SweepPlan
from adaptax.reports.sweep_figures import is_log_spaced, plot_sweep
from adaptax.reports.sweep_tables import rows_of, sweep_table
from tests.claims.tiny_run import recipe

RATES = (1e-3, 1e-2, 1e-1)
QUIET = Surroundings(on_message=lambda line: None)


@pytest.fixture
def plan():
    return SweepPlan(recipe(), {"learning_rate": RATES}, SweepOptions(seeds=2, validation_tasks=2))


def finished(root, plan, scores):
    """Cells with these scores `[seed, task]`; None: diverged."""
    for cell, of_cell in zip(plan.cells, scores, strict=True):
        directory = root / cell.name
        directory.mkdir()
        if of_cell is None:
            CellRecord(diverged="update 7").write(directory)
            continue
        write_scores(directory, np.asarray(of_cell, float))
        CellRecord(figures=figures_of(np.asarray(of_cell, float), what="a trial", tasks=2)).write(directory)


def test_figures_by_hand():
    found = figures_of(np.array([[1.0, 3.0], [5.0, 7.0]]), tasks=2)
    assert (found["mean"], found["by_seed"], found["tasks"]) == (4.0, [2.0, 6.0], 2)
    # Seeds' means 2 and 6 have variance 8, over 2 seeds 4; tasks' 3 and 5 variance 2, over 2 tasks 1; no residuals.
    assert found["stderr"] == pytest.approx(math.sqrt(5))
    # Student's t of one degree of freedom at 97.5 % is 12.706; both margins at right angles.
    margin = 12.7062047 * math.sqrt(5)
    assert found["interval"] == pytest.approx([4 - margin, 4 + margin])


def test_the_best_is_first_and_what_diverged_last(tmp_path, plan):
    finished(tmp_path, plan, [[[1, 1], [1, 1]], None, [[2, 2], [2, 2]]])
    found = ranked(tmp_path, plan.cells)
    assert [one.cell.changes["learning_rate"] for one in found] == [1e-1, 1e-3, 1e-2]
    assert (found[0].behind, found[1].behind, found[1].alike) == (None, (-1.0, 0.0), False)
    assert (found[2].record.diverged, found[2].behind) == ("update 7", None)
    assert not unfinished(tmp_path, plan.cells)


def test_choices_are_compared_in_pairs_so_that_what_tasks_have_in_common_hides_nothing():
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 100, (1, 50))
    best = hard + rng.normal(0, 0.1, (2, 50))
    behind, margin = difference(best - 1 + rng.normal(0, 0.1, (2, 50)), best)
    assert behind == pytest.approx(-1, abs=0.1)
    assert margin < 1
    assert not alike(behind, margin)


@pytest.mark.parametrize(
    ("behind", "margin", "same"), [(-1, 2, True), (-2, 1, False), (0, 0, True), (-1, math.nan, True)]
)
def test_what_cannot_be_told_apart(behind, margin, same):
    assert alike(behind, margin) is same


def test_one_seed_and_one_task_tell_nothing_apart(tmp_path, plan):
    finished(tmp_path, plan, [[[1]], [[2]], [[3]]])
    found = ranked(tmp_path, plan.cells)
    assert [one.alike for one in found] == [False, True, True]
    assert found[1].to_json(tmp_path)["margin"] is None  # as strict JSON can say it
    assert rows_of(swept(tmp_path, plan))[1][1] == ("0.01", "2", "– … –", "-1 ± –", "not told apart")


def test_E48_it_is_chosen_by_validation_tasks_where_test_tasks_say_otherwise(tmp_path, plan, monkeypatch):
    problem = SimpleNamespace(
        validation=SimpleNamespace(name="validation", every=lambda: None, finite=None),
        test=SimpleNamespace(name="test", every=lambda: None, finite=None),
        train=SimpleNamespace(name="train"),
    )
    families = []

    def evaluate(agent, *, num_tasks, seed, family, on_progress):
        families.append(family.name)
        # In validation tasks the smallest rate is the best, in test tasks the largest.
        sign = -1 if family is problem.validation else 1
        scores = np.full((2, num_tasks), sign * agent.rate)
        return SimpleNamespace(scores=scores, adapted_returns=-scores)

    def read_agent(directory, on_message, **names):
        rate = float(directory.name.partition("=")[2])
        return SimpleNamespace(rate=rate, problem=problem, learns_from_windows=False, name="", meta=None), 1

    monkeypatch.setattr(sweep_choice, "read_agent", read_agent)
    monkeypatch.setattr(sweep_choice.evaluator, "evaluate", evaluate)
    for cell in plan.cells:
        (tmp_path / cell.name).mkdir()
        judge(plan, [cell], [], tmp_path, QUIET)
    assert families == ["validation"] * 3
    found = ranked(tmp_path, plan.cells)
    assert [one.cell.changes["learning_rate"] for one in found] == list(RATES)
    assert read_cell(tmp_path / plan.cells[0].name).figures["split"] == "validation"


def test_of_several_one_that_breaks_down_in_validation_is_out_and_the_others_stay(tmp_path, plan, monkeypatch):
    agent = SimpleNamespace(learns_from_windows=True)
    monkeypatch.setattr(sweep_choice, "read_agent", lambda directory, say, **names: (agent, 1))

    def scores(plan, cells, agents, inside, surroundings):
        if any(cell.changes["learning_rate"] == RATES[1] for cell in cells):
            raise DivergenceError("task 3: NaN")
        return [np.ones((2, 2)) for _ in cells]

    monkeypatch.setattr(sweep_choice, "_scores", scores)
    for cell in plan.cells:
        (tmp_path / cell.name).mkdir()
    judge(plan, plan.cells, ["learning_rate"], tmp_path, QUIET)
    records = [read_cell(tmp_path / cell.name) for cell in plan.cells]
    assert [record.diverged for record in records] == [None, "validation tasks", None]
    assert records[0].figures["what"] == "an adapted episode"


def swept(root, plan):
    standings = ranked(root, plan.cells)
    return SimpleNamespace(plan=plan, standings=standings, best=standings[0], waiting=(), title="rl2 on bandit")


def test_the_table_by_hand(tmp_path, plan):
    finished(tmp_path, plan, [[[1, 1], [1, 1]], None, [[2, 2], [2, 2]]])
    headers, rows = rows_of(swept(tmp_path, plan))
    assert headers == ("learning-rate", "return of a trial", "95 % interval", "behind the best", "")
    assert rows == [
        ("0.1", "2", "2.00 … 2.00", "", "best"),
        ("0.001", "1", "1.00 … 1.00", "-1 ± 0", ""),
        ("0.01", "—", "—", "—", "diverged: update 7"),
    ]
    text = str(sweep_table(swept(tmp_path, plan)))
    assert "Test tasks were not touched" in " ".join(text.split())


@pytest.mark.parametrize(
    ("values", "log"),
    [
        ([1e-3, 1e-2, 1e-1], True),
        ([1e-3, 3e-3, 1e-2, 3e-2], True),
        ([1, 2, 3, 4, 5], False),
        ([0.1, 0.5, 0.9], False),
        ([0, 1, 10], False),
        ([16, 32, 64, 128], True),
        ([1e-4, 1e-2], True),
        ([0.5, 0.9], False),
        ([1.0], False),
    ],
)
def test_axes_are_logarithmic_where_values_are_spaced_so(values, log):
    assert is_log_spaced(values) is log


def test_a_picture_is_drawn_with_and_without_curves(tmp_path, plan):
    finished(tmp_path, plan, [[[1, 2], [1, 3]], None, [[2, 2], [3, 2]]])
    plot_sweep(tmp_path / "one.png", swept(tmp_path, plan))
    curves = {plan.cells[0].name: [(10.0, 1.0), (20.0, 2.0)], plan.cells[2].name: []}
    plot_sweep(tmp_path / "two.png", swept(tmp_path, plan), curves)
    assert all((tmp_path / name).read_bytes()[:4] == b"\x89PNG" for name in ("one.png", "two.png"))


def test_what_is_not_what_was_written_is_named_and_left_alone(tmp_path):
    (tmp_path / "validation.npy").write_bytes(b"no array")
    with pytest.raises(CheckpointError, match=r"validation\.npy: is not what was written"):
        read_scores(tmp_path)
    for content in ("[]", "{", json.dumps({"together": [], "diverged": 3, "figures": None})):
        (tmp_path / "cell.json").write_text(content)
        with pytest.raises(CheckpointError, match=r"cell\.json: is not what was written"):
            read_cell(tmp_path)
    (tmp_path / "cell.json").unlink()
    assert read_cell(tmp_path) == CellRecord()
