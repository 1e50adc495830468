"""Every operation that can be written down does in each language what it does in JAX."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.deployment.export import arrays, c, javascript, runners
from adaptax.deployment.export.traced import Exported, Port, Program

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 4)).astype(np.float32)
Y = RNG.normal(size=(3, 4)).astype(np.float32)
ROW = RNG.normal(size=(4,)).astype(np.float32)
CUBE = RNG.normal(size=(2, 3, 4)).astype(np.float32)
WHOLE, OTHER = (RNG.integers(-50, 50, (3, 4)).astype(np.int32) for _ in range(2))
U = RNG.integers(0, 2**32, (3, 4)).astype(np.uint32)
B = RNG.random((3, 4)) < 0.5
PLACES = np.asarray([2, 0, 7, -1], np.int32)
KEY = np.asarray([12, 3456789], np.uint32)


def key(data):
    return jax.random.wrap_key_data(data)


def loop(x, row):
    def step(total, now):
        total = 0.5 * total + jnp.tanh(now)
        return total, (total[::-1], total.sum())

    return jax.lax.scan(step, row, x)


def back(x, row):
    return jax.lax.scan(lambda total, now: (total * 0.9 + now, total), row, x, reverse=True)


def swapped(x, y):
    return jax.lax.fori_loop(0, 3, lambda i, ab: (ab[1], ab[0] + i), (x, y))


OPERATIONS = {
    "sums": (lambda x, y: (x + y, x - y, x * y, x / y, -x, x**2, x**-3, x**7), X, Y),
    "functions": (
        lambda x: (
            jnp.tanh(x),
            jnp.exp(x),
            jnp.log(abs(x)),
            jnp.log1p(abs(x)),
            jnp.expm1(x),
            jnp.sqrt(abs(x)),
            jax.lax.rsqrt(abs(x)),
            jax.nn.sigmoid(x),
            jnp.sin(x),
            jnp.cos(x),
            jnp.floor(x),
            jnp.ceil(x),
            jnp.sign(x),
            abs(x),
            jax.lax.erf_inv(jnp.tanh(x)),
            jnp.round(2 * x) / 2,
            jax.lax.round(3 * x),
            jnp.abs(x) ** 1.5,
        ),
        X,
    ),
    "compared": (
        lambda x, y: (
            x < y,
            x <= y,
            x == x + 0,
            x != y,
            x > y,
            x >= y,
            jnp.where(x < y, x, y),
            jnp.maximum(x, y),
            jnp.minimum(x, 0.1),
            jnp.clip(x, -0.5, 0.5),
            jnp.isfinite(x),
            jnp.arctan2(x, y),
        ),
        X,
        Y,
    ),
    "not a number": (lambda x: (jnp.maximum(x / 0, x), jnp.minimum(jnp.log(x), 0), jnp.isnan(jnp.log(x))), X),
    "integers": (
        lambda i, j: (i + j, i - j, i * j, -i, i // (abs(j) + 1), i % 7, i & j, i | j, i ^ j, ~i, i < j, i << 3),
        WHOLE,
        OTHER,
    ),
    "words": (lambda u: (u + u, u * jnp.uint32(2654435761), u >> 5, u << 7, u ^ (u >> 16), ~u), U),
    "logic": (lambda a, x: (a & (x > 0), a | (x > 0), ~a, a ^ (x > 0), jnp.any(a, 0), jnp.all(a, 1)), B, X),
    "kinds": (
        lambda x, i, b: (
            x.astype(jnp.int32),
            (1e12 * x).astype(jnp.int32),
            i.astype(jnp.float32),
            b.astype(jnp.float32),
            x != 0,
            i.astype(bool),
            abs(x * 9).astype(jnp.uint32),
            jax.lax.bitcast_convert_type(x, jnp.uint32),
        ),
        X,
        WHOLE,
        B,
    ),
    "bits": (lambda u: jax.lax.bitcast_convert_type((u >> 9) | jnp.uint32(0x3F800000), jnp.float32) - 1, U),
    "moved": (
        lambda x: (
            x.T,
            x[::-1],
            x[1:, ::2],
            x.reshape(2, 6),
            x.T.reshape(12),
            x[None, :, None],
            jnp.tile(x, (2, 1)),
            jnp.concatenate([x, x[:1]], 0),
            jnp.stack([x, 2 * x], 1),
            jnp.pad(x, ((1, 2), (0, 1))),
            jax.lax.pad(x, 7.0, ((-1, 2, 0), (1, -2, 0))),
            jax.lax.pad(x, 7.0, ((0, 1, 2), (-2, 1, 1))),
            jax.lax.pad(x, 7.0, ((-2, 0, 0), (0, -3, 0))),
            jnp.broadcast_to(x[:, :1], (3, 5)),
            x[0],
            x[:, 1],
            *jnp.split(x, 2, 1),
        ),
        X,
    ),
    "moved and used": (
        lambda x, row: (jnp.tanh(x.T) + row[:, None], x[::-1] * row[None], (x.T + 1).reshape(2, 6)),
        X,
        ROW,
    ),
    "reduced": (
        lambda x: (
            x.sum(),
            x.sum(0),
            x.max(1),
            x.min(),
            x.mean((0, 2)),
            x.prod(-1),
            jnp.argmax(x, 1),
            jnp.argmin(x, -1),
            jnp.cumsum(x, 1),
            jax.lax.cumsum(x, 2, reverse=True),
            x.var(0),
        ),
        CUBE,
    ),
    "products": (
        lambda x, y, cube, row: (
            x @ y.T,
            row @ x.T,
            x @ row,
            row @ row,
            jnp.einsum("bij,bkj->bik", cube, cube),
            jnp.einsum("bij,ij->bi", cube, x),
            jnp.outer(row, row),
            jnp.tensordot(cube, x, 2),
            jnp.zeros((2, 0), jnp.float32) @ jnp.zeros((0, 3), jnp.float32) + x[:2, :3],
            x[:, :0] @ jnp.ones((0, 3), jnp.float32),
            jnp.concatenate([x, jnp.zeros((3, 0), jnp.float32)], 1),
        ),
        X,
        Y,
        CUBE,
        ROW,
    ),
    "loops": (loop, X, ROW),
    "loops that go backwards": (back, X, ROW),
    "loops that swap": (swapped, X, Y),
    "loops until": (
        lambda x: jax.lax.while_loop(lambda s: s[0] < 20, lambda s: (s[0] * 2, s[1] + 1), (1 + abs(x[0, 0]), 0)),
        X,
    ),
    "choices": (
        lambda x, i: [
            jax.lax.switch(k, [lambda a: a + 1, lambda a: 2 * a, lambda a: -a], x) for k in (i[0, 0], 1 + 0 * i[0, 0])
        ],
        X,
        WHOLE,
    ),
    "places": (
        lambda x, p: (
            x[:, p[1]],
            x.at[p[0]].get(),
            jnp.take(x, p, 0),
            x[p, p],
            jnp.take_along_axis(x, p[None, :1], 1),
            jnp.take(x, p, 0, mode="clip"),
            jax.lax.dynamic_slice(x, (p[2], p[1]), (2, 3)),
            jax.lax.dynamic_update_slice(x, x[:1, :2], (p[0], p[2])),
        ),
        X,
        PLACES,
    ),
    "places for many": (lambda cube, p: jax.vmap(lambda a, i: a[i])(cube, p[:2]), CUBE, PLACES),
    "places that are set": (
        lambda x, p: (x.at[p].set(0.5), x.at[p, p].add(2.0), x.at[:, p[0]].set(x[:, 0]), x.at[p[:2]].add(x[:2])),
        X,
        PLACES,
    ),
    "order": (lambda x: (jnp.sort(x, 1), jnp.argsort(x, 0), jax.lax.sort_key_val(x.ravel(), x.ravel()[::-1])[1]), X),
    "draws": (
        lambda k: (
            jax.random.bits(key(k), (5,)),
            jax.random.uniform(key(k), (2, 3)),
            jax.random.normal(key(k), (7,)),
            jax.random.randint(key(k), (4,), 0, 10),
            jax.random.key_data(jax.random.split(key(k), 3)),
            jax.random.key_data(jax.random.fold_in(key(k), 77)),
            jax.random.gumbel(key(k), (3,)),
            jax.random.categorical(key(k), jnp.arange(4.0)),
            jax.random.bernoulli(key(k), 0.3, (6,)),
        ),
        KEY,
    ),
    "draws of many": (lambda k: jax.vmap(jax.random.normal)(jax.random.split(key(k), 3)), KEY),
    "nothing": (lambda x: (jnp.arange(3.0), x), X),
}
"""By name: a function, and what it is given."""


def made(name, function, *arguments):
    inputs = tuple(Port(f"x{i}", x.shape, str(x.dtype)) for i, x in enumerate(arguments))
    flat = jax.jit(lambda *x: tuple(jax.tree.leaves(function(*x))))
    outputs = tuple(Port(f"y{i}", y.shape, str(y.dtype)) for i, y in enumerate(flat(*arguments)))
    return Program(name, inputs, outputs, jax.make_jaxpr(flat)(*arguments), flat)


PROGRAMS = {name.replace(" ", "_"): made(name.replace(" ", "_"), *given) for name, given in OPERATIONS.items()}
GIVEN = {name.replace(" ", "_"): given for name, (_, *given) in OPERATIONS.items()}


def exported():
    """All of them as if they were one agent's."""
    seen = tuple(
        Port(n, (), k)
        for n, k in (("observation", "float32"), ("action", "float32"), ("reward", "float32"), ("first", "bool"))
    )
    program = jax.make_jaxpr(lambda *x: x[:1])(1.0, 2.0, 3.0, True)
    programs = {**PROGRAMS, "act": Program("act", seen, (Port("action", (), "float32"),), program, None)}
    return Exported("nobody", programs, (), (), 0, 1, None, np.zeros(()), False, np.zeros(()), np.zeros(()))


def expect_the_same(name, found, given=None):
    wanted = PROGRAMS[name].call(*(GIVEN[name] if given is None else given))
    for number, (port, *both) in enumerate(zip(PROGRAMS[name].outputs, wanted, found, strict=True)):
        want, got = (np.asarray(x).reshape(port.shape) for x in both)
        exact = port.dtype != "float32"
        np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), rtol=0 if exact else 2e-6,
                                   atol=0 if exact else 2e-6, err_msg=f"{name}, output {number}, {port}")  # fmt: skip


def test_each_is_written_down_as_python(tmp_path):
    text, numbers = arrays.numpy_files(exported(), "agent.safetensors")
    from safetensors.numpy import save_file

    save_file(numbers, tmp_path / "agent.safetensors")
    (tmp_path / "agent.py").write_text(text, encoding="utf-8")
    module = runners.imported(tmp_path / "agent.py")
    with np.errstate(all="ignore"):
        for name in PROGRAMS:
            expect_the_same(name, getattr(module, name)(*GIVEN[name]))


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_each_is_written_down_as_c(tmp_path):
    (tmp_path / "agent.c").write_text(c.c(exported()), encoding="utf-8")
    with runners.compiled(tmp_path / "agent.c", exported()) as call:
        for name in PROGRAMS:
            expect_the_same(name, call(name, GIVEN[name]))


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node")
def test_each_is_written_down_as_javascript(tmp_path):
    (tmp_path / "agent.js").write_text(javascript.javascript(exported()), encoding="utf-8")
    found = runners.in_node(tmp_path / "agent.js", {name: GIVEN[name] for name in PROGRAMS})
    for name in PROGRAMS:
        expect_the_same(name, found[name])


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_is_written_down_as_onnx_for_a_batch(name, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from adaptax.deployment.export.onnx_writer import model

    (tmp_path / "one.onnx").write_bytes(model(PROGRAMS[name], "nobody"))
    session = runners.onnx_session(tmp_path / "one.onnx")
    rows = [[np.roll(x.reshape(-1), turn).reshape(x.shape) for x in GIVEN[name]] for turn in range(3)]
    ports = PROGRAMS[name].inputs
    found = session.run(None, {p.name: np.stack([row[i] for row in rows]) for i, p in enumerate(ports)})
    for number, row in enumerate(rows):
        expect_the_same(name, [x[number] for x in found], row)
