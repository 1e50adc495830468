"""The run whose parameters another begins from (`adaptax train … --from DIR`)."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.core.algorithm import first_state
from adaptax.core.errors import ConfigError, short_repr
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import TrainState, key_data, replace
from adaptax.experiment.progress import OnMessage
from adaptax.registry.registry import FROM_SCRATCH
from adaptax.runs.directory import read_recipe
from adaptax.runs.load import read_agent
from adaptax.runs.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Source:
    """What a run begins from.

    Attributes:
        agent: What the other run has learned: θ with what normalises its inputs, no optimiser.
        written: What is written down of it, among the run's options. No path: the other run is not needed any more.
    """

    agent: TrainedAgent
    written: dict[str, Any]

    def put_into(self, state: TrainState, num_seeds: int) -> TrainState:
        """A first state with these parameters; its optimiser, its key and its step stay.

        Args:
            state: The first state of the new run.
            num_seeds: Its trainings. If the other run has one, all begin from that.
        """
        meta = self.agent.meta
        if num_seeds > self.agent.num_seeds:
            meta = jax.tree.map(lambda x: jnp.broadcast_to(x, (num_seeds, *x.shape)), meta)
        # Copies: training takes the state's memory for itself, and the agent may be somebody's.
        changed: TrainState = replace(state, meta=jax.tree.map(jnp.copy, meta))
        return changed


def source_of(
    other: Any, recipe: Recipe, algorithm: Any, problem: Any, num_seeds: int, on_message: OnMessage
) -> Source:
    """Read what a run is to begin from.

    Args:
        other: The other run, by its directory, or as what `train` returns.
        recipe: What the new one trains.
        algorithm: The algorithm that it trains.
        problem: The problem, as that sees it.
        num_seeds: Its trainings.
        on_message: Called with lines for a person.

    Raises:
        ConfigError: if the other is of another algorithm or network, or has another number of trainings.
        CheckpointError: if it cannot be read.
    """
    directory = Path(getattr(other, "directory", other))
    name = read_recipe(directory)[0].algorithm
    if name != recipe.algorithm or name in FROM_SCRATCH:
        raise ConfigError(
            f"--from: expected a run of '{recipe.algorithm}', which is to be trained; found {short_repr(name)} in "
            f"{directory}"
        )
    agent, update = read_agent(directory, on_message)
    if agent.num_seeds not in (1, num_seeds):
        wanted = "1 training" if num_seeds == 1 else f"1 or {num_seeds} trainings, as --seeds says"
        raise ConfigError(f"--from: expected a run of {wanted}; found {agent.num_seeds} in {directory}")
    differing = _difference(algorithm, problem, agent)
    if differing is not None:
        raise ConfigError(
            f"--from: expected the network that is to be trained; found another in {directory}: {differing}"
        )
    return Source(agent, {"from_": directory.resolve().name, "from_update": update, "from_sha256": _digest(agent.meta)})


def _difference(algorithm: Any, problem: Any, agent: TrainedAgent) -> str | None:
    """Where the parameters of an agent are others than an algorithm's, in shape or structure; None: nowhere."""
    wanted = jax.eval_shape(lambda: first_state(algorithm, problem, jax.random.key(0), 1)).meta
    found = agent.of_seed(0).meta
    ours, theirs = (
        {jax.tree_util.keystr(p): x for p, x in jax.tree_util.tree_leaves_with_path(t)} for t in (wanted, found)
    )
    for name in {**ours, **theirs}:
        here, there = (_words(leaves.get(name)) for leaves in (ours, theirs))
        if here != there:
            return f"{name}: expected {here}, found {there}"
    structures: list[Any] = [jax.tree.structure(meta) for meta in (wanted, found)]
    if structures[0] != structures[1]:
        return "arrays of the same sizes, but other activations or spaces of observations and actions"
    return None


def _words(leaf: Any) -> str:
    return "nothing" if leaf is None else f"{leaf.dtype}{list(leaf.shape)}"


def _digest(meta: Any) -> str:
    """SHA-256 of all leaves, in order."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(meta):
        digest.update(np.ascontiguousarray(key_data(leaf)).tobytes())
    return digest.hexdigest()
