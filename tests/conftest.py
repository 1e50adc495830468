"""What every test runs under: strict promotion, two CPU devices, shapes checked at run time, ordinary signals."""

import importlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading

import jax
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_disable_most_optimizations", True)  # tiny programs take longer to compile than to run
# One cache of compiled programs for all processes of this run, which inherit the variable. Whoever sets it keeps the
# cache between runs: a program is found by all that it is compiled from, so one that has changed is never found.
GIVEN = os.environ.get("ADAPTAX_TEST_CACHE")
CACHE = os.environ["ADAPTAX_TEST_CACHE"] = os.path.abspath(GIVEN or tempfile.mkdtemp(prefix="adaptax-test-"))
jax.config.update("jax_compilation_cache_dir", CACHE)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

if threading.current_thread() is threading.main_thread():
    # `nohup` and shells in the background start the tests with signals ignored, and what is ignored stays so in every
    # child. A handler that does nothing ignores as well, and is not passed on: children start as in a terminal.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda number, frame: None)

PURE = [f"adaptax.{name}" for name in ("optimization.losses", "optimization.moments", "networks")]
"""Modules of arrays in, arrays out: their annotated shapes are checked whenever one of their functions runs."""

with install_import_hook(PURE, "beartype.beartype"):
    for name in PURE:
        importlib.import_module(name)


LONGEST = [
    "test_rl2_learning", "test_conformance", "test_surroundings", "test_claims", "test_inner_loop", "test_outer_loop",
    "test_memory", "test_hosts", "test_meta_policy_gradient", "test_multitask_ppo", "test_resume", "test_settings",
    "test_check", "test_exactness", "test_sampling", "test_train", "test_evaluate", "test_task_informed",
    "test_compare",
]  # fmt: skip
"""Files that take longest; they go first, so that no worker is left with one of them at the end."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Order the files; tests within a file keep their order, and workers take whole files.

    Where ADAPTAX_TEST_PART is "2/3", there is only the second of three parts of the files, about.
    """
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(ranks)))
    part, _, parts = os.environ.get("ADAPTAX_TEST_PART", "1/1").partition("/")
    turns = 2 * int(parts)  # to and fro, so that each part has some of the longest
    places = {path: index % turns for index, path in enumerate(dict.fromkeys(item.path for item in items))}
    files = {path for path, place in places.items() if int(part) - 1 in (place, turns - 1 - place)}
    config.hook.pytest_deselected(items=[item for item in items if item.path not in files])
    items[:] = [item for item in items if item.path in files]


@pytest.fixture(scope="module", autouse=True)
def forget_programs():
    """Forget compiled programs after each file, or a worker grows to five gigabytes; on disk they are kept."""
    yield
    jax.clear_caches()


@pytest.fixture
def start():
    """Starts a process as `subprocess.Popen` does; what is left of it is killed when the test ends, however it ends."""
    children = []

    def begin(command, **options):
        children.append(subprocess.Popen(command, **options))
        return children[-1]

    yield begin
    for child in children:
        with child:
            child.kill()


@pytest.fixture
def key():
    """A key for tests that hold for any."""
    return jax.random.key(0)


def pytest_unconfigure(config):
    """Remove the cache when the controlling process ends, if it was made for this run."""
    if not GIVEN and not hasattr(config, "workerinput"):
        shutil.rmtree(CACHE, ignore_errors=True)
