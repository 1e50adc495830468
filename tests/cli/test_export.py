import json
import shutil

import pytest

from adaptax.experiment import export
from tests.cli.conftest import run


@pytest.mark.compiles
def test_a_finished_run_is_written_down(finished_run):
    cwd, directory = finished_run.cwd, finished_run.directory
    done = run("export", directory.name, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["files"] == ["agent.py", "agent.safetensors", "manifest.json"]
    assert found["programs"] == ["act", "explore"]
    assert found["difference"] <= 1e-5
    assert {path.name for path in (directory / "export/numpy").iterdir()} == set(found["files"])
    assert json.loads((directory / "export/numpy/manifest.json").read_text())["agent"] == "rl2 on BernoulliBandit"


@pytest.mark.compiles
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_it_says_what_it_has_checked_and_written(finished_run, tmp_path):
    done = run(
        "export", finished_run.directory.name, "--format", "c", "--out", str(tmp_path / "c"), cwd=finished_run.cwd
    )
    assert done.returncode == 0, done.stderr
    assert "checked act, explore: 1,000 steps with resets" in done.stdout + done.stderr
    assert (tmp_path / "c/agent.c").read_text().startswith("/* rl2 on BernoulliBandit")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--format", "fortran"], "--format: expected one of numpy, js, c, onnx, stablehlo; found 'fortran'"),
        (["--training-seed", "3"], "--training-seed: expected at most 0"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_read(finished_run, typed, said):
    done = run("export", finished_run.directory.name, *typed, cwd=finished_run.cwd)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.compiles
def test_without_node_it_says_what_to_install(finished_run, monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    done = run(
        "export", finished_run.directory.name, "--format", "js", "--out", str(tmp_path / "js"), cwd=finished_run.cwd
    )
    assert done.returncode == 2
    assert "Node (node), to check what was written, is not installed" in done.stderr
    assert not list((tmp_path / "js").iterdir())


@pytest.mark.compiles
def test_from_python_it_is_the_same(finished_run, tmp_path):
    found = export(finished_run.directory, out=tmp_path)
    assert (tmp_path / "agent.py").exists()
    assert found.programs == ("act", "explore")
