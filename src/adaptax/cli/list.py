"""`adaptax list`: what there is."""

from collections.abc import Mapping, Sequence

from adaptax.cli.options import wants_help
from adaptax.core.entry import Entry
from adaptax.core.errors import ConfigError, short_repr
from adaptax.experiment.tables import tables
from adaptax.registry.presets import named_presets
from adaptax.registry.registry import CLASSICAL, FROM_SCRATCH, PROBLEMS, TRAINABLE


def command(arguments: Sequence[str]) -> int:
    """Print algorithms, agents, problems, presets and tables."""
    if wants_help(arguments):
        print(
            "usage: adaptax list\n\nPrint algorithms, agents to compare with, problems, presets and published tables."
        )
        return 0
    if arguments:
        raise ConfigError(f"list: expected no arguments; found {short_repr(arguments[0])}")
    _section("algorithms (adaptax train ALGORITHM PROBLEM)", TRAINABLE)
    _section("learners from scratch (the same; or --against LEARNER ...)", FROM_SCRATCH)
    _section("agents to compare with (adaptax evaluate DIR --against AGENT ...)", CLASSICAL)
    _section("problems", PROBLEMS)
    _lines(
        "presets (--preset NAME)",
        {
            f"{algorithm} {problem} --preset {name}": preset.summary
            for (algorithm, problem), presets in named_presets().items()
            for name, preset in presets.items()
        },
    )
    _lines("tables (adaptax reproduce NAME)", {name: table.summary for name, table in tables().items()})
    return 0


def _section(title: str, entries: Mapping[str, Entry]) -> None:
    _lines(title, {name: entry.summary for name, entry in entries.items()})


def _lines(title: str, rows: dict[str, str]) -> None:
    print(title)
    width = max((len(name) for name in rows), default=0)
    for name, summary in rows.items():
        print(f"  {name:<{width}}  {summary}")
    print()
