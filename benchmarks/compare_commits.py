"""Two commits, side by side: environment steps per second of each, and the ratio.

    python benchmarks/compare_commits.py HEAD~3 HEAD
    python benchmarks/compare_commits.py main . --work grid-64 maml-2d --rounds 5     # . is the working tree

Each is measured by its own `benchmarks/speed.py`, as modules move, in processes that take turns, so that what else the
machine does in these minutes falls on both. The ratio is the median of the rounds' ratios; its quartiles say how sure
it is.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
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


def rates(tree: Path, work: list[str], devices: list[str]) -> dict[tuple[str, int], float]:
    """Steps per second, by work and number of devices."""
    done = subprocess.run(
        [sys.executable, tree / "benchmarks/speed.py", *work, "--json", "--rounds", "5", "--devices", *devices],
        env={**os.environ, "PYTHONPATH": str(tree / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{tree}: {done.stderr.strip().splitlines()[-1]}")
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {(row["work"], row["devices"]): row["steps_per_second"] for row in rows}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--work", nargs="*", default=[])
    parser.add_argument("--devices", nargs="*", default=["1", str(os.cpu_count() or 1)])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found: list[tuple[dict[tuple[str, int], float], dict[tuple[str, int], float]]] = []
    with ExitStack() as trees:
        commits = [trees.enter_context(sources(commit)) for commit in (options.before, options.after)]
        for index in range(options.rounds):
            order = (0, 1) if index % 2 == 0 else (1, 0)
            taken = {which: rates(commits[which], options.work, options.devices) for which in order}
            found.append((taken[0], taken[1]))
    for key in found[0][0]:
        ratios = sorted(after[key] / before[key] for before, after in found if key in before and key in after)
        low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
        before, after = (statistics.median(pair[which][key] for pair in found) for which in (0, 1))
        print(
            f"{key[0]:<13} {key[1]} device(s)  {before:>10,.0f} → {after:>10,.0f} steps/s"
            f"  × {statistics.median(ratios):.2f} ({low:.2f} to {high:.2f}, {len(ratios)} rounds)"
        )


if __name__ == "__main__":
    main()
