import os
import signal
import sys

import pytest

from adaptax.cli.main import COMMANDS, main
from adaptax.core.version import __version__
from adaptax.experiment.signals import SIGNALS
from adaptax.runs.commit import commit


def exit_code(*arguments):
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    return stop.value.code


def test_no_command_prints_usage_and_is_an_error(capsys):
    assert exit_code() == 2
    assert "train ALGORITHM PROBLEM" in capsys.readouterr().out


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_no_error(flag, capsys):
    assert exit_code(flag) == 0
    assert "reproduce" in capsys.readouterr().out


def test_version(capsys):
    assert exit_code("--version") == 0
    known = commit()
    assert capsys.readouterr().out == f"{__version__} ({known})\n" if known else f"{__version__}\n"


def test_unknown_command_names_the_nearest(capsys):
    assert exit_code("trian") == 2
    error = capsys.readouterr().err
    assert error.startswith("error[2]:")
    assert "did you mean 'train'" in error
    assert error.count("\n") == 1


def test_an_unexpected_error_is_one_line_and_the_traceback_a_file(tmp_path, monkeypatch, capsys):
    def broken(arguments, stop):
        raise RuntimeError("boom")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("adaptax.cli.train.command", broken)
    assert exit_code("train") == 1
    assert capsys.readouterr().err.count("\n") == 1
    (crash,) = tmp_path.glob("crash-*.txt")
    assert "boom" in crash.read_text()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_told_and_has_help(name, capsys):
    assert exit_code(name, "--help") == 0
    assert capsys.readouterr().out.startswith(f"usage: adaptax {name}")
    exit_code("--help")
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith(f"  adaptax {name} "))
    assert line.endswith(COMMANDS[name].summary)


@pytest.mark.parametrize("words", [["list"], ["trian"], ["train", "rl2", "bandit", "--num-taks", "3"]])
def test_a_command_in_this_process_leaves_it_as_it_was(words):
    def state():
        streams = sys.stdin, sys.stdout, sys.stderr, sys.stdout.errors, sys.stderr.errors
        return streams, [signal.getsignal(number) for number in SIGNALS], dict(os.environ), os.getcwd(), sys.path[:]

    before, wakeup = state(), signal.set_wakeup_fd(-1)
    exit_code(*words)
    assert state() == before
    assert signal.set_wakeup_fd(wakeup) == wakeup == -1
