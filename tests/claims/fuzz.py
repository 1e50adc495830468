"""Random changes to a run's files, by somebody who seals them again."""

import json
import struct
from typing import Any

import numpy as np

from adaptax.runs import checkpoints
from adaptax.runs.directory import CONFIG
from tests.claims.damages import manifest, weights
from tests.claims.forging import deep, forge
from tests.claims.tiny_run import UPDATES, TinyRun

KINDS = {"bytes of headers": "shapes", "fields of manifests": "fallback", "fields of configurations": "recipe+newest"}
"""What is changed, and the door that it is tried at."""
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 1.5, 1e308, float("nan"), float("inf"), 2**31, 2**63, 2**64, 10**300, -(10**300),
    "x", "../x", "/etc/passwd", "\n\x1b[2J", "\ud800", "os:system", [], [1], {}, {"x": 1}, "9" * 999, [[]], {"": None},
)  # fmt: skip
"""What may be in the place of anything."""


def plant(run: TinyRun, kind: str, rng: np.random.Generator) -> None:
    """Change something."""
    if kind == "fields of configurations":
        path = run.directory / CONFIG
        content = json.loads(path.read_bytes())
        mutate(content, rng)
        path.write_text(json.dumps(content, indent=2))
        return
    for update in UPDATES:
        if kind == "bytes of headers":
            forge(run, update, _headers(weights(run, update).read_bytes(), rng))
        else:
            content = json.loads(manifest(run, update).read_bytes())["manifest"]
            mutate(content, rng)
            manifest(run, update).write_bytes(checkpoints.seal(content))


def _headers(data: bytes, rng: np.random.Generator) -> bytes:
    """Change bytes of a header, or the length that it says it has."""
    (length,) = struct.unpack("<Q", data[:8])
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(8 + length)) if rng.random() < 0.9 else int(rng.integers(8))
        # Digits, quotes and brackets, mostly: random bytes would hardly ever get past the parser.
        changed[place] = (
            int(rng.choice(list(b'0123456789-.e"[]{},:'))) if rng.random() < 0.8 else int(rng.integers(256))
        )
    return bytes(changed)


def mutate(content: Any, rng: np.random.Generator) -> None:
    """Replace, add, rename or remove something, at a random place of nested dictionaries."""
    here = content
    while True:
        names = list(here)
        name = names[int(rng.integers(len(names)))]
        if not isinstance(here[name], dict) or not here[name] or rng.random() < 0.3:
            break
        here = here[name]
    odd = ODD[int(rng.integers(len(ODD)))] if rng.random() < 0.95 else deep(int(rng.integers(250)))
    match int(rng.integers(5)):
        case 0:
            here[str(odd)[:300].encode(errors="replace").decode()] = here.pop(name)
        case 1:
            here["more"] = odd
        case 2:
            del here[name]
        case _:
            here[name] = odd
