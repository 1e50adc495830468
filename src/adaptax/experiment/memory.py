"""Whether a program fits into memory, asked before it runs; and what to lower if not."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adaptax.core.errors import ResourceError
from adaptax.experiment.program_text import largest


def free_bytes() -> int | None:
    """Memory that a new program can have on the first device; None if unknown."""
    import jax

    device = jax.local_devices()[0]
    statistics = device.memory_stats() if device.platform != "cpu" else None
    if statistics and "bytes_limit" in statistics:
        return int(statistics["bytes_limit"]) - int(statistics.get("bytes_in_use", 0))
    return _available_on_host() if device.platform == "cpu" else None


def _available_on_host() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    kilobytes = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return None if kilobytes is None else int(kilobytes) * 1024


def needed_bytes(program: Any, devices: int) -> int | None:
    """Memory that a compiled program needs beside what exists already; None if its compiler does not tell."""
    analysis = program.memory_analysis()
    if analysis is None:
        return None
    # The state, an argument, is donated, so its output is no new memory.
    return _sharing(devices) * (analysis.temp_size_in_bytes + analysis.output_size_in_bytes)


def _sharing(devices: int) -> int:
    """How many devices share one memory: those of the processor do."""
    import jax

    return devices // jax.process_count() if jax.local_devices()[0].platform == "cpu" else 1


def check(algorithm: Any, devices: int) -> Callable[[Any], None]:
    """A check for a compiled program that trains `algorithm`.

    Raises:
        ResourceError: when it is called, if the program needs more memory than there is.
    """

    def fits(program: Any) -> None:
        needed, free = needed_bytes(program, devices), free_bytes()
        if needed is not None and free is not None and needed > free:
            raise ResourceError(
                f"out of memory: an update needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; nothing was "
                f"trained. Largest: {'; '.join(largest(program))}. {advice(algorithm, free / needed)}"
            )

    return fits


def check_state(algorithm: Any, devices: int) -> Callable[[Any], None]:
    """A check for the shapes of what a training starts with: buffers of past experience are most of it.

    Raises:
        ResourceError: when it is called, if that is more memory than there is. Nothing was made by then.
    """

    def fits(shapes: Any) -> None:
        import jax

        sizes = {jax.tree_util.keystr(path): bytes_of(x) for path, x in jax.tree_util.tree_leaves_with_path(shapes)}
        kept, free = _sharing(devices) * sum(sizes.values()), free_bytes()
        if free is not None and kept > free:
            most = max(sizes, key=lambda name: sizes[name])
            each = f", once for each of {devices} devices" if _sharing(devices) > 1 else ""
            raise ResourceError(
                f"out of memory: a training starts with {kept / 2**30:.1f} GiB{each}, {free / 2**30:.1f} GiB are free; "
                f"nothing was trained. Largest: {most.lstrip('.')} with {sizes[most] / 2**30:.1f} GiB. "
                f"{advice(algorithm, free / kept)}"
            )

    return fits


def bytes_of(leaf: Any) -> int:
    """Size of an array of a shape and type; a random key has eight bytes."""
    import jax

    size = 8 if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.extended) else leaf.dtype.itemsize
    return math.prod(leaf.shape) * int(size)


def program_of(algorithm: Any, problem: Any, devices: int, num_seeds: int = 1) -> tuple[Any, Any]:
    """The program that trains, and the shapes of what it is given; nothing is computed."""
    import jax

    from adaptax.core.algorithm import first_state
    from adaptax.training.loop import chunk_of_updates

    state = jax.eval_shape(lambda: first_state(algorithm, problem, jax.random.key(0), num_seeds))
    return chunk_of_updates(algorithm, problem, num_seeds=num_seeds, devices=devices), state


def advice(algorithm: Any, share: float = 0.5) -> str:
    """Which setting to lower, and to what, so that about `share` of the memory is needed."""
    tasks, groups = algorithm.num_tasks, algorithm.num_minibatches
    kept, batch = (getattr(algorithm, name, 0) for name in ("buffer_size", "batch_size"))
    if kept and batch:  # what is replayed is most of it, whatever an update has
        of_what = "steps of each task" if hasattr(algorithm, "num_train_tasks") else "trials"
        return f"Lower --buffer-size (now {kept} {of_what}) or --batch-size (now {batch})"
    fewer = int(0.9 * share * tasks) // groups * groups
    if 0 < fewer < tasks:
        return f"Lower --num-tasks from {tasks} to {fewer}"
    return f"Lower --num-tasks (now {tasks}) together with --num-minibatches (now {groups}), or the length of a trial"
