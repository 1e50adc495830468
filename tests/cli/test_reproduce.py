import dataclasses
import json

import pytest

from adaptax.cli.reproduce import report
from adaptax.core.errors import ConfigError
from adaptax.experiment.options import ReproduceOptions
from adaptax.experiment.reproduction import finish
from adaptax.experiment.surroundings import Surroundings
from adaptax.experiment.tables import cells_of
from adaptax.registry.paper_tables import TABLES

TABLE = TABLES["duan2016-bandits"]
TINY = {"num_updates": 2, "num_tasks": 8, "memory_size": 4, "critic_size": 4, "num_minibatches": 2}


def test_cells_can_be_picked():
    assert cells_of(TABLE, "all") == list(TABLE.cells)
    assert cells_of(TABLE, "10x5, 100×10") == ["10x5", "100x10"]
    with pytest.raises(ConfigError, match="did you mean '100x10'"):
        cells_of(TABLE, "100x100")
    with pytest.raises(ConfigError, match="expected some of"):
        cells_of(TABLE, ",")


@pytest.mark.compiles
def test_a_finished_cell_is_kept_and_one_with_other_settings_moved_aside(tmp_path, capsys):
    cell = dataclasses.replace(TABLE.cells["10x5"], algorithm=TINY)
    table = dataclasses.replace(TABLE, cells={"10x5": cell})
    options = ReproduceOptions(tasks=40)
    first = finish(table, "10x5", options, tmp_path / "10x5", Surroundings())
    assert set(first) >= {"mean", "stderr", "published", "ceiling", "seconds"}
    assert first["published"] == 6.7
    assert 3 < first["mean"] < 7
    stamp = (tmp_path / "10x5/checkpoints/update-00000002.safetensors").stat().st_mtime_ns
    assert finish(table, "10x5", options, tmp_path / "10x5", Surroundings()) == first
    assert (tmp_path / "10x5/checkpoints/update-00000002.safetensors").stat().st_mtime_ns == stamp

    other = dataclasses.replace(table, cells={"10x5": dataclasses.replace(cell, algorithm={**TINY, "num_updates": 1})})
    finish(other, "10x5", options, tmp_path / "10x5", Surroundings())
    assert (tmp_path / "10x5-old-1/checkpoints/update-00000002.safetensors").stat().st_mtime_ns == stamp
    capsys.readouterr()
    report("duan2016-bandits", table.summary, {"10x5": first}, as_json=True)
    assert json.loads(capsys.readouterr().out)["cells"]["10x5"] == first
