"""What every test runs under: strict promotion, two CPU devices, and shapes checked at run time."""

import jax
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_disable_most_optimizations", True)  # tiny programs take longer to compile than to run
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

PURE = ("losses", "distributions", "moments", "networks")
"""Modules of arrays in, arrays out: their annotated shapes are checked whenever one of their functions runs."""

with install_import_hook([f"adaptax.{name}" for name in PURE], "beartype.beartype"):
    import adaptax.distributions
    import adaptax.losses
    import adaptax.moments
    import adaptax.networks  # noqa: F401


@pytest.fixture
def key():
    """A key for tests that hold for any."""
    return jax.random.key(0)
