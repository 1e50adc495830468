"""An agent as one C file: C99 and <math.h>, no allocation, for microcontrollers and whatever else.

    adaptax_state state;                                  /* of one session */
    adaptax_begin(&state);                                /* a new task */
    adaptax_step(&state, seen, action);                   /* what is seen in, the best action out */
    adaptax_observe(&state, reward, episode_over);        /* the reward */

The programs themselves, with their state as plain arrays, are `adaptax_act` and so on. Arrays in between are static,
one set for each thread.
"""

from typing import Any

import numpy as np

from adaptax.deployment.export.control import Programs
from adaptax.deployment.export.entrywise import FAR, INVERSE, NAMED, NEAR, Dialect
from adaptax.deployment.export.loops import View, strides_of
from adaptax.deployment.export.traced import Exported, Port, Program

TYPES = {"float32": "float", "int32": "int32_t", "uint32": "uint32_t", "bool": "uint8_t", "uint8": "uint8_t"}


def _literal(x: Any) -> str:
    if isinstance(x, np.bool_):
        return str(int(x))
    if isinstance(x, np.uint32 | np.uint8):
        return f"{int(x)}u"
    if not isinstance(x, np.floating):
        return f"({int(x)})" if -(2**31) < x < 0 else str(int(x)) if x >= 0 else "(-2147483647 - 1)"
    if np.isnan(x):
        return "NAN"
    if np.isinf(x):
        return "INFINITY" if x > 0 else "(-INFINITY)"
    return f"({float(x).hex()}f)" if np.signbit(x) else f"{float(x).hex()}f"


def _converted(x: str, kind: str, to: str) -> str:
    if to == "bool":
        return f"({x} != 0)"
    if kind != "float32" or to == "float32":
        return f"(({TYPES[to]}){x})"
    most = {"int32": "-2147483648.0, 2147483647.0", "uint32": "0.0, 4294967295.0", "uint8": "0.0, 255.0"}[to]
    return f"(({TYPES[to]})to_integer({x}, {most}))"


def _bits(x: str, kind: str, to: str) -> str:
    if (kind == "float32") == (to == "float32"):
        return f"(({TYPES[to]}){x})"
    return f"float_of({x})" if to == "float32" else f"(({TYPES[to]})bits_of({x}))"


FUNCTIONS = {
    **{name: f"{name}f({{0}})" for name in (*NAMED, *INVERSE, "exp2", "erf")},
    "tanh": "hyperbolic({0})",
    "rsqrt": "(1.0f / sqrtf({0}))",
    "pow": "powf({0}, {1})",
    "atan2": "atan2f({0}, {1})",
    "logistic": "(0.5f * hyperbolic(0.5f * {0}) + 0.5f)",
    "rem": "fmodf({0}, {1})",
    "erf_inv": "erf_inv({0})",
    "round_away": "roundf({0})",
    "round_even": "rintf({0})",
}

DIALECT = Dialect(
    "C",
    "for (int {i} = 0; {i} < {n}; {i}++)",
    lambda kind: TYPES[kind],
    _literal,
    FUNCTIONS,
    lambda kind, said: f"(({TYPES[kind]}){said})",
    lambda kind: f"(({TYPES[kind]})((uint32_t){{0}} * (uint32_t){{1}}))",
    _converted,
    _bits,
)

SUPPORT = """\
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define OWN static _Thread_local
#else
#define OWN static
#endif
#define UNUSED __attribute__((unused))

UNUSED static float float_of(uint32_t bits) { float x; memcpy(&x, &bits, 4); return x; }
UNUSED static uint32_t bits_of(float x) { uint32_t bits; memcpy(&bits, &x, 4); return bits; }
UNUSED static double to_integer(double x, double low, double high) {
  return x != x ? 0 : x < low ? low : x > high ? high : trunc(x);
}
UNUSED static inline float hyperbolic(float x) { /* the tangent within 2e-7; the library's takes three times as long */
  const float a = fabsf(x), b = x * x;
  if (a < 0.35f) return x * (1.0f - b * (1.0f / 3 - b * (2.0f / 15 - b * (17.0f / 315 - b * (62.0f / 2835)))));
  return copysignf(1.0f - 2.0f / (expf(2.0f * a) + 1.0f), x);
}
UNUSED static float erf_inv(float x) { /* Giles 2010, in single precision */
  static const float near[] = {%s};
  static const float far[] = {%s};
  float w = -log1pf(-x * x), s;
  const float *p = w < 5.0f ? near : far;
  if (x <= -1.0f || x >= 1.0f) return x == 1.0f ? INFINITY : x == -1.0f ? -INFINITY : NAN;
  w = w < 5.0f ? w - 2.5f : sqrtf(w) - 3.0f;
  s = p[0];
  for (int i = 1; i < 9; i++) s = p[i] + s * w;
  return s * x;
}
UNUSED static void threefry(uint32_t k0, uint32_t k1, uint32_t a, uint32_t b, uint32_t *out) { /* Salmon et al. 2011 */
  static const int turns[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  const uint32_t k2 = k0 ^ k1 ^ 0x1BD11BDAu, keys[6] = {k1, k2, k0, k1, k2, k0};
  a += k0; b += k1;
  for (int group = 0; group < 5; group++) {
    for (int i = 0; i < 4; i++) {
      const int r = turns[group %% 2][i];
      a += b; b = (b << r) | (b >> (32 - r)); b ^= a;
    }
    a += keys[group]; b += keys[group + 1] + (uint32_t)(group + 1);
  }
  out[0] = a; out[1] = b;
}
"""


def c(agent: Exported) -> str:
    """The file."""
    writer = Programs(DIALECT)
    functions = [_function(program, writer) for program in agent.programs.values()]
    near, far = (", ".join(f"{x}f" for x in numbers.split(", ")) for numbers in (NEAR, FAR))
    return "\n".join(
        [
            f"/* {agent.title}: written by adaptax. C99 and <math.h>, no allocation. See `adaptax export`. */",
            SUPPORT % (near, far),
            *(f"static const {TYPES[str(x.dtype)]} {n}[] = {{{_row(x)}}};" for n, x in writer.constants.items()),
            *(f"OWN {TYPES[kind]} {n}[{max(size, 1)}];" for n, (kind, size) in writer.buffers.items()),
            "",
            *functions,
            _session(agent),
        ]
    )


def _row(x: np.ndarray) -> str:
    return ", ".join(_literal(number) for number in x) or "0"


def _function(program: Program, writer: Programs) -> str:
    writer.lines = []
    taken = [View(f"in_{p.name}", p.dtype, p.shape, strides_of(p.shape)) for p in program.inputs]
    names = {view.buffer for view in taken}
    found = writer.run(program, taken)
    # An output may have the place of an input: nothing is written before all that is there was read.
    found = [writer.copied(x) if isinstance(x, View) and x.buffer in names else x for x in found]
    for port, value in zip(program.outputs, found, strict=True):
        writer.copy(View(f"out_{port.name}", port.dtype, port.shape, strides_of(port.shape)), value)
    given = [f"const {TYPES[p.dtype]} *in_{p.name}" for p in program.inputs]
    put = [f"{TYPES[p.dtype]} *out_{p.name}" for p in program.outputs]
    unused = [f"  (void)in_{p.name};" for p in program.inputs]
    head = f"void adaptax_{program.name}(\n  " + ",\n  ".join([*given, *put]) + "\n) {"
    return "\n".join([head, "  UNUSED uint32_t pair[2];", *unused, *writer.lines, "}", ""])


def _session(agent: Exported) -> str:
    """A session, for those who want no arrays."""
    act = agent.programs["act"]
    seen, done = act.inputs[0], act.outputs[0]
    memory = agent.state[agent.adapted :]
    room = [f"  {TYPES[p.dtype]} {p.name}[{max(p.size, 1)}]; /* {p.about} */" for p in agent.state]
    null = _row(np.asarray(agent.null, done.dtype).reshape(-1))
    initial = [
        f"  {{ static const {TYPES[done.dtype]} x[] = {{{null}}}; memcpy(s->action, x, sizeof s->action); }}",
        *_initial(agent),
    ]
    arguments = ["observation", "s->action", "&s->reward", "&s->first", *(f"s->{p.name}" for p in agent.state)]
    arguments += ["action", *(f"s->{p.name}" for p in memory)]
    low, high = (_row(np.asarray(x, done.dtype).reshape(-1)) for x in (agent.low, agent.high))
    kind = TYPES[done.dtype]
    return "\n".join(
        [
            f"typedef struct {{\n{_field(done)}\n  float reward; uint8_t first;",
            *room,
            "} adaptax_state;",
            "",
            "void adaptax_begin(adaptax_state *s) { /* a new task */",
            "  memset(s, 0, sizeof *s);",
            "  s->first = 1;",
            *initial,
            "}",
            "",
            f"void adaptax_step(adaptax_state *s, const {TYPES[seen.dtype]} *observation, {kind} *action) {{",
            f"  static const {kind} low[] = {{{low}}}, high[] = {{{high}}};",
            f"  adaptax_act({', '.join(arguments)});",
            f"  for (int i = 0; i < {done.size}; i++)",
            "    s->action[i] = action[i] = action[i] < low[i] ? low[i] : action[i] > high[i] ? high[i] : action[i];",
            "}",
            "",
            "void adaptax_observe(adaptax_state *s, float reward, int episode_over) {",
            "  s->reward = reward;",
            "  s->first = episode_over != 0;",
            "}",
            "",
        ]
    )


def _initial(agent: Exported) -> list[str]:
    """Statements that set the state."""
    return [
        f"  {{ static const {TYPES[p.dtype]} x[] = {{{_row(np.asarray(x).reshape(-1))}}}; "
        f"memcpy(s->{p.name}, x, sizeof s->{p.name}); }}"
        for p, x in zip(agent.state, agent.initial, strict=True)
        if p.size
    ]


def _field(port: Port) -> str:
    return f"  {TYPES[port.dtype]} action[{max(port.size, 1)}]; /* what was done last */"
