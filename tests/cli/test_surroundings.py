"""Where a run finds itself: clocks that jump, terminals that go, locales, loggers that fail, and secrets nearby."""

import json
import os
import pty
import re
import signal
import subprocess
import sys

import pytest

from tests.cli.conftest import PATIENCE, PROGRAM, SMALL_BANDIT, TINY, environment, run_alone

LONGER = ["--num-updates", "40", *TINY[2:], "--eval-tasks", "20", "--seed", "3"]
TRAIN = ["train", "rl2", "bandit", *SMALL_BANDIT, *LONGER]


WITHOUT_HANGUPS = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"]
"""What `nohup` does: SIGHUP is ignored when the process starts, and must stay so."""


def train(cwd, *words, **changes):
    done = run_alone(*TRAIN, "--out", "out", *words, cwd=cwd, **changes)
    assert done.returncode == 0, done.stderr
    return done


def results(directory):
    """What must not depend on the surroundings."""
    evaluation = json.loads((directory / "evaluation.json").read_text())
    for name in ("directory", "seconds", "steps_per_second"):
        evaluation.pop(name)
    newest = sorted((directory / "checkpoints").glob("*.safetensors"))[-1]
    return evaluation, (directory / "metrics.jsonl").read_bytes(), newest.name, newest.read_bytes()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    cwd = tmp_path_factory.mktemp("undisturbed")
    train(cwd)
    return results(cwd / "out")


JUMPING = """
import time
wall, calls = time.time, [0]
def jumping():
    calls[0] += 1
    return wall() + (86400, -86400, 0, -3e8)[calls[0] % 4]
time.time = jumping
"""


@pytest.mark.nightly
@pytest.mark.process
def test_a_clock_that_jumps_changes_nothing_and_the_newest_checkpoints_are_kept(undisturbed, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(JUMPING)
    checked = subprocess.run(
        [sys.executable, "-c", "import time; a = [time.time() for _ in range(4)]; print(a == sorted(a))"],
        env=environment(PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert checked.stdout == "False\n"
    done = train(tmp_path, PYTHONPATH=str(tmp_path), TZ="America/St_Johns")
    assert results(tmp_path / "out") == undisturbed
    kept = [path.stem for path in sorted((tmp_path / "out/checkpoints").glob("*.safetensors"))]
    assert kept == ["update-00000020", "update-00000030", "update-00000040"]
    (seconds,) = re.findall(r"trained 40 updates in (-?[0-9.]+) s", done.stderr)
    assert 0 <= float(seconds) < 86400 / 2


@pytest.mark.process
def test_a_logger_that_fails_is_one_line_and_all_else_is_complete(undisturbed, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/tensorboard").write_text("not a folder")
    done = train(tmp_path)
    assert done.stderr.count("no more is written for TensorBoard") == 1
    assert results(tmp_path / "out") == undisturbed


def everything_written(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file() and not path.is_symlink()}


@pytest.mark.process
def test_secrets_and_the_users_home_are_in_no_file(tmp_path):
    canary, home = "canary-5c1f9e", tmp_path / "home-of-jane"
    home.mkdir()
    place = home / "project"
    place.mkdir()
    hidden = {"SECRET_TOKEN": canary, "HOME": str(home), "USER": "jane-canary", "LOGNAME": "jane-canary"}
    done = train(place, **hidden)
    files = everything_written(place)
    assert len(files) > 8
    # A crash, too: its traceback goes through files in the user's home.
    (place / "breaking.py").write_text("def sampler():\n    raise RuntimeError('broken')\n")
    code = "from adaptax.experiment.tracebacks import write_traceback\ntry:\n    import breaking; breaking.sampler()\n"
    code += "except RuntimeError as error:\n    print(write_traceback(error))"
    crashed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=place,
        env=environment(PYTHONPATH=str(place), **hidden),
        capture_output=True,
        text=True,
        check=True,
    )
    (crash,) = place.glob("crash-*.txt")
    assert "~/project/breaking.py" in crash.read_text(), crashed.stdout
    for path, content in everything_written(place).items():
        if path.suffix == ".pyc" or path.name == "breaking.py":
            continue
        for secret in (canary, "home-of-jane", "jane-canary"):
            assert secret.encode() not in content, path
    assert canary not in done.stdout + done.stderr


# Six surroundings in which nothing special happens.


@pytest.mark.process
def test_no_terminal_no_letters_and_spaces_in_the_path(undisturbed, tmp_path):
    place = tmp_path / "a place with spaces and ü"
    place.mkdir()
    variables = environment(LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0", TERM="dumb")
    if subprocess.run([sys.executable, "-c", ""], env=variables, capture_output=True, check=False).returncode:
        # It is installed from a folder with letters beyond ASCII, whose name Python 3.11 reads by the locale.
        variables["LC_ALL"] = "C.UTF-8"
    done = subprocess.run(
        [*PROGRAM, *TRAIN, "--out", "out"],
        cwd=place,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert max(done.stdout + done.stderr) < 128
    assert results(place / "out") == undisturbed


@pytest.mark.process
def test_nohup_and_a_hangup(undisturbed, tmp_path, start):
    process = start(
        [*WITHOUT_HANGUPS, *PROGRAM, *TRAIN, "--out", "out"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert any("compiling" in line for line in process.stderr)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert results(tmp_path / "out") == undisturbed


@pytest.mark.process
def test_a_terminal_that_goes_away_while_it_trains(undisturbed, tmp_path, start):
    ours, theirs = pty.openpty()
    process = start(
        [*WITHOUT_HANGUPS, *PROGRAM, *TRAIN, "--out", "out"],
        cwd=tmp_path,
        env=environment(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    while b"compiling" not in seen:
        seen += os.read(ours, 1024)
    os.close(ours)
    # All that was to be kept is kept; what was to be printed at the end cannot be.
    assert process.wait(timeout=PATIENCE) in (0, 6)  # the terminal may be found gone, or not be written to any more
    assert results(tmp_path / "out") == undisturbed


@pytest.mark.process
def test_a_reader_that_has_read_enough(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*PROGRAM, "list"], cwd=tmp_path, env=environment(), stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.process
def test_standard_streams_that_are_closed_from_the_start(undisturbed, tmp_path):
    words = " ".join(f"'{word}'" for word in [*PROGRAM, *TRAIN, "--out", "out"])
    done = subprocess.run(["sh", "-c", f"exec {words} <&- >&- 2>&-"], cwd=tmp_path, env=environment(), check=False)
    assert done.returncode == 0
    assert results(tmp_path / "out") == undisturbed
