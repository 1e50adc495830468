import dataclasses
import subprocess
import sys
from typing import Any

import matplotlib.colors
import matplotlib.image
import numpy as np
import pytest

from adaptax.core.errors import OutputError
from adaptax.reports.inspection_figures import (
    LONG,
    MOST_LABELS,
    after,
    inspection_figure,
    plot_inspection,
    shown_episodes,
)
from adaptax.reports.style import CLASSICAL, REFERENCE, TRAINED


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A curve with errors of 0.05."""

    value: np.ndarray

    @property
    def stderr(self):
        return np.where(np.isnan(self.value), np.nan, 0.05)


@dataclasses.dataclass(frozen=True)
class Found:
    """Made-up findings."""

    episodes: tuple[int, ...]
    pooled: Any
    parts: dict[str, Any]
    similarity: Any
    points: np.ndarray
    colours: np.ndarray
    accuracy: Any = None
    chance: float | None = None
    explained: tuple[float, float] = (0.625, 0.25)
    shown: str = "probabilities[1]"
    labels: tuple[str, ...] | None = None


def found(episodes=(0, 1, 2, 3, 4), num_tasks=40, num_parts=3, labels=None):
    rng = np.random.default_rng(0)
    known = np.asarray(episodes) / (np.asarray(episodes) + 2)
    colours = rng.random(num_tasks) if labels is None else np.arange(num_tasks) % len(labels)
    places = np.stack([np.cos(6 * colours), np.sin(6 * colours)], 1)
    parts = {f"probabilities[{i}]": Drawn(known * (1 - 0.1 * i)) for i in range(num_parts)}
    finite = {} if labels is None else {"accuracy": Drawn(known), "chance": 0.125, "labels": labels, "shown": "task"}
    return Found(
        episodes=tuple(episodes),
        pooled=Drawn(known * 0.9),
        parts=parts,
        similarity=Drawn(np.where(known > 0, known / 2, np.nan)),
        points=known[:, None, None] * places,
        colours=colours,
        **finite,
    )


def count(path, colour):
    picture = np.round(matplotlib.image.imread(path)[..., :3] * 255).astype(int)
    wanted = np.round(np.asarray(matplotlib.colors.to_rgb(colour)) * 255).astype(int)
    return int((np.abs(picture - wanted) <= 2).all(-1).sum())


def panels(figure, number):
    return [axes for axes in figure.axes if axes.get_title() and axes.collections][:number]


def test_panels_are_spread_from_the_start_to_the_end():
    assert shown_episodes(2) == [0, 1]
    assert shown_episodes(6) == [0, 1, 2, 3, 4, 5]
    assert shown_episodes(21) == [0, 4, 8, 12, 16, 20]
    assert [after(e, "pull") for e in (0, 1, 7)] == ["at the start", "after 1 pull", "after 7 pulls"]


def test_panels_hold_the_points_of_their_episode_and_the_curves_their_figures():
    what = found(range(21))
    figure = inspection_figure(what, title="A title", unit="pull")
    assert figure.get_suptitle() == "A title"
    shown = panels(figure, 6)
    assert [axes.get_title() for axes in shown] == [after(e, "pull") for e in (0, 4, 8, 12, 16, 20)]
    for axes, episode in zip(shown, (0, 4, 8, 12, 16, 20), strict=True):
        np.testing.assert_allclose(axes.collections[0].get_offsets(), what.points[episode])
        np.testing.assert_array_equal(axes.collections[0].get_array(), what.colours)
        assert axes.get_xlim() == shown[0].get_xlim()
    assert shown[0].get_xlabel() == "1st component (62 %)"
    assert shown[0].get_ylabel() == "2nd component (25 %)"
    (bar,) = (axes for axes in shown[-1].child_axes)
    assert bar.get_ylabel() == "probabilities[1]"
    decoding, distances = (axes for axes in figure.axes if axes.get_xlabel() == "pulls so far")
    assert decoding.get_ylabel() == "R² on held-out tasks"
    *parts, pooled = decoding.lines
    np.testing.assert_array_equal(pooled.get_ydata(), what.pooled.value)
    assert pooled.get_linewidth() > 2 * parts[0].get_linewidth()
    assert {text.get_text() for text in decoding.texts} == {*what.parts, "all features"}
    np.testing.assert_array_equal(distances.lines[0].get_ydata(), what.similarity.value)
    # The bands are one standard error to either side.
    band = decoding.collections[0].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx(what.pooled.value.max() + 0.05)


def test_of_many_features_the_best_and_the_worst_are_named():
    decoding = next(
        axes for axes in inspection_figure(found(num_parts=9), title="").axes if axes.get_xlabel() == "episodes so far"
    )
    assert {text.get_text() for text in decoding.texts} == {"probabilities[0]", "probabilities[8]", "all features"}
    assert len(decoding.lines) == 10


def test_a_single_feature_is_drawn_once_under_its_name():
    decoding = next(
        axes for axes in inspection_figure(found(num_parts=1), title="").axes if axes.get_xlabel() == "episodes so far"
    )
    assert len(decoding.lines) == 1
    assert [text.get_text() for text in decoding.texts] == ["probabilities[0]"]


def test_tasks_of_a_finite_family_are_told_apart_and_named():
    labels = tuple("abcde")
    figure = inspection_figure(found(labels=labels), title="")
    shown = panels(figure, 5)
    assert {text.get_text() for text in shown[-1].texts} == set(labels)
    assert not shown[0].texts
    colours = shown[-1].collections[0].get_facecolors()
    np.testing.assert_allclose(colours[:5, :3], [matplotlib.colors.to_rgb(c) for c in CLASSICAL[:5]])
    naming = next(axes for axes in figure.axes if axes.get_ylabel() == "share of tasks named rightly")
    assert naming.lines[1].get_ydata()[0] == 0.125
    assert [text.get_text() for text in naming.texts] == ["chance"]

    many = inspection_figure(found(num_tasks=80, labels=tuple(map(str, range(MOST_LABELS + 1)))), title="")
    assert not panels(many, 5)[-1].texts
    assert len(np.unique(panels(many, 5)[-1].collections[0].get_facecolors(), axis=0)) == MOST_LABELS + 1


@pytest.mark.parametrize(("last", "scale"), [(LONG, "linear"), (500, "symlog")])
def test_long_trials_have_a_logarithmic_axis(last, scale):
    axes = inspection_figure(found((0, 1, 2, 10, last)), title="").axes
    decoding = next(a for a in axes if a.get_xlabel() == "episodes so far")
    assert decoding.get_xscale() == scale
    assert {0, last} <= set(decoding.get_xticks())


def test_the_picture_shows_all_of_it(tmp_path):
    path = tmp_path / "new" / "inspection.png"
    plot_inspection(path, found(range(21)), title="rl2 on bandit (num_arms 3)", unit="pull")
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert count(path, TRAINED) > 2000
    assert count(path, CLASSICAL[0]) > 1000
    plot_inspection(path, found(labels=tuple("abcd")), title="cue")
    assert count(path, TRAINED) > 1000
    assert count(path, REFERENCE) > 50


def test_what_cannot_be_drawn_or_written_is_refused(tmp_path):
    what = found()
    with pytest.raises(
        ValueError, match=r"points: expected \[episode, task, 2\] = \(5, 40, 2\), found shape \(4, 40, 2\)"
    ):
        plot_inspection(tmp_path / "a.png", dataclasses.replace(what, points=what.points[1:]), title="")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write the picture .*file"):
        plot_inspection(tmp_path / "file" / "a.png", what, title="")


def test_drawing_needs_neither_jax_nor_pyplot():
    program = (
        "import sys, adaptax.reports.inspection_figures;"
        "assert 'matplotlib.pyplot' not in sys.modules; assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
