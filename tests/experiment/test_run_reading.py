"""What can be read of runs, whole and damaged."""

import json
import shlex

import numpy as np
import pytest

from adaptax.core.errors import CheckpointError
from adaptax.experiment.options import ReportOptions
from adaptax.experiment.reporting import command_of, names_of
from adaptax.experiment.run_reading import read_facts, rows_of, typed, words_of
from adaptax.reports.run_facts import Setting
from adaptax.runs.directory import save_config
from tests.claims.tiny_run import options, recipe
from tests.reports.runs_shown import agent, returns


@pytest.fixture
def run(tmp_path):
    """A run's directory as far as reports read it."""
    directory = tmp_path / "a run"
    directory.mkdir()
    save_config(directory, recipe(), options(seed=3))
    rows = [{"update": i + 1, "env_steps": 10 * (i + 1), "return": float(i)} for i in range(4)]
    check = {"split": "validation", "update": 2, "env_steps": 20, "validation_return": 1.0}
    (directory / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows[:2], check, *rows[2:]]))
    (directory / "times.jsonl").write_text('{"update": 4, "env_steps": 40, "seconds": 2.5}\n')
    values = {"rl2": returns(2, 0.9), "random": returns(1, 0.5)}
    protocol = {"tasks": 30, "episodes": 6, "horizon": 1, "held_out": True, "seed": 3}
    agents = {name: agent(x) for name, x in values.items()}
    content = {"agents": agents, "oracle": 4.8, "optimum": None, "protocol": protocol}
    (directory / "evaluation.json").write_text(json.dumps(content))
    arrays = {f"{name}/{what}": x for name, x in values.items() for what in ("returns", "steps")}
    np.savez_compressed(directory / "returns.npz", **arrays)
    return directory


def test_all_that_a_run_wrote_is_read(run):
    facts, found = read_facts(run, "it")
    assert found == recipe()
    assert facts.missing == {}
    assert [row["update"] for row in facts.metrics] == [1, 2, 3, 4]
    assert [row["update"] for row in facts.validations] == [2]
    assert facts.times[-1]["seconds"] == 2.5
    assert facts.returns["rl2"].returns.shape == (2, 30, 6)
    assert facts.seed == 3
    assert {x.name for x in facts.options if x.changed} >= {"--seed"}
    assert facts.commands["evaluate"] == f"adaptax evaluate {shlex.quote(str(run))} --tasks 30 --seed 3"


def test_the_command_of_a_run_has_all_that_is_no_default(run):
    facts, _ = read_facts(run, "it")
    words = facts.commands["train"].split()
    assert words[:4] == ["adaptax", "train", recipe().algorithm, recipe().problem]
    changed = [x for x in (*facts.settings, *facts.options) if x.changed]
    assert [word for word in words if word.startswith("--")] == [
        x.name if x.value is not False else x.name.replace("--", "--no-") for x in changed
    ]


def test_words_are_those_that_are_typed():
    settings = [Setting("--a", 1, 2), Setting("--b", 1, 1), Setting("--c", True, False), Setting("--d", False, True)]
    assert words_of([*settings, Setting("--e", None, ("x", "y"))]) == ["--a", "2", "--no-c", "--d", "--e", "x", "y"]
    assert typed("from_") == "--from"
    assert typed("num_arms") == "--num-arms"


DAMAGED = {
    "metrics.jsonl": "metrics",
    "times.jsonl": "times",
    "evaluation.json": "evaluation",
    "returns.npz": "returns",
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("how", ["gone", "empty", "nonsense", "half", "another"])
def test_a_damaged_file_is_told_and_the_others_are_read(run, name, how):
    path = run / name
    whole = path.read_bytes()
    damaged = {"empty": b"", "nonsense": b"\x00\xff{]" * 9, "half": whole[: len(whole) // 2], "another": b"[1, 2]\n"}
    path.unlink() if how == "gone" else path.write_bytes(damaged[how])
    facts, found = read_facts(run, "it")
    assert found is not None
    rows = {"metrics.jsonl": facts.metrics, "times.jsonl": facts.times}
    if name in rows:  # rows before the damage are as good as ever
        assert len(rows[name]) == (2 if (name, how) == ("metrics.jsonl", "half") else 0)
        assert ("metrics" in facts.missing or "times" in facts.missing) == (how == "gone")
    else:
        assert DAMAGED[name] in facts.missing
    if name == "evaluation.json":
        assert facts.evaluation is None
        assert facts.returns == {}
    assert facts.metrics or name == "metrics.jsonl"


def test_returns_of_another_evaluation_are_not_shown(run):
    np.savez_compressed(run / "returns.npz", **{"rl2/returns": 1 - returns(2, 0.9), "rl2/steps": returns(2, 0.9)})
    facts, _ = read_facts(run, "it")
    assert "another evaluation" in facts.missing["returns"]


def test_arrays_of_objects_are_not_unpickled(run):
    with (run / "returns.npz").open("wb") as file:
        np.savez(file, **{"rl2/returns": np.array([{}], object), "rl2/steps": np.zeros(1)})
    facts, _ = read_facts(run, "it")
    assert facts.returns == {}
    assert "damaged" in facts.missing["returns"]


def test_a_run_whose_configuration_is_damaged_is_shown_without_it(run):
    (run / "config.json").write_text("{")
    facts, found = read_facts(run, "it")
    assert found is None
    assert len(facts.metrics) == 4
    assert "unreadable" in facts.notes[0]


def test_where_there_is_nothing_to_show_the_reason_is_raised(tmp_path):
    with pytest.raises(CheckpointError, match="no run there"):
        read_facts(tmp_path, "it")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="unreadable"):
        read_facts(tmp_path, "it")


def test_a_half_written_row_is_the_end(tmp_path):
    (tmp_path / "rows").write_text('{"a": 1}\n{"a": 2}\n{"a":')
    assert rows_of(tmp_path / "rows") == [{"a": 1}, {"a": 2}]


def test_runs_are_called_by_their_folders_if_that_tells_them_apart(tmp_path):
    assert names_of([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]
    assert names_of([tmp_path / "x" / "a", tmp_path / "y" / "a"]) == [
        str(tmp_path / "x" / "a"),
        str(tmp_path / "y" / "a"),
    ]


def test_the_command_of_a_page_is_what_was_typed(tmp_path):
    wanted = ReportOptions(trials=2, animation=False, out=tmp_path)
    assert command_of([tmp_path / "a b"], wanted) == f"adaptax report '{tmp_path}/a b' --trials 2 --no-animation"
