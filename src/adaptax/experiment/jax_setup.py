"""Starting JAX: devices, and the cache of compiled programs."""

import contextlib
import functools
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from adaptax.core.errors import AdaptaxError, ConfigError, short_repr

MAX_HOST_DEVICES = 16
"""Beyond this, host devices cost more than the cores that they use bring."""


_SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


def cores() -> int:
    """Cores of the processor that this process may use; threads that share one are not counted apart."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    threads = os.sched_getaffinity(0)
    try:
        return len({Path(_SIBLINGS.format(thread)).read_text(encoding="ascii") for thread in threads})
    except OSError:
        return len(threads)


def start_jax(*, alone: bool = True) -> None:
    """Once: import JAX with one CPU device per core, and compiled programs kept for the next run.

    One XLA device leaves most of a second core idle (its parallelism is inside operations, and ours are small), so
    two cores train almost twice as fast as two devices than as one. Whoever has chosen a cache or a number of devices
    by JAX's own environment variables keeps that.

    Args:
        alone: Whether devices are looked for; before this process has met others that train with it, they must not be.

    Raises:
        ConfigError: if an environment variable of JAX has a value that it cannot have here.
    """
    _import_jax()
    if alone:
        _expect_devices()


@functools.cache
def _import_jax() -> None:
    _check_xla_flags()
    with explained():
        import jax

        if "JAX_NUM_CPU_DEVICES" in os.environ:
            _check_count(int(os.environ["JAX_NUM_CPU_DEVICES"]))  # that it is a number, JAX has seen to
        elif "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
            jax.config.update("jax_num_cpu_devices", min(cores(), MAX_HOST_DEVICES))
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ and (cache := _cache()) is not None:
        with contextlib.suppress(OSError):
            cache.mkdir(parents=True, exist_ok=True)
            jax.config.update("jax_compilation_cache_dir", str(cache))
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
            jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    warnings.filterwarnings("ignore", message="Some donated buffers were not usable")


@functools.cache
def _expect_devices() -> None:
    import jax

    with explained():
        jax.devices()


def _cache() -> Path | None:
    """Where compiled programs are kept; None for somebody who has no place of their own."""
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given) / "adaptax" / "xla"
    try:
        return Path.home() / ".cache" / "adaptax" / "xla"
    except RuntimeError:  # neither HOME nor an entry for this user, as in many containers
        return None


_VARIABLES = ("JAX_PLATFORMS", "JAX_NUM_CPU_DEVICES", "XLA_FLAGS", "CUDA_VISIBLE_DEVICES")
"""What decides which devices there are."""


def variables_set(names: tuple[str, ...] = _VARIABLES) -> str:
    """Those of the environment that are set, as a shell shows them; nothing if none is."""
    return " ".join(f"{name}={os.environ[name]}" for name in names if os.environ.get(name))


def _check_count(chosen: int) -> None:
    """Refuse a number of devices that JAX would not understand and pass over."""
    if chosen < 1:
        raise ConfigError(f"JAX_NUM_CPU_DEVICES: expected at least 1; found {chosen}. Correct it, or unset it")


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Around what starts JAX: say which of its environment variables has a value that it cannot have here.

    Raises:
        ConfigError: instead of what JAX raises.
    """
    try:
        yield
    except AdaptaxError:
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0].partition(" (set JAX_PLATFORMS")[0].rstrip(".")
        given = [name for name in os.environ if name.startswith("JAX_")]
        named = [name for name in given if name.lower() in reason.lower()]
        if "JAX_PLATFORMS" in given and not named:
            named, reason = ["JAX_PLATFORMS"], reason or "it finds no such device here"
        if not named:
            raise
        found = short_repr(os.environ[named[0]])
        raise ConfigError(
            f"{named[0]}: expected what JAX can do here; found {found} ({reason}). Correct it, or unset it"
        ) from None  # the line says all


def _check_xla_flags() -> None:
    """Ask XLA, in a process of its own, whether it takes its flags: it would end this one without a word of ours.

    Raises:
        ConfigError: if it does not.
    """
    if not (flags := os.environ.get("XLA_FLAGS")):
        return
    asked = [sys.executable, "-c", "import jaxlib.xla_client; jaxlib.xla_client.make_cpu_client()"]
    found = subprocess.run(asked, capture_output=True, text=True, errors="replace", check=False)
    if found.returncode:
        reason = (found.stderr.strip().splitlines() or ["no reason is said"])[-1].rpartition("] ")[2]
        raise ConfigError(
            f"XLA_FLAGS: expected flags that this version of XLA takes; found {short_repr(flags)} ({reason}). Correct "
            "it, or unset it"
        )


def devices_for(requested: int, tasks_per_minibatch: int, *, on_host: bool = False) -> int:
    """Number of devices to train on: as many as there are, or as requested, that divide a minibatch's tasks.

    Where several processes train together, it is a number of all of their devices, as many of each. Simulators on the
    host serve one device.

    Raises:
        ConfigError: if more were requested than there are, or a number that does not divide the tasks.
    """
    import jax

    processes, available = jax.process_count(), jax.device_count()
    if on_host and (processes > 1 or requested > 1):
        raise ConfigError(
            f"--devices: expected 1, and one process, where simulators run on the host; found {requested} in "
            f"{processes} processes. More simulators at a time: gymnasium_problem(workers=...)"
        )
    if on_host:
        return 1
    fitting = [n for n in range(processes, available + 1, processes) if tasks_per_minibatch % n == 0]
    if not fitting:
        raise ConfigError(
            f"--num-tasks: expected a minibatch of tasks that {processes} processes can share evenly; found "
            f"{tasks_per_minibatch} in a minibatch"
        )
    if requested == 0:
        return fitting[-1]
    if requested > available:
        said = variables_set()
        where = f" with {said}" if said else ""
        raise ConfigError(f"--devices: expected at most {available}, the devices here{where}; found {requested}")
    if requested % processes:
        raise ConfigError(f"--devices: expected as many for each of the {processes} processes; found {requested}")
    if tasks_per_minibatch % requested:
        raise ConfigError(
            f"--devices: expected a divisor of the {tasks_per_minibatch} tasks in a minibatch; found {requested}"
        )
    return requested
