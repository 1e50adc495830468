"""A sweep as a table: what each choice earned in validation tasks, how sure that is, and how far it is behind."""

from typing import Any

from adaptax.reports.tables import between, number
from adaptax.reports.text_table import Table

ALIKE, BEST, OUT = "not told apart", "best", "diverged"
NOTE = (
    "Validation tasks, the same for all; intervals of 95 % are Student's, over seeds and tasks. 'not told apart': 0 is "
    "in the interval of the difference to the best. Test tasks were not touched."
)


def rows_of(sweep: Any) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Headers and rows, the best choice first.

    Args:
        sweep: What `adaptax.experiment.sweep` returns.
    """
    names = [name.replace("_", "-") for name in sweep.plan.swept]
    headers = (*names, _what(sweep), "95 % interval", "behind the best", "")
    return headers, [_row(one, one is sweep.best) for one in sweep.standings]


def _what(sweep: Any) -> str:
    best = sweep.best
    return "return" if best is None else f"return of {best.record.figures['what']}"


def _row(one: Any, best: bool) -> tuple[str, ...]:
    values = [_shown(value) for value in one.cell.changes.values()]
    figures = one.record.figures
    if figures is None:
        return (*values, "—", "—", "—", f"{OUT}: {one.record.diverged}")
    behind = "" if one.behind is None else f"{one.behind[0]:.4g} ± {number(one.behind[1], '.2g')}"
    said = BEST if best else ALIKE if one.alike else ""
    return (*values, number(figures["mean"], ".4g"), between(figures["interval"]), behind, said)


def _shown(value: Any) -> str:
    return f"{value:.6g}" if type(value) is float else str(value)


def sweep_table(sweep: Any) -> Table:
    """The table that is printed."""
    headers, rows = rows_of(sweep)
    waiting = f" {len(sweep.waiting)} of {len(sweep.waiting) + len(rows)} choices are not finished." * bool(
        sweep.waiting
    )
    table = Table(sweep.title, headers, caption=NOTE + waiting)
    for row, one in zip(rows, sweep.standings, strict=True):
        emphasis = "bold" if row[-1] == BEST else "dim" if one.record.figures is None else None
        table.add_row(*row, emphasis=emphasis)
    return table
