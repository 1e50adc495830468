"""How far runs are, as a table and as lines; small curves of letters."""

import math
from collections.abc import Sequence
from typing import Any

from adaptax.reports.text_table import Table

BARS = "▁▂▃▄▅▆▇█"
HEADERS = ("run", "state", "updates", "per s", "left", "return", "", "validation")
_EMPHASIS = {"running": "bold", "finished": None}


def table_of(views: Sequence[Any]) -> Table:
    """A table of what `runs.watching` has found; below it, why runs have failed or what is damaged."""
    reasons = [f"{view.directory}: {view.reason}" for view in views if view.reason]
    table = Table("" if views else "no runs yet", HEADERS, fold=True, caption=". ".join(reasons))
    for view in views:
        table.add_row(*_cells(view), emphasis=_EMPHASIS.get(view.state, "dim"))
    return table


def line_of(view: Any) -> str:
    """The same of one run, in a line."""
    _, _, updates, speed, left, last, _, validation = _cells(view)
    parts = [
        f"{view.state} ({view.doing})" if view.doing else view.state,
        _title(view),
        f"{updates} updates" if view.total else "",
        f"{speed}/s" if speed else "",
        f"{left} left" if left else "",
        f"return {last}" if last else "",
        f"validation {validation}" if validation else "",
        view.reason,
    ]
    return f"{view.directory}: {', '.join(part for part in parts if part)}"


def sparkline(values: Sequence[float]) -> str:
    """Values as bars of eight heights.

    >>> sparkline([0.0, 1.0, 2.0, 7.0])
    '▁▂▃█'
    """
    low, high = min(values, default=0.0), max(values, default=0.0)
    if high <= low:
        return BARS[0] * len(values)
    return "".join(BARS[min(7, int(8 * (x - low) / (high - low)))] for x in values)


def duration(seconds: float) -> str:
    """A time as it is said: "42 s", "3:05", "1:02:03", "3 d 04:10".

    >>> [duration(x) for x in (41.6, 185, 3723, 274_200)]
    ['42 s', '3:05', '1:02:03', '3 d 04:10']
    """
    whole = math.ceil(seconds - 0.5)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if whole < 60:
        return f"{whole} s"
    if days:
        return f"{days} d {hours:02}:{minutes:02}"
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _title(view: Any) -> str:
    seeds = f", {view.seeds} seeds" if view.seeds > 1 else ""
    return f"{view.algorithm} on {view.problem}{seeds}" if view.algorithm else ""


def _cells(view: Any) -> tuple[str, ...]:
    """Texts of a row, in the order of `HEADERS`."""
    score = view.validation
    speed = view.updates_per_second
    title = _title(view)
    return (
        f"{view.directory}  {title}" if title else view.directory,
        view.doing or view.state,
        f"{view.done}/{view.total}" if view.total else "",
        "" if speed is None else f"{speed:.3g}",
        "" if view.seconds_left is None else duration(view.seconds_left),
        "" if view.last_return is None else f"{view.last_return:.4g}",
        sparkline(view.curve),
        "" if score is None else f"{score.mean:.4g} ± {score.stderr:.2g}",
    )
