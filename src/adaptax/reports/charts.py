"""Charts as SVG within a page: small enough to be read on a telephone, in the page's colours by day and by night.

Each has a title and a description in words, for those who do not see it; `legend` has the names of its lines. Whatever
is put into them is escaped.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from adaptax.core.errors import needs

with needs("reports", "an HTML page"):
    from markupsafe import Markup, escape

WIDTH, HEIGHT = 420, 264
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 12, 40
ROW = 26
"""Height of a row of intervals."""
MOST_POINTS = 160
FEW = 10
"""Up to so many points of a line are marked."""

Numbers: TypeAlias = Sequence[float] | np.ndarray


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        name: Its name in the legend; empty: it has none of its own.
        x: Where its points are, growing.
        y: How high.
        low: Lower ends of a band, if there is one.
        high: Upper ends.
        look: Its class: "c0" to "c8" are colours, "knows", "optimal" and "random" are references.
        thin: Whether it is one of many, behind the others.
        dots: Whether its points are marked, and not joined.
    """

    name: str
    x: Numbers
    y: Numbers
    low: Numbers | None = None
    high: Numbers | None = None
    look: str = "c0"
    thin: bool = False
    dots: bool = False


@dataclasses.dataclass(frozen=True)
class Interval:
    """A row of a chart of intervals.

    Attributes:
        name: Its name, on the left.
        value: Where its point is.
        low: Where its interval begins.
        high: Where it ends.
        look: As that of a line.
        hollow: Whether its point is hollow.
    """

    name: str
    value: float
    low: float
    high: float
    look: str = "c0"
    hollow: bool = False


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str,
    y_label: str,
    log: bool = False,
    from_zero: bool = False,
    whole: bool = False,
) -> Markup:
    """Lines with bands over a common axis.

    Args:
        lines: What to draw; the first are drawn last. What is not finite is left out.
        title: What it shows, in a line.
        x_label: Of the axis.
        y_label: Of the other.
        log: Whether the axis is logarithmic.
        from_zero: Whether the other axis has to show zero.
        whole: Whether the axis counts something: episodes.
    """
    points = [np.asarray(x, np.float64) for line in lines for x in (line.x,)]
    heights = [np.asarray(y, np.float64) for line in lines for y in (line.y, line.low, line.high) if y is not None]
    x = _Axis.over(points, LEFT, WIDTH - RIGHT, log=log)
    y = _Axis.over([*heights, np.zeros(int(from_zero))], HEIGHT - BOTTOM, TOP)
    parts = [*_grid(x, y, x_label, y_label, whole=whole)]
    for line in reversed(lines):
        parts += _drawn(line, x, y)
    return _svg(parts, HEIGHT, title, ". ".join(filter(None, map(_in_words, lines))), y_label)


def interval_chart(rows: Sequence[Interval], *, title: str, label: str, levels: Sequence[Line] = ()) -> Markup:
    """A point with its interval for each row; `levels` are lines across, each at its first `y`."""
    height = TOP + ROW * len(rows) + BOTTOM
    ends = [np.array([row.value, row.low, row.high]) for row in rows] + [np.asarray(x.y)[:1] for x in levels]
    left = min(170, 14 + 6.4 * max((len(row.name) for row in rows), default=0))
    x = _Axis.over(ends, left, WIDTH - RIGHT)
    parts = []
    for tick, text in x.ticks(5):
        parts.append(f'<line class="grid" x1="{tick:.1f}" x2="{tick:.1f}" y1="{TOP}" y2="{height - BOTTOM}"/>')
        parts.append(_text(tick, height - BOTTOM + 15, text))
    parts.append(_text((left + WIDTH - RIGHT) / 2, height - 6, label))
    for level in levels:
        where = x(float(np.asarray(level.y)[0]))
        parts.append(
            f'<line class="line {level.look}" x1="{where:.1f}" x2="{where:.1f}" y1="{TOP}" y2="{height - BOTTOM}"/>'
        )
    for number, row in enumerate(rows):
        y, filled = TOP + ROW * (number + 0.5), "hollow" if row.hollow else "filled"
        parts.append(_text(left - 8, y + 4, _cut(row.name, int((left - 8) / 6.2)), "end"))
        if math.isfinite(row.low) and math.isfinite(row.high):
            parts.append(
                f'<line class="whisker {row.look}" x1="{x(row.low):.1f}" x2="{x(row.high):.1f}" y1="{y}" y2="{y}"/>'
            )
        if math.isfinite(row.value):
            parts.append(f'<circle class="{filled} {row.look}" cx="{x(row.value):.1f}" cy="{y}" r="5"/>')
    words = [f"{row.name}: {short(row.value)} ({short(row.low)} to {short(row.high)})" for row in rows]
    return _svg(parts, height, title, ". ".join(words), label)


def legend(lines: Sequence[Line]) -> list[tuple[str, str]]:
    """Name and look of each line that has a name, once."""
    return list({line.name: (line.name, line.look) for line in lines if line.name}.values())


def numbers_of(lines: Sequence[Line], x_label: str, most: int = 12) -> tuple[list[str], dict[str, list[str]]]:
    """A chart as a table: headers, and a row for each named line, at a few of the points of the first."""
    named = [line for line in lines if line.name and not line.dots]
    if not named:
        return [], {}
    whole = np.asarray(named[0].x, np.float64)
    chosen = whole[np.unique(np.round(np.linspace(0, len(whole) - 1, min(most, len(whole)))).astype(int))]
    rows = {}
    for line in named:
        at, y = np.asarray(line.x, np.float64), np.asarray(line.y, np.float64)
        rows[line.name] = [short(float(np.interp(x, at, y))) if at[0] <= x <= at[-1] else "–" for x in chosen]
    return [x_label, *map(short, chosen)], rows


def thinned(count: int, most: int = MOST_POINTS) -> np.ndarray:
    """Indices of at most `most` of `count` entries, evenly, first and last among them."""
    return np.unique(np.round(np.linspace(0, count - 1, min(count, most))).astype(int))


def short(value: float) -> str:
    """A number on an axis: three digits, thousands as k, millions as M."""
    if not math.isfinite(value):
        return "–"
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if unit == 'k' else size):.3g} {unit}".replace("-", "−")
    if abs(value) >= 1e3:
        return f"{value:,.0f}".replace("-", "−")
    return f"{0.0 if abs(value) < 1e-12 else value:.3g}".replace("-", "−")


@dataclasses.dataclass(frozen=True)
class _Axis:
    """Where numbers lie between two places of a picture."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    @classmethod
    def over(cls, values: Sequence[np.ndarray], begin: float, end: float, *, log: bool = False) -> "_Axis":
        every = np.concatenate([np.zeros(0), *(np.ravel(x) for x in values)])
        every = every[np.isfinite(every) & ((every > 0) | (not log))]
        low, high = (float(every.min()), float(every.max())) if every.size else ((1.0, 10.0) if log else (0.0, 1.0))
        if low == high:
            low, high = (low / 2, low * 2) if log else (low - max(0.5, abs(low) / 10), high + max(0.5, abs(high) / 10))
        room = 0.0 if log else 0.03 * (high - low)
        return cls(low - room, high + room, begin, end, log)

    def __call__(self, value: Any) -> Any:
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        value = np.log(value) if self.log else value
        return self.begin + (self.end - self.begin) * (value - low) / (high - low)

    def ticks(self, most: int, least: float = 0.0) -> Iterator[tuple[float, str]]:
        """Places and texts of round numbers."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            factors = (1, 2, 5) if self.high / self.low < 200 else (1,)
            values = [factor * 10.0**power for power in powers for factor in factors]
        else:
            step = max(least, _step((self.high - self.low) / most))
            values = [step * n for n in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]
        for value in values:
            if self.low <= value <= self.high:
                yield self(value), short(0.0 if abs(value) < 1e-9 * (self.high - self.low) else value)


def _step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def _grid(x: _Axis, y: _Axis, x_label: str, y_label: str, *, whole: bool) -> Iterator[str]:
    low = HEIGHT - BOTTOM
    for place, text in y.ticks(5):
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{place:.1f}" y2="{place:.1f}"/>'
        yield _text(LEFT - 6, place + 4, text, "end")
    for place, text in x.ticks(6, least=float(whole)):
        yield f'<line class="tick" x1="{place:.1f}" x2="{place:.1f}" y1="{low}" y2="{low + 4}"/>'
        yield _text(place, low + 16, text)
    yield f'<line class="tick" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{low}" y2="{low}"/>'
    yield _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_label)
    turned = f"translate(11 {(TOP + low) / 2}) rotate(-90)"
    yield f'<text transform="{turned}" text-anchor="middle">{escape(_cut(y_label, 40))}</text>'


def _drawn(line: Line, x: _Axis, y: _Axis) -> Iterator[str]:
    use = thinned(len(line.x))
    at, height = np.asarray(line.x, np.float64)[use], np.asarray(line.y, np.float64)[use]
    sound = np.isfinite(at) & np.isfinite(height) & ((at > 0) | (not x.log))
    places = [(float(x(a)), float(y(h))) for a, h in zip(at[sound], height[sound], strict=True)]
    if line.low is not None and line.high is not None:
        low, high = (np.asarray(end, np.float64)[use][sound] for end in (line.low, line.high))
        known = np.isfinite(low) & np.isfinite(high)
        ends = [(place[0], float(y(end))) for place, end in zip(places, high, strict=True)]
        back = [(place[0], float(y(end))) for place, end in zip(places, low, strict=True)]
        around = list(itertools.compress(ends, known)) + list(itertools.compress(back, known))[::-1]
        if known.sum() > 1:
            yield f'<path class="band {line.look}" d="{_path(around)}Z"/>'
    if line.dots or (len(places) <= FEW and line.name and line.look.startswith("c")):
        for a, h in places:
            yield f'<circle class="filled {line.look}" cx="{a:.1f}" cy="{h:.1f}" r="3.5"/>'
    if not line.dots and len(places) > 1:
        yield f'<path class="line {line.look}{" thin" if line.thin else ""}" d="{_path(places)}"/>'


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "".join(f"{'L' if i else 'M'}{a:.1f} {h:.1f}" for i, (a, h) in enumerate(places))


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _in_words(line: Line) -> str:
    """A line as a sentence: where it begins and ends."""
    y = np.asarray(line.y, np.float64)
    sound = np.flatnonzero(np.isfinite(y))
    if not line.name or not len(sound):
        return ""
    first, last = sound[0], sound[-1]
    if first == last or y[first] == y[last] == y[sound].mean():
        return f"{line.name}: {short(y[first])}"
    return f"{line.name}: {short(y[first])} at {short(line.x[first])}, {short(y[last])} at {short(line.x[last])}"


def _svg(parts: Sequence[str], height: float, title: str, description: str, what: str) -> Markup:
    head = (
        f'<svg class="chart" role="img" viewBox="0 0 {WIDTH} {height:g}" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title><desc>{escape(what)}. {escape(description)}.</desc>"
    )
    return Markup(head + "".join(parts) + "</svg>")  # every text in it was escaped
