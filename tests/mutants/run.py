"""Plant the bugs of `mutants.py`, one at a time, and see which the tests catch: python tests/mutants/run.py.

--only WORDS   those whose name contains them
--table        rewrite the table in README.md beside this file
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from tests.mutants.mutants import MUTANTS, Mutant  # noqa: E402

AT_LEAST = 28
FRAME = """\
# Planted bugs

`python tests/mutants/run.py` plants each of these bugs in a copy of the package and runs the tests that should catch
it; first the same tests without any bug, which have to pass. `--only WORDS` for some, `--table` to write this table.

| bug | in | caught by |
|---|---|---|
"""


class Verdict(NamedTuple):
    """What the tests said.

    Attributes:
        failed: Whether one failed.
        test: Which, the first.
        seconds: How long it took.
    """

    failed: bool
    test: str
    seconds: float


def planted(source: str, mutant: Mutant) -> str:
    """The source with the bug; the place must be unique, or the bug is not the one that was meant."""
    count = source.count(mutant.old)
    if count != 1:
        raise SystemExit(f"{mutant.name}: expected its source exactly once in {mutant.file}, found it {count} times")
    return source.replace(mutant.old, mutant.new)


def copy_of_everything(place: Path) -> None:
    """The package and its tests, as they are."""
    for name in ("src", "tests", "pyproject.toml"):
        source = ROOT / name
        shutil.copytree(source, place / name, ignore=shutil.ignore_patterns("__pycache__")) if source.is_dir() else (
            shutil.copy(source, place / name)
        )


def tested(place: Path, tests: tuple[str, ...], cache: str) -> Verdict:
    """Run tests on the package in `place`, up to the first that fails."""
    env = {**os.environ, "PYTHONPATH": str(place / "src"), "ADAPTAX_TEST_CACHE": cache}
    where = subprocess.run(
        [sys.executable, "-c", "import adaptax; print(adaptax.__file__)"],
        cwd=place, env=env, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert where.startswith(str(place)), f"not the copy: {where}"
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "--durations=0", "--tb=no", *tests],
        cwd=place, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    failed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if done.returncode not in (0, 1, 2):
        raise SystemExit(f"pytest could not run {tests}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return Verdict(done.returncode != 0, failed[0] if failed else "", time.monotonic() - began)


def run(mutants: list[Mutant]) -> dict[str, Verdict]:
    """Plant one after the other."""
    found = {}
    with tempfile.TemporaryDirectory() as cache:
        for mutant in mutants:
            with tempfile.TemporaryDirectory() as name:
                place = Path(name)
                copy_of_everything(place)
                path = place / "src/adaptax" / mutant.file
                path.write_text(planted(path.read_text(encoding="utf-8"), mutant), encoding="utf-8")
                verdict = found[mutant.name] = tested(place, mutant.tests, cache)
            what = f"caught by {verdict.test}" if verdict.failed else "SURVIVED"
            print(f"{mutant.name}: {what} ({verdict.seconds:.0f} s)", flush=True)
    return found


def control(mutants: list[Mutant]) -> None:
    """The same tests, without any bug, pass."""
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryDirectory() as name:
        copy_of_everything(Path(name))
        for tests in dict.fromkeys(mutant.tests for mutant in mutants):
            verdict = tested(Path(name), tests, cache)
            if verdict.failed:
                raise SystemExit(f"without any bug: {verdict.test} fails; nothing can be said of the bugs")
    print("without any bug: all pass", flush=True)


def write_table(found: dict[str, Verdict]) -> None:
    """The table of README.md."""
    rows = [
        f"| {m.name} | `{m.file}` | {f'`{found[m.name].test}`' if found[m.name].failed else '**nothing**'} |"
        for m in MUTANTS
    ]
    (HERE / "README.md").write_text(FRAME + "\n".join(rows) + "\n", encoding="utf-8")


def main() -> None:
    """Plant, count, and say so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    mutants = [mutant for mutant in MUTANTS if options.only in mutant.name]
    control(mutants)
    found = run(mutants)
    caught = sum(verdict.failed for verdict in found.values())
    print(f"{len(mutants)} bugs, {caught} caught")
    if options.table and len(mutants) == len(MUTANTS):
        write_table(found)
    sys.exit(caught < min(AT_LEAST, len(mutants)))


if __name__ == "__main__":
    main()
