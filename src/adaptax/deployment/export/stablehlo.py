"""An agent's programs as StableHLO, for a batch of any size: `jax.export`'s format, which is stable for years."""

from typing import Any

import jax
from jax import export as jax_export

from adaptax.core.errors import needs
from adaptax.deployment.export.traced import Exported

with needs("export", "StableHLO"):
    import flatbuffers  # noqa: F401  (what JAX writes it with)

BATCH = "batch"


def stablehlo(agent: Exported) -> dict[str, bytes]:
    """Of each program its serialized form, `NAME.stablehlo`; all inputs and outputs have a leading batch axis."""
    (size,) = jax_export.symbolic_shape(BATCH)
    files = {}
    for name, program in agent.programs.items():
        shapes = [jax.ShapeDtypeStruct((size, *p.shape), p.dtype) for p in program.inputs]
        made: Any = jax_export.export(jax.jit(jax.vmap(program.call)), platforms=("cpu", "cuda"))(*shapes)
        files[f"{name}.stablehlo"] = bytes(made.serialize())
    return files
