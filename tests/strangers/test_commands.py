"""A stranger's algorithm on a stranger's problem: what can be done with ours, from the command line and from Python."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from adaptax import experiment
from adaptax.cli.main import main
from adaptax.deployment.agent import Agent
from tests.strangers.stranger_algorithm import LinearBandit
from tests.strangers.stranger_problem import hidden_target

pytestmark = pytest.mark.compiles

ALGORITHM = "tests.strangers.stranger_algorithm:LinearBandit"
PROBLEM = "tests.strangers.stranger_problem:hidden_target"
OWN = ["--problem", PROBLEM, "--algorithm", ALGORITHM]
SIZES = {"num_updates": 40, "num_tasks": 8, "num_episodes": 6, "eval_tasks": 20, "devices": 1}
TYPED = [word for name, value in SIZES.items() for word in (f"--{name.replace('_', '-')}", str(value))]
ROOT = Path(__file__).parents[2]
LAST = "checkpoints/update-00000040.safetensors"


def run(*words, code=0):
    """A command, in this process; what it printed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    assert stop.value.code == code, err.getvalue()
    return out.getvalue() if code == 0 else err.getvalue()


def alone(*words, **changes):
    """A command in a process of its own, which has been told of no stranger yet."""
    code = "from adaptax.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", **changes}
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a run from the command line in `typed`, and one from Python in `called`."""
    place = tmp_path_factory.mktemp("strangers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("adaptax.experiment.jax_setup.start_jax", lambda: None)
        patch.chdir(place)
        run("train", ALGORITHM, PROBLEM, *TYPED, "--out", "typed")
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            experiment.train(LinearBandit, hidden_target, directory="called", **SIZES)
        assert said.getvalue() == ""
        yield place


def same(first, second):
    return all((first / name).read_bytes() == (second / name).read_bytes() for name in (LAST, "metrics.jsonl"))


def train(place):
    assert same(place / "typed", place / "called")
    config = json.loads((place / "typed/config.json").read_text())
    assert (config["algorithm"], config["problem"]) == (ALGORITHM, PROBLEM)
    assert config["problem_settings"]["num_episodes"] == 6
    return {"typed", "called"}


def kill_and_resume(place):
    kill = (
        "import os; from adaptax.experiment.run_writer import RunWriter as W; chunk = W.chunk\n"
        "def die(self, progress, **others):\n"
        "    chunk(self, progress, **others)\n"
        "    if progress.done == 20: os.kill(os.getpid(), 9)\n"
        "W.chunk = die\n"
        "from adaptax.cli import main; main()"
    )
    for name in ("killed typed", "killed called"):
        words = ["train", ALGORITHM, PROBLEM, *TYPED, "--out", name]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
        assert subprocess.run([sys.executable, "-c", kill, *words], env=environment, check=False).returncode == -9
    run("train", "--resume", "killed typed", *OWN)
    experiment.resume("killed called", problem=PROBLEM, algorithm=ALGORITHM)
    assert same(place / "killed typed", place / "typed")
    assert same(place / "killed called", place / "called")
    return {"typed", "called"}


def evaluate(place):
    printed = json.loads(run("evaluate", "called", *OWN, "--tasks", "10", "--json"))
    found = experiment.evaluate("typed", problem=PROBLEM, algorithm=ALGORITHM, tasks=10)
    assert list(printed["agents"]) == list(found.results) == [ALGORITHM, "random"]
    assert printed["agents"] == found.to_json()["agents"]
    return {"typed", "called"}


def compare(place):
    few = ["--tasks", "4", "--family-tasks", "4"]
    printed = json.loads(run("compare", "called", *OWN, *few, "--out", "first", "--json"))
    found = experiment.compare(
        ["typed"], problem=PROBLEM, algorithm=(ALGORITHM,), tasks=4, family_tasks=4, out=Path("second")
    )
    assert list(printed["agents"]) == list(found.content["agents"]) == [ALGORITHM, "random"]
    assert printed["agents"]["random"] == found.content["agents"]["random"]
    assert found.report.read_text().startswith("<!DOCTYPE html>")
    return {"typed", "called"}


def inspect(place):
    printed = json.loads(run("inspect", "called", *OWN, "--tasks", "20", "--json"))
    found = experiment.inspect("typed", problem=PROBLEM, algorithm=ALGORITHM, tasks=20)
    assert printed["r2"] == found.content["r2"]
    assert len(found.rows()) == 7
    return {"typed", "called"}


def report(place):
    few = ["--tasks", "2", "--trials", "1", "--inspect-tasks", "20"]
    printed = json.loads(run("report", "called", *OWN, *few, "--json"))
    found = experiment.report("typed", problem=PROBLEM, algorithm=ALGORITHM, tasks=2, trials=1, inspect_tasks=20)
    assert (place / printed["report"]).read_text().startswith("<!DOCTYPE html>")
    assert "Held-out task 1" in found.path.read_text()
    assert found.missing == tuple(line.replace("called", "typed") for line in printed["missing"])
    return {"typed", "called"}


def export(place):
    printed = json.loads(run("export", "called", *OWN, "--json"))
    found = experiment.export("typed", problem=PROBLEM, algorithm=ALGORITHM, out=Path("exported"))
    assert printed["files"] == list(found.files)
    assert printed["difference"] == found.difference <= 1e-5
    assert (place / "called/export/numpy/agent.py").read_text() == (place / "exported/agent.py").read_text()
    return {"typed", "called"}


def reference(place):
    small = {"num_updates": 2, "num_tasks": 8, "num_minibatches": 2, "eval_tasks": 10, "devices": 1}
    words = [word for name, value in small.items() for word in (f"--{name.replace('_', '-')}", value)]
    printed = json.loads(run("reference", PROBLEM, *words, "--references", "first kept", "--json"))
    found = experiment.reference(PROBLEM, references=Path("second kept"), **small)
    assert printed["policies"] == found.content["policies"]
    return {"typed", "called"}


def plan(place):
    printed = json.loads(run("plan", ALGORITHM, PROBLEM, *TYPED, "--json"))
    found = experiment.plan(LinearBandit, hidden_target, **SIZES)
    assert printed["needed_bytes"] == found.needed_bytes > 0
    assert printed["steps_per_update"] == found.steps_per_update == 8 * 6
    return {"typed", "called"}


def watch(place):
    (found,) = json.loads(run("watch", "called", "--once", "--json"))["runs"]
    assert (found["algorithm"], found["problem"]) == (ALGORITHM, PROBLEM)
    assert found["done"] == found["total"] > 0
    return {"called"}


def check_env(place):
    assert re.match(r"PASS \d+/\d+ rules", run("check-env", PROBLEM, "--tasks", "4", "--steps", "20"))
    return {"typed"}


def act(place):
    agent = Agent.load("called", problem=PROBLEM, algorithm=ALGORITHM)
    actions = []
    for _ in range(6):
        actions.append(int(agent.act(np.zeros(0))))
        agent.observe(1.0, episode_over=True)
    assert set(actions) <= set(range(5))
    return {"called"}


TRIPS = [
    train, kill_and_resume, evaluate, compare, inspect, report, export, reference, plan, watch, check_env, act,
]  # fmt: skip


@pytest.mark.compiles
@pytest.mark.parametrize("trip", TRIPS, ids=lambda trip: trip.__name__)
def test_a_stranger_goes_where_we_go(place, trip):
    assert trip(place)


def test_all_that_there_is_was_tried():
    """Each command that takes any algorithm, problem or run is among the trips; pages to play are of some families."""
    from adaptax.cli.main import COMMANDS

    tried = {trip.__name__.replace("_", "-") for trip in TRIPS}
    assert set(COMMANDS) - tried == {"list", "reproduce", "sweep", "demo", "play"}


def test_a_run_has_nothing_imported_that_its_user_does_not_name(place):
    done = alone("evaluate", place / "called", XDG_CACHE_HOME=str(place))
    assert done.returncode == 5
    assert f"--problem {PROBLEM}" in done.stderr or f"--algorithm {ALGORITHM}" in done.stderr
    assert done.stderr.count("\n") == 1
