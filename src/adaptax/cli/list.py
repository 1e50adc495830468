"""`adaptax list`: what there is."""

import textwrap
from collections.abc import Mapping, Sequence

from adaptax.cli.options import wants_help
from adaptax.core.entry import Entry
from adaptax.core.errors import ConfigError, short_repr
from adaptax.experiment.tables import tables
from adaptax.registry.learning_table import standing
from adaptax.registry.presets import named_presets
from adaptax.registry.registry import (
    CLASSICAL,
    FROM_SCRATCH,
    OWN_FROM_SCRATCH,
    OWN_TRAINABLE,
    PROBLEMS,
    TRAINABLE,
)

WIDEST = max(map(len, [*OWN_TRAINABLE, *OWN_FROM_SCRATCH]))


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
    _lines(
        "what is learned by default (adaptax reproduce ALGORITHM-PROBLEM; docs/results.md)",
        {name: _standing(name) for name in {**OWN_TRAINABLE, **OWN_FROM_SCRATCH}},
    )
    _lines("tables (adaptax reproduce NAME)", {name: table.summary for name, table in tables().items()})
    return 0


def _standing(algorithm: str) -> str:
    """Where an algorithm was measured, where not, and where it gains nothing, in lines."""
    text = "; ".join(f"{kind}: {', '.join(problems)}" for kind, problems in standing(algorithm).items())
    return ("\n" + " " * (2 + WIDEST + 2)).join(textwrap.wrap(text, 100 - WIDEST - 4, break_on_hyphens=False))


def _section(title: str, entries: Mapping[str, Entry]) -> None:
    _lines(title, {name: entry.summary for name, entry in entries.items()})


def _lines(title: str, rows: dict[str, str]) -> None:
    print(title)
    width = max((len(name) for name in rows), default=0)
    for name, summary in rows.items():
        print(f"  {name:<{width}}  {summary}")
    print()
