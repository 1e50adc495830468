from adaptax.reports.run_table import line_of, sparkline, table_of
from adaptax.runs.watching import RunView, Score

VIEW = RunView(
    "runs/a", "running", "rl2", "bandit", seeds=3, doing="training", done=120, total=400, updates_per_second=3.456,
    seconds_left=81.0, last_return=7.98765, curve=(1.0, 2.0), validation=Score(100, 8.125, 0.0625),
)  # fmt: skip


def test_a_run_is_a_row_and_a_line():
    (row,) = table_of([VIEW]).rows
    assert row == (
        "runs/a  rl2 on bandit, 3 seeds", "training", "120/400", "3.46", "1:21", "7.988", "▁█", "8.125 ± 0.062",
    )  # fmt: skip
    assert line_of(VIEW) == (
        "runs/a: running (training), rl2 on bandit, 3 seeds, 120/400 updates, 3.46/s, 1:21 left, return 7.988, "
        "validation 8.125 ± 0.062"
    )


def test_what_is_not_known_is_left_out_and_reasons_are_said():
    damaged = RunView("runs/b", "damaged", reason="config.json is unreadable")
    assert line_of(damaged) == "runs/b: damaged, config.json is unreadable"
    table = table_of([damaged, VIEW])
    assert table.rows[0] == ("runs/b", "damaged", *[""] * 6)
    assert table.caption == "runs/b: config.json is unreadable"
    assert table_of([]).title == "no runs yet"


def test_curves_of_letters():
    assert sparkline([]) == ""
    assert sparkline([3.0, 3.0]) == "▁▁"
    assert sparkline([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]) == "▁▂▃▄▅▆▇█"
    assert sparkline([-1.0, 1.0]) == "▁█"
