"""Optuna says what to try, and is told what came of it; nothing is trained here."""

import numpy as np
import pytest

from adaptax.core.errors import ConfigError
from adaptax.experiment import sweep_study
from adaptax.experiment.surroundings import Surroundings
from adaptax.experiment.sweep_cells import CellRecord, figures_of, write_scores
from adaptax.experiment.sweep_options import SweepOptions
from adaptax.experiment.sweep_plan import Range, SweepPlan
from adaptax.experiment.sweep_study import cells_of_study, open_study, run_study
from tests.claims.tiny_run import recipe

optuna = pytest.importorskip("optuna")
pytestmark = pytest.mark.filterwarnings("ignore")

RANGES = {"learning_rate": Range(1e-4, 1e-1, log=True), "num_tasks": Range(1, 64), "memory": ("gru", "lstm")}
QUIET = Surroundings(on_message=lambda line: None)


def plan(**options):
    return SweepPlan(recipe(), RANGES, SweepOptions(optuna=12, at_once=4, **options))


@pytest.fixture
def trained(monkeypatch):
    """What was trained, batch by batch: a return that is the higher the nearer the rate is to 0.01; one diverges."""
    batches, stop = [], []

    def run_batches(plan, batches_, inside, root, surroundings):
        cells = [cell for batch in batches_ for cell in batch]
        batches.append([cell.name for cell in cells])
        if stop and len(batches) == stop[0]:
            return True
        for cell in cells:
            (root / cell.name).mkdir(exist_ok=True)
            scores = np.full((1, 2), -abs(np.log(cell.changes["learning_rate"] / 1e-2)))
            write_scores(root / cell.name, scores)
            record = CellRecord(figures=figures_of(scores, what="a trial"))
            (record if cell.name != "trial-0001" else CellRecord(diverged="update 3")).write(root / cell.name)
        return False

    monkeypatch.setattr(sweep_study, "run_batches", run_batches)
    monkeypatch.setattr(sweep_study, "inside_of", lambda plan, root: ["learning_rate"])
    return batches, stop


def test_it_asks_trains_and_tells_until_there_are_enough(trained, tmp_path):
    mine = plan()
    cells, stopped = run_study(mine, tmp_path, QUIET)
    trials = open_study(mine, tmp_path).trials
    assert (len(trials), stopped) == (12, False)
    states = [trial.state.name for trial in trials]
    # Half of all numbers of tasks do not divide into two minibatches: those choices cannot be, and are told as failed.
    odd = [trial.number for trial in trials if trial.params["num_tasks"] % 2]
    diverged = [1] if 1 not in odd else []
    assert [number for number, state in enumerate(states) if state == "FAIL"] == sorted({*odd, *diverged})
    assert [cell.name for cell in cells] == [f"trial-{n:04d}" for n in range(12) if n not in odd]
    for trial in trials:
        assert 1e-4 <= trial.params["learning_rate"] <= 1e-1
        assert type(trial.params["num_tasks"]) is int
        if trial.state.name == "COMPLETE":
            assert trial.value == pytest.approx(-abs(np.log(trial.params["learning_rate"] / 1e-2)))


def test_the_same_seed_tries_the_same(trained, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    tried = [[cell.changes for cell in run_study(plan(), tmp_path / name, QUIET)[0]] for name in ("a", "b")]
    assert tried[0] == tried[1]


def test_what_was_begun_is_gone_on_with_and_not_asked_for_again(trained, tmp_path):
    batches, stop = trained
    stop.append(2)
    _, stopped = run_study(plan(), tmp_path, QUIET)
    assert stopped
    assert len(open_study(plan(), tmp_path).trials) == 8
    stop.clear()
    run_study(plan(), tmp_path, QUIET)
    assert batches[2] == batches[1]
    assert len(open_study(plan(), tmp_path).trials) == 12
    assert all(trial.state.name != "RUNNING" for trial in open_study(plan(), tmp_path).trials)


def test_machines_share_a_study_and_each_has_its_own_trials(trained, tmp_path):
    storage = f"sqlite:///{tmp_path / 'shared.db'}"
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first = SweepPlan(recipe(), RANGES, SweepOptions(optuna=6, at_once=3, storage=storage, study="ours"))
    both = SweepPlan(recipe(), RANGES, SweepOptions(optuna=12, at_once=3, storage=storage, study="ours"))
    run_study(first, tmp_path / "a", QUIET)
    run_study(both, tmp_path / "b", QUIET)
    assert len(open_study(both, tmp_path / "b").trials) == 12
    names = [{cell.name for cell in cells_of_study(both, tmp_path / name)} for name in ("a", "b")]
    assert not names[0] & names[1]
    assert all(int(name[6:]) < 6 for name in names[0])


def test_a_storage_that_cannot_be_opened_is_named(tmp_path):
    mine = SweepPlan(recipe(), RANGES, SweepOptions(optuna=2, storage="nonsense"))
    with pytest.raises(ConfigError, match="--storage: cannot be opened"):
        open_study(mine, tmp_path)
