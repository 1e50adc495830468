"""How to run what can be asked for: the options of each command, checked before JAX is imported."""

import dataclasses
from pathlib import Path
from typing import ClassVar, Literal

from adaptax.core.errors import ConfigError, short_repr
from adaptax.core.settings import LARGEST_COUNT, Settings, setting, suggestion
from adaptax.experiment.host_options import HostOptions as HostOptions  # noqa: PLC0414  (options are found here)
from adaptax.registry.registry import AGENTS, CLASSICAL, FROM_SCRATCH
from adaptax.registry.resolve import needs_import
from adaptax.runs.options import TrainOptions as TrainOptions  # noqa: PLC0414  (options of all commands are found here)
from adaptax.runs.options import checked_log


@dataclasses.dataclass(frozen=True)
class WatchOptions(Settings):
    """When not to wait any longer. It says nothing of a run, so it is typed again with --resume.

    Attributes:
        chunk_timeout: Seconds that a chunk of updates may take. If one takes longer, where it is stuck is written into
            crash-….txt, and training ends with exit code 75: the last checkpoint can be resumed. By default, no limit.
    """

    chunk_timeout: float | None = setting(None, above=0, high=1e7)


@dataclasses.dataclass(frozen=True)
class SimulatorOptions(Settings):
    """How simulators run on the host. It changes nothing in what they do, so it is written down nowhere.

    Attributes:
        workers: Processes that simulate side by side; 0: the process that learns. By default what the problem says.
        step_timeout: Seconds that a process may take to step all of its simulators. If one takes longer it is ended,
            and its trials are thrown away. By default what the problem says (60).
    """

    workers: int | None = setting(None, low=0, high=1024, yields=True)
    step_timeout: float | None = setting(None, above=0, high=1e7, yields=True)


@dataclasses.dataclass(frozen=True)
class ResumeOptions(Settings):
    """How to go on with a run. All else is as it was when it was started.

    Attributes:
        resume: The run's directory.
        num_updates: How many updates it is to have in all, more or fewer than was planned, but not fewer than it has
            made; by default as many as was planned.
        problem: The run's problem, if it is your own (MODULE:NAME): a run has nothing imported that you do not name.
        algorithm: The run's algorithm, if it is your own.
        encoder: The run's encoder, if it is your own.
        log: Where metrics are logged beside the run's directory from here on: wandb, mlflow, trackio, or nothing; by
            default where they were. What a tracker was not given is given to it.
        json: Print one JSON object on standard output and nothing else there.
    """

    resume: Path = Path()
    num_updates: int | None = setting(None, low=1, high=LARGEST_COUNT)
    problem: str | None = None
    algorithm: str | None = None
    encoder: str | None = None
    log: tuple[Literal["wandb", "mlflow", "trackio"], ...] | None = None
    json: bool = False

    def __post_init__(self):
        """Check every field."""
        super().__post_init__()
        if self.log is not None:
            object.__setattr__(self, "log", checked_log(self.log))


@dataclasses.dataclass(frozen=True)
class EvaluateOptions(Settings):
    """How to evaluate.

    Attributes:
        tasks: Number of held-out tasks; where they can be listed (Meta-World's), each once at most.
        seed: Decides the tasks and all randomness of the evaluation.
        against: Agents to compare with, by name (`adaptax list`); by default those that suit the problem.
        policy: mode: act by the best known action; sample: act as in training.
        protocol: trial: one trial in each task. metaworld: 10 episodes to adapt in, acting as in training, then 3 to be
            judged by, by the best known action.
        checkpoint: last, or best on validation tasks; auto: best if the run was trained with --select-on validation.
        problem: The run's problem, if it is your own (MODULE:NAME): a run has nothing imported that you do not name.
        algorithm: The run's algorithm, if it is your own.
        encoder: The run's encoder, if it is your own.
        reference: Say how far from random to informed agents have come, where the problem has reference policies
            (`adaptax reference`): two more agents are evaluated.
        references: Where references are kept; by default $ADAPTAX_REFERENCES, or else runs/references.
        out: Directory of what is found; by default the run's.
        json: Print one JSON object on standard output and nothing else there.
    """

    tasks: int = setting(10_000, low=1, high=LARGEST_COUNT)
    seed: int = setting(0, low=0, high=2**31 - 1)
    against: tuple[str, ...] | None = None
    policy: Literal["mode", "sample"] = setting("mode", only={"protocol": ("trial",)})
    protocol: Literal["trial", "metaworld"] = "trial"
    checkpoint: Literal["auto", "last", "best"] = "auto"
    problem: str | None = None
    algorithm: str | None = None
    encoder: str | None = None
    reference: bool = True
    references: Path | None = None
    out: Path | None = None
    json: bool = False

    def __post_init__(self):
        """Check every field, and the agents' names."""
        super().__post_init__()
        for name in self.against or ():
            if name not in AGENTS and not needs_import(name):
                known = [*CLASSICAL, *FROM_SCRATCH]
                raise ConfigError(
                    f"--against: expected some of {', '.join(known)}; found {short_repr(name)}{suggestion(name, known)}"
                )


@dataclasses.dataclass(frozen=True)
class OfOneTraining(Settings):
    """Which agent of a run is meant.

    Attributes:
        training_seed: Which of the run's trainings, where it has several (`seeds`), from 0.
        checkpoint: last, or best on validation tasks; auto: best if the run was trained with --select-on validation.
        problem: The run's problem, if it is your own (MODULE:NAME): a run has nothing imported that you do not name.
        algorithm: The run's algorithm, if it is your own.
        encoder: The run's encoder, if it is your own.
    """

    training_seed: int = setting(0, low=0, high=1023)
    checkpoint: Literal["auto", "last", "best"] = "auto"
    problem: str | None = None
    algorithm: str | None = None
    encoder: str | None = None


@dataclasses.dataclass(frozen=True)
class InspectOptions(OfOneTraining):
    """How to look into a memory.

    Attributes:
        tasks: Number of held-out tasks, and of training tasks to fit decoders on.
        seed: Decides the tasks and all randomness.
        policy: mode: act by the best known action; sample: act as in training.
        out: Directory of what is found; by default the run's.
        json: Print one JSON object on standard output and nothing else there.
    """

    tasks_at_least: ClassVar[int] = 20

    tasks: int = setting(1000, low=tasks_at_least, high=20_000)
    seed: int = setting(0, low=0, high=2**31 - 1)
    policy: Literal["mode", "sample"] = "mode"
    out: Path | None = None
    json: bool = False


@dataclasses.dataclass(frozen=True)
class ReportOptions(OfOneTraining):
    """What to put into a report besides what runs wrote down.

    Attributes:
        trials: Trials that are shown step by step, in the first held-out tasks of the seed.
        animation: Whether trials are shown at all.
        tasks: Tasks of each family (held-out, training, shifted) in which it is seen what carries over.
        inspect_tasks: Held-out tasks, and training tasks to fit decoders on, in which a memory is looked into, where
            `adaptax inspect` has not done it; 0: none.
        seed: Decides the tasks and all randomness.
        out: Directory of the report; by default the run's, or of several runs the first free runs/report-N.
        json: Print one JSON object on standard output and nothing else there.
    """

    trials: int = setting(4, low=1, high=20)
    animation: bool = True
    tasks: int = setting(64, low=2, high=100_000)
    inspect_tasks: int = setting(200, low=0, high=20_000)
    seed: int = setting(0, low=0, high=2**31 - 1)
    out: Path | None = None
    json: bool = False

    def __post_init__(self):
        """Check every field; a decoder needs tasks to be fitted on."""
        super().__post_init__()
        if 0 < self.inspect_tasks < InspectOptions.tasks_at_least:
            raise ConfigError(
                f"--inspect-tasks: expected 0, or at least {InspectOptions.tasks_at_least}; found {self.inspect_tasks}"
            )


@dataclasses.dataclass(frozen=True)
class CompareOptions(Settings):
    """How to compare.

    Attributes:
        problem: Name of the problem, or MODULE:NAME: with its default settings where no run says it.
        algorithm: The runs' algorithms, if they are your own (MODULE:NAME).
        encoder: The runs' encoder, if it is your own.
        tasks: Held-out tasks, the same for all agents.
        family_tasks: Training tasks, and shifted tasks, to see what carries over; the same for all agents.
        seed: Decides the tasks and all randomness.
        episodes: Trial of the learners from scratch; by default their preset's for the problem.
        policy: mode: agents that learn by remembering act by the best known action; sample: as in training.
        checkpoint: last, or best on validation tasks; auto: best if a run was trained with --select-on validation.
        reference: Say how far from random to informed agents have come, where the problem has reference policies
            (`adaptax reference`): two more agents are evaluated.
        references: Where references are kept; by default $ADAPTAX_REFERENCES, or else runs/references.
        out: Directory of the report; by default the first free runs/compare-N.
        json: Print one JSON object on standard output and nothing else there.
    """

    problem: str | None = None
    algorithm: tuple[str, ...] | None = None
    encoder: str | None = None
    tasks: int = setting(1000, low=2, high=100_000)
    family_tasks: int = setting(400, low=2, high=100_000)
    seed: int = setting(0, low=0, high=2**31 - 1)
    episodes: int | None = setting(None, low=1, high=LARGEST_COUNT)
    policy: Literal["mode", "sample"] = "mode"
    checkpoint: Literal["auto", "last", "best"] = "auto"
    reference: bool = True
    references: Path | None = None
    out: Path | None = None
    json: bool = False


@dataclasses.dataclass(frozen=True)
class ReproduceOptions(Settings):
    """How to reproduce a table.

    Attributes:
        cells: Cells of the table, separated by commas (see `adaptax list`); by default all.
        seed: Decides tasks, networks and all randomness of training.
        tasks: Held-out tasks to evaluate each cell on; by default as many as the table has them (20,000, or 2,000 for
            all-algorithms).
        out: Directory in which finished cells are kept; by default runs/NAME.
        json: Print one JSON object on standard output and nothing else there.
    """

    cells: str = "all"
    seed: int = setting(0, low=0, high=2**31 - 1)
    tasks: int | None = setting(None, low=2, high=LARGEST_COUNT)
    out: Path | None = None
    json: bool = False


@dataclasses.dataclass(frozen=True)
class ReferenceOptions(Settings):
    """How to train the reference policies of a problem, both alike, and where to keep them.

    Attributes:
        seed: Decides tasks, networks and all randomness.
        seeds: Number of independent trainings of each policy, side by side in one program.
        devices: Devices that share the tasks of an update; auto or 0: as many as there are (on a CPU, one per core).
        eval_tasks: Held-out tasks in which both are evaluated afterwards.
        references: Where references are kept; by default $ADAPTAX_REFERENCES, or else runs/references.
        json: Print one JSON object on standard output and nothing else there.
    """

    seed: int = setting(0, low=0, high=2**31 - 1)
    seeds: int = setting(1, low=1, high=1024)
    devices: int = setting(0, low=0, high=4096, spelled={"auto": 0})
    eval_tasks: int = setting(4000, low=1, high=LARGEST_COUNT)
    references: Path | None = None
    json: bool = False

    def training(self) -> TrainOptions:
        """The options of either training."""
        return TrainOptions(seed=self.seed, seeds=self.seeds, devices=self.devices, eval_tasks=0)


@dataclasses.dataclass(frozen=True)
class BesideOptions(Settings):
    """What is done after a training. It says nothing of a run, so it is typed again with --resume.

    Attributes:
        reference: Say how far from random to informed the agent has come, where the problem has reference policies
            (`adaptax reference`): two more agents are evaluated.
        references: Where references are kept; by default $ADAPTAX_REFERENCES, or else runs/references.
        report: Write a page of the run (report.html, as `adaptax report` does), if it was evaluated.
    """

    reference: bool = True
    references: Path | None = None
    report: bool = True


@dataclasses.dataclass(frozen=True)
class FollowOptions(Settings):
    """How to follow runs.

    Attributes:
        once: Show how far they are now, and end.
        interval: Seconds between two looks.
        json: Print one JSON object on standard output and nothing else there; with --once.
    """

    once: bool = False
    interval: float = setting(2.0, low=0.1, high=3600, only={"once": (False,)})
    json: bool = setting(False, only={"once": (True,)})


@dataclasses.dataclass(frozen=True)
class ExportOptions(OfOneTraining):
    """How to write an agent down for places without JAX.

    Attributes:
        format: numpy: a Python file that needs NumPy alone; js: a JavaScript file that needs nothing; c: a C file
            without allocation; onnx: models, and stablehlo: `jax.export`'s format, for a batch of any size.
        out: Directory of what is written; by default DIR/export/FORMAT.
        json: Print one JSON object on standard output and nothing else there.
    """

    format: Literal["numpy", "js", "c", "onnx", "stablehlo"] = "numpy"
    out: Path | None = None
    json: bool = False


@dataclasses.dataclass(frozen=True)
class PlayOptions(OfOneTraining):
    """How to write the page in which an agent plays.

    Attributes:
        seed: Number of the first task.
        out: The page; by default play-NAME.html here.
        open: Open it in the browser.
        json: Print one JSON object on standard output and nothing else there; nothing is opened.
    """

    seed: int = setting(1, low=0, high=1_000_000)
    out: Path | None = None
    open: bool = True
    json: bool = False


@dataclasses.dataclass(frozen=True)
class DemoOptions(Settings):
    """What is shown, and how fast.

    Attributes:
        tasks: In how many tasks that it has never seen.
        seed: Decides the tasks and all randomness.
        speed: How fast: 2 is twice as fast.
        out: A picture that moves (SVG) is written there, too: the first task.
        json: Print one JSON object on standard output and nothing else there.
    """

    tasks: int = setting(2, low=1, high=100)
    seed: int = setting(0, low=0, high=2**31 - 1)
    speed: float = setting(1.0, above=0, high=1000)
    out: Path | None = None
    json: bool = False


def check_training_seed(options: OfOneTraining, directory: Path, num_seeds: int) -> None:
    """Refuse a training that a run does not have.

    Raises:
        ConfigError: if it has none of that number.
    """
    if options.training_seed >= num_seeds:
        raise ConfigError(
            f"--training-seed: expected at most {num_seeds - 1}, since {directory} holds {num_seeds} "
            f"training{'s' if num_seeds > 1 else ''}, counted from 0; found {options.training_seed}"
        )
