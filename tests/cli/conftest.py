"""Running the command line as a user does: in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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


def run(*arguments: str, cwd: Path, timeout: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `adaptax ARGUMENTS` in `cwd`, with a cache of its own."""
    env = {**os.environ, "XDG_CACHE_HOME": str(cwd / "cache"), **environment}
    code = "from adaptax.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """A tiny finished run: (where it was started, its directory, what it printed)."""
    cwd = tmp_path_factory.mktemp("run")
    done = run(
        "train",
        "rl2",
        "bandit",
        *SMALL_BANDIT,
        *TINY,
        "--eval-tasks",
        "50",
        "--out",
        "out dir",
        "--json",
        cwd=cwd,
    )
    assert done.returncode == 0, done.stderr
    return cwd, cwd / "out dir", done
