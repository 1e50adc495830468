"""What a sweep tries, how it is divided, and what is written down of it."""

import dataclasses
import json

import pytest

from adaptax.core.errors import CheckpointError, ConfigError, OutputError
from adaptax.experiment.sweep_options import SweepOptions, share_of
from adaptax.experiment.sweep_plan import Range, SweepPlan, read_plan, words_of
from adaptax.experiment.sweep_running import batches_of
from tests.claims.tiny_run import recipe

SWEPT = {"learning_rate": (1e-3, 1e-2), "memory": ("gru", "lstm")}


def plan(swept=None, **options):
    return SweepPlan(recipe(), swept or SWEPT, SweepOptions(**options))


def test_all_combinations_each_with_a_folder_that_says_what_it_is():
    assert [cell.name for cell in plan().cells] == [
        "learning-rate=0.001,memory=gru", "learning-rate=0.001,memory=lstm",
        "learning-rate=0.01,memory=gru", "learning-rate=0.01,memory=lstm",
    ]  # fmt: skip
    assert plan().recipe_of(plan().cells[3]).algorithm_settings.learning_rate == 1e-2
    odd = plan({"encoder": ("none", "a:b")})
    assert [cell.name for cell in odd.cells] == ["encoder=none", "cell-0002"]


def test_what_is_written_is_read_again_and_another_sweep_is_refused(tmp_path):
    mine = plan(seeds=3, at_once=2, validation_tasks=50)
    mine.write(tmp_path)
    before = (tmp_path / "sweep.json").read_bytes()
    mine.write(tmp_path)
    assert read_plan(tmp_path) == mine
    with pytest.raises(OutputError, match=r"already holds another sweep \(options\.seeds: 3 there, 2 here\)"):
        plan(seeds=2, at_once=2, validation_tasks=50).write(tmp_path)
    assert (tmp_path / "sweep.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.json"]


def test_a_study_s_plan_is_read_again(tmp_path):
    mine = plan({"learning_rate": Range(1e-4, 1e-1, log=True), "memory": ("gru", "lstm")}, optuna=4)
    mine.check()
    mine.write(tmp_path)
    assert read_plan(tmp_path) == mine
    assert str(mine.swept["learning_rate"]) == "0.0001:0.1:log"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"swept": {"learning_rate": []}}, "expected values"),
        ({"swept": {"nothing": [1]}}, "unknown name 'nothing'"),
        ({"swept": {"learning_rate": [7.0]}}, "learning_rate 7"),
        ({"swept": {"learning_rate": {"low": "a", "high": 1, "log": True}}}, "expected a range"),
        ({"options": {"seeds": 0, "parts": 1}}, "seeds"),
        ({"options": {"evil": 0, "parts": 1}}, "unknown name 'evil'"),
        ({"format": 9}, "expected format 1, found 9"),
        ({"algorithm": "os:system"}, "algorithm"),
    ],
)
def test_a_plan_that_was_changed_is_named_not_believed(tmp_path, change, said):
    plan().write(tmp_path)
    content = json.loads((tmp_path / "sweep.json").read_text())
    (tmp_path / "sweep.json").write_text(json.dumps({**content, **change}))
    with pytest.raises(CheckpointError, match=said):
        read_plan(tmp_path)


def test_where_there_is_no_sweep(tmp_path):
    with pytest.raises(CheckpointError, match="no sweep there"):
        read_plan(tmp_path)


@pytest.mark.parametrize(
    ("swept", "options", "said"),
    [
        ({"learning_rate": (1e-3, 7.0)}, {}, r"learning_rate 7: .*learning_rate: expected a number"),
        ({"num_tasks": (8, 9)}, {}, "num_tasks 9: .*multiple of num_minibatches"),
        ({"learning_rate": Range(1e-3, 1e-2)}, {}, "--learning-rate: a range is for Optuna"),
        ({"learning_rate": Range(1e-3, 7.0)}, {"optuna": 3}, "learning_rate: expected a number"),
        (
            {"learning_rate": tuple(x / 1e4 for x in range(1, 101)), "clip": tuple(x / 100 for x in range(1, 51))},
            {"seeds": 3},
            r"found 100 \(learning_rate\) × 50 \(clip\) = 5,000, each with 3 seeds of 40 updates",
        ),
    ],
)
def test_what_no_run_could_be_started_with_is_refused(swept, options, said):
    with pytest.raises(ConfigError, match=said):
        plan(swept, **options).check()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"part": "3/2", "out": "x"}, "--part: expected K/N"),
        ({"part": "0/2", "out": "x"}, "--part: expected K/N"),
        ({"part": "1/2"}, "--part: expected together with --out"),
        ({"part": "1/2", "out": "x", "processes": 2}, "--processes"),
        ({"study": "a"}, "--study: has an effect only with --optuna"),
        ({"storage": "sqlite:///a"}, "--storage: has an effect only with --optuna"),
    ],
)
def test_options_that_do_not_go_together(changes, said):
    with pytest.raises(ConfigError, match=said):
        SweepOptions(**changes)


def test_the_run_of_a_choice_never_evaluates_on_test_tasks():
    assert SweepOptions(seeds=3, validation_tasks=7).training().eval_tasks == 0
    training = SweepOptions(seeds=3, validation_tasks=7, eval_every=10).training()
    assert (training.seeds, training.eval_every, training.validation_tasks) == (3, 10, 7)
    assert not {"eval_tasks", "from_"} & {field.name for field in dataclasses.fields(SweepOptions) if field.init}


def names(batches):
    return [[cell.name for cell in batch] for batch in batches]


def test_what_differs_in_numbers_alone_is_one_program():
    cells = plan().cells
    gru, lstm = cells[::2], cells[1::2]
    assert batches_of(cells, ["learning_rate"], 0, 1) == [gru, lstm]
    assert batches_of(cells, [], 0, 1) == [[cell] for cell in cells]
    assert batches_of(cells, ["learning_rate"], 1, 1) == [[cell] for cell in (*gru, *lstm)]


def test_pieces_are_as_even_as_can_be_and_there_is_one_for_each_part():
    cells = plan({"learning_rate": tuple(x / 1000 for x in range(1, 8))}).cells
    assert [len(batch) for batch in batches_of(cells, ["learning_rate"], 4, 1)] == [4, 3]
    assert [len(batch) for batch in batches_of(cells, ["learning_rate"], 0, 3)] == [3, 3, 1]
    assert [len(batch) for batch in batches_of(cells, ["learning_rate"], 0, 100)] == [1] * 7
    assert batches_of([], ["learning_rate"], 0, 2) == []


@pytest.mark.parametrize(("part", "share"), [(None, (1, 1)), ("2/3", (2, 3)), ("1/1", (1, 1))])
def test_parts(part, share):
    assert share_of(part) == share


def test_what_is_typed_to_train_a_choice_alone():
    words = words_of(plan().recipe_of(plan().cells[2]), "default")
    assert words[:2] == ["rl2", "bandit"]
    typed = dict(zip(words[2::2], words[3::2], strict=True))
    assert typed["--learning-rate"] == "0.01"
    assert (typed["--memory"], typed["--num-arms"], typed["--memory-size"]) == ("gru", "3", "4")
    assert "--discount" not in typed
