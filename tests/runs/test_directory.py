import dataclasses
import importlib.metadata
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from adaptax.core.errors import CheckpointError, OutputError
from adaptax.registry.presets import settings_for
from adaptax.registry.registry import LEARNERS, PROBLEMS
from adaptax.runs import directory
from adaptax.runs.options import KeptOptions
from adaptax.runs.recipe import Recipe

RECIPE = Recipe("rl2", "bandit", *settings_for("rl2", "bandit"))
OPTIONS = dataclasses.asdict(KeptOptions())


def test_recipes_come_back(tmp_path):
    directory.save_config(tmp_path, RECIPE, {"seeds": 2})
    assert directory.read_recipe(tmp_path) == (RECIPE, {**OPTIONS, "seeds": 2})


@pytest.mark.parametrize("section", ["algorithm_settings", "problem_settings", "options"])
def test_every_field_may_be_missing_and_has_its_default_then(tmp_path, section):
    directory.save_config(tmp_path, RECIPE, OPTIONS)
    path = tmp_path / directory.CONFIG
    whole = json.loads(path.read_text())
    for name in whole[section]:
        path.write_text(json.dumps({**whole, section: {k: x for k, x in whole[section].items() if k != name}}))
        assert directory.read_recipe(tmp_path) == (RECIPE, OPTIONS)
    path.write_text(json.dumps({**whole, section: {}}))
    assert directory.read_recipe(tmp_path) == (RECIPE, OPTIONS)


@pytest.mark.parametrize("section", ["algorithm_settings", "problem_settings", "options"])
def test_a_field_that_is_not_known_is_named_with_both_versions(tmp_path, section):
    directory.save_config(tmp_path, RECIPE, OPTIONS)
    path = tmp_path / directory.CONFIG
    content = json.loads(path.read_text())
    content[section]["from the future"] = 1
    content["versions"]["adaptax"] = "9.0"
    path.write_text(json.dumps(content))
    here = importlib.metadata.version("adaptax")
    says = rf"{section}: unknown name 'from the future': .*newer version.*written by adaptax '9.0'; this is {here}"
    with pytest.raises(CheckpointError, match=says) as refused:
        directory.read_recipe(tmp_path)
    assert refused.value.exit_code == 5


def test_what_a_checkpoint_is_of_is_completed_and_nothing_else(tmp_path):
    about = RECIPE.about(OPTIONS)
    for section in ("algorithm_settings", "problem_settings", "options"):
        for name in about[section]:
            lacking = {**about, section: {k: x for k, x in about[section].items() if k != name}}
            assert RECIPE.complete(lacking) == about
            odd = {**about, section: {**about[section], name: [1], "more": 2}}
            assert RECIPE.complete(odd) == odd
        for odd in (None, 1, "x", [], [{}]):
            assert RECIPE.complete({**about, section: odd}) == {**about, section: odd}
    for odd in (None, 1, "x", [], {}, {"more": {}}):
        assert RECIPE.complete(odd) == odd


@pytest.mark.parametrize(
    "kind", [KeptOptions, *(entry.settings for entry in {**LEARNERS, **PROBLEMS}.values())], ids=lambda x: x.__name__
)
def test_defaults_are_what_a_file_would_say(kind):
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    assert json.loads(json.dumps(defaults)) == defaults
    assert all(getattr(kind(), name) == default for name, default in defaults.items())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 2}, "expected format 1, found 2; it was written by a newer version of adaptax"),
        ({"format": "x"}, "expected format 1, found 'x'; it was written by another version of adaptax"),
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
        ({"options": {"seeds": None}}, "options.seeds: expected an integer between 1 and 1024; found None"),
        ({"options": {"save_every": 0}}, "save_every: expected an integer between 1 and 1000000; found 0"),
        ({"options": {"used_devices": "\x1b"}}, r"used_devices: .*found '\\x1b'"),
        ({"versions": {"adaptax": "\x1b" * 1000}, "options": []}, r"written by adaptax '\\x1b"),
        ({"versions": [], "options": []}, "written by adaptax of unknown version"),
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


def test_a_directory_of_a_users_own_has_no_colon_in_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = directory.create_directory(None, "my_algos:Mine-my_envs:make")
    assert made.as_posix() == "runs/my_algos.Mine-my_envs.make-1"


def test_E42_a_claim_is_of_the_directory_wherever_it_is_moved(tmp_path):
    place = tmp_path / "run"
    place.mkdir()
    with directory.claim(place, fresh=True):
        (place / "mine").touch()
        aside = directory.set_aside(place)
        assert aside == tmp_path / "run-old-1"
        assert (aside / "mine").exists()
        with pytest.raises(OutputError, match="in use by process"):
            directory.claim(aside, fresh=True).__enter__()
        place.mkdir()
        with directory.claim(place, fresh=True):
            pass
    with directory.claim(aside, fresh=True):
        pass


def test_E42_who_waited_for_a_directory_that_was_moved_gets_the_one_in_its_place(tmp_path, monkeypatch):
    place = tmp_path / "run"
    place.mkdir()
    take, moved = directory._take, []

    def meanwhile(descriptor):  # between opening the lock and taking it
        if not moved:
            moved.append(directory.set_aside(place))
            place.mkdir()
        return take(descriptor)

    monkeypatch.setattr(directory, "_take", meanwhile)
    with directory.claim(place, fresh=True):
        with directory.claim(moved[0], fresh=True):
            pass
        with pytest.raises(OutputError, match="in use by process"):
            directory.claim(place, fresh=True).__enter__()


def test_E42_nothing_is_moved_over_anything(tmp_path):
    place = tmp_path / "run"
    (tmp_path / "run-old-1").symlink_to("nowhere")
    (tmp_path / "run-old-2").mkdir()
    for number in (3, 4):
        place.mkdir()
        assert directory.set_aside(place) == tmp_path / f"run-old-{number}"
    assert (tmp_path / "run-old-1").is_symlink()


def test_E42_what_cannot_be_moved_is_told(tmp_path):
    with pytest.raises(OutputError, match=r"cannot be moved to .*run-old-1 .*nothing was changed"):
        directory.set_aside(tmp_path / "run")


def test_E42_what_is_gone_on_with_is_what_is_there_once_it_is_claimed(tmp_path, monkeypatch):
    place = tmp_path / "run"
    place.mkdir()
    directory.save_config(place, RECIPE, OPTIONS)
    take, moved = directory._take, []

    def meanwhile(descriptor):
        if not moved:
            moved.append(directory.set_aside(place))
            place.mkdir()
            directory.save_config(place, RECIPE, {**OPTIONS, "seeds": 5})
        return take(descriptor)

    monkeypatch.setattr(directory, "_take", meanwhile)
    with directory.claim_run(place) as (_, options):
        assert options["seeds"] == 5


def test_E42_no_lock_is_left_where_there_is_no_run(tmp_path):
    with pytest.raises(CheckpointError, match="no run there"), directory.claim_run(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_E42_who_writes_without_a_claim_notices_that_another_run_is_there(tmp_path):
    place = tmp_path / "run"
    place.mkdir()
    check = directory.staying(place)
    check()
    directory.set_aside(place)
    with pytest.raises(OutputError, match=r"was moved meanwhile.*nothing was written"):
        check()
    place.mkdir()
    with pytest.raises(OutputError, match="was moved meanwhile"):
        check()


def test_E42_where_nothing_can_be_locked_it_is_told(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def unsupported(descriptor, operation):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.raises(OutputError, match="Operation not supported"):
        directory.claim(tmp_path, fresh=True).__enter__()


CHILD = """
import itertools, os, random, sys, time
from pathlib import Path
from adaptax.core import atomic_files
from adaptax.core.errors import OutputError
from adaptax.runs.directory import claim, create_directory, set_aside

chance, place, done = random.Random(int(sys.argv[1])), Path("run"), 0
pause = lambda: time.sleep(chance.random() * 0.002)
for number in range(200):
    word = f"{os.getpid()}-{number}"
    try:
        create_directory(place, "run", fresh=False)
        pause()
        with claim(place, fresh=False):
            if (place / "config.json").exists() and chance.random() < 0.5:
                set_aside(place)
                pause()
                continue  # nothing of ours is there
            atomic_files.write(place / "config.json", word.encode())
            atomic_files.write(place / f"training-{word}", b"whole")
            for _ in range(3):
                pause()
                assert (place / "config.json").read_text() == word, "somebody else was here"
            done += 1
    except OutputError:
        pause()
print(done)
"""


@pytest.mark.nightly
def test_E42_of_random_interleavings_none_loses_anything(tmp_path, start):
    """200 turns of each of four processes, which claim one directory, write there and move it aside."""
    children = [
        start([sys.executable, "-c", CHILD, str(seed)], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for seed in range(4)
    ]
    done = [int(child.communicate()[0]) for child in children]
    assert all(child.returncode == 0 for child in children)
    kept = [path.read_bytes() for path in tmp_path.glob("run*/training-*")]
    assert len(kept) == sum(done) > 200
    assert set(kept) == {b"whole"}
    assert not list(tmp_path.glob("run*/*.tmp"))


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_E46_a_name_that_no_folder_can_have_is_told(name):
    with pytest.raises(OutputError, match="no folder can be called so") as refused:
        directory.create_directory(Path(name), "x")
    assert str(refused.value).isprintable()
