"""Everything that is computed is there without the optional packages; what is left out is said, with what to do."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from adaptax.core.errors import MissingPackageError
from tests.cli.conftest import PATIENCE, SMALL_BANDIT, TINY, environment

ROOT = Path(__file__).parents[1]
OPTIONAL = ("matplotlib", "jinja2", "rich", "tensorboardX", "mujoco", "gymnasium", "metaworld", "flatbuffers",
            "onnx", "onnxruntime")  # fmt: skip
ABSENT = f"import sys\nsys.modules.update(dict.fromkeys({OPTIONAL}))\n"
"""Whoever imports a module whose entry is None is told that there is none."""


def python(program, *arguments, cwd):
    """Run a program without the optional packages; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", ABSENT + program, *arguments],
        cwd=cwd, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def adaptax(*arguments, cwd):
    """Run the command line in the same way."""
    return python("from adaptax.cli import main; main()", *arguments, cwd=cwd)


def test_the_package_needs_what_computes_and_extras_have_the_rest():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = lambda listed: {re.match(r"[\w-]+", item)[0] for item in listed}  # noqa: E731
    assert {"jax", "equinox", "optax", "jaxtyping", "numpy", "safetensors"} <= names(project["dependencies"])
    extras = project["optional-dependencies"]
    given = [names(extras[name]) for name in ("reports", "tensorboard", "gymnasium", "mujoco", "export", "onnx")]
    assert set.union(*given) == set(OPTIONAL) - {"metaworld"}  # it pins another's version, so it is asked for by name
    assert names(extras["metaworld"]) == {"metaworld", "gymnasium"}
    assert not re.search(r"metaworld(?!>=3\.1)", " ".join(x for x in extras["metaworld"] if x.startswith("metaworld")))
    assert not names(project["dependencies"]) & set(OPTIONAL)
    assert extras["all"] == ["adaptax[reports,tensorboard,gymnasium,mujoco,export]"]
    assert "adaptax[all,onnx,serve,memax]" in extras["test"]


def test_every_module_can_be_imported_or_says_what_it_needs(tmp_path):
    program = """
import importlib, pkgutil
import adaptax
from adaptax.core.errors import MissingPackageError
for module in pkgutil.walk_packages(adaptax.__path__, "adaptax."):
    try:
        importlib.import_module(module.name)
    except MissingPackageError as error:
        print(module.name, error)
"""
    lines = python(program, cwd=tmp_path).stdout.splitlines()
    assert lines
    said = r'needs (\w+), which is not installed.*pip install "adaptax\[(\w+)\]"'
    rooms = {
        ("matplotlib", "reports"): "reports",
        ("jinja2", "reports"): "reports",
        ("gymnasium", "mujoco"): "problems.mujoco",
        ("gymnasium", "gymnasium"): "problems.host",
        ("gymnax", "gymnax"): "problems.gymnax_problems",
        ("metaworld", "metaworld"): "problems.metaworld",
        ("flatbuffers", "export"): "deployment.export",
        ("onnx", "onnx"): "deployment.export",
    }
    for line in lines:
        found = re.search(said, line)
        assert found, line
        assert f"{line.split()[0]}.".startswith(f"adaptax.{rooms[found.groups()]}."), line


@pytest.mark.parametrize("family", ["half-cheetah-direction:mujoco", "metaworld-ml1:metaworld"])
@pytest.mark.parametrize("line", [("train", "rl2"), ("check-env",)], ids=lambda line: line[0])
def test_a_family_whose_simulator_is_missing_says_what_to_install_before_anything_is_written(line, family, tmp_path):
    family, extra = family.split(":")
    command = [sys.executable, "-c", ABSENT + "from adaptax.cli import main; main()", *line, family]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == MissingPackageError.exit_code == 2
    assert f'pip install "adaptax[{extra}]"' in done.stderr
    assert "Traceback" not in done.stderr
    assert not [*tmp_path.rglob("config.json")]


@pytest.mark.compiles
def test_training_and_evaluating_in_python(tmp_path):
    program = """
import adaptax, adaptax.problems, optax, jax, jax.numpy as jnp
from adaptax.algorithms import RL2
from adaptax.core.algorithm import init
from adaptax.few_shot import Sinusoids, maml_train, sinusoid_network
problem = adaptax.problems.bernoulli_bandit(num_arms=3, num_pulls=5)
rl2 = RL2(num_updates=2, num_tasks=8, memory_size=4, critic_size=4, num_minibatches=2)
state = adaptax.train(rl2, problem, init(rl2, problem, seed=0), num_updates=2)
print(adaptax.evaluate(adaptax.TrainedAgent(rl2, problem, state.meta), num_tasks=10).episode_returns.shape)
maml_train(sinusoid_network(jax.random.key(0)), optax.sgd(0.01), Sinusoids(), 1, 2)
"""
    assert python(program, cwd=tmp_path).stdout == "(5,)\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run, trained without them."""
    cwd = tmp_path_factory.mktemp("bare")
    done = adaptax("train", "rl2", "bandit", *SMALL_BANDIT, *TINY, "--eval-tasks", "50", "--out", "run", cwd=cwd)
    return cwd, done


@pytest.mark.compiles
def test_training_by_the_command_line_ends_with_a_plain_table(run):
    cwd, done = run
    for name in ("training.png", "adaptation.png", "tensorboard/"):
        (line,) = [line for line in done.stderr.splitlines() if f"{name} is left out" in line]
        assert 'pip install "adaptax[' in line
    lines = done.stdout.splitlines()
    assert any(re.match(r"agent +return ± s\.e\. +95 % interval", line) for line in lines)
    assert any(re.match(r"gittins +\d", line) for line in lines)
    assert not any(line.startswith("picture") for line in lines)
    assert lines[-1].split() == ["run", "run"]
    assert re.search(r"train \d+/4", done.stderr)
    assert [json.loads(line)["update"] for line in (cwd / "run" / "metrics.jsonl").read_text().splitlines()] == [
        1,
        2,
        3,
        4,
    ]
    assert json.loads((cwd / "run" / "evaluation.json").read_text())["agents"]["rl2"]
    assert list((cwd / "run" / "checkpoints").glob("update-00000004*"))
    assert not (cwd / "run" / "tensorboard").exists()
    assert not list((cwd / "run").glob("*.png"))


@pytest.mark.compiles
def test_inspecting_prints_tables_and_writes_figures_as_numbers(run):
    cwd, _ = run
    done = adaptax("inspect", "run", "--tasks", "50", cwd=cwd)
    assert "inspection.png is left out" in done.stderr
    assert "decoded linearly" in done.stdout
    assert json.loads((cwd / "run" / "inspection.json").read_text())["episodes"]


@pytest.mark.process
def test_comparing_prints_tables_and_writes_figures_as_numbers(run):
    cwd, _ = run
    done = adaptax("compare", "run", "gittins", "--tasks", "12", "--family-tasks", "6", "--out", "compared", cwd=cwd)
    assert "report.html is left out" in done.stderr
    assert "1. pulls in a new task" in done.stdout
    assert json.loads((cwd / "compared" / "comparison.json").read_text())["agents"]
    assert not (cwd / "compared" / "report.html").exists()
