"""Directories of runs that somebody has prepared against whoever loads them: all attacks, and those on checkpoints."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.claims import config_attacks, file_attacks, payloads
from tests.claims.damages import manifest, weights
from tests.claims.forging import HARMLESS, Attack, Plant, deep, forge, forged, listed
from tests.claims.tiny_run import UPDATES, TinyRun


def corpus(canary: Path) -> dict[str, Attack]:
    """All attacks by name; a program that is run makes the file `canary`."""
    return {
        **_arrays(canary),
        **_manifest_files(canary),
        **_manifest_fields(),
        **config_attacks.fields(),
        **config_attacks.files(canary),
        **file_attacks.places(),
        **file_attacks.links(),
        **file_attacks.rows(canary),
    }


def _bare(data: bytes) -> Plant:
    """In the place of all arrays; the manifests are those of the good ones."""
    return lambda run: [weights(run, update).write_bytes(data) for update in UPDATES]


def _sealed(data: bytes) -> Plant:
    """In the place of all arrays, with manifests that say so."""

    def plant(run: TinyRun) -> None:
        for update in UPDATES:
            forge(run, update, data)

    return plant


def _relabelled(change: Callable[[dict[str, Any]], None]) -> Plant:
    """All arrays with another header, sealed."""

    def plant(run: TinyRun) -> None:
        for update in UPDATES:
            forge(run, update, payloads.relabelled(weights(run, update).read_bytes(), change))

    return plant


def _manifests(data: bytes) -> Plant:
    return lambda run: [manifest(run, update).write_bytes(data) for update in UPDATES]


def _listing(**changes: Any) -> Plant:
    """All manifests with a changed entry of the file's size and checksum."""

    def change(content: dict[str, Any]) -> dict[str, Any]:
        (name,) = content["files"]
        return {"files": {name: {**content["files"][name], **changes}}}

    return forged(change)


def _indentation_bomb(run: TinyRun) -> None:
    """A manifest of a megabyte that our way of writing would blow up to hundreds."""
    for update in UPDATES:
        manifest(run, update).write_bytes(
            b'{"manifest": ' + b"[" * 250 + b"0," * 450_000 + b"0" + b"]" * 250 + b', "sha256": "' + b"0" * 64 + b'"}'
        )


def _prefix_bomb(content: dict[str, Any]) -> dict[str, Any]:
    """Names so long that joining them with those below them would take gigabytes."""
    return {"about": {**content["about"], "A" * 300_000: {str(i): 0 for i in range(40_000)}}}


def _arrays(canary: Path) -> dict[str, Attack]:
    """In the place of the arrays."""
    data = {**payloads.programs(canary), **payloads.bombs(canary), **payloads.headers()}
    return {
        **{f"arrays: {name}": Attack(_bare(content)) for name, content in data.items()},
        **{f"arrays, sealed: {name}": Attack(_sealed(content)) for name, content in data.items()},
        **{f"arrays, sealed: one called {n[:20]!r}": Attack(_relabelled(payloads.renamed(n))) for n in payloads.NAMES},
    }


def _manifest_files(canary: Path) -> dict[str, Attack]:
    """In the place of the manifests."""
    return {
        **{f"manifest: {name}": Attack(_manifests(data)) for name, data in payloads.programs(canary).items()},
        "manifest: UTF-16": Attack(_reencoded("utf-16")),
        "manifest: byte order mark": Attack(_reencoded("utf-8-sig")),
        "manifest: NUL bytes": Attack(_manifests(b"\x00" * 1000)),
        "manifest: lists, 10⁵ deep": Attack(_manifests(b"[" * 100_000)),
        "manifest: objects, 10⁵ deep": Attack(_manifests(b'{"manifest":' * 80_000)),
        "manifest: 10⁷ entries": Attack(_manifests(b"[" + b"0," * 10_000_000 + b"0]")),
        "manifest: a list": Attack(_manifests(b"[]\n")),
        "manifest: a number of 10⁵ digits": Attack(_manifests(b"9" * 100_000)),
        "manifest: what indenting blows up": Attack(_indentation_bomb),
        "manifest: a name twice": Attack(_manifests(b'{"manifest": {}, "manifest": {}, "sha256": ""}')),
    }


def _reencoded(encoding: str) -> Plant:
    def plant(run: TinyRun) -> None:
        for update in UPDATES:
            text = manifest(run, update).read_bytes().decode()
            manifest(run, update).write_bytes(text.encode(encoding))

    return plant


def _manifest_fields() -> dict[str, Attack]:
    """Sealed manifests that say odd things."""
    elsewhere = {"../../../../precious": listed(b""), "/etc/passwd": listed(b"")}
    control = "\n\x1b[2J"
    values: dict[str, tuple[Any, ...]] = {
        "files": (None, [], "x", 1, elsewhere),
        "update": ("30", None, [], {}, -1),
        "about": (None, [], 1, "x", deep(250)),
        "schema": (control * 1000, None, 10**300, 3),
    }
    entries: dict[str, tuple[Any, ...]] = {
        "size": (float("nan"), float("inf"), -1, 0, True, None, "1", [1], {}, 2**63, 10**300, 1e300),
        "sha256": (None, 1, [], {}, "", control),
    }
    about: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "about an algorithm, 250 deep": lambda m: {"about": {**m["about"], "algorithm": deep(250)}},
        "about with 40,000 long names": _prefix_bomb,
        "about with a name of control characters": lambda m: {"about": {**m["about"], control: 1}},
        "schema and version of control characters": lambda m: {
            "schema": control,
            "versions": {"adaptax": control * 99},
        },
    }
    harmless: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "files elsewhere, too": lambda m: {"files": {**m["files"], **elsewhere}},
        "other fields of wrong types": lambda m: {"leaves": deep(100), "versions": [1], "metrics": "x", "device": {}},
    }
    attacks = {
        f"{field} {i}": Attack(forged(lambda m, field=field, x=x: {field: x}))  # type: ignore[misc]
        for field, odd in values.items()
        for i, x in enumerate(odd)
    }
    attacks |= {
        f"{name} {i}": Attack(_listing(**{name: x})) for name, odd in entries.items() for i, x in enumerate(odd)
    }
    attacks |= {name: Attack(forged(change)) for name, change in about.items()}
    attacks |= {name: Attack(forged(change), HARMLESS) for name, change in harmless.items()}
    return {f"manifest, sealed: {name}": attack for name, attack in attacks.items()}
