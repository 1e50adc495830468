"""How long a sweep of 5 rates × 3 seeds takes in one program, beside 15 trainings one after the other; the same curves?

    python benchmarks/sweep.py [--updates 350] [--runs 15] [-- more words of training]

Each begins with an empty cache of compiled programs, as on a machine that has not seen it; the 15 share theirs, so that
only the first seed of each rate compiles. With fewer --runs, so many are trained, of which as large a share is the
first of its rate, and the sum is extrapolated. Processor seconds say the same beside busy neighbours, as far as work
is what takes the time; on an idle machine, look at wall seconds.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

RATES = ("0.0003", "0.001", "0.003", "0.01", "0.03")
SEEDS = 3


def timed(words: list[str], cache: Path) -> tuple[float, float]:
    """Wall and processor seconds of a command."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    subprocess.run([sys.executable, "-m", "adaptax", *words], check=True, env=environment, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - begin, processor


def curve(directory: Path) -> np.ndarray:
    """Return of each update and seed, `[update, seed]`."""
    rows = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    return np.array([row["by_seed"]["return"] if "by_seed" in row else [row["return"]] for row in rows])


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=350)
    parser.add_argument("--runs", type=int, default=len(RATES) * SEEDS, help="how many of the 15 to train")
    parser.add_argument("more", nargs="*")
    typed = parser.parse_args()
    of = ["rl2", "bandit", "--num-updates", str(typed.updates), *typed.more]
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        words = ["sweep", *of, "--learning-rate", *RATES, "--seeds", str(SEEDS), "--out", str(root / "sweep")]
        whole = timed(words, root / "one")
        print(f"sweep of {len(RATES)} × {SEEDS}: {whole[0]:.1f} s, {whole[1]:.1f} processor seconds", flush=True)
        first, later = [], []
        for number in range(typed.runs):
            rate, seed = RATES[number // SEEDS % len(RATES)], number % SEEDS
            out = root / f"{rate}-{seed}"
            words = ["train", *of, "--learning-rate", rate, "--seed", str(seed), "--eval-tasks", "0", "--out", str(out)]
            took = timed(words, root / "many")
            (first if seed == 0 else later).append(took)
            print(f"{rate}, seed {seed}: {took[0]:.1f} s, {took[1]:.1f} processor seconds", flush=True)
        sums = np.mean(first, 0) * len(RATES) + np.mean(later or first, 0) * len(RATES) * (SEEDS - 1)
        ratio = np.array(whole) / sums
        print(f"15 trainings: {sums[0]:.1f} s, {sums[1]:.1f} processor seconds")
        print(f"ratio: {ratio[0]:.2f} of the time, {ratio[1]:.2f} of the processor's; load {os.getloadavg()[0]:.1f}")
        out = root / "alone"
        words = ["train", *of, "--learning-rate", RATES[2], "--seeds", str(SEEDS), "--eval-tasks", "0"]
        timed([*words, "--devices", "1", "--out", str(out)], root / "many")
        together, alone = curve(root / "sweep" / f"learning-rate={RATES[2]}"), curve(out)
        apart = np.abs(together - alone).max(1)
        same = int(np.argmax(apart > 0)) if (apart > 0).any() else len(apart)
        print(f"rate {RATES[2]} beside `train --seeds 3`: {same} updates bitwise the same, largest difference of a")
        print(f"return {apart.max():.3g}, of the last update's mean {abs(together[-1].mean() - alone[-1].mean()):.3g}")


if __name__ == "__main__":
    main()
