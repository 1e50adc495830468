"""One tracker in its thread: what it is given, and what it may do wrong."""

import json
import threading
import time

import pytest

from adaptax.runs.trackers.background import Background, Logged
from adaptax.runs.trackers.tracker import EVALUATION, TRAINING, VALIDATION, Row, TrackedRun


class Recording:
    """Writes down what it is given; `does` is called before."""

    def __init__(self, does=lambda call: None):
        self.calls, self.does = [], does

    def start(self, run):
        self.does("start")
        self.calls.append(("start", run.identity, dict(run.config)))
        return run.identity or "its own"

    def log(self, update, metrics):
        self.does("log")
        self.calls.append((update, dict(metrics)))

    def finish(self, status):
        self.does("finish")
        self.calls.append(("finish", status))


def rows(*updates, kind=TRAINING):
    return [Row(update, kind, {"x": float(update)}) for update in updates]


def background(directory, tracker, said=None, **options):
    run = TrackedRun("name", directory, {"seed": 1})
    said = [] if said is None else said
    return Background("fake", run, said.append, make=lambda name: tracker, **options)


def test_it_is_given_all_in_order_and_its_identity_is_kept(tmp_path):
    tracker, said = Recording(), []
    one = background(tmp_path, tracker, said)
    one.start()
    one.log(rows(1, 2))
    one.log(rows(2, kind=VALIDATION))
    one.log(rows(2, kind=EVALUATION))
    one.end("finished")
    one.wait()
    x = {"x": 2.0}
    assert tracker.calls == [
        ("start", "", {"seed": 1}),
        (1, {"x": 1.0}),
        (2, x),
        (2, x),
        (2, x),
        ("finish", "finished"),
    ]
    assert json.loads((tmp_path / "tracker-fake.json").read_text()) == {"id": "its own", "logged": [2, EVALUATION]}
    assert (said, one.lost) == ([], False)


def test_whoever_goes_on_gives_nothing_twice(tmp_path):
    first, second, said = Recording(), Recording(), []
    one = background(tmp_path, first)
    one.log(rows(1, 2, 3))
    one.end("stopped")
    one.wait()
    other = background(tmp_path, second, said)
    assert other.has(rows(3)[0])
    assert not other.has(rows(3, kind=VALIDATION)[0])
    other.log(rows(1, 2, 3))  # of a checkpoint that is older
    other.log(rows(3, kind=VALIDATION) + rows(4, 5))
    other.end("finished")
    other.wait()
    assert second.calls[0] == ("start", "its own", {"seed": 1})
    assert [call[0] for call in second.calls[1:]] == [3, 4, 5, "finish"]


def test_what_is_on_its_way_when_the_process_dies_is_not_given_again(tmp_path):
    noted = []
    tracker = Recording(lambda call: noted.append(Logged(tmp_path, "fake").place) if call == "log" else None)
    one = background(tmp_path, tracker)
    one.log(rows(1, 2))
    one.log(rows(3))
    one.end("finished")
    one.wait()
    assert noted == [(2, TRAINING), (2, TRAINING), (3, TRAINING)]  # before each call: death in it repeats nothing


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": 3, "logged": [1, 2]}', '{"id": "a", "logged": ["x", 0]}'])
def test_what_is_no_note_counts_for_nothing(tmp_path, content):
    (tmp_path / "tracker-fake.json").write_text(content)
    logged = Logged(tmp_path, "fake")
    assert (logged.identity, logged.place) == ("", (-1, 0))


@pytest.mark.parametrize("call", ["start", "log", "finish"])
@pytest.mark.parametrize("error", [ValueError("down\nand out"), ConnectionError(), SystemExit(3), KeyboardInterrupt()])
def test_what_it_raises_costs_one_line(tmp_path, call, error):
    def fails(at):
        if at == call:
            raise error

    tracker, said = Recording(fails), []
    one = background(tmp_path, tracker, said)
    for update in range(1, 20):
        one.log(rows(update))
    one.end("finished")
    one.wait()
    (line,) = said
    assert line.startswith(f"warning: fake: {type(error).__name__}: ")
    assert "\n" not in line
    assert one.lost
    one.log(rows(99))
    one.end("finished")
    one.wait()
    assert len(said) == 1


def test_a_package_that_cannot_be_imported_costs_one_line(tmp_path):
    said = []

    def make(name):
        raise ImportError("broken")

    one = Background("fake", TrackedRun("name", tmp_path, {}), said.append, make=make)
    one.log(rows(1))
    one.end("finished")
    one.wait()
    assert len(said) == 1
    assert "ImportError: broken" in said[0]


def test_a_full_disk_costs_one_line(tmp_path):
    tracker, said = Recording(), []
    one = background(tmp_path / "nowhere", tracker, said)
    one.log(rows(1))
    one.end("finished")
    one.wait()
    (line,) = said
    assert "FileNotFoundError" in line
    assert [call[0] for call in tracker.calls] == ["start"]


@pytest.mark.parametrize("call", ["start", "log", "finish"])
def test_one_that_hangs_is_waited_for_at_the_end_and_not_for_ever(tmp_path, call):
    over, said = threading.Event(), []
    tracker = Recording(lambda at: at == call and over.wait(60))
    one = background(tmp_path, tracker, said, patience=0.3)
    begun = time.monotonic()
    one.log(rows(1))
    one.log(rows(2))
    assert time.monotonic() - begun < 5  # nothing waits until the end
    one.end("finished")
    one.wait()
    over.set()
    assert time.monotonic() - begun < 30
    assert said == [
        "fake: sending what is left …",
        "warning: fake: is not done 0.3 s after the run; no more is logged there. The run goes on as if nothing had "
        "happened, and its directory has all",
    ]
    assert one.lost


def test_one_that_hangs_is_given_up_when_too_much_waits(tmp_path):
    over, said = threading.Event(), []
    one = background(tmp_path, Recording(lambda at: over.wait(60)), said, waiting=3)
    for update in range(1, 10):
        one.log(rows(update))
    assert [line.partition(";")[0] for line in said] == ["warning: fake: has not taken what it was given for 3 chunks"]
    begun = time.monotonic()
    one.end("finished")
    one.wait()
    assert time.monotonic() - begun < 10  # it was told already, and nobody waits
    over.set()
    assert len(said) == 1


def test_nothing_is_begun_that_has_nothing_to_say(tmp_path):
    tracker = Recording()
    one = background(tmp_path, tracker)
    one.end("finished")
    one.wait()
    assert tracker.calls == []
    assert not [*tmp_path.iterdir()]


def test_several_that_hang_are_waited_for_at_the_same_time(tmp_path):
    over, begun = threading.Event(), time.monotonic()
    several = [background(tmp_path, Recording(lambda at: over.wait(60)), patience=1.0) for _ in range(10)]
    for one in several:
        one.log(rows(1))
    for one in several:
        one.end("finished")
    for one in several:
        one.wait()
    assert all(one.lost for one in several)
    assert time.monotonic() - begun < 5
    over.set()
