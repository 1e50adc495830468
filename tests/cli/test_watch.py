"""`adaptax watch` in processes of its own, beside a writer that it must not disturb."""

import json
import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from adaptax.cli.watch import Lines
from adaptax.runs.directory import LOCK, claim
from adaptax.runs.watching import RunView
from tests.cli.conftest import PROGRAM, environment, run
from tests.runs.test_watching import append, begin, evaluate, updates


def read_until(stream, text, seconds=60):
    """Lines of a stream up to one that has a text."""
    found, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        found.append(stream.readline())
        if text in found[-1]:
            return found
    raise AssertionError(found)


def test_once_prints_a_table_or_an_object(tmp_path):
    directory = begin(tmp_path / "runs/a")
    append(directory / "metrics.jsonl", *updates(1, 2))
    begin(tmp_path / "runs/b/c")
    shown = run("watch", "--once", cwd=tmp_path)
    assert shown.returncode == 0
    assert "runs/a" in shown.stdout
    assert "2/40" in shown.stdout
    found = json.loads(run("watch", "runs/a", "--once", "--json", cwd=tmp_path).stdout)["runs"]
    assert [(one["directory"], one["state"], one["done"]) for one in found] == [("runs/a", "stopped", 2)]
    both = json.loads(run("watch", "runs/a", "runs", "--once", "--json", cwd=tmp_path).stdout)["runs"]
    assert {one["directory"] for one in both} == {"runs/a", "runs/b/c"}


def test_where_there_are_no_runs_yet_that_is_said(tmp_path):
    done = run("watch", "--once", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no runs in runs\n")
    assert json.loads(run("watch", "--once", "--json", cwd=tmp_path).stdout) == {"runs": []}
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nowhere"], 2, "watch: expected the directory of a run, or of runs; found nothing at nowhere"),
        (["file"], 5, "file: cannot be looked into (Not a directory)"),
        (["--json"], 2, "has an effect only if once is True"),
        (["--once", "--interval", "3"], 2, "has an effect only if once is False"),
        (["--interval", "0"], 2, "expected a number between 0.1 and 3600; found 0"),
        (["--onec"], 2, "did you mean '--once'?"),
    ],
)
def test_what_is_wrong_is_a_line(words, code, said, tmp_path):
    (tmp_path / "file").touch()
    done = run("watch", *words, cwd=tmp_path)
    assert done.returncode == code
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_neither_jax_nor_what_a_run_names_is_imported(tmp_path):
    begin(tmp_path / "run", problem="my_module:make")
    (tmp_path / "my_module.py").write_text("raise SystemExit('imported')")
    program = """
import sys
from adaptax.cli.main import main
try:
    main(["watch", "run", "--once", "--json"])
finally:
    print({"jax", "numpy", "my_module"} & set(sys.modules), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert json.loads(done.stdout)["runs"][0]["problem"] == "my_module:make"
    assert done.stderr == "set()\n"


def test_a_line_for_each_that_has_changed(capsys):
    lines = Lines()
    one, other = RunView("a", "running", doing="training", done=1, total=2), RunView("b", "stopped", total=2)
    lines([one, other])
    lines([one, other])
    lines([RunView("a", "finished", done=2, total=2)])
    assert capsys.readouterr().out.splitlines() == [
        "a: running (training), 1/2 updates",
        "b: stopped, 0/2 updates",
        "a: finished, 2/2 updates",
        "b: gone",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_runs_are_followed_until_somebody_asks_to_stop(tmp_path, start, number):
    watching = start(
        [*PROGRAM, "watch", "runs", "--interval", "0.1"],
        cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    directory = begin(tmp_path / "runs/a")
    read_until(watching.stdout, "runs/a: stopped, rl2 on bandit, 2 seeds, 0/40 updates")
    with claim(directory, fresh=False):
        read_until(watching.stdout, "running (compiling)")
        append(directory / "metrics.jsonl", *updates(*range(1, 41)))
        read_until(watching.stdout, "running (evaluating)")
        evaluate(directory)
    read_until(watching.stdout, "runs/a: finished")
    assert sorted(path.name for path in directory.iterdir()) == [
        LOCK,
        "config.json",
        "evaluation.json",
        "metrics.jsonl",
    ]
    begin(tmp_path / "runs/b")
    read_until(watching.stdout, "runs/b: stopped")
    directory.rename(tmp_path / "elsewhere")
    read_until(watching.stdout, "runs/a: gone")
    watching.send_signal(number)
    assert watching.wait(60) == 0
    assert watching.stderr.read() == ""


def test_whoever_has_read_enough_ends_it(tmp_path, start):
    begin(tmp_path / "runs/a")
    watching = start([*PROGRAM, "watch", "--interval", "0.1"], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE)
    watching.stdout.readline()
    watching.stdout.close()
    for number in range(1000):  # so that there is something to tell
        if watching.poll() is not None:
            break
        append(tmp_path / "runs/a/metrics.jsonl", *updates(number))
        time.sleep(0.1)
    assert watching.wait(60) == 0


def test_on_a_terminal_it_is_a_table_that_changes(tmp_path, start):
    directory = begin(tmp_path / "runs/a")
    ours, theirs = pty.openpty()
    watching = start([*PROGRAM, "watch", "--interval", "0.1"], cwd=tmp_path, env=environment(), stdout=theirs)
    os.close(theirs)
    shown = b""
    while b"0/40" not in shown:
        shown += os.read(ours, 10_000)
    append(directory / "metrics.jsonl", *updates(1, 2, 3))
    while b"3/40" not in shown:
        shown += os.read(ours, 10_000)
    watching.send_signal(signal.SIGINT)
    assert watching.wait(60) == 0
    os.close(ours)
    assert b"\x1b[" in shown
