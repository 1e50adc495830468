"""The largest arrays of a compiled program and where they are made, read from the text that its compiler writes."""

import importlib.util
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

_TYPES = {
    "pred": ("bool", 1),
    **{f"s{8 * size}": (f"int{8 * size}", size) for size in (1, 2, 4, 8)},
    **{f"u{8 * size}": (f"uint{8 * size}", size) for size in (1, 2, 4, 8)},
    "bf16": ("bfloat16", 2),
    **{f"f{8 * size}": (f"float{8 * size}", size) for size in (2, 4, 8)},
}
_COMPUTATION = re.compile(r"(?:ENTRY )?%([\w.\-]+) \(.*\{$")
_CALLED = re.compile(r"(?:calls|to_apply)=%([\w.\-]+)")
_INSTRUCTION = re.compile(r"\s+(?:ROOT )?%[\w.\-]+ = (\w+)\[([\d,]+)\]\S* ([\w\-]+)\(")
_NO_ARRAY_OF_THEIR_OWN = ("parameter", "get-tuple-element", "tuple", "bitcast", "constant")
_IN_PLACE = "dynamic_update_slice"
_ENTRY = re.compile(r"(\d+) (.*)")
_NUMBERS = re.compile(r"(\w+)=(\d+)")
_LIBRARIES = ("jax", "equinox", "jaxtyping", "beartype")


class Array(NamedTuple):
    """An array that a program makes.

    Attributes:
        bytes: Its size.
        what: Shape and type, as "100×512×32 float32".
        where: The function that makes it, as "RL2.update (rl2.py, line 200)"; empty if unknown.
    """

    bytes: int
    what: str
    where: str


def largest(program: Any, count: int = 3) -> list[str]:
    """The largest kinds of arrays in words, as "3 × (100×512×64 float32, 13.1 MB) in Critic.__call__ (…)".

    Not all of them need be held at once. Of a program that was kept from an earlier run, lines are those of that time.

    Args:
        program: A compiled program.
        count: How many kinds.
    """
    kinds = sorted(Counter(arrays_in(program.as_text() or "")).items(), reverse=True)
    told = []
    for kind, times in kinds[:count]:
        where = f" in {kind.where}" if kind.where else ""
        told.append(f"{times} × ({kind.what}, {kind.bytes / 1e6:.3g} MB){where}")
    return told


def arrays_in(text: str) -> list[Array]:
    """The arrays that a program makes: one for each instruction that is not fused into another.

    What is written in place, a step of a loop after the other, counts once, where it is first made.
    """
    called, frames, found = set(_CALLED.findall(text)), _Frames(text), []
    inside = ""
    for line in text.splitlines():
        if begun := _COMPUTATION.match(line):
            inside = begun[1]
        if inside in called or not (made := _INSTRUCTION.match(line)):
            continue
        kind, sizes, operation = made.groups()
        origin = re.search(r'op_name="([^"]*)"', line)
        in_place = origin is not None and origin[1].endswith(_IN_PLACE)
        if kind not in _TYPES or operation in _NO_ARRAY_OF_THEIR_OWN or in_place:
            continue
        shape, (name, size) = [int(x) for x in sizes.split(",")], _TYPES[kind]
        frame = re.search(r"stack_frame_id=(\d+)", line)
        where = frames.where(int(frame[1])) if frame else ""
        found.append(Array(math.prod(shape) * size, f"{'×'.join(map(str, shape))} {name}", where))
    return found


class _Frames:
    """Where instructions come from, by the tables at the head of a program's text; unknown where there are none."""

    def __init__(self, text: str):
        names, self._locations, self._frames = (
            self._table(text, title) for title in ("FunctionNames", "FileLocations", "StackFrames")
        )
        self._functions, self._files = names, self._table(text, "FileNames")
        specs = [importlib.util.find_spec(name) for name in _LIBRARIES]
        self._libraries = [Path(spec.origin).parent for spec in specs if spec is not None and spec.origin]

    @staticmethod
    def _table(text: str, title: str) -> dict[int, str]:
        _, _, rest = text.partition(f"\n{title}\n")
        entries = [_ENTRY.fullmatch(line) for line in rest.partition("\n\n")[0].splitlines()]
        return {int(entry[1]): entry[2] for entry in entries if entry}

    def where(self, frame: int) -> str:
        """The innermost line that is not of a library below us."""
        for _ in range(len(self._frames)):
            here = dict(_NUMBERS.findall(self._frames.get(frame, "")))
            at = dict(_NUMBERS.findall(self._locations.get(int(here.get("file_location_id", 0)), "")))
            file = Path(self._files.get(int(at.get("file_name_id", 0)), "").strip('"'))
            if at and not any(file.is_relative_to(library) for library in self._libraries):
                function = self._functions.get(int(at["function_name_id"]), "").strip('"')
                return f"{function} ({file.name}, line {at['line']})"
            frame = int(here.get("parent_frame_id", 0)) - 1  # 0 is written where there is none
        return ""
