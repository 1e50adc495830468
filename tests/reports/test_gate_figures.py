from pathlib import Path

import matplotlib.colors
import matplotlib.image
import numpy as np
import pytest

from adaptax.core.errors import OutputError
from adaptax.optimization.update_rules import QUANTILES, GroupGates, Spread
from adaptax.reports.figures import CLASSICAL
from adaptax.reports.gate_figures import plot_gates


def level(mean, width=0.0):
    """A gate that is the same in each of three steps."""
    offsets = width * np.linspace(-1, 1, len(QUANTILES))
    return Spread(np.full(3, mean), np.full((3, 1), mean) + offsets)


def drawn(path, gates):
    """The picture, `[row, column, rgb]`."""
    plot_gates(path, gates, title="Gates")
    assert Path(path).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    return matplotlib.image.imread(path)[..., :3]


def places(picture, colour):
    """Rows and columns where this colour is."""
    return np.nonzero((np.abs(picture - np.asarray(matplotlib.colors.to_rgb(colour))) < 0.02).all(-1))


def test_each_group_has_a_line_in_both_panels(tmp_path):
    low, high = GroupGates(level(0.95), level(1.5)), GroupGates(level(0.99), level(3.0))
    picture = drawn(tmp_path / "new" / "gates.png", {"low": low, "high": high})
    middle = picture.shape[1] // 2
    for left in (True, False):
        half = picture[:, :middle] if left else picture[:, middle : int(0.85 * picture.shape[1])]  # no legend
        rows = [np.median(places(half, colour)[0]) for colour in CLASSICAL[:2]]
        assert rows[1] < rows[0] - 20  # rows count from above


def test_the_band_is_as_wide_as_the_middle_half(tmp_path):
    shown = {}
    for name, width in (("none", 0.0), ("wide", 0.04)):
        gates = {"a": GroupGates(level(0.95, width), level(1.5)), "frame": GroupGates(level(0.8), level(1.0))}
        picture = drawn(tmp_path / f"{name}.png", gates)
        tint = 0.88 + 0.12 * np.asarray(matplotlib.colors.to_rgb(CLASSICAL[0]))
        shown[name] = len(places(picture, tint)[0])
    assert shown["none"] < 200
    assert shown["wide"] > 20_000


def test_there_must_be_something_to_draw(tmp_path):
    with pytest.raises(ValueError, match="expected at least one group"):
        plot_gates(tmp_path / "gates.png", {}, title="Gates")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write the picture .*gates\.png"):
        plot_gates(tmp_path / "file" / "gates.png", {"a": GroupGates(level(1.0), level(1.0))}, title="Gates")
