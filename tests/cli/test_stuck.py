"""Processes that would wait for ever, and surroundings that only a process of its own can have."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.cli.conftest import PATIENCE, PROGRAM, SMALL_BANDIT, TINY, environment, run_alone
from tests.cli.test_exit_codes import expect_one_line

pytestmark = pytest.mark.process

STUCK = """
import dataclasses, os, time
import equinox as eqx, jax, jax.numpy as jnp
from adaptax.core.problem import make_problem
from adaptax.problems.bandit import BernoulliBandit, UniformBernoulliArms

class Stuck(BernoulliBandit):
    # Its steps never end once there is a file "stick"; they say so with a file "stuck".

    where: str = eqx.field(static=True, default="")

    def __init__(self, where):
        super().__init__(3)
        self.where = where

    def step(self, state, action, task, key):
        step = super().step(state, action, task, key)

        def look(x):
            stuck = os.path.exists("stick")
            if stuck:
                open("stuck", "w").close()
            while stuck and self.where == "callback":
                time.sleep(0.1)
            return x + stuck

        shape = jax.ShapeDtypeStruct((), jnp.float32)
        seen = jax.pure_callback(look, shape, step.reward, vmap_method="sequential")
        endless = jax.lax.while_loop(lambda x: x > step.reward, lambda x: x + 1, seen)
        return dataclasses.replace(step, reward=endless)

def make(where: str = "callback"):
    return make_problem(Stuck(where), lambda split: UniformBernoulliArms(num_arms=3, split=split), 5)
"""
LONG = ["--num-updates", "100000", *TINY[2:], "--save-every", "1", "--eval-tasks", "0", "--out", "out"]


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)


@pytest.fixture
def stuck(tmp_path, start):
    """Starts a training, and has it stuck in a chunk once there is a checkpoint."""

    def begin(where, *options):
        (tmp_path / "stuck.py").write_text(STUCK)
        process = start(
            [*PROGRAM, "train", "rl2", "stuck:make", "--where", where, *LONG, *options],
            cwd=tmp_path,
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for(tmp_path / "out/checkpoints/update-00000010.safetensors", process)
        (tmp_path / "stick").touch()
        wait_for(tmp_path / "stuck", process)
        return process

    return begin


@pytest.mark.parametrize("where", ["callback", "compiled"])
def test_E45_a_second_sigterm_ends_a_chunk_that_never_returns(where, stuck):
    process = stuck(where)
    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1.5)
    stderr = process.stderr.read()
    assert process.returncode == 75, stderr
    assert stderr.splitlines()[-2:] == [
        "stopping after this chunk; Ctrl-C again to stop at once",
        "stopped at once; the last checkpoint can be resumed",
    ]


def test_E45_a_limit_for_chunks_ends_one_that_never_returns_and_says_where(stuck, tmp_path):
    process = stuck("callback", "--chunk-timeout", "5")
    stderr = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 75, stderr
    expect_one_line(stderr, 75, "--chunk-timeout", "is safe", "adaptax train --resume out")
    (crash,) = (tmp_path / "out").glob("crash-*.txt")
    assert "stuck.py" in crash.read_text()
    (tmp_path / "stick").unlink()
    resumed = ["train", "--resume", "out", "--problem", "stuck:make", "--chunk-timeout", "5"]
    refused = run_alone(*resumed, "--seed", "1", cwd=tmp_path)
    expect_one_line(refused.stderr, 2, "--seed: no such option here; a run knows what it was started with")


WORDS = ["rl2", "bandit", *SMALL_BANDIT, "--num-updates", "4", "--num-tasks", "12", "--num-minibatches", "1"]


def together(start, cwd, *numbers_and_options):
    """Start processes that train together, each with its number and options; how each ended."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = f"127.0.0.1:{server.getsockname()[1]}"
    hosts = ["--distributed", "--coordinator", where, "--num-processes", str(len(numbers_and_options))]
    processes = [
        start([*PROGRAM, "train", *WORDS, *hosts, "--eval-tasks", "0", "--process-id", *options],
              cwd=cwd, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for options in numbers_and_options
    ]  # fmt: skip
    return [(process.communicate(timeout=PATIENCE)[1], process.returncode) for process in processes]


def test_E45_the_same_process_id_twice_ends_all_with_one_line(start, tmp_path):
    for stderr, code in together(start, tmp_path, ["0"], ["1"], ["1"]):
        assert code == 2, stderr
        expect_one_line(stderr, 2, "--process-id: expected a number of its own for each process; found 1")


def test_E46_a_setting_that_differs_is_named_by_all_processes(start, tmp_path):
    for stderr, code in together(start, tmp_path, ["0"], ["1"], ["2", "--seed", "7"]):
        assert code == 2, stderr
        assert "--seed: expected the same as in process 0, 0; found 7 in process 2" in stderr.splitlines()[-1]
        assert "--resume" not in stderr


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("JAX_PLATFORMS", "cuda", "no such device"),
        ("JAX_PLATFORMS", "foo", "known backends"),
        ("JAX_ENABLE_X64", "maybe", "invalid truth value"),
        ("JAX_NUM_CPU_DEVICES", "-3", "at least 1"),
        ("JAX_NUM_CPU_DEVICES", "many", "Invalid value"),
        ("XLA_FLAGS", "--nonsense", "Unknown flag"),
    ],
)
def test_E44_environment_variables_of_jax_are_named(name, value, text, tmp_path):
    if (name, value) == ("JAX_PLATFORMS", "cuda") and os.path.exists("/dev/nvidia0"):
        pytest.skip("there is a GPU")
    done = run_alone("plan", "rl2", "bandit", cwd=tmp_path, **{name: value})
    assert (done.returncode, done.stdout) == (2, "")
    expect_one_line(done.stderr, 2, f"{name}: expected", value, text)


def test_E46_devices_that_the_environment_decides_are_told_with_it(tmp_path):
    words = ["rl2", "bandit", *SMALL_BANDIT, *TINY, "--eval-tasks", "0"]
    done = run_alone("train", *words, "--devices", "4", cwd=tmp_path, JAX_NUM_CPU_DEVICES="3")
    expect_one_line(
        done.stderr, 2, "--devices: expected at most 3, the devices here with JAX_NUM_CPU_DEVICES=3; found 4"
    )


NOBODY = """
import os, pwd
def unknown(number):
    raise KeyError(number)
pwd.getpwuid = unknown
for name in ("HOME", "USER", "LOGNAME", "JAX_COMPILATION_CACHE_DIR"):
    os.environ.pop(name, None)
from adaptax.cli import main
main()
"""


def test_E44_somebody_without_a_home_trains(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", NOBODY, "train", "rl2", "bandit", *SMALL_BANDIT, *TINY, "--eval-tasks", "20"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs/rl2-bandit-1/adaptation.png").exists()


def test_E44_a_training_goes_on_when_its_reader_has_gone_and_its_output_is_full(tmp_path):
    words = ["train", "rl2", "bandit", *SMALL_BANDIT, *TINY, "--eval-tasks", "20", "--out"]
    reading, writing = os.pipe()
    os.close(reading)
    with open("/dev/full", "w") as full, os.fdopen(writing, "w") as pipe:
        for name, stdout, code in (("gone", pipe, 0), ("full", full, 7)):
            done = subprocess.run(
                [*PROGRAM, *words, name], cwd=tmp_path, env=environment(), stdout=stdout, stderr=subprocess.PIPE,
                text=True, check=False,
            )  # fmt: skip
            assert done.returncode == code, done.stderr
            assert "Traceback" not in done.stderr
            assert (tmp_path / name / "evaluation.json").exists()
