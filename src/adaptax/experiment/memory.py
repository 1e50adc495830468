"""Whether a program fits into memory, asked before it runs; and what to lower if not."""

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
        return f"Lower --buffer-size (now {kept} trials) or --batch-size (now {batch})"
    fewer = int(0.9 * share * tasks) // groups * groups
    if 0 < fewer < tasks:
        return f"Lower --num-tasks from {tasks} to {fewer}"
    return f"Lower --num-tasks (now {tasks}) together with --num-minibatches (now {groups}), or the length of a trial"
