import json
import os
import threading

import pytest

from adaptax.core.errors import CheckpointError, OutputError
from adaptax.registry.presets import settings_for
from adaptax.runs import directory
from adaptax.runs.recipe import Recipe

RECIPE = Recipe("rl2", "bandit", *settings_for("rl2", "bandit"))


def test_recipes_come_back(tmp_path):
    directory.save_config(tmp_path, RECIPE, {"seeds": 2})
    assert directory.read_recipe(tmp_path) == (RECIPE, {"seeds": 2})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 2}, "expected format 1, found 2"),
        ({"algorithm": "rl3"}, "did you mean 'rl2'"),
        ({"algorithm_settings": {"memory_sise": 3}}, "memory_sise"),
        ({"problem_settings": {"num_arms": -1}}, "num_arms"),
    ],
)
def test_a_wrong_configuration_file_is_refused(tmp_path, change, says):
    directory.save_config(tmp_path, RECIPE, {})
    path = tmp_path / directory.CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match=says):
        directory.read_recipe(tmp_path)


def test_each_of_many_simultaneous_runs_gets_a_directory_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    got = []
    threads = [threading.Thread(target=lambda: got.append(directory.create_directory(None, "x"))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(str(d) for d in got) == sorted(f"runs/x-{n}" for n in range(1, 21))


def test_a_path_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write there"):
        directory.create_directory(tmp_path / "file", "x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_directory_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot write there"):
        directory.create_directory(tmp_path / "x", "x")


def test_a_title_says_what_was_trained_on_what():
    assert RECIPE.title() == "rl2 on bandit (num_arms 10, num_pulls 100)"


def test_a_directory_is_claimed_by_one_process_and_said_by_whom(tmp_path):
    with directory.claim(tmp_path, fresh=True):
        descriptor = os.open(tmp_path / directory.LOCK, os.O_RDWR)
        fcntl = pytest.importorskip("fcntl")
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
        with pytest.raises(OutputError, match=rf"in use by process {os.getpid()} on .*, since"):
            directory.claim(tmp_path, fresh=True).__enter__()
    directory.save_config(tmp_path, RECIPE, {})
    with pytest.raises(OutputError, match=r"already holds a run.*--resume"), directory.claim(tmp_path, fresh=True):
        pass
    with directory.claim(tmp_path, fresh=False):
        pass


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"algorithm": ["rl2"]}, r"algorithm: expected a name; found \['rl2'\]"),
        ({"algorithm": "a\n\x1b[2J"}, r"algorithm: expected a name; found 'a\\n\\x1b\[2J'"),
        ({"problem_settings": None}, "problem_settings: expected names and values; found None"),
        ({"algorithm_settings": {"num_tasks": 10**12}}, "algorithm_settings.num_tasks: expected at most 2147483647"),
        ({"algorithm_settings": {"learning_rate": 10**400}}, "algorithm_settings.learning_rate: expected at most"),
        (
            {"algorithm_settings": {"memory": "symmetric"}, "problem": "point-robot", "problem_settings": {}},
            "symmetric",
        ),
        ({"options": []}, r"options: expected names and values; found \[\]"),
        ({"options": {}}, "options.seeds: expected an integer between 1 and 1024; found None"),
        ({"options": {"seeds": True}}, "options.seeds.*found True"),
        ({"options": {"seeds": 10**9}}, "options.seeds.*found 1000000000"),
    ],
)
def test_a_configuration_that_nobody_wrote_is_refused_in_a_short_line(tmp_path, change, says):
    directory.save_config(tmp_path, RECIPE, {"seeds": 1})
    path = tmp_path / directory.CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match=says) as refused:
        directory.read_recipe(tmp_path)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("data", [b"", b"\x00" * 100, b"[" * 100_000, b"9" * 100_000, b"\xff\xfe{}", b"0" * 1_000_001])
def test_what_is_no_configuration_is_refused(tmp_path, data):
    (tmp_path / directory.CONFIG).write_bytes(data)
    with pytest.raises(CheckpointError, match="unreadable"):
        directory.read_recipe(tmp_path)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_lock_that_is_another_file_is_not_written(tmp_path, link):
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    link(precious, tmp_path / directory.LOCK)
    with pytest.raises(OutputError, match="cannot write there"), directory.claim(tmp_path, fresh=False):
        pass
    assert precious.read_bytes() == b"precious"


def test_a_claim_ends_with_its_context_and_what_it_said_does_not_keep_others_out(tmp_path):
    for _ in range(2):
        with directory.claim(tmp_path, fresh=True):
            assert f"process {os.getpid()} on " in (tmp_path / directory.LOCK).read_text()


def test_who_is_at_work_is_said_rather_than_that_there_is_a_run(tmp_path):
    directory.save_config(tmp_path, RECIPE, {})
    with pytest.raises(OutputError, match="already holds a run"):
        directory.create_directory(tmp_path, "x")
    assert directory.create_directory(tmp_path, "x", fresh=False) == tmp_path
    with directory.claim(tmp_path, fresh=False), pytest.raises(OutputError, match="in use by process"):
        directory.claim(tmp_path, fresh=True).__enter__()
