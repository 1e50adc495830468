"""What `python -m tests.claims` shows holds here, with fewer instances; ELSEWHERE: in tests of their own."""

import json
import subprocess
import sys

import pytest

from tests.claims.__main__ import CLAIMS, load
from tests.claims.children import ROOT
from tests.cli.conftest import environment

FEW = {
    "corrupt": 20,
    "any-line": 60,
    "any-run": 20,
    "nan": 1,
    "leak": 2,
    "heldout": 1,
    "memory": 1,
    "oracles": 4,
    "shard": 4,
    "determinism": 1,
}
LONG = {"determinism", "nan", "heldout", "leak", "memory", "oracles", "shard"}
"""These take a minute or more with one instance, too: for the script of the night, which has them in full besides."""
ELSEWHERE = {"gradients", "config", "odd-config", "kill", "signals", "hostile", "storage", "hosts"}


def test_none_is_forgotten():
    assert set(CLAIMS) == {*FEW, *ELSEWHERE}
    for name in CLAIMS:
        assert callable(load(name))


@pytest.mark.process
@pytest.mark.parametrize("name", [pytest.param(x, marks=pytest.mark.nightly) if x in LONG else x for x in FEW])
def test_what_is_claimed_holds(name):
    words = [sys.executable, "-m", "tests.claims", name, "--seed", "7", "--n", str(FEW[name]), "--json"]
    done = subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    checks = json.loads(done.stdout)["checks"]
    assert [check for check in checks if not check["passed"]] == []
    assert done.returncode == 0, done.stderr
