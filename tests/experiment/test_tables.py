from pathlib import Path

import pytest

from adaptax.core.errors import ConfigError
from adaptax.experiment.options import ReproduceOptions
from adaptax.experiment.tables import asked_for, cells_of, tables
from adaptax.registry.learning_table import NAME, learning_table
from adaptax.registry.paper_tables import TABLES

ROWS = learning_table().cells


def test_there_are_the_published_tables_and_that_of_all_algorithms():
    assert list(tables()) == [*TABLES, NAME]


def test_a_table_is_kept_under_its_name_and_seed():
    table, cells, place = asked_for("duan2016-bandits", ReproduceOptions(cells="10x5", seed=3))
    assert table is TABLES["duan2016-bandits"]
    assert (cells, place) == (["10x5"], Path("runs/duan2016-bandits-seed3"))
    assert asked_for(NAME, ReproduceOptions(out=Path("here"))).directory == Path("here")


def test_a_row_is_asked_for_by_its_name_and_kept_where_the_table_would_keep_it():
    table, cells, place = asked_for("maml-point-robot", ReproduceOptions())
    assert cells == ["maml-point-robot"] == list(table.cells)
    assert table.tasks == learning_table().tasks
    assert place == asked_for(NAME, ReproduceOptions()).directory == Path("runs/all-algorithms-seed0")


def test_cells_are_picked_by_algorithm_and_by_problem_each_once():
    table = learning_table()
    maml = [name for name, row in ROWS.items() if row.algorithm == "maml"]
    bandit = [name for name, row in ROWS.items() if row.problem == "bandit"]
    assert cells_of(table, "maml") == maml
    assert cells_of(table, "rl2-cue, bandit,rl2-cue") == ["rl2-cue", *bandit]
    assert cells_of(table, "all") == list(ROWS)
    assert cells_of(TABLES["duan2016-mdps"], "10") == ["10"]


def test_what_there_is_not_is_named_with_what_is_near():
    with pytest.raises(ConfigError, match=r"NAME: expected one of duan2016-bandits.*; did you mean 'maml-chain'"):
        asked_for("maml-chains", ReproduceOptions())
    with pytest.raises(ConfigError, match=r"--cells: expected some of .*; did you mean 'maml-cue'"):
        cells_of(learning_table(), "maml-cues")
    with pytest.raises(ConfigError, match="--cells: expected some of"):
        asked_for("duan2016-bandits", ReproduceOptions(cells="bandit"))


@pytest.mark.parametrize(
    ("name", "why"),
    [("maml-bandit", "arms are exchangeable"), ("dqn-point-robot", "discrete actions"), ("maml-two-step", "episode")],
)
def test_a_row_that_is_off_the_list_is_refused_with_the_reason(name, why):
    with pytest.raises(ConfigError, match=f"NAME: '{name}' is off the list: .*{why}"):
        asked_for(name, ReproduceOptions())
    with pytest.raises(ConfigError, match=f"--cells: '{name}' is off the list: .*{why}"):
        asked_for(NAME, ReproduceOptions(cells=f"rl2-cue,{name}"))
