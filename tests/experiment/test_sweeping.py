"""A real small sweep in one program: each choice is what it is alone; what was stopped or killed goes on bitwise."""

import json

import pytest

from adaptax.experiment.progress import Progress
from adaptax.experiment.signals import StopSignal
from adaptax.experiment.sweep_cells import read_cell
from adaptax.experiment.sweep_choice import RESULTS
from adaptax.experiment.sweeping import resume_sweep, sweep
from adaptax.experiment.training import train
from adaptax.runs.checkpoints import updates_in
from tests.claims.tiny_run import recipe

pytestmark = pytest.mark.compiles

RATES = (1e-3, 1e-2)
TINY = {"num_updates": 13, "validation_tasks": 20, "save_every": 1, "devices": 2}
QUIET = {"on_message": lambda line: None}


def swept(directory, **more):
    made = recipe()
    how = {**QUIET, **TINY, "seeds": 2, **more}
    return sweep(made.algorithm_settings, made.problem_settings, {"learning_rate": RATES}, directory=directory, **how)


def learned(cell):
    """All that decides the future of a run, and all that it has measured."""
    last = max(updates_in(cell))
    weights = cell / "checkpoints" / f"update-{last:08d}.safetensors"
    return last, weights.read_bytes(), (cell / "metrics.jsonl").read_bytes()


def rows(directory):
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    directory = tmp_path_factory.mktemp("sweep") / "whole"
    return swept(directory)


def test_it_ranks_all_choices_by_validation_tasks_and_says_what_to_do(whole):
    assert [one.cell.changes["learning_rate"] for one in whole.standings] in ([*RATES], [*RATES[::-1]])
    means = [one.mean for one in whole.standings]
    assert means == sorted(means, reverse=True)
    assert not whole.waiting
    assert json.loads((whole.directory / RESULTS).read_text())["best"] == whole.best.cell.name
    figures = whole.best.record.figures
    assert (figures["split"], figures["tasks"], len(figures["by_seed"])) == ("validation", 20, 2)
    assert not list(whole.directory.rglob("evaluation.json"))
    assert (whole.directory / "sweep.png").exists()
    evaluate, again = whole.commands()
    assert evaluate == f"adaptax evaluate {whole.directory / whole.best.cell.name}"
    assert f"--learning-rate {whole.best.cell.changes['learning_rate']:g}" in again
    assert again.endswith("--seeds 2")


def test_each_choice_is_what_it_is_when_it_is_trained_alone(whole, tmp_path):
    made = recipe()
    how = {**QUIET, "seeds": 2, "eval_tasks": 0, "devices": 1, "num_updates": 13, "learning_rate": RATES[1]}
    train(made.algorithm_settings, made.problem_settings, directory=tmp_path / "alone", **how)
    alone, together = rows(tmp_path / "alone"), rows(whole.directory / "learning-rate=0.01")
    assert [row["update"] for row in together] == [row["update"] for row in alone] == list(range(1, 14))
    for mine, other in zip(together, alone, strict=True):
        assert mine["env_steps"] == other["env_steps"]
        for name, values in other["by_seed"].items():
            assert mine["by_seed"][name] == pytest.approx(values, rel=1e-4, abs=1e-5), name


def test_what_was_stopped_goes_on_bitwise(whole, tmp_path):
    stop = StopSignal()

    def progress(seen: Progress) -> None:
        if seen.work == "train" and seen.done >= 10:
            stop.ask()

    found = swept(tmp_path / "stopped", on_progress=progress, stop=stop)
    assert found.stopped
    assert len(found.waiting) == 2
    assert {max(updates_in(tmp_path / "stopped" / cell.name)) for cell in found.waiting} == {10}
    again = resume_sweep(tmp_path / "stopped", **QUIET)
    assert not again.stopped
    for one in whole.standings:
        name = one.cell.name
        assert learned(again.directory / name) == learned(whole.directory / name)
        assert read_cell(again.directory / name).figures == one.record.figures


def test_what_was_killed_between_two_checkpoints_goes_on_from_the_update_that_all_have(whole):
    first, second = (whole.directory / one.cell.name for one in whole.standings)
    before = [learned(cell) for cell in (first, second)]
    for path in (second / "checkpoints").glob("update-00000013.*"):
        path.unlink()  # killed after the first cell's checkpoint of update 13
    for cell in (first, second):
        (cell / "validation.npy").unlink()
        content = json.loads((cell / "cell.json").read_text())
        (cell / "cell.json").write_text(json.dumps({**content, "figures": None}))
    said = []
    again = resume_sweep(whole.directory, on_message=said.append)
    assert any("resumed at update 10" in line for line in said)
    assert [learned(cell) for cell in (first, second)] == before
    assert [one.cell for one in again.standings] == [one.cell for one in whole.standings]


def test_a_finished_sweep_is_kept(whole):
    said = []
    again = resume_sweep(whole.directory, on_message=said.append)
    assert [one.cell.name for one in again.standings] == [one.cell.name for one in whole.standings]
    assert any("finished before, kept" in line for line in said)
