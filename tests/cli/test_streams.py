import errno
import io
import os
import subprocess
import sys

import pytest

from adaptax.cli import streams
from adaptax.cli.streams import Patient, Results, any_letter, say, tell


class Failing(io.StringIO):
    """A stream that takes nothing."""

    def __init__(self, number, descriptor):
        super().__init__()
        self.number, self.descriptor = number, descriptor

    def write(self, text):
        raise OSError(self.number, os.strerror(self.number))

    flush = lambda self: self.write("")  # noqa: E731

    def fileno(self):
        return self.descriptor


@pytest.fixture
def spare(tmp_path):
    """A descriptor that may be pointed elsewhere."""
    descriptor = os.open(tmp_path / "spare", os.O_WRONLY | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def test_what_can_be_written_is():
    for kind in (Patient, Results):
        text = io.StringIO()
        stream = kind(text)
        assert stream.write("some words") == 10
        stream.flush()
        assert text.getvalue() == "some words"
        assert stream.writable()  # all else is the stream's
    assert stream.end() is None


def test_E44_standard_error_that_has_gone_is_no_reason_to_stop(spare):
    stream = Patient(Failing(errno.EIO, spare))
    assert stream.write("some words") == 10
    stream.flush()


def test_E44_a_full_standard_output_is_told_at_the_end_and_once(spare):
    stream = Results(Failing(errno.ENOSPC, spare))
    assert stream.write("some words") == 10
    stream.flush()
    error = stream.end()
    assert error.exit_code in (6, 7)
    assert "standard output" in str(error)
    assert "Files that were written are whole" in str(error)
    assert os.fstat(spare).st_rdev == os.stat(os.devnull).st_rdev  # what the stream still holds goes nowhere


def test_E44_a_reader_that_has_gone_has_read_what_it_wanted(spare):
    stream = Results(Failing(errno.EPIPE, spare))
    stream.write("some words")
    assert stream.end() is None


def test_E44_the_first_thing_that_went_wrong_is_what_is_told(spare):
    failing = Failing(errno.EPIPE, spare)
    stream = Results(failing)
    stream.write("to a reader that has gone")
    failing.number = errno.ENOSPC
    stream.flush()
    assert stream.end() is None


def test_letters_that_a_terminal_does_not_know_are_question_marks(monkeypatch):
    raw = io.BytesIO()
    narrow = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    monkeypatch.setattr(sys, "stdout", narrow)
    with any_letter():
        print("RL² learns")
    assert narrow.errors == "strict"
    narrow.flush()
    assert raw.getvalue() == b"RL? learns\n"
    with pytest.raises(UnicodeEncodeError), any_letter():
        raise UnicodeEncodeError("ascii", "²", 0, 1, "of somebody else's")
    assert narrow.errors == "strict"


def test_results_go_to_one_stream_and_messages_to_the_other_each_in_a_line(capsys):
    tell("a\nresult\x1b[31m")
    say("a\nmessage\x1b[31m")
    said = capsys.readouterr()
    for text, word in ((said.out, "result"), (said.err, "message")):
        assert text.count("\n") == 1
        assert word in text
        assert "\x1b" not in text


@pytest.mark.process
@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_E44_a_file_never_gets_the_number_of_a_stream_that_was_closed(closed, tmp_path):
    code = (
        f"import os, sys; [os.close(number) for number in {closed}]\n"
        f"sys.stdout = None if 1 in {closed} else sys.stdout; sys.stderr = None if 2 in {closed} else sys.stderr\n"
        f"from {streams.__name__} import open_what_is_closed; open_what_is_closed()\n"
        "file = open('written', 'w'); assert file.fileno() > 2, file.fileno()\n"
        "print('to nobody'); print('to nobody', file=sys.stderr); sys.stdout.flush(); sys.stderr.flush()\n"
        "file.write('whole'); file.close()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "written").read_text() == "whole"
