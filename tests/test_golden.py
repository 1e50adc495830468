"""Runs of all versions so far: they load without a word, and their agents do what they did."""

import importlib.metadata
import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from tests.golden.replay import REWARDS, lived, processor

GOLDEN = Path(__file__).parent / "golden"
VERSIONS = sorted(path.parent.name for path in GOLDEN.glob("*/actions.json"))


def test_this_version_has_one():
    assert importlib.metadata.version("adaptax") in VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
def test_it_loads_without_a_warning_and_acts_as_it_did(version):
    made = json.loads((GOLDEN / version / "actions.json").read_text())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        now = lived(GOLDEN / version / "run")
    assert now["actions"] == made["actions"]
    then, here = (np.array([[float.fromhex(x) for x in row] for row in of["memory"]]) for of in (made, now))
    np.testing.assert_allclose(here, then, rtol=1e-4, atol=1e-6)
    if (importlib.metadata.version("jaxlib"), processor()) == (made["jaxlib"], made["processor"]):
        assert now["memory"] == made["memory"]


@pytest.mark.parametrize("version", VERSIONS)
def test_what_it_does_depends_on_what_it_remembers(version):
    made = json.loads((GOLDEN / version / "actions.json").read_text())
    best = made["actions"][len(REWARDS) : 2 * len(REWARDS)]
    assert len(set(best)) > 1  # the observations are all the same
    assert len({tuple(row) for row in made["memory"]}) > len(REWARDS)


@pytest.mark.parametrize("version", VERSIONS)
def test_it_is_small(version):
    assert sum(path.stat().st_size for path in (GOLDEN / version).rglob("*") if path.is_file()) <= 40_000


def test_it_is_never_made_again():
    made = subprocess.run([sys.executable, "-m", "tests.golden.make"], capture_output=True, text=True, check=False)
    assert made.returncode == 1
    assert "never made again" in made.stderr
