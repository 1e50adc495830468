"""Make the golden checkpoint of this version: python -m tests.golden.make.

A run's directory, as small as possible, and what its agent does. Later versions must load it, or say why they do not.
It is made once for each version and never again; a version that has one is refused.
"""

import importlib.metadata
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import tests.conftest  # noqa: F401  (JAX as the tests have it)
from adaptax.runs.checkpoints import FOLDER, updates_in
from adaptax.runs.directory import CONFIG
from tests.golden.replay import lived, processor

TRAIN = ["train", "rl2", "bandit", "--num-arms", "3", "--num-pulls", "10", "--num-tasks", "256", "--memory-size", "4"]
TRAIN += ["--critic-size", "4", "--num-minibatches", "2", "--num-updates", "400", "--eval-tasks", "0", "--devices", "1"]
TRAIN += ["--learning-rate", "0.01"]


def main() -> None:
    """Train, keep the newest checkpoint, and write down what the agent does."""
    place = Path(__file__).parent / importlib.metadata.version("adaptax")
    if place.exists():
        sys.exit(f"{place}: is there already; a golden checkpoint is never made again")
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "run"
        program = "from adaptax.cli import main; main()"
        subprocess.run([sys.executable, "-c", program, *TRAIN, "--out", str(out)], check=True)
        newest = updates_in(out)[-1]
        run = place / "run"
        (run / FOLDER).mkdir(parents=True)
        for kept in (CONFIG, *(f"{FOLDER}/update-{newest:08d}.{ending}" for ending in ("json", "safetensors"))):
            shutil.copyfile(out / kept, run / kept)
    made = {"jaxlib": importlib.metadata.version("jaxlib"), "processor": processor(), **lived(place / "run")}
    (place / "actions.json").write_text(json.dumps(made) + "\n")


if __name__ == "__main__":
    main()
