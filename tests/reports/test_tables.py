import os

import numpy as np
import pytest
from rich.console import Console

from adaptax.reports.tables import evaluation_table, reproduction_table, results_table
from tests.evaluation.shown import agent, bandits, grid


def rendered(table, width=100):
    console = Console(width=width, color_system=None, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(table)
    console.file.close()
    return console.export_text()


def cells(text, name):
    """The row of `name`, split where two or more spaces stand."""
    row = next(line for line in text.splitlines() if line.split()[:1] == [name])
    return [cell.strip() for cell in row.split("  ") if cell.strip()]


def test_results_table_by_hand():
    results = {
        "rl2": agent([3.0, 8.0], 1.0, tasks=4),
        "random": agent([0.0, 1.0]),
        "greedy": agent([4.0, 9.0]),
        "gittins": agent([4.0, 7.0]),
    }
    text = rendered(results_table(results, title="Curves", oracle=10.0))
    # Total 11, two tasks at 9 and two at 13: s.e. √(16/3/4). From random (1) to greedy (13): 10 of 12.
    # Regret 20 − 11.
    assert cells(text, "rl2") == [
        "rl2",
        "11.00 ± 1.15",
        "9.00 … 13.00",
        "11.00",
        "3.00",
        "8.00",
        "83.3%",
        "9.00",
    ]
    assert cells(text, "random")[4:] == ["0.00", "1.00", "0.0%", "19.00"]
    assert cells(text, "greedy")[4:] == ["4.00", "9.00", "100.0%", "7.00"]
    assert "Curves" in text
    assert "score: normalized, 0 % is random, 100 % greedy" in " ".join(text.split())
    assert "first and last episode" in text

    to_gittins = rendered(results_table(results, oracle=10.0, reference="gittins"))
    assert cells(to_gittins, "rl2")[6] == "100.0%"
    assert cells(to_gittins, "greedy")[6] == "120.0%"


def test_results_table_with_the_optimum():
    text = rendered(results_table(grid(), oracle=11.0725, optimum=np.array([4.0, 11.07, 11.07, 11.07])))
    # Ours: 35.8; random: −3.6; optimum: 37.21; regret of it: 44.29 − 37.21.
    assert cells(text, "rl2")[6] == f"{(35.8 + 3.6) / (37.21 + 3.6):.1%}"
    assert cells(text, "Bayes-optimal") == ["Bayes-optimal", "37.21", "4.00", "11.07", "100.0%", "7.08"]


def test_results_table_averages_the_first_and_last_tenth():
    curve = np.arange(100.0)
    text = rendered(results_table({"rl2": agent(curve)}, unit="pull"))
    assert cells(text, "rl2")[4:6] == ["4.50", "94.50"]
    assert "first and last 10 pulls" in text


@pytest.mark.parametrize("oracle", [None, float("nan")])
def test_results_table_leaves_out_what_is_unknown(oracle):
    text = rendered(results_table({"rl2": agent([1.0], tasks=1)}, oracle=oracle))
    assert "nan" not in text
    assert cells(text, "rl2") == ["rl2", "1.00 ± –", "1.00 … 1.00", "1.00", "1.00", "1.00", "–", "–"]
    assert "score: normalized" not in text


def test_tables_fit_into_100_columns():
    results = {name: agent(10 * shown.episode_returns, 1.0) for name, shown in bandits(500).items()}
    cell = {
        "mean": 1913.71,
        "stderr": 12.34,
        "interval": (1888.88, 1944.44),
        "published": 1913.7,
        "ceiling": 2019.99,
    }
    tables = results_table(results, oracle=9.0), reproduction_table({"500x50": {**cell, "seconds": 36_000.0}})
    for table in tables:
        text = rendered(table)
        assert "⋯" not in text
        assert "…" not in text.replace(" … ", "")
        assert max(map(len, text.splitlines())) <= 100


def test_reproduction_table_by_hand():
    text = rendered(
        reproduction_table(
            {
                "100x10": {
                    "mean": 83.27, "stderr": 0.08, "interval": [83.11, 83.43], "published": 83.5,
                    "ceiling": 83.65, "seconds": 245.4,
                },
                "n10": {"mean": 160.0, "stderr": 0.5, "interval": None, "published": 156.2, "ceiling": None},
                "zero": {"mean": 1.0, "published": 0.0, "ceiling": float("nan"), "seconds": 59.9},
            },
            title="Table 1",
        )
    )  # fmt: skip
    ours = ["83.27 ± 0.08", "83.11 … 83.43"]
    assert cells(text, "100x10") == ["100x10", "83.5", *ours, "-0.23", "83.65", "-0.38", "4:05"]
    assert cells(text, "n10") == ["n10", "156.2", "160.00 ± 0.50", "–", "+3.80", "–", "–", "–"]
    assert cells(text, "zero") == ["zero", "0.0", "1.00 ± –", "–", "+1.00", "–", "–", "1:00"]
    assert "Table 1" in text


def test_agents_beside_are_compared_in_the_same_tasks():
    beside = {
        "gittins": {"mean": 409.1, "difference": -1.204, "stderr": 0.1},
        "ucb1": {"mean": 407.4, "difference": 0.5, "stderr": 0.12},
    }
    figures = {"mean": 407.9, "stderr": 0.5, "interval": [406.9, 408.9], "published": 401.6, "seconds": 60.0}
    text = rendered(reproduction_table({"500x5": {**figures, "beside": beside}, "old": {**figures, "ceiling": 5.0}}))
    ours = ["401.6", "407.90 ± 0.50", "406.90 … 408.90", "+6.30"]
    assert cells(text, "500x5") == ["500x5", *ours, "-1.20 ± 0.10", "+0.50 ± 0.12", "1:00"]
    assert cells(text, "old") == ["old", *ours, "–", "–", "1:00"]
    assert max(map(len, text.splitlines())) <= 100


def test_nothing_to_show_is_refused():
    with pytest.raises(ValueError, match="at least one agent"):
        results_table({})


def test_evaluation_table_by_hand():
    sampled = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    table = evaluation_table(sampled, 10 * sampled, unit="pull")
    assert table.title == "return of one pull"
    assert [list(column) for column in zip(*table.rows, strict=True)] == [
        ["before adaptation", "after 1 step"],
        ["2.00 ± 1.00", "3.00 ± 1.00"],
        ["20.00 ± 10.00", "30.00 ± 10.00"],
    ]
