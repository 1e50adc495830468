"""What a run is logged to: each tracker is given what stands in metrics.jsonl."""

import contextlib
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.errors import MissingPackageError
from adaptax.runs.metrics_log import RunLog
from adaptax.runs.trackers.tracker import TRACKERS, accept_trackers, flat
from adaptax.runs.trackers.trackers import Trackers
from adaptax.training.loop import Progress
from tests.runs.test_tensorboard import events
from tests.runs.trackers.fakes import NAMES, Store, install
from tests.runs.trackers.rows import numbers, without_speed

CONFIG = {"algorithm": "rl2", "options": {"seed": 3, "log": NAMES}}
FOUND = {"tasks": 7, "validation_return": 0.5, "validation_stderr": 0.25, "validation_returns": [0.25, 0.75]}
FIGURES = {"evaluation/rl2/return": 4.0, "evaluation/my agent:x/return": 2.0}


@pytest.fixture
def store(monkeypatch):
    kept = Store()
    install(monkeypatch, kept)
    return kept


def chunk(done, length=2):
    values = np.arange(done - length, done, dtype=np.float32)[:, None] + np.array([[1.0, 3.0]], np.float32)
    return Progress(done, {"return": values, "entropy": values / 8}, 2.0, jnp.zeros(()))


def test_each_is_given_what_stands_in_the_metrics(tmp_path, store):
    said = []
    with Trackers(NAMES, tmp_path, CONFIG, said.append) as trackers:
        with RunLog(tmp_path, 10, trackers=trackers) as log:
            log.write_evaluation(0, FOUND)
            log.write(chunk(2))
            log.write(chunk(4), FOUND)
        trackers.evaluated(4, FIGURES)
    assert said == []
    for name in NAMES:
        *rows, last = store.of(name)
        assert without_speed(rows) == numbers(tmp_path)
        assert [step for step, row in rows if "steps_per_second" in row] == [2, 4]
        assert rows[0] == (0, {"validation_return": 0.5, "validation_stderr": 0.25})
        assert rows[2] == (2, {"env_steps": 20.0, "return": 3.0, "entropy": 0.375, "steps_per_second": 10.0})
        figures = FIGURES if name != "mlflow" else {k.replace(":", "."): v for k, v in FIGURES.items()}
        assert last == (4, figures)
    names = {name: config for name, _, _, config in store.begun}
    assert names["wandb"] == names["trackio"] == CONFIG
    assert names["mlflow"] == {"algorithm": "rl2", "options.seed": "3", "options.log": str(NAMES)}
    assert {run for _, _, run, _ in store.begun} >= {tmp_path.name}
    ends = {name: status for name, _, status in store.ended}
    assert ends == {"wandb": 0, "mlflow": "FINISHED", "trackio": None}


def test_tensorboard_is_given_the_same_at_environment_steps(tmp_path, store):
    with Trackers((), tmp_path, CONFIG, print) as trackers:
        with RunLog(tmp_path, 10, trackers=trackers) as log:
            log.write(chunk(2), FOUND)
        trackers.evaluated(2, FIGURES)
    _, start, *found = events(tmp_path / "tensorboard")
    assert start.step == 1
    given = [(e.step, {v.tag: v.simple_value for v in e.summary.value}) for e in found]
    assert given == [
        (10, {"return": 2.0, "entropy": 0.25}),
        (20, {"return": 3.0, "entropy": 0.375, "steps_per_second": 10.0}),
        (20, {"validation_return": 0.5, "validation_stderr": 0.25}),
        (20, FIGURES),
    ]
    assert store.begun == []


def test_going_on_is_the_same_run_and_nothing_is_logged_twice(tmp_path, store):
    with Trackers(NAMES, tmp_path, CONFIG, print) as first, RunLog(tmp_path, 10, trackers=first) as log:
        log.write(chunk(2), FOUND)
        position = log.position
        log.write(chunk(4))  # of which no checkpoint is written
        first.stopped = True
    with Trackers(NAMES, tmp_path, CONFIG, print) as second:
        with RunLog(tmp_path, 10, position, done=2, trackers=second) as log:
            log.write(chunk(4))
            log.write(chunk(6))
        second.evaluated(6, FIGURES)
    with Trackers(NAMES, tmp_path, CONFIG, print) as third:  # trained already, and evaluated again
        third.evaluated(6, FIGURES)
    for name in NAMES:
        assert without_speed(store.of(name)[:-1]) == numbers(tmp_path)
        begun = [identity for package, identity, *_ in store.begun if package == name]
        assert len(begun) == 2
        assert begun[0] == begun[1]
    ends = [status for name, _, status in store.ended if name == "mlflow"]
    assert ends == ["KILLED", "FINISHED"]


def test_who_comes_later_is_given_what_was_before(tmp_path, store):
    with RunLog(tmp_path, 10) as log:
        log.write(chunk(2), FOUND)
        position = log.position
    late = Trackers(["wandb"], tmp_path, CONFIG, print)
    with late, RunLog(tmp_path, 10, position, done=2, trackers=late) as log:
        log.write(chunk(4))
    assert without_speed(store.of("wandb")) == numbers(tmp_path)
    assert [step for step, _ in store.of("wandb")] == [1, 2, 2, 3, 4]


def test_how_it_ends_is_said(tmp_path, store):
    for error, status in ((ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")):
        trackers = Trackers(["mlflow"], tmp_path, CONFIG, print)
        with contextlib.suppress(error), trackers:
            trackers.start(0)
            raise error
        assert store.ended.pop()[2] == status


def test_one_that_is_down_costs_the_others_nothing(tmp_path, store, monkeypatch):
    def down(**given):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(sys.modules["wandb"], "init", down)
    said = []
    trackers = Trackers(NAMES, tmp_path, CONFIG, said.append)
    with trackers, RunLog(tmp_path, 10, trackers=trackers) as log:
        log.write(chunk(2))
    (line,) = said
    assert line.startswith("warning: wandb: ConnectionError: no route to host; no more is logged there.")
    assert trackers.lost
    assert without_speed(store.of("mlflow")) == without_speed(store.of("trackio")) == numbers(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_package_is_said_before_anything_is_begun(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackageError, match=rf'--log {name} needs {name}.*pip install "adaptax\[{name}\]"'):
        accept_trackers([name])


def test_installed_ones_are_accepted_without_importing_them(store):
    accept_trackers(NAMES)
    assert set(TRACKERS) == set(NAMES)
    assert store.begun == []


def test_trackio_prints_where_messages_go(tmp_path, store, monkeypatch, capsys):
    module = sys.modules["trackio"]
    init = module.init
    exec("def talk(): print('* Trackio project initialized')", vars(module))  # as code of that module does
    monkeypatch.setattr(module, "init", lambda **given: module.talk() or init(**given))
    with Trackers(["trackio"], tmp_path, CONFIG, print) as trackers:
        trackers.start(0)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "* Trackio project initialized\n")


def test_parts_within_parts_have_names_of_both():
    assert flat({"a": {"b": 1, "c": {"d": 2}}, "e": (3,)}) == {"a.b": 1, "a.c.d": 2, "e": (3,)}
