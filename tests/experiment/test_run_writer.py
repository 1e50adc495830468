import errno

import numpy as np
import pytest

from adaptax.core.errors import OutputError, ResourceError
from adaptax.experiment.run_writer import PATIENCE, RunWriter, unwritable, warn_if_disk_is_nearly_full
from adaptax.runs import checkpoints
from adaptax.training.loop import Progress


class Log:
    """Stands for the metrics."""

    position = None

    def write(self, progress, evaluation=None):
        pass


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A writer that saves every 20 updates, what it has saved, and errors to raise in turn."""
    saved, errors = [], []

    def save(directory, state, *, update, **more):
        if errors and (number := errors.pop(0)):
            raise OSError(number, "refused")
        saved.append(update)

    monkeypatch.setattr(checkpoints, "save", save)
    return RunWriter(tmp_path, Log(), {}, save_every=20, on_message=print), saved, errors


def _chunk(writer, done, *, last=False):
    writer.chunk(Progress(done, {"return": np.zeros((10, 1))}, 1.0, None), last=last)


def test_it_saves_when_it_is_due_and_at_the_end(kept):
    writer, saved, _ = kept
    for done in (10, 20, 30, 40):
        _chunk(writer, done)
    _chunk(writer, 50, last=True)
    assert saved == [20, 40, 50]
    assert writer.saved == 50


def test_while_the_disk_is_full_training_goes_on_and_it_tries_at_every_chunk(kept, capsys):
    writer, saved, errors = kept
    errors += [errno.ENOSPC, errno.EDQUOT]
    for done in (20, 30, 40):
        _chunk(writer, done)
    assert saved == [40]
    assert capsys.readouterr().out.count("training goes on, and tries again") == 2


def test_after_some_failures_it_gives_up(kept):
    writer, _, errors = kept
    errors += [errno.ENOSPC] * PATIENCE
    for number in range(PATIENCE - 1):
        _chunk(writer, 20 + 10 * number)
    with pytest.raises(ResourceError, match="the last good checkpoint is 0"):
        _chunk(writer, 100)


def test_a_success_between_failures_starts_the_count_again(kept):
    writer, saved, errors = kept
    errors += [errno.ENOSPC] * (PATIENCE - 1) + [0] + [errno.ENOSPC] * (PATIENCE - 1)
    for done in range(20, 400, 20):
        _chunk(writer, done)
    assert saved[-1] == 380


@pytest.mark.parametrize(
    ("number", "last", "kind"), [(errno.EROFS, False, OutputError), (errno.ENOSPC, True, ResourceError)]
)
def test_what_will_not_pass_and_the_last_failure_end_it(kept, number, last, kind):
    writer, _, errors = kept
    errors.append(number)
    with pytest.raises(kind, match="update 20"):
        _chunk(writer, 20, last=last)


def test_it_says_how_to_go_on(tmp_path):
    told = str(unwritable(tmp_path, OSError(errno.ENOSPC, "No space left"), "update 3"))
    assert told == f"{tmp_path}: No space left at update 3. Make room, then: adaptax train --resume {tmp_path}"


def test_a_disk_that_is_nearly_full_is_warned_of(tmp_path, capsys):
    warn_if_disk_is_nearly_full(tmp_path, 1, print)
    assert capsys.readouterr().out == ""
    warn_if_disk_is_nearly_full(tmp_path, 10**15, print)
    assert "three checkpoints take 3,000,000,000,000,000" in capsys.readouterr().out
