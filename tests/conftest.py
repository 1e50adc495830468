"""What every test runs under: strict promotion, two CPU devices, and shapes checked at run time."""

import os
import shutil
import tempfile

import jax
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_disable_most_optimizations", True)  # tiny programs take longer to compile than to run
# One cache of compiled programs for all worker processes of this run (workers inherit the variable). Whoever sets the
# variable keeps it between runs: a program is found by all that it is compiled from, so a changed one is never found.
OURS = "ADAPTAX_TEST_CACHE" not in os.environ
CACHE = os.environ["ADAPTAX_TEST_CACHE"] = os.environ.get("ADAPTAX_TEST_CACHE") or tempfile.mkdtemp(
    prefix="adaptax-test-"
)
jax.config.update("jax_compilation_cache_dir", CACHE)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

PURE = ("losses", "distributions", "moments", "networks")
"""Modules of arrays in, arrays out: their annotated shapes are checked whenever one of their functions runs."""

with install_import_hook([f"adaptax.{name}" for name in PURE], "beartype.beartype"):
    pass


@pytest.fixture
def key():
    """A key for tests that hold for any."""
    return jax.random.key(0)


def pytest_unconfigure(config):
    """Remove the cache when the controlling process ends, if it was made for this run."""
    if OURS and not hasattr(config, "workerinput"):
        shutil.rmtree(CACHE, ignore_errors=True)
