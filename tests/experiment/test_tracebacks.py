import os
from pathlib import Path

import pytest

from adaptax.experiment.tracebacks import tracebacks_into, write_traceback


def _raised(directory):
    try:
        with tracebacks_into(directory):
            raise ValueError("what went wrong")
    except ValueError as error:
        return error


def test_a_traceback_goes_into_the_directory_where_it_happened(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path)
    told = write_traceback(_raised(tmp_path / "run"))
    (path,) = (tmp_path / "run").glob("crash-*.txt")
    assert str(path) in told
    assert "ValueError: what went wrong" in path.read_text()
    assert not list(tmp_path.glob("crash-*"))


def test_of_nested_directories_the_innermost_has_it(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    with pytest.raises(ValueError, match="deep") as caught, tracebacks_into(tmp_path), tracebacks_into(inner):
        raise ValueError("deep")
    write_traceback(caught.value)
    assert list(inner.glob("crash-*.txt"))
    assert not list(tmp_path.glob("crash-*.txt"))


def test_the_home_of_whoever_ran_it_is_not_told(tmp_path, monkeypatch):
    here = Path(__file__).resolve()
    monkeypatch.setenv("HOME", str(here.parents[1]))
    write_traceback(_raised(tmp_path))
    (path,) = tmp_path.glob("crash-*.txt")
    assert f"~/{here.parent.name}/{here.name}" in path.read_text()
    assert os.environ["HOME"] not in path.read_text()


def test_where_it_cannot_be_written_it_is_shown(tmp_path, capsys):
    assert write_traceback(_raised(tmp_path / "nothing")) == "the traceback is above"
    assert "ValueError: what went wrong" in capsys.readouterr().err


def test_E43_a_traceback_goes_through_no_link(tmp_path, monkeypatch):
    monkeypatch.setattr("time.monotonic_ns", lambda: 1)
    (tmp_path / "precious").write_text("precious")
    (tmp_path / f"crash-{os.getpid()}-1.txt").symlink_to("precious")
    write_traceback(_raised(tmp_path))
    assert (tmp_path / "precious").read_text() == "precious"
    assert "what went wrong" in (tmp_path / f"crash-{os.getpid()}-1.txt").read_text()
