"""Attacks on a run's configuration: odd values in all of its fields, and odd files in its place."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adaptax.runs.directory import CONFIG
from tests.claims import payloads
from tests.claims.forging import CONFIGURED, EITHER, HARMLESS, Attack, Plant, deep, forged
from tests.claims.tiny_run import TinyRun


def fields() -> dict[str, Attack]:
    """Configurations that say odd things."""
    odd = (
        "__import__('os').system('touch canary')",
        "os:system",
        "adaptax.cli.main:main",
        "../x",
        "",
        "\n\x1b[2J",
        "thompson",
    )
    wrong: tuple[Any, ...] = (None, 1, [], ["rl2"], {}, True, float("nan"))
    large = {"algorithm_settings": ("num_tasks", "num_updates", "memory_size", "critic_size", "num_minibatches")}
    sizes = {**large, "problem_settings": ("num_arms", "num_pulls")}
    cases: dict[str, Plant] = {}
    for field in ("algorithm", "problem"):
        cases |= {f"{field} {x!r}": _config({field: x}) for x in (*odd, *wrong)}
    settings: tuple[Any, ...] = (None, 1, [], "x", {"__class__": "os"}, {"self": 1})
    for field, names in sizes.items():
        cases |= {f"{field} {x!r}": _config({field: x}) for x in settings}
        cases |= {f"{name} 10⁹": _config({field: {name: 10**9}}) for name in names}
        cases |= {f"{name} 10⁴⁰⁰": _config({field: {name: 10**400}}) for name in names}
        cases |= {f"{name} NaN": _config({field: {name: float("nan")}}) for name in names}
        cases |= {f"{name}, 200 deep": _config({field: {name: deep(200)}}) for name in names}
    cases["a rate of 10⁴⁰⁰"] = _config({"algorithm_settings": {"learning_rate": 10**400}})
    seeds: tuple[Any, ...] = (10**9, -1, 0, "1", 1.5, True, None, [], 2)
    cases |= {f"seeds {x!r}": _config({"options": {"seeds": x}}) for x in seeds}
    cases |= {f"options {x!r}": _config({"options": x}) for x in settings[:4]}
    formats: tuple[Any, ...] = ("1", None, [], 2, 10**300, "\n\x1b[2J")
    cases |= {f"format {x!r}": _config({"format": x}) for x in formats}
    attacks = {f"configuration: {name}": Attack(plant, doors=CONFIGURED) for name, plant in cases.items()}
    versions = {"versions": deep(200), "device": "\n\x1b[2J", "python": 10**300, "more": {"__import__": "os"}}
    attacks["configuration: odd versions"] = Attack(_config(versions), HARMLESS, CONFIGURED)
    return attacks


def _agreed(changes: Mapping[str, Any]) -> Plant:
    """Changed fields, of the configuration and of what the checkpoints are of."""

    def plant(run: TinyRun) -> None:
        _config(changes)(run)
        content = json.loads((run.directory / CONFIG).read_bytes())
        about = {field: content[field] for field in run.about}
        forged(lambda manifest: {"about": about})(run)

    return plant


def _config(changes: Mapping[str, Any]) -> Plant:
    """Changed fields; a dictionary in the place of one is merged into it."""

    def plant(run: TinyRun) -> None:
        path = run.directory / CONFIG
        content = json.loads(path.read_bytes())
        for field, value in changes.items():
            there = content.get(field)
            merges = isinstance(there, dict) and isinstance(value, dict) and "algorithm" not in changes
            content[field] = {**there, **value} if merges else value
        path.write_text(json.dumps(content, indent=2))

    return plant


def files(canary: Path) -> dict[str, Attack]:
    """In the place of the configuration."""
    whole = {
        **payloads.programs(canary),
        "an empty file": b"",
        "NUL bytes": b"\x00" * 1000,
        "lists, 10⁵ deep": b"[" * 100_000,
        "objects, 10⁵ deep": b'{"a":' * 100_000,
        "10⁷ entries": b"[" + b"0," * 10_000_000 + b"0]",
        "4 × 10⁵ entries": b"[" + b"0," * 400_000 + b"0]",
        "a number of 10⁵ digits": b"9" * 100_000,
        "a list": b"[]",
        "NaN": b"NaN",
    }

    def put(data: bytes) -> Plant:
        return lambda run: (run.directory / CONFIG).write_bytes(data)

    def recoded(encoding: str) -> Plant:
        def plant(run: TinyRun) -> None:
            path = run.directory / CONFIG
            path.write_bytes(path.read_bytes().decode().encode(encoding))

        return plant

    def twice(run: TinyRun) -> None:
        path = run.directory / CONFIG
        path.write_bytes(path.read_bytes().rstrip()[:-1] + b', "algorithm": "maml", "algorithm_settings": {}}')

    return {
        **{f"configuration: {name}": Attack(put(data), doors=CONFIGURED) for name, data in whole.items()},
        "configuration: UTF-16": Attack(recoded("utf-16"), EITHER, CONFIGURED),
        "configuration: byte order mark": Attack(recoded("utf-8-sig"), EITHER, CONFIGURED),
        "configuration: fields twice": Attack(twice, doors=CONFIGURED),
    }
