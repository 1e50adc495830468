"""A sweep on several processes of this machine: each does its part, as a job of an array would."""

import os
import subprocess
import sys
import time
from pathlib import Path

from adaptax.core.errors import AdaptaxError, OutputError
from adaptax.experiment.jax_setup import cores
from adaptax.experiment.progress import Progress
from adaptax.experiment.surroundings import Surroundings
from adaptax.experiment.sweep_cells import read_cell
from adaptax.experiment.sweep_plan import SweepPlan
from adaptax.registry.user_code import is_reference

PAUSE = 0.5
"""Seconds between two looks at what is finished."""
DEVICES = "JAX_NUM_CPU_DEVICES"


def words_for(plan: SweepPlan, root: Path, part: int, processes: int) -> list[str]:
    """What starts the process of one part."""
    words = [sys.executable, "-m", "adaptax", "sweep", "--resume", str(root), "--json"]
    words += [] if plan.options.optuna else ["--part", f"{part}/{processes}"]
    for option, name in (("--problem", plan.recipe.problem), ("--algorithm", plan.recipe.algorithm)):
        words += [option, name] if is_reference(name) else []
    encoder = getattr(plan.recipe.algorithm_settings, "encoder", "")
    return [*words, *(["--encoder", encoder] if is_reference(encoder) else [])]


def in_processes(plan: SweepPlan, root: Path, processes: int, surroundings: Surroundings) -> bool:
    """Start a process for each part and wait for all; return whether it was stopped.

    What each says is in DIR/process-K.log.

    Raises:
        AdaptaxError: if one ended with an error; what it said last is said again.
    """
    environment = {DEVICES: str(max(1, cores() // processes)), **os.environ}
    logs = [root / f"process-{part}.log" for part in range(1, processes + 1)]
    children: list[subprocess.Popen[bytes]] = []
    try:
        for part, path in enumerate(logs, 1):
            with open(path, "wb") as log:
                words = words_for(plan, root, part, processes)
                child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
                children.append(child)
    except OSError as error:
        _end(children)
        raise OutputError(f"{root}: cannot start processes there ({error.strerror or error})") from error
    surroundings.on_message(f"{processes} processes train; what they say is in {root}/process-K.log")
    with surroundings.stop.saving("stopped at once; the processes stop after this chunk"):
        _wait(plan, root, children, surroundings)
    stopped = surroundings.stop.asked
    for child, path in zip(children, logs, strict=True):
        if child.returncode not in (0, 75):
            lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["nothing was said"]
            error = AdaptaxError(f"process {child.pid} ended with {child.returncode}: {lines[-1]} ({path})")
            error.exit_code = child.returncode if child.returncode > 0 else 1
            raise error
        stopped = stopped or child.returncode == 75
    return stopped


def _wait(plan: SweepPlan, root: Path, children: list["subprocess.Popen[bytes]"], surroundings: Surroundings) -> None:
    """Until all have ended; they are told to stop if it is asked for."""
    told, total = False, plan.options.optuna or len(plan.cells)
    while any(child.poll() is None for child in children):
        if surroundings.stop.asked and not told:
            told = True
            _end(children)
        done = sum(read_cell(path).finished for path in root.iterdir() if path.is_dir())
        surroundings.on_progress(Progress("sweep", min(done, total), total, f"{done} choices finished"))
        time.sleep(PAUSE)


def _end(children: list["subprocess.Popen[bytes]"]) -> None:
    for child in children:
        if child.poll() is None:
            child.terminate()
