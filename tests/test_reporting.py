import dataclasses
import functools
import os
import subprocess
import sys
from pathlib import Path

import matplotlib.colors
import matplotlib.image
import numpy as np
import pytest
from rich.console import Console

from adaptax import reporting
from adaptax.errors import OutputError
from adaptax.reporting import plot_adaptation, plot_training, reproduction_table, results_table
from adaptax.statistics import summarize


@dataclasses.dataclass(frozen=True)
class Shown:
    """Returns `[seed, task, episode]` of one agent."""

    returns: np.ndarray

    @property
    def episode_returns(self):
        return self.returns.mean((0, 1))

    @property
    def stderr_per_episode(self):
        return self.returns.mean(0).std(0, ddof=1) / np.sqrt(self.returns.shape[1])

    @functools.cached_property
    def summary(self):
        return summarize(self.returns.sum(-1))


def agent(curve, noise=0.0, tasks=8):
    """An agent with exactly this mean curve; half of its tasks lie `noise` above it, half below."""
    sides = noise * np.where(np.arange(tasks) % 2, 1.0, -1.0)
    return Shown((np.asarray(curve, np.float64)[None] + sides[:, None])[None])


def bandits(
    num_pulls=100, names=("ucb1", "thompson", "greedy", "epsilon_greedy", "optimistic_thompson", "gittins")
):
    pulls = np.arange(num_pulls)
    results = {"rl2": agent(0.88 - 0.38 * np.exp(-pulls / 12), 0.1), "random": agent(0.5 + 0 * pulls)}
    for number, name in enumerate(names):
        results[name] = agent(0.87 - 0.005 * number - 0.4 * np.exp(-pulls / (5 + 5 * number)))
    return results


def grid():
    return {
        "rl2": agent([3.6, 10.5, 10.8, 10.9], 0.5),
        "random": agent([-0.9] * 4),
        "psrl": agent([1.0, 4.0, 6.0, 7.0]),
    }


def pixels(path):
    """The picture in bytes `[row, column, rgb]`."""
    assert Path(path).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    return np.round(matplotlib.image.imread(path)[..., :3] * 255).astype(int)


def count(picture, colour):
    """How many pixels have this colour (up to the rounding of a transparent one)."""
    wanted = np.round(np.asarray(matplotlib.colors.to_rgb(colour)) * 255).astype(int)
    return int((np.abs(picture - wanted) <= 2).all(-1).sum())


def rendered(table, width=100):
    console = Console(width=width, color_system=None, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(table)
    console.file.close()
    return console.export_text()


def cells(text, name):
    """The row of `name`, split where two or more spaces stand."""
    row = next(line for line in text.splitlines() if line.split()[:1] == [name])
    return [cell.strip() for cell in row.split("  ") if cell.strip()]


def test_smooth_by_hand():
    assert reporting.smooth(np.array([1.0, 2, 6, 4, 8]), 1).tolist() == [1, 2, 6, 4, 8]
    # Alone at the start, three in the middle, the last two at the end.
    assert reporting.smooth(np.array([1.0, 2, 6, 4, 8]), 3).tolist() == [1, 3, 4, 6, 6]
    assert reporting.smooth(np.array([5.0]), 5).tolist() == [5]


def test_smooth_leaves_straight_lines_alone_but_for_the_end():
    line = np.arange(30.0)
    assert np.allclose(reporting.smooth(line, 5)[:-2], line[:-2])


def test_smoothing_window_is_odd_and_about_a_twentieth():
    assert [reporting.smoothing_window(n) for n in (1, 4, 20, 40, 100, 500)] == [1, 1, 1, 3, 5, 25]


def test_spread_by_hand():
    assert reporting.spread([0.0, 10.0, 4.0], 1.0).tolist() == [0, 10, 4]
    assert reporting.spread([5.0, 5.0], 2.0).tolist() == [4, 6]
    # The pushed pair reaches the third, then all three move as one; order is kept.
    assert reporting.spread([0.5, 0.0, 1.0], 1.0) == pytest.approx([0.5, -0.5, 1.5])


def test_spread_keeps_the_gap():
    wanted = np.random.default_rng(0).random(20)
    placed = reporting.spread(wanted, 0.04)
    assert np.diff(placed[np.argsort(wanted)]).min() >= 0.04 - 1e-12


def test_styles_tell_agents_apart():
    names = ["rl2", "random", *(f"agent{i}" for i in range(20))]
    drawn = reporting.styles(names)
    assert len({(style["color"], str(style["linestyle"])) for style in drawn.values()}) == len(names)
    widths = [style["linewidth"] for style in drawn.values()]
    assert widths[0] > 2 * max(widths[1:])


def test_plot_of_bandits_shows_every_agent(tmp_path):
    path = tmp_path / "new" / "adaptation.png"
    plot_adaptation(path, bandits(), title="Bandits", oracle=0.9, unit="pull")
    picture = pixels(path)
    assert picture.shape == (660, 1500, 3)
    trained = count(picture, reporting.TRAINED)
    assert trained > 2000
    for style in list(reporting.styles(list(bandits())).values())[1:]:
        assert 150 < count(picture, style["color"]) < trained


def test_plot_of_few_episodes_shows_the_optimum(tmp_path):
    optimum = np.array([4.0, 11.071, 11.071, 11.071])
    plot_adaptation(tmp_path / "with.png", grid(), title="Grid", oracle=11.0725, optimum=optimum)
    plot_adaptation(tmp_path / "without.png", grid(), title="Grid", oracle=11.0725)
    more, fewer = (
        count(pixels(tmp_path / f"{name}.png"), reporting.REFERENCE) for name in ("with", "without")
    )
    assert more > fewer + 500


@pytest.mark.parametrize("oracle", [None, float("nan")])
def test_plot_without_an_oracle_has_one_panel(tmp_path, oracle):
    plot_adaptation(
        tmp_path / "a.png", grid(), title="Grid", oracle=oracle, optimum=np.array([4.0, 11, 11, 11])
    )
    picture = pixels(tmp_path / "a.png")
    assert picture.shape == (660, 1050, 3)
    assert count(picture, reporting.TRAINED) > 1000


def test_plot_of_a_single_episode_and_a_single_agent(tmp_path):
    plot_adaptation(tmp_path / "a.png", {"rl2": agent([0.7])}, title="One", oracle=0.9)
    assert count(pixels(tmp_path / "a.png"), reporting.TRAINED) > 20


def test_plot_has_the_band_of_the_trained_agent(tmp_path):
    narrow, wide = (
        {**grid(), "rl2": agent([3.6, 10.5, 10.8, 10.9], noise)} for noise in (0.0, 1.5)
    )  # fmt: skip
    inked = []
    for name, results in (("narrow", narrow), ("wide", wide)):
        plot_adaptation(tmp_path / f"{name}.png", results, title="Grid")
        band = np.asarray(matplotlib.colors.to_rgb(reporting.TRAINED)) * 0.22 + 0.78
        inked.append(count(pixels(tmp_path / f"{name}.png"), band))
    assert inked[1] > inked[0] + 2000


def test_labels_say_what_is_drawn(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(reporting, "_save", lambda figure, path: figures.append(figure))
    plot_adaptation("a.png", bandits(), title="Bandits", oracle=0.9, unit="pull")
    returns, regret = figures[0].axes
    assert returns.get_ylabel() == "return per pull (mean of 5 pulls)"
    assert regret.get_ylabel() == "regret up to this pull"
    assert figures[0].get_suptitle() == "Bandits"
    names = [text.get_text() for text in regret.texts]
    # Regret of random: 100 × (0.9 − 0.5). It would press the others flat, so it leaves, with its final value.
    assert names[0] == "random → 40"
    assert set(names[1:]) == set(bandits()) - {"random"}


def test_regret_is_what_the_oracle_has_more(monkeypatch):
    figures = []
    monkeypatch.setattr(reporting, "_save", lambda figure, path: figures.append(figure))
    plot_adaptation(
        "a.png", {"rl2": agent([1.0, 2.0, 4.0])}, title="", oracle=3.5, optimum=np.array([1.5, 3, 3])
    )
    trained, optimal = figures[0].axes[1].lines
    assert trained.get_ydata().tolist() == [2.5, 4.0, 3.5]
    assert optimal.get_ydata().tolist() == [2.0, 2.5, 3.0]


def test_nothing_to_show_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one agent"):
        plot_adaptation(tmp_path / "a.png", {}, title="")
    with pytest.raises(ValueError, match="at least one row"):
        plot_training(tmp_path / "a.png", [])
    with pytest.raises(ValueError, match="at least one agent"):
        results_table({})


def test_unwritable_place_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write the picture .*file"):
        plot_adaptation(tmp_path / "file" / "a.png", grid(), title="")
    with pytest.raises(OutputError, match="cannot write the picture"):
        plot_training(tmp_path, [{"env_steps": 1, "return": 0.0}])


def test_pictures_need_no_display_no_pyplot_and_no_matplotlib_cache(tmp_path):
    program = (
        "import sys; from adaptax.reporting import plot_training;"
        "plot_training('a.png', [{'env_steps': 1, 'return': 2.0}]);"
        "assert 'matplotlib.pyplot' not in sys.modules; assert 'jax' not in sys.modules"
    )
    (tmp_path / "file").write_text("")
    kept = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "MPLBACKEND")}
    environment = {**kept, "MPLCONFIGDIR": str(tmp_path / "file" / "none")}
    subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True, capture_output=True
    )
    assert count(pixels(tmp_path / "a.png"), reporting.TRAINED) > 20


@pytest.mark.parametrize("seeds", [1, 3])
def test_plot_of_training(tmp_path, seeds):
    steps = np.arange(1, 301)
    curve = 80 - 30 * np.exp(-steps / 50)
    rows = [
        {
            "env_steps": int(1000 * step),
            "return": float(value) if seeds == 1 else [value + i for i in range(seeds)],
        }
        for step, value in zip(steps, curve, strict=True)
    ]
    plot_training(tmp_path / "a.png", rows, references={"random": 50.0, "gittins": 83.0})
    picture = pixels(tmp_path / "a.png")
    assert picture.shape == (660, 1050, 3)
    assert count(picture, reporting.TRAINED) > 1000
    assert count(picture, reporting.RANDOM) > 150
    assert count(picture, reporting.CLASSICAL[1]) > 150


def test_training_curve_is_averaged_over_neighbouring_updates(monkeypatch):
    figures = []
    monkeypatch.setattr(reporting, "_save", lambda figure, path: figures.append(figure))
    rows = [{"env_steps": 10.0 * i, "return": [1.0 * i, 3.0 * i]} for i in range(160)]
    plot_training("a.png", rows)
    *seeds, mean = figures[0].axes[0].lines
    assert len(seeds) == 2
    assert mean.get_xdata()[:2].tolist() == [5.0, 25.0]
    assert mean.get_ydata()[:2].tolist() == [1.0, 5.0]


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
    assert "way: from random to greedy" in text
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
    assert "way: from" not in text


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
                    "mean": 83.27, "stderr": 0.08, "interval": [83.11, 83.43], "published": 83.5, "ceiling": 83.65,
                    "seconds": 245.4,
                },
                "n10": {"mean": 160.0, "stderr": 0.5, "interval": None, "published": 156.2, "ceiling": None},
                "zero": {"mean": 1.0, "published": 0.0, "ceiling": float("nan"), "seconds": 59.9},
            },
            title="Table 1",
        )
    )  # fmt: skip
    ours = ["83.27 ± 0.08", "83.11 … 83.43"]
    assert cells(text, "100x10") == ["100x10", "83.5", *ours, "83.65", "-0.23", "-0.38", "4:05"]
    assert cells(text, "n10") == ["n10", "156.2", "160.00 ± 0.50", "–", "–", "+3.80", "–", "–"]
    assert cells(text, "zero") == ["zero", "0.0", "1.00 ± –", "–", "–", "+1.00", "–", "1:00"]
    assert "Table 1" in text
