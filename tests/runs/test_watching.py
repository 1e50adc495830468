import json
import os
from pathlib import Path

import pytest

from adaptax.core.errors import CheckpointError
from adaptax.runs.directory import claim
from adaptax.runs.watching import Score, WatchedRun, Watcher, find_runs, means

CONFIG = {
    "format": 1,
    "algorithm": "rl2",
    "problem": "bandit",
    "algorithm_settings": {"num_updates": 40},
    "problem_settings": {},
    "options": {"seeds": 2, "eval_tasks": 50},
}
GOLDEN = Path(__file__).parents[1] / "golden/0.1.0/runs"


def begin(directory, **changes):
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps({**CONFIG, **changes}))
    return directory


def append(path, *rows):
    with path.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def updates(*numbers):
    return [{"update": n, "env_steps": 100 * n, "return": float(n)} for n in numbers]


def validation(update, mean):
    return {
        "split": "validation",
        "update": update,
        "env_steps": 0,
        "validation_return": mean,
        "validation_stderr": 0.5,
    }


def evaluate(directory, update=40):
    found = {"agents": {"rl2": {"mean": 7.0, "stderr": 0.25}}, "protocol": {"update": update}}
    (directory / "evaluation.json").write_text(json.dumps(found))


def test_a_run_from_its_beginning_to_its_end(tmp_path):
    directory = begin(tmp_path / "run")
    run = WatchedRun(directory)
    view = run.look()
    assert (view.state, view.algorithm, view.problem, view.seeds) == ("stopped", "rl2", "bandit", 2)
    assert (view.done, view.total, view.last_return, view.curve, view.updates_per_second) == (0, 40, None, (), None)
    with claim(directory, fresh=False):
        assert (run.look().state, run.look().doing) == ("running", "compiling")
        append(directory / "metrics.jsonl", validation(0, 1.0), *updates(1))
        append(directory / "times.jsonl", {"update": 1, "env_steps": 100, "seconds": 0.5})
        view = run.look()
        assert (view.doing, view.done, view.updates_per_second, view.seconds_left) == ("training", 1, 2.0, 19.5)
        append(directory / "metrics.jsonl", *updates(*range(2, 11)), validation(10, 3.0))
        append(directory / "times.jsonl", {"update": 10, "env_steps": 1000, "seconds": 3.5})
        view = run.look()
        assert (view.done, view.env_steps, view.last_return) == (10, 1000, 10.0)
        assert (view.updates_per_second, view.seconds_left) == (3.0, 10.0)
        assert view.curve == tuple(map(float, range(1, 11)))
        append(directory / "metrics.jsonl", *updates(*range(11, 41)), validation(20, 2.0))
        view = run.look()
        assert (view.doing, view.done, view.seconds_left) == ("evaluating", 40, None)
        assert (view.validation, view.best) == (Score(20, 2.0, 0.5), Score(10, 3.0, 0.5))
    assert run.look().state == "stopped"  # it was not evaluated
    evaluate(directory)
    view = run.look()
    assert (view.state, view.evaluation) == ("finished", Score(40, 7.0, 0.25))
    assert len(view.curve) == 16
    assert view.curve[:4] == (1.5, 4.0, 6.5, 9.0)  # of two and three updates in turn
    assert json.loads(json.dumps(view.to_json()))["evaluation"] == {"update": 40, "mean": 7.0, "stderr": 0.25}


def test_rows_that_were_cut_off_and_written_again_count_once(tmp_path):
    directory = begin(tmp_path / "run")
    path, run = directory / "metrics.jsonl", WatchedRun(directory)
    append(path, *updates(*range(1, 9)))
    assert run.look().done == 8
    kept = path.read_text().splitlines(keepends=True)[:4]
    path.write_text("".join(kept))  # gone on with from update 4, and no look until it is as long as before
    append(path, *updates(*range(5, 12)))
    view = run.look()
    assert (view.done, view.curve) == (11, tuple(map(float, range(1, 12))))
    path.write_text("".join(kept[:2]))
    assert run.look().done == 2


def test_half_a_line_is_no_damage_and_others_are(tmp_path):
    directory = begin(tmp_path / "run")
    append(directory / "metrics.jsonl", *updates(1, 2))
    with (directory / "metrics.jsonl").open("a") as file:
        file.write('{"update": 3, "ret')
    run = WatchedRun(directory)
    assert (run.look().state, run.look().done) == ("stopped", 2)
    with (directory / "metrics.jsonl").open("a") as file:
        file.write("\n")
    view = run.look()
    assert (view.state, view.reason) == ("damaged", "1 lines of metrics.jsonl are unreadable")


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("", "config.json is unreadable"),
        ("[]", "config.json is unreadable"),
        ('{"format": 99}', "config.json is of format 99"),
        ("{}", "config.json is of format None"),
    ],
)
def test_a_configuration_that_is_none_is_damage(tmp_path, config, reason):
    directory = begin(tmp_path / "run")
    (directory / "config.json").write_text(config)
    view = WatchedRun(directory).look()
    assert (view.state, view.reason) == ("damaged", reason)


def test_nonsense_in_known_places_is_passed_over(tmp_path):
    directory = begin(
        tmp_path / "run", algorithm="rl2\x1b[2J", algorithm_settings=[], options={"seeds": "many"}, problem=None
    )
    append(directory / "metrics.jsonl", {"update": "x"}, {"update": 1, "return": "x"}, {"update": 2, "return": 2.0})
    append(directory / "metrics.jsonl", {"split": 1, "update": 2, "validation_return": []})
    append(directory / "times.jsonl", {"update": 2, "seconds": None}, {"update": []})
    (directory / "evaluation.json").write_text('{"agents": 3}')
    view = WatchedRun(directory).look()
    assert (view.algorithm, view.total, view.seeds, view.done) == ("rl2\\x1b[2J", 0, 1, 2)
    assert view.validation is view.evaluation is None


def test_what_failed_says_why(tmp_path):
    directory = begin(tmp_path / "run")
    append(directory / "metrics.jsonl", *updates(1, 2))
    with pytest.raises(ValueError, match="NaN"), claim(directory, fresh=False):
        raise ValueError("NaN in update 3")
    run = WatchedRun(directory)
    assert (run.look().state, run.look().reason) == ("failed", "NaN in update 3")
    with claim(directory, fresh=False):
        assert run.look().state == "running"
    (directory / "crash-1-2.txt").touch()  # of a version that notes nothing else
    assert run.look().state == "failed"
    os.utime(directory / "crash-1-2.txt", (1, 1))  # it was gone on with since
    assert run.look().state == "stopped"


def test_learners_from_scratch_have_no_updates(tmp_path):
    directory = begin(tmp_path / "run", algorithm="dqn", algorithm_settings={})
    run = WatchedRun(directory)
    assert (run.look().state, run.look().total) == ("stopped", 0)
    with claim(directory, fresh=False):
        assert run.look().doing == "evaluating"
    (directory / "evaluation.json").write_text('{"agents": {"dqn": {"mean": 1.0, "stderr": 0.5}}, "protocol": {}}')
    assert (run.look().state, run.look().evaluation) == ("finished", Score(0, 1.0, 0.5))


def test_runs_come_and_go_and_what_runs_is_first(tmp_path):
    watcher = Watcher([tmp_path])
    assert watcher.look() == []
    for age, name in enumerate(("a", "deep/er/b", "c")):
        directory = begin(tmp_path / name)
        os.utime(directory / "config.json", (1000 - age, 1000 - age))
    begin(tmp_path / "a/checkpoints/none")  # within a run there is none
    begin(tmp_path / ".hidden/none")
    (tmp_path / "link").symlink_to("deep")
    names = lambda: [str(Path(view.directory).relative_to(tmp_path)) for view in watcher.look()]  # noqa: E731
    assert names() == ["a", "deep/er/b", "c"]
    with claim(tmp_path / "c", fresh=False):
        assert names() == ["c", "a", "deep/er/b"]
    (tmp_path / "a").rename(tmp_path / "z")
    assert sorted(names()) == ["c", "deep/er/b", "z"]


def test_one_run_is_found_by_itself_and_what_is_no_folder_is_refused(tmp_path):
    directory = begin(tmp_path / "run")
    assert [*find_runs(directory)] == [directory]
    assert [*find_runs(tmp_path / "nowhere")] == []
    with pytest.raises(CheckpointError, match="cannot be looked into"):
        next(find_runs(directory / "config.json"))


def test_runs_of_older_versions_are_followed():
    views = {Path(view.directory).name: view for view in Watcher([GOLDEN]).look()}
    assert set(views) == {path.name for path in GOLDEN.iterdir() if (path / "config.json").exists()}
    assert {view.state for view in views.values()} <= {"stopped", "finished"}
    assert (views["rl2-none"].seeds, views["rl2-none"].done, views["rl2-none"].total) == (2, 8, 11)


def test_means_are_of_parts_of_equal_length():
    assert means([]) == ()
    assert means([1.0]) == (1.0,)
    assert means([1.0, 2.0, 3.0, 4.0, 5.0], points=2) == (1.5, 4.0)
