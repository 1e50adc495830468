"""What is written and shown of figures that were found; the figures: `tests/evaluation/test_inspection.py`."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from adaptax.core.errors import ConfigError, OutputError
from adaptax.core.trained_agent import TrainedAgent
from adaptax.experiment import inspection
from adaptax.experiment.inspection import FIGURES, Inspection, inspect
from adaptax.reports import inspection_figures
from adaptax.runs.directory import save_config
from tests.claims.tiny_run import options, recipe

CURVE = SimpleNamespace(
    value=np.array([0.004, 0.75]), stderr=np.array([0.02, 0.004]), interval=np.array([[-0.04, 0.04], [0.74, 0.76]])
)
WRITTEN = {name: x.tolist() for name, x in vars(CURVE).items()}
CONTENT = {
    "episodes": [0, 5], "r2": {"pooled": WRITTEN}, "distance_correlation": WRITTEN, "accuracy": None, "memory_size": 7,
}  # fmt: skip
FOUND = SimpleNamespace(episodes=(0, 5), pooled=CURVE, to_json=lambda: dict(CONTENT))
ROWS = [("0", "0.00 ± 0.02", "-0.04 … 0.04"), ("5", "0.75 ± 0.00", "0.74 … 0.76")]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of three trainings whose agent is made up, and what was asked of it."""
    asked = []

    def of_seed(index):
        asked.append(index)
        return TrainedAgent(algorithm, problem, None)

    def measure(agent, *, on_progress, **how):
        on_progress(7)
        asked.append(how)
        return FOUND

    def picture(path, found, **words):
        path.write_text(f"{words}")

    algorithm, problem = recipe().build()
    save_config(tmp_path, recipe(), {**options(), "seeds": 3})
    monkeypatch.setattr(inspection, "load_agent", lambda *given, **more: SimpleNamespace(of_seed=of_seed))
    monkeypatch.setattr(inspection, "check_remembers", lambda agent: None)
    monkeypatch.setattr(inspection.inspection, "inspect_memory", measure)
    monkeypatch.setattr(inspection_figures, "plot_inspection", picture)
    return SimpleNamespace(directory=tmp_path, asked=asked)


def test_figures_are_written_with_how_they_were_measured(run):
    told = []
    found = inspect(run, tasks=50, seed=3, training_seed=2, policy="sample", on_progress=told.append)
    assert run.asked == [2, {"num_tasks": 50, "seed": 3, "explore": True}]
    assert [(p.work, p.done, p.total, p.text) for p in told] == [
        ("inspect", 0, 100, ""), ("inspect", 7, 100, "trials"),
    ]  # fmt: skip
    written = json.loads((run.directory / FIGURES).read_text())
    assert written == found.content
    assert written["r2"] == {"pooled": WRITTEN}
    assert written["directory"] == str(run.directory)
    assert written["protocol"] == {
        "split": "test", "tasks": 50, "fitted_on": "50 tasks of the training split", "seed": 3, "training_seed": 2,
        "training_seeds": 3, "episodes": 5, "horizon": 1, "policy": "sample",
        "memory": "fresh for each task, kept across its episodes; read with the last reward taken in", "held_out": True,
    }  # fmt: skip
    words = (run.directory / inspection.PICTURE).read_text()
    assert "What the memory knows: rl2 on bandit (num_arms 3, num_pulls 5)" in words
    assert "'unit': 'pull'" in words


def test_it_may_be_written_elsewhere(run, tmp_path):
    found = inspect(run.directory, tasks=20, out=tmp_path / "new")
    assert found.directory == tmp_path / "new"
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["inspection.html", "inspection.json", "inspection.png"]
    assert not (run.directory / FIGURES).exists()
    assert run.asked == [0, {"num_tasks": 20, "seed": 0, "explore": False}]


def test_a_training_that_there_is_not_is_refused_first(run):
    with pytest.raises(ConfigError, match=r"--training-seed: expected at most 2, since .* holds 3 trainings"):
        inspect(run, training_seed=3)
    assert run.asked == []


def test_what_cannot_be_written_is_not_lost(run, monkeypatch):
    def refuse(path, content):
        raise OSError(13, "Permission denied", str(path))

    monkeypatch.setattr(inspection, "write_json", refuse)
    with pytest.raises(OutputError, match=r"cannot write .*inspection\.json: Permission denied") as refused:
        inspect(run)
    assert refused.value.result.rows() == ROWS


def test_a_run_that_was_moved_meanwhile_is_not_written_into(run, tmp_path, monkeypatch):
    def moved(agent, **how):
        run.directory.rename(tmp_path.with_name("elsewhere"))
        run.directory.mkdir()
        return FOUND

    monkeypatch.setattr(inspection.inspection, "inspect_memory", moved)
    with pytest.raises(OutputError, match="was moved meanwhile") as refused:
        inspect(run)
    assert refused.value.result.found is FOUND
    assert list(run.directory.iterdir()) == []


def test_it_is_shown_as_a_table(tmp_path):
    shown = Inspection(FOUND, {}, "rl2 on <bandit>", "pull", tmp_path)
    assert shown.rows() == ROWS
    assert repr(shown).splitlines() == [
        "rl2 on <bandit>",
        "pulls    R² ± s.e.  95 % interval",
        "0      0.00 ± 0.02   -0.04 … 0.04",
        "5      0.75 ± 0.00    0.74 … 0.76",
    ]
    assert "<th>pulls</th>" in shown._repr_html_()
    assert "rl2 on &lt;bandit&gt;" in shown._repr_html_()
