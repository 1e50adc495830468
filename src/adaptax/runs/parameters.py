"""A run reduced to what its agent is: its recipe, and one checkpoint of θ alone.

It is read like a run (`read_agent`), so whatever takes a run takes it. It cannot be resumed: what else decides how a
training goes on, the optimiser's state say, is not there.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from jaxtyping import Array, PyTree

from adaptax.core import atomic_files
from adaptax.core.trained_agent import TrainedAgent
from adaptax.runs import checkpoints
from adaptax.runs.directory import CONFIG, read_recipe, write_json

_HOLDS, _PARAMETERS = "holds", "parameters"
"""What `config.json` says of such a run."""
_LARGEST = 1_000_000


class Parameters(NamedTuple):
    """θ, its leaves named as in a `TrainState`."""

    meta: PyTree[Array]


def holds_parameters_only(directory: Path) -> bool:
    """Whether a run, whose recipe was read, is one that was reduced to θ."""
    return bool(_content(directory).get(_HOLDS) == _PARAMETERS)


def write_parameters(agent: TrainedAgent, update: int, run: Path, into: Path) -> None:
    """Write down what a run has trained without all that its agent does not need.

    Args:
        agent: Its agent, of one training seed.
        update: Updates behind it.
        run: The run's directory.
        into: Another directory, made if it is missing.

    Raises:
        CheckpointError: if the run's recipe cannot be read.
        OSError: if it cannot be written.
    """
    recipe, options = read_recipe(run)
    options = {**options, "seeds": 1, "select_on": "last", "out": None}
    into.mkdir(parents=True, exist_ok=True)
    write_json(into / CONFIG, {**_content(run), _HOLDS: _PARAMETERS, "options": options})
    checkpoints.save(into, Parameters(agent.meta), update=update, about=recipe.about(options))


def _content(run: Path) -> dict[str, Any]:
    return dict(json.loads(atomic_files.read(run / CONFIG, _LARGEST).decode()))
