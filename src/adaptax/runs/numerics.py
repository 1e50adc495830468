"""What decides the bits of a training besides its settings and its state: written down, and compared when it goes on.

XLA divides a sum among the cores that it has, compiles for the instructions that the processor has, and rounds as its
flags and JAX's configuration say; random numbers depend on which generator that configuration chooses. None of this is
part of a run's settings, and somebody who goes on with a run elsewhere changes it without a word (trap E38).
Whether a program has JAX in 64 bits is not among it: training is in single precision there, too.
"""

import hashlib
import importlib.metadata
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax

from adaptax.core.errors import short_repr
from adaptax.core.version import __version__

LIBRARIES = ("adaptax", "jax", "jaxlib", "equinox", "optax", "numpy")
SIMULATORS = ("mujoco", "gymnasium", "metaworld")
"""Of these, the versions of those that a program has imported: a step of one version is not quite that of another."""
RANDOM = ("threefry_partitionable", "default_prng_impl", "random_seed_offset")
"""Parts of JAX's configuration that decide which random numbers come of a key."""
ROUNDING = (
    "default_matmul_precision",
    "disable_jit",
    "disable_most_optimizations",
    "exec_time_optimization_effort",
    "memory_fitting_effort",
    "optimization_level",
)
"""Parts of JAX's configuration that decide how programs compute, and so how they round."""
_ELSEWHERE = ("--xla_force_host_platform_device_count", "--xla_dump")
"""Flags of XLA that do not decide it: the number of devices has a place of its own, and dumps are only written."""


def versions() -> dict[str, str]:
    """Versions of what decides the results."""
    names = (*LIBRARIES, *(name for name in SIMULATORS if sys.modules.get(name)))
    return {name: __version__ if name == "adaptax" else importlib.metadata.version(name) for name in names}


def circumstances() -> dict[str, Any]:
    """What a manifest says of what its numbers were computed with, as plain data.

    "versions" and "device" are there since the first version; "numerics" is not in older manifests.
    """
    numerics: dict[str, Any] = {**configured(RANDOM), **configured(ROUNDING), "xla_flags": xla_flags()}
    if jax.default_backend() == "cpu":
        numerics |= {"cores": cores(), "processor": processor()}
    return {"versions": versions(), "device": jax.devices()[0].device_kind, "numerics": numerics}


def configured(names: Iterable[str]) -> dict[str, Any]:
    """Parts of JAX's configuration, as plain data; None: this version has no such part, or nothing is chosen."""
    values = jax.config.values  # only those that a context can change are attributes, which know of the context
    found = {name: getattr(jax.config, f"jax_{name}", values.get(f"jax_{name}")) for name in names}
    return {name: x if x is None or isinstance(x, bool | int | float) else str(x) for name, x in found.items()}


def differences(manifest: Mapping[str, Any]) -> str | None:
    """What there is here and was not when a checkpoint was made, and what follows; None: nothing that it speaks of.

    What a manifest does not say, as those of older versions do not, is not known and not told.

    Args:
        manifest: The checkpoint's.
    """
    then, here = _flat(manifest), _flat(circumstances())
    differing = [name for name in here if name in then and then[name] != here[name]]
    if not differing:
        return None
    told = ", ".join(f"{name} {short_repr(then[name], 40)} (here {short_repr(here[name], 40)})" for name in differing)
    random = [name for name in differing if name in RANDOM]
    if not random:
        return f"made with {told}: from here on equal up to rounding, not bitwise"
    again = " ".join(variable(name, then[name]) for name in random)
    return (
        f"made with {told}: other random numbers from here on, so that this training is as good but becomes another; "
        f"for the one that was begun: {again}"
    )


def cores() -> int:
    """Threads among which XLA divides an operation on the CPU: a thread per core, and one for each device at least."""
    named = (os.environ.get(name, "").strip() for name in ("PJRT_NPROC", "NPROC"))
    given = next((int(word) for word in named if word.isdecimal()), None)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(allowed if given is None else given, jax.local_device_count())


def processor() -> str:
    """A fingerprint of what this processor can do: XLA compiles for that, and rounds accordingly."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "unknown"
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return hashlib.sha256(" ".join(sorted(flags.split())).encode()).hexdigest()[:16]


def xla_flags() -> list[str]:
    """XLA's flags in the environment, sorted; a value that is a path, and so names somebody's folders, is left out."""
    words = os.environ.get("XLA_FLAGS", "").split()
    flags = dict(word.partition("=")[::2] for word in words if not word.startswith(_ELSEWHERE))
    return sorted(
        "…" if not name.startswith("-") else f"{name}={'…' if os.sep in value else value}"
        for name, value in flags.items()
    )


def _flat(said: Mapping[str, Any]) -> dict[str, Any]:
    """By name: versions of libraries, the kind of device, and the rest; of a file that may say anything."""
    parts = [said.get(name) for name in ("versions", "numerics")]
    flat = {name: value for part in parts if isinstance(part, Mapping) for name, value in part.items()}
    return {**flat, "device": said["device"]} if "device" in said else flat


def variable(name: str, value: Any) -> str:
    """A part of JAX's configuration as a shell sets it for a program."""
    return f"JAX_{name.upper()}={int(value) if isinstance(value, bool) else short_repr(str(value), 40)[1:-1]}"
