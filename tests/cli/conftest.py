"""Running the command line: in the tests' process, or, for tests that are about that, in one of its own."""

import contextlib
import io
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pytest

from adaptax.cli import main


class FinishedRun(NamedTuple):
    """A run that tests may look at and must not change."""

    cwd: Path
    directory: Path
    stdout: str
    evaluation: str


TINY = [
    "--num-updates",
    "4",
    "--num-tasks",
    "8",
    "--memory-size",
    "4",
    "--critic-size",
    "4",
    "--num-minibatches",
    "2",
]
SMALL_BANDIT = ["--num-arms", "3", "--num-pulls", "5"]

PROGRAM = [sys.executable, "-c", "from adaptax.cli import main; main()"]
PATIENCE = 900.0
"""Seconds that a child may take: a fuse, so that a hang is told. No test is about time."""


def environment(**changes: str) -> dict[str, str]:
    """What a process of the command line starts with: the tests' cache of compiled programs, and little optimising."""
    cache = os.environ["ADAPTAX_TEST_CACHE"]
    return {
        **os.environ,
        "XDG_CACHE_HOME": cache,
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # tiny programs take longer to compile than to run
        **changes,
    }


def run(*arguments: str, cwd: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run `adaptax ARGUMENTS` in `cwd`, in this process, whose JAX has started."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as here:
        here.enter_context(contextlib.chdir(cwd))
        here.enter_context(mock.patch.dict(os.environ, changes))
        here.enter_context(mock.patch("adaptax.experiment.jax_setup.start_jax", return_value=None))
        here.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", message="Some donated buffers were not usable")  # as `start_jax` does
        here.enter_context(contextlib.redirect_stdout(out))
        here.enter_context(contextlib.redirect_stderr(err))
        try:
            main(arguments)
        except SystemExit as stop:
            code = stop.code
    assert isinstance(code, int)
    return subprocess.CompletedProcess(["adaptax", *arguments], code, out.getvalue(), err.getvalue())


def run_alone(*arguments: str, cwd: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own, as a user does."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        cwd=cwd,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """A tiny finished run: where it was started, its directory, what it printed, and its evaluation.json."""
    cwd = tmp_path_factory.mktemp("run")
    options = [*SMALL_BANDIT, *TINY, "--eval-tasks", "50", "--out", "out dir", "--json"]
    done = run("train", "rl2", "bandit", *options, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return FinishedRun(cwd, cwd / "out dir", done.stdout, (cwd / "out dir/evaluation.json").read_text())
