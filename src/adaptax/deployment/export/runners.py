"""Exported files, run on a record of what the agent was told, to be compared with what it did."""

import contextlib
import ctypes
import importlib
import importlib.util
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jax import export as jax_export

from adaptax.core.errors import MissingPackageError, ResourceError, needs
from adaptax.deployment.export.parity import Found, Record, in_one_row
from adaptax.deployment.export.traced import Exported

PATIENCE = 600
"""Seconds that a compiler or interpreter may take."""


def run_python(path: Path, agent: Exported, record: Record) -> Found:
    """The file that needs NumPy alone, in this process."""
    module = imported(path)
    with np.errstate(all="ignore"):
        return _stepped(agent, record, lambda name, inputs: getattr(module, name)(*inputs))


def imported(path: Path) -> Any:
    """A Python file as a module, which nobody else can import."""
    spec = importlib.util.spec_from_file_location("adaptax_exported_agent", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_c(path: Path, agent: Exported, record: Record) -> Found:
    """The C file, compiled."""
    with compiled(path, agent) as call:
        return _stepped(agent, record, call)


@contextlib.contextmanager
def compiled(path: Path, agent: Exported) -> Iterator[Callable[[str, Any], list[np.ndarray]]]:
    """A C file, compiled meanwhile; gives a function from a program's name and inputs to its outputs."""
    library = path.with_suffix(".so")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise MissingPackageError(
            "export: a C compiler (cc, gcc or clang), to check what was written, is not installed"
        )
    done([compiler, "-std=c11", "-O2", "-shared", "-fPIC", "-o", str(library), str(path), "-lm"])
    program = ctypes.CDLL(str(library))

    def call(name: str, inputs: Any) -> list[np.ndarray]:
        ports = agent.programs[name]
        given = [np.ascontiguousarray(x, p.dtype) for x, p in zip(inputs, ports.inputs, strict=True)]
        outs = [np.zeros(p.shape, p.dtype) for p in ports.outputs]
        getattr(program, f"adaptax_{name}")(*(ctypes.c_void_p(x.ctypes.data) for x in (*given, *outs)))
        return outs

    try:
        yield call
    finally:
        library.unlink()


SCRIPT = """
const agent = require(process.argv[1]), fs = require("fs");
const {steps, window} = JSON.parse(fs.readFileSync(0));
const kinds = {float32: Float32Array, int32: Int32Array, uint32: Uint32Array, bool: Uint8Array, uint8: Uint8Array};
const called = (name, inputs) => agent.programs[name](
  ...inputs.map((x, i) => kinds[agent.manifest.programs[name].inputs[i].dtype].from(x)));
const memory = agent.manifest.state.length - agent.manifest.adapted;
let state, actions = [], drawn = [], kept = [], number = 0;
for (const [seen, before, reward, first, begins] of steps) {
  if (begins) state = agent.initial.map((x) => Array.from(x));
  const told = [seen, before, reward, first, ...state];
  actions.push(Array.from(called("act", told)[0]));
  const outs = called("explore", [...told, [0, number++]]).map((x) => Array.from(x));
  drawn.push(outs[0]);
  kept.push(outs.slice(1, 1 + memory).flat());
  state = [...state.slice(0, agent.manifest.adapted), ...outs.slice(1, 1 + memory)];
}
const learned = window ? called("adapt", window).map((x) => Array.from(x)) : [];
console.log(JSON.stringify({actions, drawn, kept, learned}));
"""


EACH = """
const agent = require(process.argv[1]), fs = require("fs");
const kinds = {float32: Float32Array, int32: Int32Array, uint32: Uint32Array, bool: Uint8Array, uint8: Uint8Array};
const plain = (x) => Array.from(x, (y) => Number.isFinite(y) ? y : String(y));
const found = {};
for (const [name, inputs] of Object.entries(JSON.parse(fs.readFileSync(0))))
  found[name] = agent.programs[name](
    ...inputs.map((x, i) => kinds[agent.manifest.programs[name].inputs[i].dtype].from(x))).map(plain);
console.log(JSON.stringify(found));
"""


def in_node(path: Path, inputs: Mapping[str, Sequence[Any]]) -> dict[str, list[np.ndarray]]:
    """Outputs of programs of a JavaScript file, by their names, for inputs of each."""
    node = shutil.which("node")
    assert node is not None
    given = {name: [np.asarray(x, np.float64).reshape(-1).tolist() for x in xs] for name, xs in inputs.items()}
    said = json.loads(done([node, "-e", EACH, str(path.resolve())], json.dumps(given)))
    return {name: [np.asarray([float(y) for y in x]) for x in xs] for name, xs in said.items()}


def run_javascript(path: Path, agent: Exported, record: Record) -> Found:
    """The JavaScript file, in Node."""
    node = shutil.which("node")
    if node is None:
        raise MissingPackageError("export: Node (node), to check what was written, is not installed")

    def plain(x: Any) -> list[float]:
        return np.asarray(x, np.float64).reshape(-1).tolist()

    steps = [[*map(plain, step[:4]), bool(step[4])] for step in record.steps]
    window = None if record.window is None else [plain(x) for x in record.window]
    said = done([node, "-e", SCRIPT, str(path.resolve())], json.dumps({"steps": steps, "window": window}))
    return Found(**{name: [np.asarray(x, float) for x in rows] for name, rows in json.loads(said).items()})


def run_stablehlo(path: Path, agent: Exported, record: Record) -> Found:
    """The serialized programs, as a batch of one."""
    programs = {
        name: jax_export.deserialize(bytearray((path / f"{name}.stablehlo").read_bytes())) for name in agent.programs
    }

    def call(name: str, inputs: Any) -> list[np.ndarray]:
        ports = agent.programs[name].inputs
        batch = [np.asarray(x, p.dtype)[None] for x, p in zip(inputs, ports, strict=True)]
        return [np.asarray(x)[0] for x in programs[name].call(*batch)]

    return _stepped(agent, record, call)


def run_onnx(path: Path, agent: Exported, record: Record) -> Found:
    """The models, by onnxruntime, as a batch of one."""
    sessions = {name: onnx_session(path / f"{name}.onnx") for name in agent.programs}

    def call(name: str, inputs: Any) -> list[np.ndarray]:
        ports = agent.programs[name].inputs
        batch = {p.name: np.asarray(x, p.dtype)[None] for x, p in zip(inputs, ports, strict=True)}
        return [x[0] for x in sessions[name].run(None, batch)]

    return _stepped(agent, record, call)


def onnx_session(path: Path) -> Any:
    """A model, ready to run on one core."""
    with needs("onnx", "ONNX"):
        onnxruntime = importlib.import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _stepped(agent: Exported, record: Record, call: Any) -> Found:
    """Go through a record's steps with the state that the written program itself has put out."""
    memory = len(agent.state) - agent.adapted
    state: list[Any] = []
    actions, drawn, kept = [], [], []
    for number, (*told, begins) in enumerate(record.steps):
        state = list(agent.initial) if begins else state
        actions.append(call("act", [*told, *state])[0])
        chosen, *rest = call("explore", [*told, *state, np.asarray([0, number], np.uint32)])
        drawn.append(chosen)
        kept.append(in_one_row(rest[:memory]))
        state = [*state[: agent.adapted], *rest[:memory]]
    return Found(actions, drawn, kept, call("adapt", record.window) if record.window is not None else [])


def done(command: list[str], said: str | None = None) -> str:
    """What a program prints."""
    try:
        ran = subprocess.run(command, input=said, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired as error:
        raise ResourceError(
            f"export: {Path(command[0]).name} has not ended after {PATIENCE} seconds. Nothing was written"
        ) from error
    if ran.returncode:
        raise ResourceError(
            f"export: {Path(command[0]).name} ended with {ran.returncode}: {ran.stderr.strip()[-400:]}. Nothing was "
            "written"
        )
    return ran.stdout
