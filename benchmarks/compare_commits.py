"""Two commits, side by side: how fast each does the same work, and the ratio.

    python benchmarks/compare_commits.py HEAD~3 HEAD
    python benchmarks/compare_commits.py main . --work grid-64 maml-2d --seconds 90     # . is the working tree

Each commit has a process of its own, which compiles the work of its own `benchmarks/speed.py`, as modules move. Then
the two take turns, one chunk of updates each, so that what else the machine does falls on both: a process that runs
for minutes by itself, and then the other, tells × 0.93 of two equal commits. So can two processes, by where their
memory lies; so there are several pairs of them. The ratio is the median of the turns' ratios, its quartiles beside it;
the same commit twice says how far to trust it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def sources(commit: str) -> Iterator[Path]:
    """A commit, in a worktree that is removed afterwards; "." is the working tree's."""
    if commit == ".":
        yield ROOT
        return
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name) / "tree"
        subprocess.run(["git", "-C", ROOT, "worktree", "add", "--quiet", "--detach", tree, commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", tree], check=True)


WORKER = """
import dataclasses, json, sys, time
sys.path.insert(0, sys.argv[1])
import jax
import speed
if sys.argv[2] == "?":
    print(json.dumps({name: speed.devices_that_divide(name, [int(n) for n in sys.argv[3:]]) for name in speed.WORK}))
    raise SystemExit
name, devices = sys.argv[2], int(sys.argv[3])
jax.config.update("jax_num_cpu_devices", devices)
algorithm = dataclasses.replace(speed.WORK[name].algorithm(), num_updates=speed.UPDATES)
problem = speed.WORK[name].problem()
state = speed.init(algorithm, problem, seed=0)
program = jax.jit(speed.chunk_of_updates(algorithm, problem, speed.UPDATES, devices=devices)).lower(state).compile()
jax.block_until_ready(program(state))
print(speed.UPDATES * algorithm.update_steps(problem), flush=True)
for _ in sys.stdin:
    begin = time.perf_counter()
    jax.block_until_ready(program(state))
    print(time.perf_counter() - begin, flush=True)
"""
"""Says how many steps a chunk has, and then, whenever a line is read, in how many seconds it did one."""


def worker(tree: Path, *words: str) -> "subprocess.Popen[str]":
    """Start a process for a commit."""
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, tree / "benchmarks", *words],
        env={**os.environ, "PYTHONPATH": str(tree / "src")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def said(process: "subprocess.Popen[str]", ask: bool = True) -> float:
    """The next number that a worker says."""
    assert process.stdin
    assert process.stdout
    if ask:
        process.stdin.write("\n")
        process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"a worker ended with {process.wait()}")
    return float(line)


def turns(trees: list[Path], name: str, devices: str, seconds: float) -> tuple[float, list[list[float]]]:
    """Steps of a chunk, and what each of its chunks took, by commit."""
    workers = [worker(tree, name, devices) for tree in trees]
    try:
        steps = min(said(process, ask=False) for process in workers)
        taken: list[list[float]] = [[], []]
        begin = time.monotonic()
        while time.monotonic() < begin + seconds or len(taken[0]) < 5:
            for which in (0, 1) if len(taken[0]) % 2 == 0 else (1, 0):
                taken[which].append(said(workers[which]))
        return steps, taken
    finally:
        for process in workers:
            process.kill()
            process.wait()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--work", nargs="*", default=[])
    parser.add_argument("--devices", nargs="*", default=["1", str(os.cpu_count() or 1)])
    parser.add_argument("--seconds", type=float, default=20, help="of measuring, for each pair of processes")
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    with ExitStack() as kept:
        trees = [kept.enter_context(sources(commit)) for commit in (options.before, options.after)]
        dividing = json.loads(worker(trees[0], "?", *options.devices).communicate()[0])
        for name in options.work or dividing:
            for devices in dividing[name]:
                found = [turns(trees, name, str(devices), options.seconds) for _ in range(options.pairs)]
                steps = found[0][0]
                before, after = ([seconds for _, pair in found for seconds in pair[which]] for which in (0, 1))
                ratios = sorted(old / new for old, new in zip(before, after, strict=True))
                low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
                speeds = " → ".join(f"{steps / statistics.median(taken):,.0f}" for taken in (before, after))
                print(
                    f"{name:<13} {devices} device(s)  {speeds:>25} steps/s  × {statistics.median(ratios):.3f}"
                    f" ({low:.3f} to {high:.3f}, {len(ratios)} turns)",
                    flush=True,
                )


if __name__ == "__main__":
    main()
