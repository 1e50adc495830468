"""The self-test's own code, on fewer damages; and that it finds a loader that is careless."""

import numpy as np
import pytest

from adaptax.runs import checkpoints, seals
from tests.claims import corrupt
from tests.claims.damages import STRUCTURAL, flip, newest_ones, truncate
from tests.claims.tiny_run import UPDATES, TinyRun, bitwise_equal


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return TinyRun(tmp_path_factory.mktemp("run"), 0)


def failed(tiny, damages, seed=0):
    checks = list(corrupt.check_damage(tiny, "x", damages, np.random.default_rng(seed)))
    return [check.name for check in checks if not check.passed]


def test_the_three_checkpoints_differ(tiny):
    first, second, third = (tiny.states[update] for update in UPDATES)
    assert not bitwise_equal(first, second)
    assert not bitwise_equal(second, third)
    assert bitwise_equal(third, third)


@pytest.mark.parametrize("damage", [flip, truncate])
def test_flips_and_truncations_are_detected(tiny, damage):
    assert failed(tiny, [("x", newest_ones(damage))] * 30) == []


def test_every_structural_damage_is_detected(tiny):
    assert failed(tiny, [*STRUCTURAL.items(), *STRUCTURAL.items()]) == []


def test_flips_in_the_configuration(tiny):
    *judged, harmless = corrupt.check_configuration(tiny, 100, np.random.default_rng(0))
    assert all(check.passed for check in judged)
    assert 0 < harmless.figure < 50


@pytest.mark.compiles
def test_a_loader_without_checksums_is_found(tiny, monkeypatch):
    monkeypatch.setattr(seals, "digest_of", lambda data: "")
    tiny.__init__(tiny.directory, 0)
    assert any("something else" in name for name in failed(tiny, [("x", newest_ones(flip))] * 20))
    monkeypatch.undo()
    tiny.__init__(tiny.directory, 0)


def test_a_loader_that_gives_up_at_the_first_is_found(tiny, monkeypatch):
    read = checkpoints._read

    def strict(*arguments):
        try:
            return read(*arguments)
        except Exception as error:
            raise checkpoints.CheckpointError(str(error)) from error

    monkeypatch.setattr(checkpoints, "_read", strict)
    assert "x: refused, though there was a good one" in failed(tiny, [("x", newest_ones(flip))] * 20)
