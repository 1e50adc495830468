"""Runs of all versions so far: they load and are gone on with without a word, and come to what they came to."""

import importlib.metadata
import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from adaptax.runs.checkpoints import FOLDER
from adaptax.runs.directory import CONFIG
from adaptax.runs.numerics import processor
from tests.golden.make import LACKING, RUNS
from tests.golden.replay import REWARDS, acted, actions_of, outcome

GOLDEN = Path(__file__).parent / "golden"
VERSIONS = sorted(path.parent.name for path in GOLDEN.glob("*/actions.json"))
CASES = [(path.parent.parent.name, path.name) for path in sorted(GOLDEN.glob("*/runs/*"))]
TOLERANCE = {"rtol": 1e-3, "atol": 1e-5}
"""On another processor or jaxlib, after three updates."""


def same_here(made):
    return (importlib.metadata.version("jaxlib"), processor()) == (made["jaxlib"], made["processor"])


def test_this_version_has_them():
    version = importlib.metadata.version("adaptax")
    assert version in VERSIONS
    assert {name for of, name in CASES if of == version} == {*RUNS, "fields-missing"}


@pytest.mark.parametrize("version", VERSIONS)
def test_it_loads_without_a_warning_and_acts_as_it_did(version):
    made = json.loads((GOLDEN / version / "actions.json").read_text())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        now = actions_of(GOLDEN / version / "run")
    assert now["actions"] == made["actions"]
    then, here = (np.array([[float.fromhex(x) for x in row] for row in of["memory"]]) for of in (made, now))
    np.testing.assert_allclose(here, then, rtol=1e-4, atol=1e-6)
    if same_here(made):
        assert now["memory"] == made["memory"]


@pytest.mark.parametrize("version", VERSIONS)
def test_what_it_does_depends_on_what_it_remembers(version):
    made = json.loads((GOLDEN / version / "actions.json").read_text())
    best = made["actions"][len(REWARDS) : 2 * len(REWARDS)]
    assert len(set(best)) > 1  # the observations are all the same
    assert len({tuple(row) for row in made["memory"]}) > len(REWARDS)


@pytest.mark.compiles
@pytest.mark.parametrize(("version", "name"), CASES, ids=str)
def test_each_acts_as_it_did(version, name):
    then = json.loads((GOLDEN / version / "acts.json").read_text())[name]
    now = acted(GOLDEN / version / "runs" / name)
    np.testing.assert_allclose(now, then, **TOLERANCE)
    if same_here(json.loads((GOLDEN / version / "actions.json").read_text())):
        assert now == then


@pytest.mark.compiles
@pytest.mark.parametrize(("version", "name"), CASES, ids=str)
def test_gone_on_with_it_comes_to_what_it_came_to(version, name, tmp_path, capsys):
    made = json.loads((GOLDEN / version / "runs.json").read_text())
    then = made["runs"][name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        now = outcome(GOLDEN / version / "runs" / name, tmp_path / "run")
    assert "damaged" not in (said := capsys.readouterr().err), said
    assert "resumed at update 8 (0 lost)" in said or name == "dqn"
    np.testing.assert_allclose(now["norms"], then["norms"], **TOLERANCE)
    np.testing.assert_allclose(now["actions"], then["actions"], **TOLERANCE)
    if same_here(made):
        assert "warning" not in said
        assert now == then


@pytest.mark.parametrize("version", VERSIONS)
def test_one_lacks_fields_and_comes_to_the_same_as_the_one_that_has_them(version):
    made = json.loads((GOLDEN / version / "runs.json").read_text())["runs"]
    assert made["fields-missing"] == made["rl2-gru"]
    run = GOLDEN / version / "runs" / "fields-missing"
    (manifest,) = (run / FOLDER).glob("*.json")
    for said in (json.loads((run / CONFIG).read_text()), json.loads(manifest.read_text())["manifest"]["about"]):
        assert not any(set(said[section]) & set(names) for section, names in LACKING.items())


@pytest.mark.parametrize("version", VERSIONS)
def test_they_are_different_runs(version):
    made = json.loads((GOLDEN / version / "runs.json").read_text())["runs"]
    assert len({found["sha256"] for found in made.values()}) == len(made) - 1
    assert all(len(np.unique(found["actions"], axis=0)) > 1 for found in made.values())


def test_they_are_small():
    assert sum(path.stat().st_size for path in GOLDEN.rglob("*") if path.suffix != ".pyc" and path.is_file()) <= 300_000


def test_they_are_never_made_again():
    made = subprocess.run([sys.executable, "-m", "tests.golden.make"], capture_output=True, text=True, check=False)
    assert made.returncode == 1
    assert "never made again" in made.stderr
