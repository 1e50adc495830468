"""Starting JAX: devices, and the cache of compiled programs."""

import contextlib
import functools
import os
import warnings
from pathlib import Path

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


@functools.cache
def start_jax() -> None:
    """Once: import JAX with one CPU device per core, and compiled programs kept for the next run.

    One XLA device leaves most of a second core idle (its parallelism is inside operations, and ours are small), so
    two cores train almost twice as fast as two devices than as one. Whoever has chosen a cache by JAX's own environment
    variables keeps that one.
    """
    import jax

    jax.config.update("jax_num_cpu_devices", min(cores(), MAX_HOST_DEVICES))
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "adaptax" / "xla"
        with contextlib.suppress(OSError):
            cache.mkdir(parents=True, exist_ok=True)
            jax.config.update("jax_compilation_cache_dir", str(cache))
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
            jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    warnings.filterwarnings("ignore", message="Some donated buffers were not usable")


def devices_for(requested: int, tasks_per_minibatch: int) -> int:
    """Number of devices to train on: as many as there are, or as requested, that divide a minibatch's tasks.

    Where several processes train together, it is a number of all of their devices, as many of each.

    Raises:
        ConfigError: if more were requested than there are, or a number that does not divide the tasks.
    """
    import jax

    from adaptax.core.errors import ConfigError

    processes, available = jax.process_count(), jax.device_count()
    fitting = [n for n in range(processes, available + 1, processes) if tasks_per_minibatch % n == 0]
    if not fitting:
        raise ConfigError(
            f"--num-tasks: expected a minibatch of tasks that {processes} processes can share evenly; found "
            f"{tasks_per_minibatch} in a minibatch"
        )
    if requested == 0:
        return fitting[-1]
    if requested > available:
        raise ConfigError(f"--devices: expected at most {available}, the devices here; found {requested}")
    if requested % processes:
        raise ConfigError(f"--devices: expected as many for each of the {processes} processes; found {requested}")
    if tasks_per_minibatch % requested:
        raise ConfigError(
            f"--devices: expected a divisor of the {tasks_per_minibatch} tasks in a minibatch; found {requested}"
        )
    return requested
