"""What decides the bits of a training besides its settings (trap E38)."""

import contextlib
import json
import os

import jax
import jax.numpy as jnp
import pytest

from adaptax.runs import checkpoints, numerics

STATE = {"w": jnp.arange(3.0)}


def manifest(directory, update=10):
    path = directory / checkpoints.FOLDER / f"update-{update:08d}.json"
    return json.loads(path.read_bytes())["manifest"]


@pytest.fixture
def made(tmp_path):
    checkpoints.save(tmp_path, STATE, update=10, about={})
    return manifest(tmp_path)


@contextlib.contextmanager
def optimized(without):
    before = jax.config.values["jax_disable_most_optimizations"]
    jax.config.update("jax_disable_most_optimizations", without)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)


def differing(made, **changes):
    return {**made, "numerics": {**made["numerics"], **changes}}


def test_E38_a_manifest_says_what_its_numbers_were_computed_with(made):
    assert set(made["numerics"]) == {*numerics.RANDOM, *numerics.ROUNDING, "xla_flags", "cores", "processor"}
    assert made["numerics"]["threefry_partitionable"] is jax.config.jax_threefry_partitionable
    assert made["numerics"]["default_prng_impl"] == "threefry2x32"
    assert made["numerics"]["cores"] == numerics.cores() >= 1
    assert numerics.differences(made) is None


def test_every_part_of_the_configuration_exists():
    assert {f"jax_{name}" for name in (*numerics.RANDOM, *numerics.ROUNDING)} <= set(jax.config.values)


def test_E38_other_random_numbers_are_told_with_how_to_have_the_same(made):
    with jax.threefry_partitionable(False):
        found = numerics.differences(made)
    assert found == (
        "made with threefry_partitionable True (here False): other random numbers from here on, so that this training "
        "is as good but becomes another; for the one that was begun: JAX_THREEFRY_PARTITIONABLE=1"
    )


@pytest.mark.parametrize(
    ("context", "says"),
    [
        (lambda: jax.default_matmul_precision("bfloat16"), "default_matmul_precision None (here 'bfloat16')"),
        (jax.disable_jit, "disable_jit False (here True)"),
        (lambda: optimized(not numerics.configured(["disable_most_optimizations"])["disable_most_optimizations"]),
         "disable_most_optimizations "),
    ],
)  # fmt: skip
def test_E38_other_rounding_is_told(made, context, says):
    with context():
        found = numerics.differences(made)
    assert found.startswith(f"made with {says}")
    assert found.endswith(": from here on equal up to rounding, not bitwise")


@pytest.mark.parametrize("variable", ["PJRT_NPROC", "NPROC"])
def test_E38_another_number_of_cores_is_told(made, monkeypatch, variable):
    monkeypatch.setenv(variable, "77")
    found = numerics.differences(made)
    assert f"cores {made['numerics']['cores']} (here 77): from here on equal up to rounding" in found


def test_cores_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.delenv("PJRT_NPROC", raising=False)
    monkeypatch.delenv("NPROC", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 4, 5})
    assert numerics.cores() == max(3, jax.local_device_count())
    monkeypatch.setattr(jax, "local_device_count", lambda: 5)
    assert numerics.cores() == 5


def test_all_that_differs_is_in_one_line(made):
    found = numerics.differences(
        {**differing(made, cores=99, random_seed_offset=3), "versions": {"jaxlib": "0.9\x1b[2J\n"}, "device": "TPU v9"}
    )
    assert found.isprintable()
    assert "jaxlib '0.9\\x1b[2J\\n' (here" in found
    assert "cores 99 (here" in found
    assert "device 'TPU v9' (here 'cpu')" in found
    assert found.endswith("JAX_RANDOM_SEED_OFFSET=3")


def test_what_a_manifest_does_not_say_is_not_told(made):
    older = {name: value for name, value in made.items() if name != "numerics"}
    assert numerics.differences(older) is None
    assert numerics.differences({**older, "device": "TPU v9"}) is not None
    assert numerics.differences({}) is None


@pytest.mark.parametrize("odd", [None, 3, "x", [], [[]], {"cores": {"a": []}}, {"threefry_partitionable": "\n" * 999}])
def test_a_manifest_may_say_anything(made, odd):
    for name in ("numerics", "versions"):
        found = numerics.differences({**made, name: odd})
        assert found is None or (found.isprintable() and len(found) < 400)


def test_of_flags_of_xla_neither_devices_nor_paths_are_written_down(monkeypatch):
    path = os.sep.join(("", "home", "jane", "x"))
    flags = "--xla_force_host_platform_device_count=8 --xla_cpu_multi_thread_eigen=false --xla_b --xla_cpu_max_isa=AVX2"
    monkeypatch.setenv("XLA_FLAGS", f"{flags} --xla_dump_to={path} --xla_tuned={path} {path} --xla_cpu_max_isa=SSE4_2")
    assert numerics.xla_flags() == [
        "--xla_b=", "--xla_cpu_max_isa=SSE4_2", "--xla_cpu_multi_thread_eigen=false", "--xla_tuned=…", "…",
    ]  # fmt: skip
    monkeypatch.setenv("XLA_FLAGS", "")
    assert numerics.xla_flags() == []
