"""What becomes of golden runs: what their agents do, and what training on comes to. The same inputs, always."""

import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np

from adaptax.core.spaces import Discrete
from adaptax.deployment.agent import Agent
from adaptax.experiment.recipes import options_of
from adaptax.experiment.session import TrainSession
from adaptax.experiment.surroundings import Surroundings
from adaptax.runs.directory import read_recipe
from tests.golden.digests import digest, norms

REWARDS = (1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0)
STEPS = 24
"""Of an agent's run in `acted`."""


def actions_of(directory: Path) -> dict[str, list]:
    """Actions of three runs, one of them by the best action known, and the bits of the memory after each step."""
    agent = Agent.load(directory, seed=3)
    actions: list[int] = []
    floats: list[list[str]] = []
    for explore in (True, False, True):
        agent.begin()
        for reward in REWARDS:
            actions.append(int(agent.act([], explore=explore)))
            agent.observe(reward, episode_over=True)
            leaves = [np.ravel(x) for x in jax.tree.leaves(agent._agent.memory) if x.dtype == np.float32]
            floats.append([float(x).hex() for leaf in leaves for x in leaf])
    return {"actions": actions, "memory": floats}


def acted(directory: Path) -> list[Any]:
    """Actions of a run of `STEPS` steps, on any problem: made-up observations and rewards, episodes as long as may be.

    The agent is that of the run's last training seed.
    """
    recipe, options = read_recipe(directory)
    env = recipe.build()[1].env
    rng = np.random.default_rng(5)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*training is not finished")
        agent = Agent.load(directory, seed=3, training_seed=options["seeds"] - 1)
    actions = []
    seen = _observation(env.observation_space, rng)
    for step in range(1, STEPS + 1):
        done, notes = agent.act(seen), agent._batch.state.notes
        # What the policy has put out: 0.1.0 did not clip what leaves. Who learns while it acts notes nothing down.
        chosen = notes[0].acted[1] if notes else done
        actions.append(chosen.tolist())
        seen, over = _observation(env.observation_space, rng), step % env.horizon == 0
        agent.observe(float(rng.normal()), episode_over=over, observation=seen)
    return actions


def _observation(space: Any, rng: np.random.Generator) -> Any:
    if isinstance(space, Discrete):
        return np.int32(rng.integers(space.num))
    return rng.uniform(max(space.low, -1.0), min(space.high, 1.0), space.shape).astype(np.float32)


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


def resumed(directory: Path, place: Path) -> Any:
    """The state at the end of training, of a run that is gone on with in a copy of its directory at `place`."""
    shutil.copytree(directory, place)
    recipe, options = read_recipe(place)
    session = TrainSession(recipe, options_of(options), place, Surroundings(on_message=_to_stderr), options)
    with session.trackers:
        return session.run().state


def outcome(directory: Path, place: Path) -> dict[str, Any]:
    """What a run comes to if it is gone on with at `place`: its state's digest, sizes of the leaves, and actions."""
    state = resumed(directory, place)
    return {"sha256": digest(state), "norms": norms(state), "actions": acted(place)}
