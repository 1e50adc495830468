import os
import signal

import pytest

from adaptax.cli.progress import LINES, Bar, Stop


def test_without_a_terminal_it_says_something_ten_times(capsys):
    with Bar("work", 1000) as bar:
        for done in range(1, 1001):
            bar.update(done, f"at {done}")
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.strip().splitlines()
    assert len(lines) == LINES
    assert lines[-1] == "work 1000/1000 at 1000"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_handlers_come_back(number, capsys):
    before = signal.getsignal(number)
    with Stop() as stop:
        assert not stop.asked
        os.kill(os.getpid(), number)
        assert stop.asked
    assert signal.getsignal(number) is before
    assert "stopping" in capsys.readouterr().err


def test_a_second_ctrl_c_stops_at_once():
    with Stop() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_second_sigterm_breaks_nothing():
    with Stop() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.asked
