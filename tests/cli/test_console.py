from adaptax.cli.console import LINES, Bars
from adaptax.experiment.progress import Progress


def test_without_a_terminal_it_says_something_ten_times(capsys):
    with Bars() as bars:
        for done in range(1001):
            bars(Progress("work", done, 1000, f"at {done}" if done else ""))
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.strip().splitlines()
    assert len(lines) == LINES
    assert lines[-1] == "work 1000/1000 at 1000"


def test_each_piece_of_work_has_lines_of_its_own(capsys):
    with Bars() as bars:
        for work in ("one", "two"):
            bars(Progress(work, 1, 2, "half"))
        bars(Progress("two", 2, 2, "all"))
    assert capsys.readouterr().err.splitlines() == ["one 1/2 half", "two 1/2 half", "two 2/2 all"]
