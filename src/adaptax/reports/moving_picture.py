"""A trial as one SVG that moves by itself, in a README say: no script, and still where less motion is asked for."""

from collections.abc import Sequence
from html import escape
from typing import Any

PACE = {"bandit": 9.0, "grid": 4.0, "plane": 10.0}
"""Moments in a second, by kind."""
HOLD = 2.5
"""Seconds at the end, before it begins again."""
WIDTH = 720
STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #5c5c5c }
.title { font-size: 15px; font-weight: 600; fill: #1c1c1c }
.big { font-size: 15px; font-weight: 700; fill: #c85400 }
.paper { fill: #fff } .line { stroke: #dcdcdc; fill: none } .band { fill: #9cc9e6 } .other { fill: #0072b2 }
.agent { fill: #c85400 } .goal { fill: #00795a } .way { stroke: #c85400; fill: none; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
text { fill: #a8a8a8 } .title { fill: #ececec } .paper { fill: #171717 } .line { stroke: #3d3d3d }
.band { fill: #2f6288 } .other { fill: #62b4f2 } .agent, .big { fill: #ff8f45 } .goal { fill: #41c79a }
.way { stroke: #ff8f45 } }
@media (prefers-reduced-motion: reduce) { * { animation: none !important } }
"""


class Tracks:
    """What changes: one animation for each thing, all of the same length."""

    def __init__(self, count: int, pace: float):
        self.seconds, self.count, self.css = count / pace + HOLD, count, list[str]()
        self.share = 100 * (count / pace) / self.seconds

    def add(self, values: Sequence[str], *, smooth: bool = False) -> str:
        """A class that goes through values of CSS, one for each moment, and stays at the last."""
        name = f"k{len(self.css)}"
        stops = [
            f"{self.share * i / self.count:.2f}%{{{value}}}"
            for i, value in enumerate(values)
            if i == 0 or value != values[i - 1] or (smooth and i + 1 < len(values) and value != values[i + 1])
        ]
        way = "linear" if smooth else "step-end"
        self.css.append(
            f"@keyframes {name}{{{''.join(stops)}100%{{{values[-1]}}}}}"
            f".{name}{{{values[-1]};animation:{name} {self.seconds:.2f}s {way} infinite}}"
        )
        return name


def moving_picture(film: dict[str, Any], speed: float = 1.0) -> str:
    """The picture.

    Args:
        film: Kind, title, what stays the same and moments of a trial, as `scenes.js` describes them.
        speed: 2 is twice as fast.
    """
    moments = [{**film["still"], **moment} for moment in film["moments"]]
    tracks = Tracks(len(moments), PACE[film["kind"]] * speed)
    height, drawn = {"bandit": _bandit, "grid": _grid, "plane": _plane}[film["kind"]](moments, tracks)
    said = f"{film['title']}. {moments[-1]['text']}"
    box = f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(said)}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {box}>\n'
        f"<style>\n{STYLE}{chr(10).join(tracks.css)}\n</style>\n"
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="8"/>\n' + "\n".join(drawn) + "\n</svg>\n"
    )


def _text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}"{more}>{escape(words)}</text>'


def _titles(title: str, below: str) -> list[str]:
    return [_text(20, 26, title, ' class="title"'), _text(20, 45, below)]


def _counter(x: float, y: float, values: Sequence[int], tracks: Tracks) -> list[str]:
    """A number that changes: a column of numbers behind a slit."""
    track = tracks.add([f"transform:translateY({-20 * v}px)" for v in values])
    numbers = "".join(_text(x, y + 20 * n, str(n), ' class="big"') for n in range(max(values) + 1))
    slit = f"slit{len(tracks.css)}"
    return [
        f'<clipPath id="{slit}"><rect x="{x - 2:g}" y="{y - 15:g}" width="60" height="20"/></clipPath>',
        f'<g clip-path="url(#{slit})"><g class="{track}">{numbers}</g></g>',
    ]


def _bandit(moments: Sequence[Any], tracks: Tracks) -> tuple[int, list[str]]:
    arms, left, top, tall = moments[0]["arms"], 60, 78, 200
    wide = (WIDTH - left - 20) / len(arms)
    drawn = _titles(
        f"An agent with {len(arms)} arms that it has never pulled before",
        "bars: what its pulls tell of each arm · diamonds: the truth, which it is not told",
    )
    for share in (0, 0.5, 1):
        y = top + tall * (1 - share)
        axis = _text(left - 12, y + 4, f"{share:g}", ' text-anchor="end"')
        drawn += [f'<path class="line" d="M{left} {y:g}H{WIDTH - 20}"/>', axis]
    chosen = tracks.add([f"transform:translateX({wide * m['chosen']:.1f}px)" for m in moments])
    place = f'x="{left + 2}" y="{top - 14}" width="{wide - 4:.1f}" height="{tall + 62}" rx="6"'
    drawn.append(f'<rect class="agent {chosen}" opacity=".18" {place}/>')
    most = max(arm["pulls"] for arm in moments[-1]["arms"])
    for i, arm in enumerate(arms):
        x, body = left + wide * (i + 0.5), wide * 0.5
        known = [m["arms"][i] for m in moments]
        spans = [f"translateY({tall * (1 - k['high']):.1f}px) scaleY({k['high'] - k['low']:.3f})" for k in known]
        band = tracks.add([f"transform:{span}" for span in spans])
        mean = tracks.add([f"transform:translateY({tall * (1 - k['mean']):.1f}px)" for k in known])
        pulls = tracks.add([f"transform:scaleX({k['pulls'] / most:.3f})" for k in known])
        drawn += [
            f'<g transform="translate({x - body / 2:.1f} {top})">'
            f'<rect class="band {band}" width="{body:.1f}" height="{tall}"/>'
            f'<rect class="other {mean}" y="-2" width="{body:.1f}" height="4"/></g>',
            f'<path class="goal" d="M{x:.1f} {top + tall * (1 - arm["truth"]) - 7:.1f}l7 7l-7 7l-7 -7Z"/>',
            _text(x, top + tall + 20, str(i + 1), ' text-anchor="middle"'),
            f'<g transform="translate({x - body / 2:.1f} {top + tall + 28})">'
            f'<rect class="agent {pulls}" width="{body:.1f}" height="6" rx="2"/></g>',
        ]
    earned, sums = 0.0, []
    for moment in moments:
        earned += moment["reward"]
        sums.append(round(earned))
    low = top + tall + 66
    drawn += [_text(20, top + tall + 35, "pulls"), _text(20, low, "pull")]
    drawn += _counter(56, low, range(1, len(moments) + 1), tracks)
    return low + 16, [*drawn, _text(140, low, "earned"), *_counter(194, low, sums, tracks)]


def _grid(moments: Sequence[Any], tracks: Tracks) -> tuple[int, list[str]]:
    size, cell, left, top = moments[0]["rows"], 58, 215, 58

    def corner(row: int, column: int) -> tuple[int, int]:
        return left + cell * column, top + cell * (size - 1 - row)

    drawn = _titles(
        "An agent looks for a goal that it cannot see", "blue: where it may still be · diamond: where it is"
    )
    for row in range(size):
        for column in range(size):
            x, y = corner(row, column)
            chances = [m["belief"][row * size + column] for m in moments]
            known = tracks.add([f"opacity:{0 if p == 0 else 0.4 + 0.5 * (p == 1):g}" for p in chances])
            drawn.append(
                f'<rect class="line" x="{x + 2}" y="{y + 2}" width="{cell - 4}" height="{cell - 4}" rx="6"/>'
                f'<rect class="band {known}" x="{x + 2}" y="{y + 2}" width="{cell - 4}" height="{cell - 4}" rx="6"/>'
            )
    x, y = corner(*moments[0]["goal"])
    drawn.append(f'<path class="goal" d="M{x + cell / 2} {y + cell / 2 - 17}l17 17l-17 17l-17 -17Z"/>')
    places = [corner(*m["path"][-1]) for m in moments]
    way = tracks.add([f"transform:translate({x + cell / 2}px,{y + cell / 2}px)" for x, y in places])
    drawn.append(f'<circle class="agent {way}" r="13"/>')
    episodes = [int(m["text"].split()[1]) for m in moments]
    low = top + cell * size + 28
    return low + 16, [*drawn, _text(left, low, "episode"), *_counter(left + 56, low, episodes, tracks)]


def _plane(moments: Sequence[Any], tracks: Tracks) -> tuple[int, list[str]]:
    x0, x1, y0, y1 = moments[0]["bounds"]
    tall, top, left = 340, 58, 190

    def at(point: Sequence[float]) -> tuple[float, float]:
        return left + tall * (point[0] - x0) / (x1 - x0), top + tall * (y1 - point[1]) / (y1 - y0)

    drawn = [
        *_titles(
            "An agent learns by gradient steps where a hidden goal is",
            "blue: episodes that it learns from · orange: what it does after each step · diamond: the goal",
        ),
        f'<rect class="line" x="{left}" y="{top}" width="{tall}" height="{tall}" rx="6"/>',
    ]
    lanes = max(sum(not p["stage"] for p in m["paths"]) for m in moments)
    for lane in range(lanes):
        values = []
        for m in moments:
            exploring = [p for p in m["paths"] if not p["stage"]]
            shown = lane < len(exploring)
            x, y = at(exploring[lane]["points"][-1]) if shown else at(m["start"])
            values.append(f"transform:translate({x:.0f}px,{y:.0f}px);opacity:{0.55 if shown else 0}")
        drawn.append(f'<circle class="other {tracks.add(values)}" r="3"/>')
    ways = {p["stage"]: p["points"] for m in moments for p in m["paths"] if p["stage"]}
    for stage, points in ways.items():
        lived = [any(p["stage"] == stage for p in m["paths"][:-1]) for m in moments]
        seen = tracks.add([f"opacity:{(0.25 + 0.15 * stage) * done:g}" for done in lived])
        trace = " ".join(f"{x:.0f},{y:.0f}" for x, y in map(at, points))
        drawn.append(f'<polyline class="way {seen}" points="{trace}"/>')
    x, y = at(moments[0]["goal"])
    drawn.append(f'<path class="goal" d="M{x:.1f} {y - 9:.1f}l9 9l-9 9l-9 -9Z"/>')
    places = [at(m["paths"][-1]["points"][-1]) for m in moments]
    way = tracks.add([f"transform:translate({x:.0f}px,{y:.0f}px)" for x, y in places])
    drawn.append(f'<circle class="agent {way}" r="8"/>')
    low = top + tall + 26
    steps = [m["paths"][-1]["stage"] - 1 for m in moments]
    return low + 16, [*drawn, _text(left, low, "steps of adaptation"), *_counter(left + 134, low, steps, tracks)]
