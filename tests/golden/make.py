"""Make the golden runs of this version: python -m tests.golden.make [--outcomes].

    VERSION/run, actions.json       one run from the command line, and what its agent does
    VERSION/runs/NAME, runs.json    one of each memory and of each family, in the middle of its training, and what it
                                    comes to when that is gone on with
    VERSION/acts.json               what the agent of each does, as it is loaded

Directories as small as possible. Later versions must load and resume them, or say why they do not. They are made once
for each version and never again; a version that has them is refused. With --outcomes, what they do and what going on
with them comes to is written down again, as it must be when training draws other tasks or agents learn otherwise than
they did; the runs stay.
"""

import dataclasses
import importlib.metadata
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import tests.conftest  # noqa: F401  (JAX as the tests have it)
from adaptax.experiment.session import TrainSession
from adaptax.experiment.surroundings import Surroundings
from adaptax.registry.presets import settings_for
from adaptax.runs.checkpoints import FOLDER, seal, updates_in
from adaptax.runs.directory import CONFIG, METRICS
from adaptax.runs.numerics import processor
from adaptax.runs.options import TrainOptions
from adaptax.runs.recipe import Recipe
from tests.golden.replay import acted, actions_of, outcome

TRAIN = ["train", "rl2", "bandit", "--num-arms", "3", "--num-pulls", "10", "--num-tasks", "256", "--memory-size", "4"]
TRAIN += ["--critic-size", "4", "--num-minibatches", "2", "--num-updates", "400", "--eval-tasks", "0", "--devices", "1"]
TRAIN += ["--learning-rate", "0.01"]

UPDATES, MIDDLE = 11, 8
"""A prime number, so that the training loop looks after every update; and the update at which runs are kept."""
_RL2 = {"memory_size": 3, "critic_size": 3, "num_tasks": 8, "num_minibatches": 2}
_INNER = {"hidden_size": 3, "num_layers": 1, "num_tasks": 3, "trajectories": 2}
_MDP = {"num_states": 3, "num_actions": 2, "horizon": 3, "num_episodes": 4}

RUNS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "rl2-gru": ("rl2", "bandit", {**_RL2, "memory": "gru"}, {"num_arms": 3, "num_pulls": 5}, {}),
    "rl2-lstm": ("rl2", "point-robot", {**_RL2, "policy_size": 3}, {"num_episodes": 2, "horizon": 4}, {}),
    "rl2-symmetric": ("rl2", "tabular-mdp", {**_RL2, "memory": "symmetric", "policy_size": 3}, _MDP, {}),
    "rl2-none": ("rl2", "cart-pole", {**_RL2, "memory": "none"}, {"num_episodes": 2, "horizon": 6}, {"seeds": 2}),
    "maml": ("maml", "point-robot", {**_INNER, "baseline": "value"}, {"num_episodes": 4, "horizon": 4}, {"seed": 1}),
    "meta-sgd": (
        "meta-sgd", "gaussian-bandit",
        {**_INNER, "outer": "ppo", "num_epochs": 2, "inner_steps": 1}, {"num_arms": 3, "num_pulls": 4}, {},
    ),
    "meta-lstm": (
        "meta-lstm", "chain", {**_INNER, "rule_size": 2, "cg_steps": 2},
        {"length": 4, "horizon": 3, "num_episodes": 4}, {},
    ),
    "es-maml": ("es-maml", "tabular-mdp", _INNER, _MDP, {}),
    "meta-policy-gradient": (
        "meta-policy-gradient", "cart-pole",
        {"memory_size": 3, "num_tasks": 3, "replicas": 2, "num_epochs": 2, "base_size": 3}, {"horizon": 5}, {},
    ),
    "dqn": (
        "dqn", "cart-pole",
        {"hidden_size": 3, "buffer_size": 20, "batch_size": 4, "learning_starts": 8},
        {"num_episodes": 6, "horizon": 6}, {},
    ),
}  # fmt: skip
"""Algorithm and problem, and what differs from their preset and from the options' defaults."""

LACKING = {"algorithm_settings": ("adam_b2",), "options": ("keep_every",)}
"""Fields that one run has not, as if they had come with a later version; their values are the defaults."""


def main() -> None:
    """Make what this version has not yet; refuse if it has all."""
    if sys.argv[1:] == ["--outcomes"]:
        for done in sorted(Path(__file__).parent.glob("*/runs.json")):
            write_outcomes(done.parent)
        return
    place = Path(__file__).parent / importlib.metadata.version("adaptax")
    if (place / "runs.json").exists():
        sys.exit(f"{place}: is there already; a golden run is never made again")
    made = {"jaxlib": importlib.metadata.version("jaxlib"), "processor": processor()}
    if not (place / "actions.json").exists():
        make_first(place / "run")
        (place / "actions.json").write_text(json.dumps({**made, **actions_of(place / "run")}) + "\n")
    with tempfile.TemporaryDirectory() as name:
        for run in RUNS:
            make(run, Path(name) / run, place / "runs" / run)
        forget(place / "runs" / "rl2-gru", place / "runs" / "fields-missing")
    write_outcomes(place)


def write_outcomes(place: Path) -> None:
    """Write down what the runs of a version do, and what they come to, here and now."""
    acts = {path.name: acted(path) for path in sorted((place / "runs").iterdir())}
    (place / "acts.json").write_text(json.dumps(acts) + "\n")
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        for run in RUNS:
            found[run] = outcome(place / "runs" / run, Path(name) / f"{run}-resumed")
    found["fields-missing"] = found["rl2-gru"]
    made = {"jaxlib": importlib.metadata.version("jaxlib"), "processor": processor()}
    (place / "runs.json").write_text(json.dumps({**made, "runs": found}, indent=1) + "\n")


def make_first(run: Path) -> None:
    """Train as a user does, and keep the newest checkpoint."""
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "run"
        program = "from adaptax.cli import main; main()"
        subprocess.run([sys.executable, "-c", program, *TRAIN, "--out", str(out)], check=True)
        keep(out, run, updates_in(out)[-1])


def make(name: str, out: Path, run: Path) -> None:
    """Train in `out`, and keep in `run` what there was in the middle."""
    algorithm, problem, changes, parameters, options = RUNS[name]
    default, default_problem = settings_for(algorithm, problem)
    if hasattr(default, "num_updates"):
        changes = {**changes, "num_updates": UPDATES}
    known = {field.name for field in dataclasses.fields(default)}
    settings = dataclasses.replace(default, **{key: value for key, value in changes.items() if key in known})
    recipe = Recipe(algorithm, problem, settings, dataclasses.replace(default_problem, **parameters))
    settings.check_problem(recipe.problem_settings)
    out.mkdir()
    chosen = TrainOptions(devices=1, eval_tasks=0, save_every=MIDDLE, **options)
    session = TrainSession(recipe, chosen, out, Surroundings())
    with session.trackers:
        session.run()
    keep(out, run, MIDDLE if hasattr(settings, "num_updates") else 0)


def keep(out: Path, run: Path, update: int) -> None:
    """Copy a run's configuration, the checkpoint of one update, and the metrics up to it."""
    (run / FOLDER).mkdir(parents=True)
    for kept in (CONFIG, *(f"{FOLDER}/update-{update:08d}.{ending}" for ending in ("json", "safetensors"))):
        shutil.copyfile(out / kept, run / kept)
    if (out / METRICS).exists():
        rows = (out / METRICS).read_bytes().splitlines(keepends=True)
        (run / METRICS).write_bytes(b"".join(rows[:update]))


def forget(whole: Path, run: Path) -> None:
    """Copy a run, without the fields that are `LACKING`."""
    shutil.copytree(whole, run)
    config = json.loads((run / CONFIG).read_text())
    (path,) = (run / FOLDER).glob("*.json")
    manifest = json.loads(path.read_text())["manifest"]
    for of in (config, manifest["about"]):
        for section, names in LACKING.items():
            for name in names:
                del of[section][name]
    (run / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    path.write_bytes(seal(manifest))


if __name__ == "__main__":
    main()
