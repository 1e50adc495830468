"""An agent as one JavaScript file without dependencies, for browsers and Node.

    const agent = adaptaxAgent;                 // or require("./agent.js")
    const session = agent.begin();              // a new task
    const action = session.act([0.1, 0.2]);     // what is seen; the best action that is known
    session.observe(1.0, episodeOver);          // the reward

The step itself, with its state as plain arrays, is `agent.programs.act` and so on, as `agent.manifest` describes it.
"""

import base64
import json
from typing import Any

import numpy as np

from adaptax.deployment.export.control import Programs
from adaptax.deployment.export.entrywise import FAR, INVERSE, NAMED, NEAR, Dialect
from adaptax.deployment.export.loops import View, strides_of
from adaptax.deployment.export.manifest import manifest
from adaptax.deployment.export.traced import Exported, Program

ARRAYS = {
    "float32": "Float32Array",
    "int32": "Int32Array",
    "uint32": "Uint32Array",
    "bool": "Uint8Array",
    "uint8": "Uint8Array",
}


def _literal(x: Any) -> str:
    if isinstance(x, np.bool_):
        return str(int(x))
    if not np.issubdtype(type(x), np.floating):
        return f"({int(x)})" if x < 0 else str(int(x))
    if np.isnan(x):
        return "NaN"
    if np.isinf(x):
        return "Infinity" if x > 0 else "(-Infinity)"
    return f"({float(x)!r})" if np.signbit(x) else repr(float(x))


def _wrapped(kind: str, said: str) -> str:
    return f"({said} >>> 0)" if kind == "uint32" else f"({said} | 0)"


def _converted(x: str, kind: str, to: str) -> str:
    if to == "bool":
        return f"({x} != 0)"
    if to == "float32" or kind in ("bool", to):
        return x
    if kind == "float32":
        most = {"int32": (-(2**31), 2**31 - 1), "uint32": (0, 2**32 - 1), "uint8": (0, 255)}[to]
        return f"toInteger({x}, {most[0]}, {most[1]})"
    return _wrapped(to, x) if to != "uint8" else f"({x} & 255)"


def _bits(x: str, kind: str, to: str) -> str:
    if (kind == "float32") == (to == "float32"):
        return _wrapped(to, x) if to != "float32" else x
    return f"floatOf({x})" if to == "float32" else _wrapped(to, f"bitsOf({x})")


FUNCTIONS = {
    **{name: f"Math.{name}({{0}})" for name in (*NAMED, *INVERSE)},
    "rsqrt": "(1 / Math.sqrt({0}))",
    "exp2": "Math.pow(2, {0})",
    "pow": "Math.pow({0}, {1})",
    "atan2": "Math.atan2({0}, {1})",
    "logistic": "(0.5 * Math.tanh(0.5 * {0}) + 0.5)",
    "rem": "({0} % {1})",
    "erf_inv": "erfInv({0})",
    "round_away": "(Math.sign({0}) * Math.floor(Math.abs({0}) + 0.5))",
    "round_even": "roundEven({0})",
}

DIALECT = Dialect(
    "JavaScript",
    "for (let {i} = 0; {i} < {n}; {i}++)",
    lambda _: "let",
    _literal,
    FUNCTIONS,
    _wrapped,
    lambda kind: "(Math.imul({0}, {1}) >>> 0)" if kind == "uint32" else "Math.imul({0}, {1})",
    _converted,
    _bits,
)

SUPPORT = """\
  const pair = new Uint32Array(2);
  const word = new DataView(new ArrayBuffer(4));
  function floatOf(bits) { word.setUint32(0, bits >>> 0); return word.getFloat32(0); }
  function bitsOf(x) { word.setFloat32(0, x); return word.getUint32(0); }
  function toInteger(x, low, high) { x = Math.trunc(x); return x !== x ? 0 : x < low ? low : x > high ? high : x; }
  function roundEven(x) { const r = Math.round(x); return r - x === 0.5 && r %% 2 !== 0 ? r - 1 : r; }
  function horner(x, p) { let s = p[0]; for (let i = 1; i < p.length; i++) s = p[i] + s * x; return s; }
  function erfInv(x) { // Giles 2010, as in single precision
    if (x <= -1 || x >= 1) return x === 1 ? Infinity : x === -1 ? -Infinity : NaN;
    const w = -Math.log1p(-x * x);
    return x * (w < 5 ? horner(w - 2.5, NEAR) : horner(Math.sqrt(w) - 3, FAR));
  }
  const NEAR = [%s];
  const FAR = [%s];
  function threefry(k0, k1, x0, x1, out) { // Salmon et al. 2011, 20 rounds
    const k2 = (k0 ^ k1 ^ 0x1BD11BDA) >>> 0, keys = [k1, k2, k0, k1, k2, k0];
    let a = (x0 + k0) >>> 0, b = (x1 + k1) >>> 0;
    for (let group = 0; group < 5; group++) {
      for (const r of group %% 2 ? [17, 29, 16, 24] : [13, 15, 26, 6]) {
        a = (a + b) >>> 0; b = ((b << r) | (b >>> (32 - r))) >>> 0; b = (b ^ a) >>> 0;
      }
      a = (a + keys[group]) >>> 0; b = (b + keys[group + 1] + group + 1) >>> 0;
    }
    out[0] = a; out[1] = b;
  }
  function decoded(text, kind) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new kind(bytes.buffer);
  }
"""
LONGEST = 30
"""Lines of a function of statements, about."""
SESSION = """\
  function copied(port, values) {
    const array = new ARRAYS[port.dtype](port.size);
    array.set(typeof values === "number" || typeof values === "boolean" ? [Number(values)] : values);
    return array;
  }
  class Session { // one task: act, observe, act, observe, ...
    constructor(seed) { this.seed = seed; this.tasks = 0; this.begin(); }
    begin() { // a new task: everything of the last one is forgotten
      this.tasks += 1; this.steps = 0; this.first = true; this.reward = 0; this.windows = 0;
      this.action = copied(manifest.programs.act.inputs[1], manifest.action.null);
      this.state = manifest.state.map((port, i) => copied(port, initial[i]));
      return this;
    }
    key(number) { // decides what is drawn in a step
      threefry(0, this.seed >>> 0, 0, this.tasks, pair); threefry(pair[0], pair[1], 0, number, pair);
      return Uint32Array.from(pair);
    }
    act(observation, explore = false) {
      const seen = copied(manifest.programs.act.inputs[0], observation);
      const inputs = [seen, this.action, [this.reward], [this.first ? 1 : 0], ...this.state];
      const outputs = explore ? programs.explore(...inputs, this.key(this.steps)) : programs.act(...inputs);
      this.last = { observation: seen, previous: this.action, reward: this.reward, first: this.first };
      const memory = manifest.state.length - manifest.adapted;
      this.chosen = outputs[0].slice(); this.aux = outputs.slice(1 + memory).map((x) => x.slice());
      for (let i = 0; i < memory; i++) this.state[manifest.adapted + i] = outputs[1 + i].slice();
      const low = manifest.action.low, high = manifest.action.high;
      this.action = this.chosen.map((x, i) => Math.min(Math.max(x, low[i]), high[i]));
      this.steps += 1;
      return manifest.programs.act.outputs[0].shape.length ? this.action.slice() : this.action[0];
    }
    observe(reward, episodeOver = false) { this.reward = reward; this.first = episodeOver; }
  }
"""


class _Function:
    """One program as a function: from arrays to arrays of its own, which the next call writes over."""

    def __init__(self, program: Program, writer: Programs):
        self.program, self.writer = program, writer

    def text(self) -> str:
        """The function's lines."""
        writer, program = self.writer, self.program
        writer.lines, writer.ends = [], []
        names = [f"in{i}" for i in range(len(program.inputs))]
        views = [View(n, p.dtype, p.shape, strides_of(p.shape)) for n, p in zip(names, program.inputs, strict=True)]
        found = writer.run(program, views)
        outs = []
        for port, value in zip(program.outputs, found, strict=True):
            out = writer.buffer(port.shape, port.dtype)
            writer.copy(out, value)
            outs.append(out.buffer)
        body = "\n".join("  " + line for line in _in_functions(writer.lines, writer.ends))
        return f"    {program.name}({', '.join(names)}) {{\n{body}\n      return [{', '.join(outs)}];\n    }},"


def _in_functions(lines: list[str], ends: list[int]) -> list[str]:
    """A program's statements in functions of their own, which engines compile: what is long they only interpret."""
    found, begun = [], 0
    for end in [*ends, len(lines)]:
        if end - begun >= LONGEST or end == len(lines):
            found += ["  (() => {", *("  " + line for line in lines[begun:end]), "  })();"] if end > begun else []
            begun = end
    return found


def javascript(agent: Exported) -> str:
    """The file."""
    writer = Programs(DIALECT)
    functions = [_Function(program, writer).text() for program in agent.programs.values()]
    constants = [
        f"  const {name} = decoded({_encoded(x)!r}, {ARRAYS[str(x.dtype)]});" for name, x in writer.constants.items()
    ]
    rooms = [f"  const {name} = new {ARRAYS[kind]}({size});" for name, (kind, size) in writer.buffers.items()]
    about = json.dumps(manifest(agent), indent=1, ensure_ascii=False).replace("\n", "\n  ")
    initial = ", ".join(json.dumps(np.asarray(x, np.float64).reshape(-1).tolist()) for x in agent.initial)
    parts = [
        f"// {agent.title}: written by adaptax, needs nothing. See `adaptax export`.",
        "const adaptaxAgent = (() => {",
        "  const ARRAYS = { " + ", ".join(f"{kind}: {array}" for kind, array in ARRAYS.items()) + " };",
        SUPPORT % (NEAR, FAR),
        f"  const manifest = {about};",
        f"  const initial = [{initial}];",
        *constants,
        *rooms,
        "  const programs = {",
        *functions,
        "  };",
        SESSION,
        "  return { manifest, programs, initial, begin: (seed = 0) => new Session(seed) };",
        "})();",
        'if (typeof module !== "undefined") module.exports = adaptaxAgent;',
        "",
    ]
    return "\n".join(parts)


def _encoded(x: np.ndarray) -> str:
    kept = x.astype(np.uint8) if x.dtype == bool else x
    return base64.b64encode(kept.astype(kept.dtype.newbyteorder("<")).tobytes()).decode("ascii")
