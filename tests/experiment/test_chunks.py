"""What becomes of chunks, with nobody else around: what is written, counted and told, and when it ends."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from adaptax.core.errors import DivergenceError, OutputError
from adaptax.experiment.chunks import Chunks
from adaptax.experiment.surroundings import Surroundings
from adaptax.training.loop import Progress

TOTAL, STEPS = 30, 100


class Writer:
    """Keeps what it is given; a checkpoint of every second chunk."""

    def __init__(self, directory):
        self.directory, self.saved, self.best, self.chunks = directory, 0, None, []

    def chunk(self, progress, *, last, evaluation=None):
        self.chunks.append((progress.done, last, evaluation))
        if last or progress.done % 20 == 0:
            self.saved = progress.done


@dataclasses.dataclass
class Validator:
    """Finds the update itself, at those that it is told."""

    due: tuple[int, ...]
    selects: bool = False
    raises: Exception | None = None
    best: int | None = None
    text: str = ""

    def __post_init__(self):
        self.recorded = 0

    def is_due(self, done):
        return done in self.due

    def validate(self, done, meta):
        if self.raises is not None:
            raise self.raises
        self.text = f"validation {done}"
        return {"found": done}

    def record(self):
        if self.raises is not None:
            raise self.raises
        self.recorded += 1


@pytest.fixture
def following(tmp_path):
    def begin(validator=None, done=0):
        told = []
        run = SimpleNamespace(
            algorithm=SimpleNamespace(num_updates=TOTAL), done=done, env_steps=0, seconds=0.0, steps_per_second=0.0
        )
        around = Surroundings(on_progress=told.append)
        chunks = Chunks(run, Writer(tmp_path), validator, around, steps=STEPS)
        return chunks, run, chunks._writer, around, told

    return begin


def after(done, seconds=2.0, **metrics):
    """A chunk of ten updates of one seed that ends there."""
    values = {"return": np.full((10, 1), float(done)), **metrics}
    return Progress(done, values, seconds, SimpleNamespace(meta=f"θ of {done}"))


def test_chunks_are_counted_told_and_written_until_there_are_all(following):
    chunks, run, writer, _, told = following()
    assert [chunks(after(done, seconds=done / 10)) for done in (10, 20, 30)] == [False, False, True]
    assert (run.done, run.env_steps) == (30, 3000)
    assert (run.seconds, run.steps_per_second) == pytest.approx((3.0, 1000.0), rel=0.01)
    assert run.state.meta == "θ of 30"
    assert writer.chunks == [(10, False, None), (20, False, None), (30, True, None)]
    assert [(x.done, x.total, x.text) for x in told] == [
        (done, TOTAL, f"return {done} · 1,000 steps/s") for done in (10, 20, 30)
    ]


def test_E51_steps_that_were_not_taken_are_not_counted(following):
    chunks, run, *_ = following()
    chunks(after(10, env_steps=np.arange(10).reshape(10, 1)))
    assert (run.env_steps, run.steps_per_second) == (45, 22.5)


def test_whoever_asks_to_stop_gets_a_checkpoint_and_no_more_evaluation(following):
    chunks, run, writer, around, _ = following(Validator(due=(10, 20)))
    assert not chunks(after(10))
    around.stop.ask()
    assert chunks(after(20))
    assert writer.chunks == [(10, False, {"found": 10}), (20, True, None)]
    assert (run.done, writer.saved) == (20, 20)


def test_evaluations_are_told_and_their_seconds_are_none_of_training(following, monkeypatch):
    clock = iter([0.0, 5.0, 5.0, 5.0])  # the first takes five seconds, the second none
    monkeypatch.setattr("adaptax.experiment.chunks.time.monotonic", lambda: next(clock))
    chunks, run, writer, _, told = following(Validator(due=(10,)))
    chunks(after(10, seconds=1.0))
    chunks(after(20, seconds=7.0))
    assert run.seconds == 2.0
    assert [x.text for x in told] == [f"return {done} · validation 10 · 1,000 steps/s" for done in (10, 20)]
    assert writer.best is None


def test_of_what_may_be_the_best_there_is_a_checkpoint_before_it_is_said_so(following):
    validator = Validator(due=(10,), selects=True, best=10)
    chunks, _, writer, *_ = following(validator)
    chunks(after(10))
    assert writer.chunks == [(10, True, {"found": 10})]
    assert (writer.saved, writer.best, validator.recorded) == (10, 10, 1)
    chunks(after(20))
    assert writer.chunks[1] == (20, False, None)
    assert validator.recorded == 1


def test_an_evaluation_that_fails_leaves_the_chunk_behind(following):
    chunks, _, writer, *_ = following(Validator(due=(10,), raises=DivergenceError("NaN")))
    with pytest.raises(DivergenceError, match="NaN"):
        chunks(after(10))
    assert writer.chunks == [(10, True, None)]
    assert writer.saved == 10


def test_E44_a_record_that_cannot_be_written_is_named_with_its_update(following, tmp_path):
    validator = Validator(due=(10,), selects=True)
    validator.record = lambda: (_ for _ in ()).throw(OSError(13, "Permission denied"))
    chunks, *_ = following(validator)
    with pytest.raises(OutputError, match=r"Permission denied.*update 10|update 10.*Permission denied"):
        chunks(after(10))
