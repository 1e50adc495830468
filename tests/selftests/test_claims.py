"""What `adaptax selftest` shows holds here, with fewer instances; `kill` and `signals`: tests/cli/test_resume.py."""

import pytest

from adaptax.cli.selftest import SELFTESTS, load

FEW = {
    "corrupt": 20,
    "hostile": 3,
    "storage": 1,
    "nan": 1,
    "leak": 2,
    "heldout": 1,
    "memory": 1,
    "oracles": 4,
    "shard": 4,
    "determinism": 1,
}
ELSEWHERE = {"gradients", "config", "odd-config", "kill", "signals"}
QUICK = {"corrupt"}


def test_none_is_forgotten():
    assert set(SELFTESTS) == {*FEW, *ELSEWHERE}
    for name in SELFTESTS:
        assert callable(load(name))


@pytest.mark.parametrize("name", [pytest.param(x, marks=() if x in QUICK else pytest.mark.slow) for x in FEW])
def test_what_is_claimed_holds(name):
    checks = list(load(name)(7, FEW[name]))
    assert any(check.bar for check in checks)
    assert [check.line() for check in checks if not check.passed] == []
