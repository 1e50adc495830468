import os
import subprocess
import sys
from pathlib import Path

import matplotlib.colors
import matplotlib.image
import numpy as np
import pytest

from adaptax.core.errors import OutputError
from adaptax.reports import figures as reporting
from adaptax.reports import style
from adaptax.reports.figures import plot_adaptation, plot_paths, plot_training
from tests.evaluation.shown import agent, bandits, grid


def pixels(path):
    """The picture in bytes `[row, column, rgb]`."""
    assert Path(path).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    return np.round(matplotlib.image.imread(path)[..., :3] * 255).astype(int)


def count(picture, colour):
    """How many pixels have this colour (up to the rounding of a transparent one)."""
    wanted = np.round(np.asarray(matplotlib.colors.to_rgb(colour)) * 255).astype(int)
    return int((np.abs(picture - wanted) <= 2).all(-1).sum())


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
    assert style.spaced([0.0, 10.0, 4.0], 1.0).tolist() == [0, 10, 4]
    assert style.spaced([5.0, 5.0], 2.0).tolist() == [4, 6]
    # The pushed pair reaches the third, then all three move as one; order is kept.
    assert style.spaced([0.5, 0.0, 1.0], 1.0) == pytest.approx([0.5, -0.5, 1.5])


def test_spread_keeps_the_gap():
    wanted = np.random.default_rng(0).random(20)
    placed = style.spaced(wanted, 0.04)
    assert np.diff(placed[np.argsort(wanted)]).min() >= 0.04 - 1e-12


def test_styles_tell_agents_apart():
    names = ["rl2", "random", *(f"agent{i}" for i in range(20))]
    drawn = style.styles(names)
    assert len({(style["color"], str(style["linestyle"])) for style in drawn.values()}) == len(names)
    widths = [style["linewidth"] for style in drawn.values()]
    assert widths[0] > 2 * max(widths[1:])


def test_plot_of_bandits_shows_every_agent(tmp_path):
    path = tmp_path / "new" / "adaptation.png"
    plot_adaptation(path, bandits(), title="Bandits", oracle=0.9, unit="pull")
    picture = pixels(path)
    assert picture.shape == (660, 1800, 3)
    trained = count(picture, style.TRAINED)
    assert trained > 2000
    for look in list(style.styles(list(bandits())).values())[1:]:
        assert count(picture, look["color"]) > 150


def test_plot_of_few_episodes_shows_the_optimum(tmp_path):
    optimum = np.array([4.0, 11.071, 11.071, 11.071])
    plot_adaptation(tmp_path / "with.png", grid(), title="Grid", oracle=11.0725, optimum=optimum)
    plot_adaptation(tmp_path / "without.png", grid(), title="Grid", oracle=11.0725)
    more, fewer = (count(pixels(tmp_path / f"{name}.png"), style.REFERENCE) for name in ("with", "without"))
    assert more > fewer + 500


@pytest.mark.parametrize("oracle", [None, float("nan")])
def test_plot_without_an_oracle_has_one_panel(tmp_path, oracle):
    plot_adaptation(tmp_path / "a.png", grid(), title="Grid", oracle=oracle, optimum=np.array([4.0, 11, 11, 11]))
    picture = pixels(tmp_path / "a.png")
    assert picture.shape == (660, 1050, 3)
    assert count(picture, style.TRAINED) > 1000


def test_plot_of_a_single_episode_and_a_single_agent(tmp_path):
    plot_adaptation(tmp_path / "a.png", {"rl2": agent([0.7])}, title="One", oracle=0.9)
    assert count(pixels(tmp_path / "a.png"), style.TRAINED) > 20


def bands(axes):
    """Half the height of each band at each point, by its colour."""
    found = {}
    for band in axes.collections:
        x = band.get_paths()[0].vertices
        colour = matplotlib.colors.to_hex(band.get_facecolor()[0][:3])
        found[colour] = [np.ptp(x[np.isclose(x[:, 0], point), 1]) / 2 for point in np.unique(x[:, 0])]
    return found


def test_E40_every_agent_has_its_band_and_its_name_in_both_panels(monkeypatch):
    figures = []
    monkeypatch.setattr(reporting, "save", lambda figure, path: figures.append(figure))
    results = {name: agent([1.0, 2.0, 4.0], noise) for name, noise in (("rl2", 0.3), ("random", 0.1), ("ucb1", 0.2))}
    plot_adaptation("a.png", results, title="", oracle=4.5, note="Mean of 8 tasks")
    returns, regret = figures[0].axes
    colours = {name: look["color"].lower() for name, look in style.styles(list(results)).items()}
    for name, result in results.items():
        np.testing.assert_allclose(bands(returns)[colours[name]], result.margin_per_episode, rtol=1e-6)
        np.testing.assert_allclose(bands(regret)[colours[name]], result.margin_of_sums, rtol=1e-6)
        for axes in (returns, regret):
            named = [text for text in axes.texts if text.get_text() == name]
            assert [text.get_color().lower() for text in named] == [colours[name]]
    assert figures[0].get_supxlabel() == "Mean of 8 tasks"


def test_plot_has_the_band_of_the_trained_agent(tmp_path):
    narrow, wide = (
        {**grid(), "rl2": agent([3.6, 10.5, 10.8, 10.9], noise)} for noise in (0.0, 1.5)
    )  # fmt: skip
    inked = []
    for name, results in (("narrow", narrow), ("wide", wide)):
        plot_adaptation(tmp_path / f"{name}.png", results, title="Grid")
        band = np.asarray(matplotlib.colors.to_rgb(style.TRAINED)) * 0.22 + 0.78
        inked.append(count(pixels(tmp_path / f"{name}.png"), band))
    assert inked[1] > inked[0] + 2000


def test_labels_say_what_is_drawn(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(reporting, "save", lambda figure, path: figures.append(figure))
    plot_adaptation("a.png", bandits(), title="Bandits", oracle=0.9, unit="pull")
    returns, regret = figures[0].axes
    assert {text.get_text() for text in returns.texts} == {*bandits(), "knows the task"}
    assert returns.get_ylabel() == "return per pull (mean of 5 pulls)"
    assert regret.get_ylabel() == "regret up to this pull"
    assert figures[0].get_suptitle() == "Bandits"
    names = [text.get_text() for text in regret.texts]
    # Regret of random: 100 × (0.9 − 0.5). It would press the others flat, so it leaves, with its final value.
    assert names[0] == "random → 40"
    assert set(names[1:]) == set(bandits()) - {"random"}


def test_regret_is_what_the_oracle_has_more(monkeypatch):
    figures = []
    monkeypatch.setattr(reporting, "save", lambda figure, path: figures.append(figure))
    plot_adaptation("a.png", {"rl2": agent([1.0, 2.0, 4.0])}, title="", oracle=3.5, optimum=np.array([1.5, 3, 3]))
    trained, optimal = figures[0].axes[1].lines
    assert trained.get_ydata().tolist() == [2.5, 4.0, 3.5]
    assert optimal.get_ydata().tolist() == [2.0, 2.5, 3.0]


def test_nothing_to_show_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one agent"):
        plot_adaptation(tmp_path / "a.png", {}, title="")
    with pytest.raises(ValueError, match="at least one row"):
        plot_training(tmp_path / "a.png", [])


def test_unwritable_place_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write the picture .*file"):
        plot_adaptation(tmp_path / "file" / "a.png", grid(), title="")
    with pytest.raises(OutputError, match="cannot write the picture"):
        plot_training(tmp_path, [{"env_steps": 1, "return": 0.0}])


def test_E43_a_picture_is_not_written_through_a_link(tmp_path):
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    (tmp_path / "a.png").symlink_to(precious)
    plot_training(tmp_path / "a.png", [{"env_steps": 1, "return": 0.0}])
    assert precious.read_bytes() == b"precious"
    assert not (tmp_path / "a.png").is_symlink()
    assert pixels(tmp_path / "a.png").size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "precious"]


def test_pictures_need_no_display_no_pyplot_and_no_matplotlib_cache(tmp_path):
    program = (
        "import sys; from adaptax.reports.figures import plot_training;"
        "plot_training('a.png', [{'env_steps': 1, 'return': 2.0}]);"
        "assert 'matplotlib.pyplot' not in sys.modules; assert 'jax' not in sys.modules"
    )
    (tmp_path / "file").write_text("")
    kept = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "MPLBACKEND")}
    environment = {**kept, "MPLCONFIGDIR": str(tmp_path / "file" / "none")}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert count(pixels(tmp_path / "a.png"), style.TRAINED) > 20


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
    assert picture.shape == (660, 1350, 3)
    assert count(picture, style.TRAINED) > 1000
    assert count(picture, style.RANDOM) > 150
    assert count(picture, style.CLASSICAL[1]) > 150


def test_training_curve_is_averaged_over_neighbouring_updates(monkeypatch):
    figures = []
    monkeypatch.setattr(reporting, "save", lambda figure, path: figures.append(figure))
    rows = [{"env_steps": 10.0 * i, "return": [1.0 * i, 3.0 * i]} for i in range(160)]
    plot_training("a.png", rows)
    *seeds, mean = figures[0].axes[0].lines
    assert len(seeds) == 2
    assert mean.get_xdata()[:2].tolist() == [5.0, 25.0]
    assert mean.get_ydata()[:2].tolist() == [1.0, 5.0]


def test_points_of_a_training_curve_are_of_equally_many_updates(monkeypatch):
    figures = []
    monkeypatch.setattr(reporting, "save", lambda figure, path: figures.append(figure))
    plot_training("a.png", [{"env_steps": i, "return": 1.0 * i} for i in range(1, 122)])
    single, mean = figures[0].axes[0].lines
    assert len(single.get_xdata()) == 121
    assert mean.get_xdata().tolist() == [1.0, *np.arange(2.5, 121.5, 2.0)]


@pytest.mark.parametrize("seeds", [1, 2, 3])
@pytest.mark.parametrize("updates", [1, 3, 300])
@pytest.mark.parametrize("references", [None, {"random": 45.0, "gittins": 83.0}, {"random": 60.0}])
def test_all_that_was_lived_lies_in_the_picture_and_fills_it(seeds, updates, references, monkeypatch):
    figures = []
    monkeypatch.setattr(reporting, "save", lambda figure, path: figures.append(figure))
    returns = 80 - 30 * np.exp(-np.arange(updates) / 50)[:, None] + np.arange(seeds)
    rows = [{"env_steps": 1000 * i, "return": row.tolist()} for i, row in enumerate(returns)]
    plot_training("a.png", rows, references=references)
    axes = figures[0].axes[0]
    low, high = axes.get_ylim()
    levels = [value for line in axes.lines for value in np.ravel(line.get_ydata())]
    assert low < min(levels) <= max(levels) < high
    if updates > 1:
        assert max(levels) - min(levels) > 0.8 * (high - low)
    left, right = axes.get_xlim()
    assert left < 0 <= 1000 * (updates - 1) < right


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_E40_a_training_curve_says_what_it_is_of_how_many_seeds_and_how_sure(monkeypatch):
    figures = []
    monkeypatch.setattr(reporting, "save", lambda figure, path: figures.append(figure))
    rows = [{"env_steps": 10 * i, "return": [1.0 * i, 3.0 * i, 5.0 * i]} for i in range(1, 5)]
    found = [
        {
            "env_steps": 10 * i,
            "return": [4.0 * i, 5.0 * i, 6.0 * i],
            "mean": 5.0 * i,
            "stderr": (i**2 / 3 + 0.25) ** 0.5,
            "tasks": 400,
        }
        for i in (0, 2, 4)
    ]
    plot_training("a.png", rows, evaluations=found, references={"random": -3.0, "knows the task": 40.0})
    axes = figures[0].axes[0]
    trained, evaluated = legend(figures[0])
    assert trained.startswith("in training: sampled actions")
    assert "mean of 3 seeds, with 95 % over seeds" in trained
    assert evaluated.startswith("evaluated: best action known, 400 validation tasks")
    assert "tasks and 3 seeds" in evaluated
    width = bands(axes)
    # Of three seeds 2 apart: Student's t of 2 degrees of freedom, 4.303, times 2i / √3.
    np.testing.assert_allclose(
        width[style.TRAINED.lower()], [4.302653 * 2 * i / 3**0.5 for i in range(1, 5)], rtol=1e-5
    )
    # Seeds are i apart, so they add i²/3 to the square of the error; what tasks add has 399 degrees of freedom.
    margins = [(4.302653**2 * i**2 / 3 + 1.965927**2 * 0.25) ** 0.5 for i in (0, 2, 4)]
    np.testing.assert_allclose(width[style.CLASSICAL[0].lower()], margins, rtol=1e-5)
    points = next(line for line in axes.lines if line.get_label() == evaluated)
    assert points.get_xydata().tolist() == [[0, 0], [20, 10], [40, 20]]
    assert [text.get_text() for text in axes.texts] == ["random", "knows the task"]
    low, high = axes.get_ylim()
    assert low < -3 < 40 < high
    plot_training("a.png", [{"env_steps": 1, "return": 2.0}])
    plot_training("a.png", [{"env_steps": i, "return": [1.0, 2.0 * i]} for i in (1, 2)])
    assert "mean of 2 seeds, too few for an interval; thin: each seed" in legend(figures[2])[0]
    assert not figures[2].axes[0].collections
    assert legend(figures[1]) == ["in training: sampled actions, fresh training tasks; 1 seed"]


def test_plot_of_paths_has_a_panel_for_each_task_and_window(tmp_path, monkeypatch):
    paths = np.cumsum(np.random.default_rng(0).normal(size=(2, 3, 10, 4, 2)), axis=2)
    paths[0, 0, 5:] = np.nan  # an episode that ended early
    goals = np.array([[1.0, 2.0], [-3.0, 0.5]])
    plot_paths(tmp_path / "a.png", paths, goals, title="paths")
    picture = pixels(tmp_path / "a.png")
    assert count(picture, style.REFERENCE) > 100
    figures = []
    monkeypatch.setattr(reporting, "save", lambda figure, path: figures.append(figure))
    plot_paths("a.png", paths, goals, title="paths")
    axes = figures[0].axes
    assert len(axes) == 6
    assert [a.get_title() for a in axes[:3]] == ["before adaptation", "after 1 step", "after 2 steps"]
    *lines, goal = axes[4].lines
    np.testing.assert_array_equal(lines[3].get_xydata(), paths[1, 1, :, 3])
    assert goal.get_xydata().tolist() == [[-3.0, 0.5]]
    plot_paths("a.png", paths, None, title="paths")
    assert len(figures[1].axes[0].lines) == 4
    with pytest.raises(ValueError, match=r"expected \[task, window, time, env, 2\]"):
        plot_paths("a.png", paths[0], None, title="paths")
