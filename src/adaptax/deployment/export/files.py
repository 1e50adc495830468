"""What is written for each format, and where."""

import importlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import save

from adaptax.core.spaces import Space
from adaptax.deployment.export import runners
from adaptax.deployment.export.arrays import numpy_files
from adaptax.deployment.export.c import c
from adaptax.deployment.export.javascript import javascript
from adaptax.deployment.export.manifest import manifest
from adaptax.deployment.export.parity import Record, check, recorded
from adaptax.deployment.export.traced import Exported

MANIFEST = "manifest.json"


class Format(NamedTuple):
    """A way to write an agent down.

    Attributes:
        files: From an agent to files by name.
        run: Runs what was written on a record; given the path of the main file, or of the directory.
        main: The main file's name; "": the directory.
    """

    files: Callable[[Exported], dict[str, bytes]]
    run: Callable[[Path, Exported, Record], Any]
    main: str


def _numpy(agent: Exported) -> dict[str, bytes]:
    text, arrays = numpy_files(agent, "agent.safetensors")
    return {"agent.py": text.encode(), "agent.safetensors": save(arrays)}


def _stablehlo(agent: Exported) -> dict[str, bytes]:
    return {**importlib.import_module("adaptax.deployment.export.stablehlo").stablehlo(agent), **_initial(agent)}


def _onnx(agent: Exported) -> dict[str, bytes]:
    return {**importlib.import_module("adaptax.deployment.export.onnx_writer").onnx_files(agent), **_initial(agent)}


def _initial(agent: Exported) -> dict[str, bytes]:
    """The state at the start of a trial, for who has no session that knows it."""
    kept = {p.name: np.asarray(x, p.dtype, order="C") for p, x in zip(agent.state, agent.initial, strict=True)}
    return {"initial.safetensors": save(kept)}


FORMATS: dict[str, Format] = {
    "numpy": Format(_numpy, runners.run_python, "agent.py"),
    "js": Format(lambda agent: {"agent.js": javascript(agent).encode()}, runners.run_javascript, "agent.js"),
    "c": Format(lambda agent: {"agent.c": c(agent).encode()}, runners.run_c, "agent.c"),
    "onnx": Format(_onnx, runners.run_onnx, ""),
    "stablehlo": Format(_stablehlo, runners.run_stablehlo, ""),
}


def write_checked(agent: Exported, seen: Space, form: str, into: Path) -> tuple[tuple[str, ...], float]:
    """Write an agent down, after what is written was run and compared with it: names of files, largest difference.

    Args:
        agent: The agent.
        seen: Its observation space.
        form: One of `FORMATS`.
        into: A directory that exists.

    Raises:
        DivergenceError: if the two differ; nothing is written then.
        MissingPackageError: if what runs such files is not installed.
        OSError: if it cannot be written.
    """
    made = FORMATS[form]
    files = made.files(agent)
    about = {**manifest(agent), "written_as": form}
    files[MANIFEST] = (json.dumps(about, indent=2, ensure_ascii=False) + "\n").encode()
    with tempfile.TemporaryDirectory(dir=into, prefix=".export-") as temporary:
        for name, data in files.items():
            (Path(temporary) / name).write_bytes(data)
        record = recorded(agent, seen)
        worst = check(agent, record, made.run(Path(temporary) / made.main, agent, record), form)
        for name in files:
            shutil.move(Path(temporary) / name, into / name)
    return tuple(files), worst
