import errno

import pytest

from adaptax.core.errors import ConfigError, OutputError, ResourceError
from adaptax.experiment.results import expect_room, kept
from adaptax.runs.directory import CONFIG


def test_results_go_into_the_runs_directory_or_one_that_is_made(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / CONFIG).touch()
    run, other = tmp_path / "run", tmp_path / "a" / "b"
    assert expect_room(run, None) == run
    assert expect_room(run, run) == run
    assert expect_room(run, other) == other
    assert other.is_dir()
    assert [path.name for path in run.iterdir()] == [CONFIG]  # that it can be written to was tried, and left nothing


def test_another_run_is_in_the_way(tmp_path):
    (tmp_path / CONFIG).touch()
    with pytest.raises(OutputError, match="already holds a run; nothing was changed"):
        expect_room(tmp_path / "run", tmp_path)


def test_where_there_is_no_room_nothing_was_computed(tmp_path):
    place = tmp_path / "file. Or not"
    place.touch()
    with pytest.raises(OutputError) as refused:
        expect_room(place, None)
    assert str(refused.value) == (
        f"{place}: cannot write there (File exists). Nothing was computed. Make it writable, or choose another place: "
        "--out"
    )
    with pytest.raises(OutputError, match=r"cannot write there \(File exists\)\. Choose another --out$"):
        expect_room(tmp_path, place)


@pytest.mark.parametrize("error", [OutputError("no"), ResourceError("full")])
def test_what_refuses_a_result_carries_it(error, tmp_path):
    result = object()
    with pytest.raises(type(error)) as raised, kept(result, tmp_path):
        raise error
    assert raised.value is error
    assert error.result is result


@pytest.mark.parametrize(("number", "kind"), [(errno.EACCES, OutputError), (errno.ENOSPC, ResourceError)])
def test_what_the_system_refuses_is_told_with_its_name(number, kind, tmp_path):
    result, error = object(), OSError(number, "not now", "a.json")
    with pytest.raises(kind) as raised, kept(result, tmp_path):
        raise error
    assert str(raised.value).startswith("cannot write a.json: not now; what was there is as it was.")
    assert (raised.value.result, raised.value.__cause__) == (result, error)
    with pytest.raises(kind) as raised, kept(result, tmp_path):
        raise OSError(number, "not now")
    assert str(raised.value).startswith(f"cannot write {tmp_path}: not now;")


@pytest.mark.parametrize("error", [ConfigError("no"), ValueError("no"), KeyboardInterrupt()])
def test_all_else_is_let_through_as_it_is(error, tmp_path):
    with pytest.raises(type(error)) as raised, kept(object(), tmp_path):
        raise error
    assert raised.value is error
    assert getattr(error, "result", None) is None
    with kept(object(), tmp_path):
        pass
