import hashlib
import json
import os

import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core import atomic_files
from adaptax.runs.directory import METRICS
from adaptax.runs.metrics_log import RunLog, _parse, returns_of, rows_after
from adaptax.training.loop import Progress


def test_a_row_per_update_and_means_over_seeds(tmp_path):
    chunks = [
        Progress(2, {"return": np.array([[1.0, 3.0], [2.0, 4.0]]), "entropy": np.ones((2, 2))}, 0.5, jnp.zeros(())),
        Progress(4, {"return": np.array([[5.0, 5.0], [6.0, 8.0]]), "entropy": np.zeros((2, 2))}, 1.0, jnp.zeros(())),
    ]
    with RunLog(tmp_path, 10) as log:
        for chunk in chunks:
            log.write(chunk)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows == log.rows
    assert [row["update"] for row in rows] == [1, 2, 3, 4]
    assert [row["env_steps"] for row in rows] == [10, 20, 30, 40]
    assert [row["return"] for row in rows] == [2, 3, 5, 7]
    assert rows[0]["by_seed"] == {"return": [1, 3], "entropy": [1, 1]}
    assert returns_of(rows[1]) == [2, 4]
    assert [row["entropy"] for row in rows] == [1, 1, 0, 0]
    assert list((tmp_path / "tensorboard").glob("events.*"))


def chunk(done, length=2):
    return Progress(done, {"return": np.ones((length, 1))}, 1.0, jnp.zeros(()))


def begun(directory, *dones):
    """A file of metrics, and the position after each chunk."""
    positions = []
    with RunLog(directory, 10) as log:
        for done in dones:
            log.write(chunk(done))
            positions.append(log.position)
    return positions


def updates_in(path):
    return [json.loads(line)["update"] for line in path.read_text().splitlines()]


def test_going_on_cuts_off_what_came_after_the_checkpoint(tmp_path):
    first, _ = begun(tmp_path, 2, 4)
    assert rows_after(tmp_path, first) == 2
    with RunLog(tmp_path, 10, first, done=2) as log:
        log.write(chunk(4))
        log.write(chunk(6))
    assert updates_in(tmp_path / METRICS) == [1, 2, 3, 4, 5, 6]
    assert [row["update"] for row in log.rows] == [1, 2, 3, 4, 5, 6]
    assert log.position["sha256"] == hashlib.sha256((tmp_path / METRICS).read_bytes()).hexdigest()


def sealed(data):
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path, position: path.write_bytes(b"x" + path.read_bytes()[1:]) and position,
        lambda path, position: path.write_bytes(path.read_bytes()[:10]) and position,
        lambda path, position: path.unlink() or position,
        lambda path, position: {**position, "size": 10**15},
        lambda path, position: {**position, "size": "1"},
        lambda path, position: "nonsense",
        lambda path, position: None,
        lambda path, position: path.write_bytes(b"1\n1\n") and sealed(b"1\n1\n"),
        lambda path, position: path.write_bytes(b"[" * 10**5) and sealed(b"[" * 10**5),
        lambda path, position: (path.unlink(), os.mkfifo(path)) and position,
    ],
)
def test_rows_that_are_not_what_was_written_are_put_aside_and_training_goes_on(tmp_path, spoil):
    (position,) = begun(tmp_path, 2)
    path, said = tmp_path / METRICS, []
    wrong = spoil(path, position)
    with RunLog(tmp_path, 10, wrong, done=2, on_message=said.append) as log:
        log.write(chunk(4))
        after = log.position
    assert "damaged or missing" in said[0]
    assert updates_in(path) == [3, 4]
    again = []
    with RunLog(tmp_path, 10, after, done=4, on_message=again.append) as log:  # what begins later is no damage
        log.write(chunk(6))
    assert again == []
    assert updates_in(path) == [3, 4, 5, 6]


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_metrics_that_are_another_file_are_not_written(tmp_path, link):
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    link(precious, tmp_path / METRICS)
    with pytest.raises(OSError, match=r"symbolic links|another name"):
        RunLog(tmp_path, 10)
    assert precious.read_bytes() == b"precious"


def test_rows_wait_while_the_disk_is_full_and_none_is_lost(tmp_path, monkeypatch):
    with RunLog(tmp_path, 10) as log:
        log.write(chunk(2))
        position = log.position
        write = atomic_files.write_all

        def full(descriptor, data):
            os.write(descriptor, data[:7])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(atomic_files, "write_all", full)
        with pytest.raises(OSError, match="No space"):
            log.write(chunk(4))
        assert log.position == position
        assert updates_in(tmp_path / METRICS) == [1, 2]
        monkeypatch.setattr(atomic_files, "write_all", write)
        log.write(chunk(6))
    assert updates_in(tmp_path / METRICS) == [1, 2, 3, 4, 5, 6]


def test_where_there_are_no_rows_none_are_lost(tmp_path):
    assert rows_after(tmp_path, None) == 0
    os.mkfifo(tmp_path / METRICS)
    assert rows_after(tmp_path, {"size": 1, "sha256": ""}) == 0


def test_E43_rows_that_are_put_aside_get_a_free_name(tmp_path):
    kept = []
    for number in range(3):
        (position,) = begun(tmp_path, 2)
        damaged = f"damaged {number}".encode()
        (tmp_path / METRICS).write_bytes(damaged)
        kept.append(damaged)
        said = []
        with RunLog(tmp_path, 10, position, done=2, on_message=said.append):
            pass
        assert "was moved to" in said[0]
    names = ("damaged-metrics.jsonl", "damaged-metrics-2.jsonl", "damaged-metrics-3.jsonl")
    assert [(tmp_path / name).read_bytes() for name in names] == kept


def test_E43_nothing_is_said_to_be_moved_where_there_was_nothing(tmp_path):
    said = []
    with RunLog(tmp_path, 10, sealed(b"1\n"), done=2, on_message=said.append):
        pass
    assert said == [f"{tmp_path / METRICS}: rows are damaged or missing; training is not affected"]
    assert not list(tmp_path.glob("damaged-*"))


@pytest.mark.parametrize("steps", [float("inf"), float("nan"), -1, 1.5, 10**30, True])
def test_E51_steps_that_none_can_be_are_damage(steps):
    row = {"update": 1, "env_steps": 40, "return": 0.5}
    assert _parse(json.dumps(row).encode(), 1) == ([row], [])
    with pytest.raises(ValueError, match=r"steps|values"):
        _parse(json.dumps({**row, "env_steps": steps}).encode(), 1)


FOUND = {"tasks": 4, "validation_return": 2.0, "validation_stderr": 0.5, "validation_returns": [2.0]}


def test_E40_rows_of_evaluations_are_told_apart_and_cut_off_with_those_of_updates(tmp_path):
    with RunLog(tmp_path, 10) as log:
        log.write_evaluation(0, FOUND)
        log.write(chunk(2), FOUND)
        position = log.position
        log.write(chunk(4), FOUND)
    whole = (tmp_path / METRICS).read_bytes()
    rows = [json.loads(line) for line in whole.splitlines()]
    assert [(row["update"], row.get("split")) for row in rows] == [
        (0, "validation"), (1, None), (2, None), (2, "validation"), (3, None), (4, None), (4, "validation"),
    ]  # fmt: skip
    assert [row["env_steps"] for row in log.evaluations] == [0, 20, 40]
    assert all("return" not in row for row in log.evaluations)  # who draws "return" of all rows mixes nothing
    assert rows_after(tmp_path, position) == 2
    assert rows_after(tmp_path, None) == 4
    with RunLog(tmp_path, 10, position, done=2) as log:
        assert [row["update"] for row in log.evaluations] == [0, 2]
        log.write(chunk(4), FOUND)
    assert (tmp_path / METRICS).read_bytes() == whole


@pytest.mark.parametrize(
    "row",
    [
        {"split": "validation", "update": 2, "env_steps": 10, **FOUND},
        {"split": "test", "update": 1, "env_steps": 10, **FOUND},
        {"split": "validation", "update": 1, "env_steps": 10, **FOUND, "validation_returns": [1.0, 2.0]},
        {"split": "validation", "update": 1, "env_steps": 10, **FOUND, "validation_return": "2"},
        {"split": "validation", "update": 1, "env_steps": 10},
    ],
)
def test_rows_of_evaluations_that_none_can_be_are_damage(row):
    trained = {"update": 1, "env_steps": 10, "return": 0.5}
    good = {"split": "validation", "update": 1, "env_steps": 10, **FOUND}
    assert _parse(b"\n".join(json.dumps(x).encode() for x in (trained, good)), 1) == ([trained], [good])
    with pytest.raises(ValueError, match=r"rows|values|seeds"):
        _parse(b"\n".join(json.dumps(x).encode() for x in (trained, row)), 1)


def test_returns_of_each_seed_are_read_from_rows_of_all_versions():
    assert returns_of({"return": 2.0}) == [2.0]
    assert returns_of({"return": 2.0, "returns": [1.0, 3.0]}) == [1.0, 3.0]
    assert returns_of({"return": 2.0, "by_seed": {"return": [0.0, 4.0]}}) == [0.0, 4.0]


def test_numbers_of_seeds_are_the_ones_that_were_measured(tmp_path):
    measured = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    with RunLog(tmp_path, 10) as log:
        log.write(Progress(3, {"return": measured}, 1.0, jnp.zeros(())))
    read = [row["by_seed"]["return"] for row in map(json.loads, (tmp_path / METRICS).read_text().splitlines())]
    np.testing.assert_array_equal(np.asarray(read, np.float32), measured)
