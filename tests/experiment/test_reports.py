import os

import pytest

from adaptax.core.errors import OutputError
from adaptax.experiment.reports import FIGURES, REPORT, reserve


def test_a_directory_is_made_and_a_free_one_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with reserve(tmp_path / "a/report") as made:
        assert made.is_dir()
    with reserve(None) as first, reserve(None) as second:
        assert (first.name, second.name) == ("compare-1", "compare-2")
        assert second.is_dir()


@pytest.mark.parametrize("name", [FIGURES, REPORT])
def test_a_report_is_not_written_over(name, tmp_path):
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match="already holds a report; nothing was changed"), reserve(tmp_path):
        pass
    assert (tmp_path / name).read_text() == "mine"


def test_E42_a_directory_is_reserved_for_one_comparison(tmp_path):
    with reserve(tmp_path / "a"):
        with pytest.raises(OutputError, match=rf"in use by process {os.getpid()} on") as refused:
            reserve(tmp_path / "a").__enter__()
        assert refused.value.exit_code == 6
        (tmp_path / "a" / FIGURES).write_text("mine")
    with pytest.raises(OutputError, match="already holds a report"):
        reserve(tmp_path / "a").__enter__()


def test_E43_a_link_to_nowhere_is_a_report_as_well(tmp_path):
    (tmp_path / FIGURES).symlink_to("nowhere")
    with pytest.raises(OutputError, match="already holds a report"), reserve(tmp_path):
        pass
