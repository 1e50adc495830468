"""Surroundings in which a command ends with the exit code of the table in `--help`, and one line that says why."""

import contextlib
import errno
import io
import json
import os
import shutil
import tempfile

import jax
import jax.numpy as jnp
import pytest

from adaptax.cli import main
from adaptax.core import atomic_files
from adaptax.deployment.agent import Agent
from tests.cli.conftest import run

EVIL = "x\x1b[31mred\x07\n\u202e"
"""A word that colours a terminal, rings, ends the line and turns letters around."""
TRAIN = ["train", "rl2", "bandit"]


def ended(*words, stdout=None):
    """Run it here, where the working directory is as it is; exit code, standard output and error."""
    out, err = stdout or io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as stop:
        main(words)
    return stop.value.code, "" if stdout else out.getvalue(), err.getvalue()


def expect_one_line(stderr, code, *texts):
    """The last line is the error's, the only one, and there is nothing in it that moves a cursor."""
    errors = [line for line in stderr.splitlines() if line.startswith("error[")]
    assert len(errors) == 1, stderr
    assert errors[0].startswith(f"error[{code}]: "), stderr
    assert stderr.endswith(errors[0] + "\n")
    assert all(letter.isprintable() for letter in stderr.replace("\n", "")), stderr
    assert "Traceback" not in stderr
    assert "this should not happen" not in stderr
    for text in texts:
        assert text in errors[0], stderr


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["evaluate"],
        ["inspect", "run", "--out"],
        ["compare"],
        ["compare", "ppo", "run", "--out"],
        ["check-env"],
        ["train", "--resume"],
        ["train", "rl2", "bandit", "--out"],
        ["train", "rl2"],
        ["reproduce"],
        ["plan", "rl2"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("begins", ["", "a:"])
def test_E46_what_is_said_is_short_however_long_what_was_typed_is(begins, words, finished_run, tmp_path):
    shutil.copytree(finished_run.directory, tmp_path / "run")
    done = run(*words, begins + 9000 * "y", cwd=tmp_path)
    assert done.returncode in (2, 5, 6)
    expect_one_line(done.stderr, done.returncode)
    assert len(done.stderr) < 2100


ECHOED = {
    "a command": ([EVIL], 2),
    "list": (["list", EVIL], 2),
    "an algorithm": (["train", EVIL, "bandit"], 2),
    "a problem": (["train", "rl2", EVIL], 2),
    "one name only": (["train", EVIL], 2),
    "one name too many": ([*TRAIN, EVIL], 2),
    "an option": ([*TRAIN, f"--{EVIL}", "1"], 2),
    "a number": ([*TRAIN, "--num-updates", EVIL], 2),
    "a choice": ([*TRAIN, "--memory", EVIL], 2),
    "a preset": ([*TRAIN, "--preset", EVIL], 2),
    "a coordinator": ([*TRAIN, "--distributed", "--coordinator", EVIL, "--num-processes", "2", "--process-id", "0"], 2),
    "resume": (["train", "--resume", EVIL], 5),
    "resume and more": (["train", "--resume", "x", EVIL], 2),
    "plan": (["plan", "rl2", EVIL], 2),
    "evaluate": (["evaluate", EVIL], 5),
    "against": (["evaluate", "x", "--against", EVIL], 2),
    "inspect": (["inspect", EVIL], 5),
    "compare": (["compare", EVIL], 2),
    "a problem to compare on": (["compare", "random", "--problem", EVIL], 2),
    "check-env": (["check-env", EVIL], 2),
    "reproduce": (["reproduce", EVIL], 2),
    "cells": (["reproduce", "duan2016-bandits", "--cells", EVIL], 2),
}


@pytest.mark.parametrize("case", ECHOED)
def test_E46_no_control_byte_of_an_argument_reaches_the_terminal(case, tmp_path):
    words, code = ECHOED[case]
    done = run(*words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    expect_one_line(done.stderr, code, "\\x1b[31m" if code == 2 else "")


MEANT = {
    ("train", "rl2", "bandit", "--lr", "1"): "did you mean '--learning-rate'?",
    ("train", "rl2", "bandit", "--num-upd", "1"): "did you mean '--num-updates'?",
    ("train", "rl2", "bandit", "--tasks", "1"): "it is an option of adaptax evaluate, adaptax compare",
    ("train", "rl2", "bandit", "--inner-learning-rate", "1"): "it is an option of training with maml",
    ("evaluate", "x", "--num-updates", "3"): "it is an option of training with rl2",
    ("plan", "rl2", "bandit", "--num-processes", "2"): "it is an option of adaptax train (",
    ("compare", "x", "--chunk-timeout", "2"): "it is an option of adaptax train (",
}


@pytest.mark.parametrize("words", MEANT)
def test_E46_an_option_of_something_else_is_called_so(words, tmp_path):
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 2
    expect_one_line(done.stderr, 2, "no such option", MEANT[words])


HELPED = ("list", "train", "plan", "evaluate", "compare", "inspect", "check-env", "reproduce")


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["list"], [*TRAIN, "--help"], *([command, "--help"] for command in HELPED)],
)
def test_E44_standard_output_that_is_full(words):
    with open("/dev/full", "w", encoding="utf-8") as full:
        code, _, stderr = ended(*words, stdout=full)
        full.flush()  # as Python does at exit: nothing is left that it could complain of
    assert code == 7
    expect_one_line(stderr, 7, "standard output", "No space left")


def test_E44_a_reader_that_has_read_enough_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        assert ended("list", stdout=pipe) == (0, "", "")


@pytest.fixture
def deleted(tmp_path, monkeypatch):
    """The working directory is one that was deleted."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (TRAIN, 6),
        (["train", "mine:Agent", "bandit"], 2),
        (["check-env", "mine:make"], 2),
        (["evaluate", "x"], 5),
        (["compare", "x"], 2),
        (["reproduce", "duan2016-bandits"], 6),
    ],
)
def test_E44_a_working_directory_that_was_deleted(words, code, deleted):
    found, _, stderr = ended(*words)
    assert found == code
    expect_one_line(stderr, code)
    assert ended("list")[0] == 0


@pytest.mark.parametrize("out", ["a file", "a file/below", "/dev/null", "/proc/nowhere"])
@pytest.mark.parametrize("command", ["train", "compare", "evaluate", "inspect"])
def test_E44_odd_places_for_results_are_refused_before_anything_is_computed(command, out, tmp_path, finished_run):
    (tmp_path / "a file").write_text("dear to someone")
    words = TRAIN if command == "train" else [command, str(finished_run.directory)]
    done = run(*words, "--out", out, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (6, "")
    expect_one_line(done.stderr, 6, "cannot write there", "Choose another --out")
    assert (tmp_path / "a file").read_text() == "dear to someone"


READS = {
    "evaluate": ["--tasks", "20", "--against"],
    "inspect": ["--tasks", "20"],
    "compare": ["--tasks", "10", "--family-tasks", "10"],
}


@pytest.mark.parametrize("command", ["evaluate", "inspect"])
def test_E44_a_run_that_is_read_only_is_found_out_before(command, finished_run, tmp_path, monkeypatch):
    before, written = tempfile.TemporaryFile, finished_run.directory

    def read_only(*words, dir=None, **more):
        if dir == written:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return before(*words, dir=dir, **more)

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    refused = run(command, str(written), *READS[command], cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (6, "")
    expect_one_line(refused.stderr, 6, "Read-only file system", "Nothing was computed", "--out")
    elsewhere = run(command, str(written), *READS[command], "--out", "mine", "--json", cwd=tmp_path)
    assert elsewhere.returncode == 0, elsewhere.stderr
    assert json.loads(elsewhere.stdout)["directory"] == str(written)
    assert len(list((tmp_path / "mine").glob("*.json"))) == 1


@pytest.mark.parametrize(
    ("number", "code", "as_json"),
    [
        (errno.ENOSPC, 7, False),
        (errno.ENOSPC, 7, True),
        (errno.EDQUOT, 7, True),
        (errno.EROFS, 6, True),
        (errno.EIO, 6, True),
    ],
)
@pytest.mark.parametrize("command", READS)
def test_E44_what_cannot_be_written_down_is_shown_all_the_same(
    command, number, code, as_json, finished_run, tmp_path, monkeypatch
):
    directory = shutil.copytree(finished_run.directory, tmp_path / "run")
    before = (directory / "evaluation.json").read_bytes()

    def refuse(path, data):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(atomic_files, "write", refuse)
    done = run(command, "run", *READS[command], *["--json"][: int(as_json)], cwd=tmp_path)
    assert done.returncode == code, done.stderr
    expect_one_line(done.stderr, code, os.strerror(number))
    if as_json:
        assert len(json.loads(done.stdout)) > 3
    else:
        assert "rl2" in done.stdout
    assert (directory / "evaluation.json").read_bytes() == before


@pytest.mark.compiles
def test_E44_a_training_whose_evaluation_cannot_be_written_down_shows_it(tmp_path, monkeypatch):
    words = ["q-learning", "bandit", "--num-arms", "2", "--num-pulls", "3", "--eval-tasks", "20", "--out", "run"]
    write = atomic_files.write

    def refuse(path, data):
        if path.name == "evaluation.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, data)

    monkeypatch.setattr(atomic_files, "write", refuse)
    done = run("train", *words, "--json", cwd=tmp_path)
    assert done.returncode == 7, done.stderr
    expect_one_line(done.stderr, 7, "No space left")
    assert json.loads(done.stdout)["agents"]["q-learning"]


def test_E44_a_picture_that_cannot_be_drawn_is_told_and_the_figures_are_there(finished_run, tmp_path):
    directory = shutil.copytree(finished_run.directory, tmp_path / "run")
    (directory / "adaptation.png").unlink()
    (directory / "adaptation.png").mkdir()
    done = run("evaluate", "run", *READS["evaluate"], "--json", cwd=tmp_path)
    assert done.returncode == 6
    expect_one_line(done.stderr, 6, "adaptation.png", "Is a directory")
    assert json.loads(done.stdout)["agents"]
    assert json.loads((directory / "evaluation.json").read_text())["protocol"]["tasks"] == 20


@pytest.mark.parametrize("columns", ["1", "0", "-5", "abc", "100000"])
def test_E45_help_for_a_terminal_of_any_width(columns, tmp_path):
    done = run(*TRAIN, "--help", cwd=tmp_path, COLUMNS=columns)
    assert done.returncode == 0
    assert 40 < max(map(len, done.stdout.splitlines())) <= 120
    assert done.stdout.count("\n") < 700


def test_E44_a_program_in_double_precision_evaluates_and_uses_an_agent_as_any_other(finished_run, tmp_path):
    words = ["evaluate", str(finished_run.directory), "--tasks", "20", "--against", "--out"]
    found = []
    for precise in (False, True):
        with jax.enable_x64(precise):
            done = run(*words, str(precise), "--json", cwd=tmp_path)
            assert done.returncode == 0, done.stderr
            agent = Agent.load(finished_run.directory)
            found.append((json.loads(done.stdout), int(agent.act([])), agent.observe(1.0), int(agent.act([]))))
            assert jnp.ones(1).dtype == ("float64" if precise else "float32")
    assert found[0] == found[1]
