import pytest

from adaptax.core.errors import OutputError
from adaptax.experiment.reports import FIGURES, REPORT, reserve


def test_a_directory_is_made_and_a_free_one_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert reserve(tmp_path / "a/report").is_dir()
    first, second = reserve(None), reserve(None)
    assert (first.name, second.name) == ("compare-1", "compare-2")
    assert second.is_dir()


@pytest.mark.parametrize("name", [FIGURES, REPORT])
def test_a_report_is_not_written_over(name, tmp_path):
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match="already holds a report; nothing was changed"):
        reserve(tmp_path)
    assert (tmp_path / name).read_text() == "mine"
