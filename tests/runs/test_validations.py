import json
import math

import pytest

from adaptax.core.errors import CheckpointError
from adaptax.runs import validations
from adaptax.runs.checkpoints import FOLDER
from adaptax.runs.validations import FILE, Validation, best_of, read, write

ROWS = [Validation(10, 1.0, 0.1), Validation(20, 3.0, 0.1), Validation(30, 3.0, 0.1), Validation(40, 2.0, 0.1)]


@pytest.fixture
def place(tmp_path):
    """A directory with manifests of all four checkpoints."""
    (tmp_path / FOLDER).mkdir()
    for row in ROWS:
        (tmp_path / FOLDER / f"update-{row.update:08d}.json").write_text("{}")
    return tmp_path


def test_what_is_written_is_read(place):
    assert read(place) == []
    for count in range(5):
        write(place, ROWS[:count])
        assert read(place) == ROWS[:count]
    assert json.loads((place / FILE).read_text())["best"] == 20


def test_the_best_is_the_earliest_of_the_highest_that_have_a_checkpoint(place):
    assert best_of(place, ROWS) == ROWS[1]
    (place / FOLDER / "update-00000020.json").unlink()
    assert best_of(place, ROWS) == ROWS[2]
    (place / FOLDER / "update-00000030.json").unlink()
    assert best_of(place, ROWS) == ROWS[3]
    assert best_of(place, []) is None


def changed(**fields):
    row = {"update": 20, "mean": 1.0, "stderr": 0.1, **fields}
    return json.dumps({"validations": [row]})


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"validations": 3}',
        '{"validations": [3]}',
        "[" * 100_000,
        changed(more=1),
        changed(update="20"),
        changed(update=-1),
        changed(update=True),
        changed(update=10**300),
        changed(update=20.0),
        changed(mean="1"),
        changed(mean=1),
        changed(mean=math.nan),
        changed(stderr=math.inf),
        json.dumps({"validations": 2 * [{"update": 20, "mean": 1.0, "stderr": 0.1}]}),
        json.dumps({"validations": [{"update": n, "mean": 1.0, "stderr": 0.1} for n in (20, 10)]}),
    ],
)
def test_anything_else_is_refused_and_left_as_it_is(place, content):
    (place / FILE).write_text(content)
    with pytest.raises(CheckpointError, match=r"validation\.json: is not what was written.*--checkpoint last"):
        read(place)
    assert (place / FILE).read_text() == content


def test_a_file_that_is_too_large_is_refused(place, monkeypatch):
    write(place, ROWS)
    monkeypatch.setattr(validations, "_LARGEST", 100)
    with pytest.raises(CheckpointError, match="is not what was written"):
        read(place)
