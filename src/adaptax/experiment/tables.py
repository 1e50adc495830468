"""Which table is meant, and which of its cells. No JAX here."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

from adaptax.core.errors import ConfigError, short_repr
from adaptax.core.settings import suggestion
from adaptax.experiment.options import ReproduceOptions
from adaptax.registry.learning_table import NAME, Row, learning_table, left_out
from adaptax.registry.paper_tables import TABLES, Table


class Asked(NamedTuple):
    """What is to be reproduced.

    Attributes:
        table: The table.
        cells: Names of its cells.
        directory: Where they are kept.
    """

    table: Table
    cells: list[str]
    directory: Path


def tables() -> dict[str, Table]:
    """All tables, by name."""
    return {**TABLES, NAME: learning_table()}


def asked_for(name: str, options: ReproduceOptions) -> Asked:
    """The table of a name, or the table that has a row of that name, and the cells that were asked for.

    Raises:
        ConfigError: if there is no such table or cell.
    """
    known, rows = tables(), learning_table().cells
    if name not in known and name not in rows:
        if reason := left_out(name):
            raise ConfigError(f"NAME: {short_repr(name)} is off the list: {reason}")
        hint = suggestion(name, [*rows, *known])
        raise ConfigError(
            f"NAME: expected one of {', '.join(known)}, or a cell of {NAME}; found {short_repr(name)}{hint}"
        )
    place = options.out or Path("runs") / f"{name if name in known else NAME}-seed{options.seed}"
    table = known[name] if name in known else dataclasses.replace(known[NAME], cells={name: rows[name]})
    return Asked(table, cells_of(table, options.cells), place)


def cells_of(table: Table, wanted: str) -> list[str]:
    """The cells that were asked for, by their names or by those of algorithms or problems.

    Raises:
        ConfigError: if there is no such cell.
    """
    if wanted == "all":
        return list(table.cells)
    words = [word.strip().replace("×", "x") for word in wanted.split(",") if word.strip()]
    if not words:
        raise ConfigError(f"--cells: expected some of {', '.join(table.cells)}; found {short_repr(wanted)}")
    cells: dict[str, None] = {}
    for word in words:
        found = [word] if word in table.cells else _rows_of(table, word)
        if not found and (reason := left_out(word)):
            raise ConfigError(f"--cells: {short_repr(word)} is off the list: {reason}")
        if not found:
            hint = suggestion(word, table.cells)
            raise ConfigError(f"--cells: expected some of {', '.join(table.cells)}; found {short_repr(word)}{hint}")
        cells.update(dict.fromkeys(found))
    return list(cells)


def _rows_of(table: Table, word: str) -> list[str]:
    """The rows of an algorithm or of a problem, where there are rows."""
    rows = ((name, cell) for name, cell in table.cells.items() if isinstance(cell, Row))
    return [name for name, row in rows if word in (row.algorithm, row.problem)]
