"""Whose an option is that was typed where there is none of that name. Asked only then, as it takes a moment."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from adaptax.cli.parser import spellings, typeable
from adaptax.experiment import options
from adaptax.experiment.sweep_options import SweepOptions, SweepResumeOptions
from adaptax.registry.registry import LEARNERS, PROBLEMS

COMMANDS: Mapping[str, tuple[Any, ...]] = {
    "train": (
        options.TrainOptions,
        options.HostOptions,
        options.ResumeOptions,
        options.WatchOptions,
        options.BesideOptions,
        options.SimulatorOptions,
    ),
    "plan": (options.TrainOptions, options.SimulatorOptions),
    "evaluate": (options.EvaluateOptions, options.SimulatorOptions),
    "reference": (options.ReferenceOptions, options.SimulatorOptions),
    "compare": (options.CompareOptions, options.SimulatorOptions),
    "inspect": (options.InspectOptions, options.SimulatorOptions),
    "report": (options.ReportOptions, options.SimulatorOptions),
    "export": (options.ExportOptions,),
    "watch": (options.FollowOptions,),
    "demo": (options.DemoOptions,),
    "play": (options.PlayOptions,),
    "reproduce": (options.ReproduceOptions,),
    "sweep": (SweepOptions, SweepResumeOptions, options.SimulatorOptions),
}
MOST = 3
"""So many are named."""


def owners(option: str, program: str) -> str:
    """Who but `program` has an option of exactly this name, in words; an empty string if nobody has."""
    entries = {**LEARNERS, **PROBLEMS}
    names = [name for name, entry in entries.items() if entry.settings and _is_of(option, (entry.settings,))]
    if names:  # before the commands: `--num-updates` is one of train, but with --resume only
        return f"it is an option of training with {_few(names)}"
    commands = [f"adaptax {name}" for name, kinds in COMMANDS.items() if _is_of(option, kinds)]
    if program in commands:  # with --resume
        return "a run knows what it was started with"
    return f"it is an option of {_few(commands)}" if commands else ""


def _is_of(option: str, kinds: Iterable[Any]) -> bool:
    known = (field for kind in kinds if dataclasses.is_dataclass(kind) for field in typeable(kind))
    return any(option in spellings(field) for field in known)


def _few(names: list[str]) -> str:
    return ", ".join(names[:MOST]) + (", …" if len(names) > MOST else "")
