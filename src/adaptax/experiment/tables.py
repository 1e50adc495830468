"""Which published table is meant, and which of its cells. No JAX here."""

from adaptax.core.errors import ConfigError, short_repr
from adaptax.core.settings import suggestion
from adaptax.registry.paper_tables import TABLES, Table


def table_called(name: str) -> Table:
    """The table of a name.

    Raises:
        ConfigError: if there is none.
    """
    if name not in TABLES:
        raise ConfigError(
            f"NAME: expected one of {', '.join(TABLES)}; found {short_repr(name)}{suggestion(name, TABLES)}"
        )
    return TABLES[name]


def cells_of(table: Table, wanted: str) -> list[str]:
    """The cells that were asked for.

    Raises:
        ConfigError: if there is no such cell.
    """
    if wanted == "all":
        return list(table.cells)
    cells = [cell.strip().replace("×", "x") for cell in wanted.split(",") if cell.strip()]
    if not cells:
        raise ConfigError(f"--cells: expected some of {', '.join(table.cells)}; found {short_repr(wanted)}")
    for cell in cells:
        if cell not in table.cells:
            hint = suggestion(cell, table.cells)
            raise ConfigError(f"--cells: expected some of {', '.join(table.cells)}; found {short_repr(cell)}{hint}")
    return cells
