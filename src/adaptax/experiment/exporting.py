"""What a run has trained, written down for places without JAX."""

import dataclasses
from pathlib import Path
from typing import Any

from adaptax.core import atomic_files
from adaptax.core.precision import in_single_precision
from adaptax.deployment.export.files import MANIFEST, write_checked
from adaptax.deployment.export.parity import STEPS
from adaptax.deployment.export.traced import exported
from adaptax.experiment.evaluation import directory_of
from adaptax.experiment.options import ExportOptions, check_training_seed
from adaptax.experiment.progress import OnMessage, log
from adaptax.experiment.recipes import options_for
from adaptax.registry.encoders import accept_encoder
from adaptax.runs.directory import create_directory, read_recipe
from adaptax.runs.load import load_agent


@dataclasses.dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        directory: Where.
        files: The files' names.
        difference: The largest between the agent and what was written, in `steps` steps and an adaptation.
        steps: Steps that were compared.
        programs: What can be called: "act", "explore", "adapt".
    """

    directory: Path
    files: tuple[str, ...]
    difference: float
    steps: int
    programs: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {**dataclasses.asdict(self), "directory": str(self.directory)}


@in_single_precision
def export(run: Any, options: ExportOptions | None = None, *, on_message: OnMessage = log, **changes: Any) -> Export:
    """Write the agent of a run down, as `adaptax export` does; nothing is printed.

    It is written only after what is written has run: its actions over a thousand steps with resets, and a step of
    adaptation, are those of the agent within 1e-5, and the same where actions are discrete.

    Args:
        run: A `Run`, or its directory.
        options: How.
        on_message: Called with lines for a person; by default they go to the logger "adaptax".
        changes: Single options by name, as in `format="js"`.

    Raises:
        ConfigError: if an option is not what it must be.
        UseError: if the agent is none that can be written down, as it draws something at the start of each trial.
        CheckpointError: if there is no run, or it is damaged.
        DivergenceError: if what is written does something else.
        MissingPackageError: if what runs it (Node, a C compiler) is not installed.
        OutputError: if it cannot be written.
    """
    options, directory = options_for(options or ExportOptions(), changes), directory_of(run)
    accept_encoder(options)
    _, trained_with = read_recipe(directory, problem=options.problem, algorithm=options.algorithm)
    check_training_seed(options, directory, int(trained_with["seeds"]))
    into = create_directory(options.out or directory / "export" / options.format, "an exported agent", fresh=False)
    agent = load_agent(directory, on_message, checkpoint=options.checkpoint).of_seed(options.training_seed)
    written = exported(agent)
    with atomic_files.explained(f"the exported agent in {into}"):
        files, worst = write_checked(written, agent.problem.env.observation_space, options.format, into)
    return Export(into, (*(x for x in files if x != MANIFEST), MANIFEST), worst, STEPS, tuple(written.programs))
