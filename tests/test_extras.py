"""Each extra, alone in a fresh environment, brings what it is for; so do those that are used together."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
FAMILIES = """
from adaptax.problems import {maker}_problem


def make():
    return {maker}_problem("CartPole-v1", tasks={{"{value}": {drawn}}}, episodes=2{more})
"""
GYMNASIUM = FAMILIES.format(maker="gymnasium", value="sutton_barto_reward", drawn=[False, True], more=", horizon=20")
GYMNAX = FAMILIES.format(maker="gymnax", value="length", drawn=(0.25, 1.0), more="")
CHECK = ["check-env", "--steps", "100", "--tasks", "2"]
TRAIN = ["train", "rl2", "bandit", "--num-pulls", "5", "--num-updates", "2", "--num-tasks", "16", "--memory-size", "4"]
RUN = [*TRAIN, "--eval-tasks", "20", "--out", "run"]
SMOKE = {
    "reports": [RUN],
    "tensorboard": [RUN],
    "gymnasium": [[*CHECK, "gymnasium_family:make"]],
    "gymnax": [[*CHECK, "gymnax_family:make"]],
    "mujoco": [[*CHECK, "half-cheetah-direction"]],
    "metaworld": [[*CHECK, "metaworld-ml1"]],
    "onnx": [RUN, ["export", "run", "--format", "onnx"]],
    "wandb": [[*RUN, "--eval-every", "2", "--log", "wandb"]],
    "mlflow": [[*RUN, "--eval-every", "2", "--log", "mlflow"]],
    "trackio": [[*RUN, "--eval-every", "2", "--log", "trackio"]],
    "serve": [RUN],
    "export": [RUN, ["export", "run", "--format", "stablehlo"]],
    "memax": [[*RUN, "--memory", "memax:ffm"]],
    "optuna": [["sweep", *TRAIN[1:], "--learning-rate", "1e-3:1e-1:log", "--optuna", "2", "--out", "sweep"]],
    "test": [RUN],
    "docs": [],  # what builds the site: `tests/site` does that
    "dev": [RUN],
    "cuda": [],  # it is as large as all others together, and does nothing without a GPU
}
SMOKE["all"] = [command for name in ("reports", "gymnasium", "mujoco", "export") for command in SMOKE[name]]
OFFLINE = {"WANDB_MODE": "offline", "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db", "TRACKIO_DIR": "trackio"}
READ = {"wandb": "wandb_rows", "mlflow": "mlflow_rows", "trackio": "trackio_rows"}
WRITTEN = {
    "optuna": "sweep/study.db",
    "reports": "run/*.png",
    "tensorboard": "run/**/*tfevents*",
    "all": "run/**/*tfevents*",
}
TOGETHER = ["gymnasium,reports", "gymnax,reports", "mujoco,reports,tensorboard"]


def test_no_extra_is_left_out():
    assert set(SMOKE) == set(EXTRAS)


@pytest.mark.nightly
@pytest.mark.parametrize("extras", [*(name for name in SMOKE if SMOKE[name]), *TOGETHER])
def test_an_extra_brings_what_it_is_for(extras, tmp_path):
    python = tmp_path / "venv/bin/python"

    def call(*command):
        alone = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        alone |= OFFLINE
        done = subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stdout, done.stderr)

    call(sys.executable, "-m", "venv", "venv")
    call(python, "-m", "pip", "install", "--quiet", f"{ROOT}[{extras}]")
    call(python, "-m", "pip", "check")
    for name, source in (("gymnasium_family", GYMNASIUM), ("gymnax_family", GYMNAX)):
        (tmp_path / f"{name}.py").write_text(source)
    for extra in extras.split(","):
        for command in SMOKE[extra]:
            if command is not RUN or not (tmp_path / "run").exists():
                call(python, "-m", "adaptax", *command)
        if extra in READ:  # of the run from its beginning to where it was stopped, and from there to its end
            call(python, "-m", "adaptax", "train", "--resume", "run", "--num-updates", "5")
            call(python, ROOT / "tests/runs/trackers/stored.py", READ[extra])
        if extra == "serve":
            load = [ROOT / "examples/serve/load_test.py", "run", "--sessions", "20", "--rounds", "10", "--think", "0.2"]
            call(python, *load)
        if extra in WRITTEN:
            assert [*tmp_path.glob(WRITTEN[extra])], f"{extra}: nothing like {WRITTEN[extra]} was written"
