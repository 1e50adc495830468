import contextlib
import dataclasses
import errno
import json
import os
import threading

import pytest

from adaptax.core import atomic_files
from adaptax.core.errors import CheckpointError, OutputError
from adaptax.experiment import reproduction
from adaptax.experiment.options import ReproduceOptions
from adaptax.experiment.reproduction import RESULT, finish, recipe_for_cell
from adaptax.experiment.surroundings import Surroundings
from adaptax.registry.paper_tables import TABLES
from adaptax.runs.directory import CONFIG, claim, save_config
from tests.cli.conftest import run

TABLE = TABLES["duan2016-bandits"]
NAME = next(iter(TABLE.cells))
OPTIONS = ReproduceOptions(tasks=40)
RECIPE = recipe_for_cell(TABLE, TABLE.cells[NAME])
ASKED = {"recipe": RECIPE.to_json(), "seed": OPTIONS.seed, "tasks": OPTIONS.tasks}
FIGURES = {
    "mean": 1.0, "stderr": 0.1, "interval": [0.8, 1.2], "published": 1, "ceiling": None, "ceiling_is": "",
    "seconds": 2.0, "directory": "x",
}  # fmt: skip


class Session:
    """Stands for a training: writes down what it was asked for, as that does first, then does what a test wants."""

    trackers = contextlib.nullcontext()

    during = staticmethod(lambda: None)
    stopped = False

    def __init__(self, recipe, options, directory, surroundings, started_with=None, *, preset):
        self.recipe, self.directory, self.options = recipe, directory, options
        save_config(directory, recipe, {"seed": options.seed})

    def run(self):
        self.during()
        return self


@pytest.fixture
def cell(tmp_path, monkeypatch):
    """Finishes a cell in a directory, by trainings and evaluations that cost nothing."""
    monkeypatch.setattr(reproduction, "TrainSession", Session)
    monkeypatch.setattr(reproduction, "_measured", lambda *arguments: FIGURES)
    said = []

    def attempt(options=OPTIONS):
        return finish(TABLE, NAME, options, tmp_path / NAME, Surroundings(on_message=said.append))

    attempt.directory, attempt.said = tmp_path / NAME, said
    return attempt


def test_a_finished_cell_is_kept(cell):
    assert cell() == FIGURES
    assert json.loads((cell.directory / RESULT).read_text()) == {"asked": ASKED, "result": FIGURES}
    with claim(cell.directory, fresh=False):  # nobody has to wait for what is only looked at
        assert cell() == FIGURES
    assert "finished before, kept" in cell.said[-1]


def test_E42_a_second_reproduction_moves_nothing_while_the_first_trains(cell, monkeypatch):
    refused = []

    def second():
        before = sorted(os.listdir(cell.directory))
        for options in (OPTIONS, dataclasses.replace(OPTIONS, seed=1)):  # of the same training, and of another
            with pytest.raises(OutputError, match=rf"in use by process {os.getpid()} on") as error:
                cell(options)
            refused.append(error.value.exit_code)
        assert sorted(os.listdir(cell.directory)) == before

    monkeypatch.setattr(Session, "during", staticmethod(second))
    assert cell() == FIGURES
    assert refused == [6, 6]
    assert os.listdir(cell.directory.parent) == [NAME]


def test_E42_it_is_claimed_until_its_result_is_written(cell, monkeypatch):
    def measured(*arguments):
        with pytest.raises(OutputError, match="in use"):
            cell()
        return FIGURES

    monkeypatch.setattr(reproduction, "_measured", measured)
    assert cell() == FIGURES


def test_E42_what_another_process_has_just_finished_is_kept(cell, monkeypatch):
    kept, looked = reproduction._kept, []

    def just_now(*arguments):
        found = kept(*arguments)
        if not looked:
            looked.append(found)
            thread = threading.Thread(target=cell)
            thread.start()
            thread.join()
        return found

    monkeypatch.setattr(reproduction, "_kept", just_now)
    assert cell() == FIGURES
    assert looked == [None]
    assert os.listdir(cell.directory.parent) == [NAME]


def test_E42_another_training_is_moved_aside_and_the_new_one_is_claimed(cell, monkeypatch):
    cell()
    other = dataclasses.replace(OPTIONS, seed=1)

    def claimed():
        with pytest.raises(OutputError, match="in use"), claim(cell.directory, fresh=False):
            pass
        with claim(cell.directory.with_name(f"{NAME}-old-1"), fresh=False):
            pass

    monkeypatch.setattr(Session, "during", staticmethod(claimed))
    assert cell(other) == FIGURES
    assert json.loads((cell.directory.with_name(f"{NAME}-old-1") / RESULT).read_text())["asked"] == ASKED
    assert json.loads((cell.directory / RESULT).read_text())["asked"]["seed"] == 1


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"3", b"[" * 100_000, b"\xff\xfe", b" " * 1_000_001, b'{"asked": {}}',
        b'{"asked": 3, "result": {}}', json.dumps({"asked": ASKED, "result": {}}).encode(),
        *(
            json.dumps({"asked": ASKED, "result": {**FIGURES, name: value}}).encode()
            for name, value in (
                ("mean", "1"), ("mean", None), ("mean", float("nan")), ("stderr", True), ("interval", [1]),
                ("interval", [1, "2"]), ("seconds", 10**400), ("published", []), ("ceiling", {}),
            )
        ),
    ],
)  # fmt: skip
def test_E43_a_cell_that_is_not_what_was_written_is_told_in_a_line(cell, content):
    cell.directory.mkdir()
    (cell.directory / RESULT).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"cell\.json: is not what was written") as refused:
        cell()
    assert refused.value.exit_code == 5
    assert str(refused.value).isprintable()
    assert (cell.directory / RESULT).read_bytes() == content


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, 7), (errno.EDQUOT, 7), (errno.EROFS, 6), (errno.EACCES, 6), (errno.EIO, 6)]
)
@pytest.mark.parametrize("as_json", [False, True])
def test_E44_a_finished_cell_that_cannot_be_written_down_is_shown_all_the_same(
    cell, number, code, as_json, monkeypatch
):
    first, second = list(TABLE.cells)[:2]
    monkeypatch.setattr(reproduction, "_measured", lambda of, *rest: {**FIGURES, "mean": 3.25 * of.published})
    write, place = atomic_files.write, cell.directory.parent

    def refuse(path, data):
        if path == place / second / RESULT:
            raise OSError(number, os.strerror(number), str(path))
        write(path, data)

    monkeypatch.setattr(atomic_files, "write", refuse)
    words = ["reproduce", "duan2016-bandits", "--cells", f"{first},{second}", "--tasks", "40", "--out", str(place)]
    done = run(*words, *["--json"][: int(as_json)], cwd=place)
    assert done.returncode == code
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert line.startswith(f"error[{code}]: cannot write {place / second / RESULT}: {os.strerror(number)}; ")
    assert "Traceback" not in done.stderr
    means = {name: 3.25 * TABLE.cells[name].published for name in (first, second)}
    if as_json:
        assert {name: found["mean"] for name, found in json.loads(done.stdout)["cells"].items()} == means
    else:
        assert all(f"{mean:.2f}" in done.stdout for mean in means.values())
    assert json.loads((place / first / RESULT).read_text())["result"]["mean"] == means[first]


@pytest.mark.parametrize("kind", ["pipe", "folder", "link", "loop"])
def test_E43_a_cell_that_is_no_file_is_told_and_not_waited_for(cell, kind):
    cell.directory.mkdir()
    path = cell.directory / RESULT
    {
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "link": lambda: path.symlink_to(CONFIG),
        "loop": lambda: path.symlink_to(RESULT),
    }[kind]()
    refused = []

    def attempt():
        with pytest.raises(CheckpointError, match=r"cell\.json: is not what was written") as error:
            cell()
        refused.append(error.value.exit_code)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(60)
    assert refused == [5]
