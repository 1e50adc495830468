"""Plant the bugs of `mutants.py`, one at a time, and see which of them the tests catch.

Package and tests are copied first, so that neither the working tree is touched nor its changes matter. Of each bug the
quick tests are asked, and the slow ones if those pass. In the end all tests that failed are run without any bug: a test
that fails then, too, has caught nothing.
"""

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from tests.mutants.mutant import Mutant  # noqa: E402
from tests.mutants.mutants import MUTANTS  # noqa: E402

AT_LEAST = 28
EVERYTHING = ("tests",)
ASKED_FOR = "(compiles or learning or process or nightly)"
QUICK, SLOW, ANY = f"not {ASKED_FOR}", ASKED_FOR, f"{ASKED_FOR} or not {ASKED_FOR}"
NOTHING_TO_RUN = 5
PYTEST = """\
import importlib.util, sys, pytest
where = importlib.util.find_spec("adaptax").origin  # not imported: conftest.py wants to do that, and to check shapes
assert where.startswith(sys.argv[1]), f"not the copy: {where}"
print(where)
sys.exit(pytest.main(sys.argv[2:]))
"""
FRAME = """\
# Planted bugs

`python tests/mutants/run.py` plants each of these bugs in a copy of the package, one at a time, and runs the tests that
should catch it: the quick ones, and the slow ones if those pass. In the end it runs every test that has caught a bug
without any, and all have to pass. It takes about half an hour, and fails if fewer than {at_least} are caught.

- `--only WORDS` takes the bugs whose name has these words.
- `--all-tests` runs all tests on each bug, and not only those that should catch it; that takes many hours.
- `--table` writes this file.

The bugs are in `gradients.py`, `trials.py`, `learners.py` and `figures.py`; `E1` and so on name known traps. None is
meant to stop with an error, since a bug that does needs no test; what the tests say of each is printed.

{caught} of {count} are caught, {slow} of them by a test that runs only when asked for (slow).

| bug | why | in | caught by |
|---|---|---|---|
"""


class Failure(NamedTuple):
    """A test that failed.

    Attributes:
        test: Its name.
        reason: What pytest says of it in a line: an assertion, if the bug does no more than to go unnoticed otherwise.
    """

    test: str
    reason: str


class Verdict(NamedTuple):
    """What the tests said.

    Attributes:
        failure: The first that failed; None if all passed.
        slow: Whether it took tests that run only when asked for.
        seconds: How long it took.
    """

    failure: Failure | None
    slow: bool
    seconds: float


class Copy:
    """A copy of the package and its tests, with the programs that the tests have compiled so far.

    Args:
        place: An empty directory.
    """

    def __init__(self, place: Path):
        self.place = place.resolve()
        for name in ("src", "tests"):
            shutil.copytree(ROOT / name, self.place / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", self.place)
        (self.place / "compiled").mkdir()
        # The tests remove their cache in the end. A link they cannot remove, so that the next run finds the programs.
        (self.place / "cache").symlink_to("compiled", target_is_directory=True)

    def first_failure(self, tests: Sequence[str], marks: str) -> Failure | None:
        """Run tests up to the first that fails, and return it; None if all pass.

        Args:
            tests: Arguments of pytest.
            marks: Which of them, by marker.

        Raises:
            RuntimeError: if pytest could not run them.
        """
        paths = {"PYTHONPATH": str(self.place / "src"), "ADAPTAX_TEST_CACHE": str(self.place / "cache")}
        env = {**os.environ, **paths, "COLUMNS": "500"}  # or pytest cuts reasons short
        options = ("-x", "-q", "-p", "no:cacheprovider", "-n", "0", "--durations=0", "--tb=no", "-m", marks)
        done = subprocess.run(
            [sys.executable, "-c", PYTEST, str(self.place), *options, *tests],
            cwd=self.place, env=env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
        if done.returncode in (0, NOTHING_TO_RUN):
            return None
        if not lines:
            raise RuntimeError(f"pytest could not run {tests}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        test, _, reason = lines[0].split(" ", 1)[1].partition(" - ")
        return Failure(test, reason)

    def judge(self, mutant: Mutant, tests: Sequence[str]) -> Verdict:
        """Plant one bug, run the quick tests, and the slow ones if those pass; take it out again."""
        began = time.monotonic()
        path = self.place / "src/adaptax" / mutant.file
        sound = path.read_text(encoding="utf-8")
        try:
            self._write(path, mutant.planted(sound))
            quick = self.first_failure(tests, QUICK)
            failure = quick or self.first_failure(tests, SLOW)
        finally:
            self._write(path, sound)
        return Verdict(failure, failure is not None and quick is None, time.monotonic() - began)

    def _write(self, path: Path, source: str) -> None:
        """Write a module. Python tells versions apart by size and second only, so what it compiled has to go."""
        path.write_text(source, encoding="utf-8")
        Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)


def readme(mutants: Sequence[Mutant], verdicts: Mapping[str, Verdict]) -> str:
    """All that is known of the bugs, as Markdown."""
    found = [verdicts[mutant.name] for mutant in mutants]
    caught, slow = sum(v.failure is not None for v in found), sum(v.slow for v in found)
    by = [f"`{v.failure.test}`{' (slow)' * v.slow}" if v.failure else "**nothing**" for v in found]
    rows = [f"| {m.name} | {m.why} | `{m.file}` | {test} |" for m, test in zip(mutants, by, strict=True)]
    return FRAME.format(at_least=AT_LEAST, caught=caught, count=len(found), slow=slow) + "\n".join(rows) + "\n"


def run(mutants: Sequence[Mutant], *, all_tests: bool) -> dict[str, Verdict]:
    """Plant one after the other, and make sure that it is them that the tests fail of.

    Raises:
        SystemExit: if one of these tests fails without any bug.
    """
    verdicts = {}
    with tempfile.TemporaryDirectory(prefix="adaptax-mutants-") as name:
        copy = Copy(Path(name))
        for mutant in mutants:
            verdict = verdicts[mutant.name] = copy.judge(mutant, EVERYTHING if all_tests else mutant.tests)
            what = f"caught by {verdict.failure.test}" if verdict.failure else "SURVIVED"
            reason = f" ({verdict.failure.reason})" if verdict.failure else ""
            print(f"{mutant.name}: {what} in {verdict.seconds:.0f} s{reason}", flush=True)
        tests = sorted({verdict.failure.test for verdict in verdicts.values() if verdict.failure})
        failed = copy.first_failure(tests, ANY) if tests else None
    if failed:
        raise SystemExit(f"without any bug {failed.test} fails; so it has caught nothing ({failed.reason})")
    print(f"without any bug, the {len(tests)} tests that caught one pass", flush=True)
    return verdicts


def main() -> None:
    """Plant, count, and say so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="WORDS", help="bugs whose name has these words")
    parser.add_argument("--all-tests", action="store_true", help="run all tests on each bug, which takes many hours")
    parser.add_argument("--table", action="store_true", help="write README.md beside this file; not with --only")
    options = parser.parse_args()
    if options.table and options.only:
        parser.error("--table needs all bugs; leave out --only")
    mutants = [mutant for mutant in MUTANTS if options.only in mutant.name]
    if not mutants:
        parser.error(f"--only: found no bug whose name has {options.only!r}")
    verdicts = run(mutants, all_tests=options.all_tests)
    caught = sum(verdict.failure is not None for verdict in verdicts.values())
    print(f"{len(mutants)} mutants, {caught} caught")
    if options.table:
        (HERE / "README.md").write_text(readme(mutants, verdicts), encoding="utf-8")
    sys.exit(caught < min(AT_LEAST, len(mutants)))


if __name__ == "__main__":
    main()
