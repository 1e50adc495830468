"""What all pictures share; places of names and looks of lines: `test_figures.py`."""

import errno

import matplotlib.image
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from adaptax.core.errors import OutputError, ResourceError
from adaptax.reports import style


@pytest.fixture
def axes():
    axes = style.new_figure(7.0, "A title").add_subplot()
    axes.set_xlim(0, 20)
    axes.set_ylim(10, 30)
    return axes


def test_a_figure_has_its_size_and_its_title_at_the_left():
    figure = style.new_figure(7.0, "A title")
    assert figure.get_size_inches().tolist() == [7.0, style.HEIGHT]
    (title,) = figure.texts
    assert (title.get_text(), title.get_ha(), title.get_fontweight()) == ("A title", "left", "bold")
    assert not figure.axes


def test_a_frame_is_open_above_and_to_the_right(axes):
    style.frame(axes)
    shown = {name for name, spine in axes.spines.items() if spine.get_visible()}
    assert shown == {"left", "bottom"}
    assert all(line.get_visible() for line in axes.yaxis.get_gridlines())
    assert not any(line.get_visible() for line in axes.xaxis.get_gridlines())


def test_names_are_beside_the_ends_of_lines_that_are_far_apart(axes):
    drawn = style.styles(["rl2", "random", "ucb1"])
    style.label_ends(axes, {"rl2": 25.0, "random": 12.0, "the best": 30.0}, drawn)
    found = {text.get_text(): text for text in axes.texts}
    assert {name: text.xyann for name, text in found.items()} == {
        "rl2": (1.05, pytest.approx(0.75)),
        "random": (1.05, pytest.approx(0.1)),
        "the best": (1.05, pytest.approx(1.0)),
    }
    assert {name: text.xy for name, text in found.items()} == {
        "rl2": (20, 25), "random": (20, 12), "the best": (20, 30),
    }  # fmt: skip
    colours = [found[name].get_color() for name in ("rl2", "random", "the best")]
    assert colours == [style.TRAINED, style.RANDOM, style.REFERENCE]
    assert [found[name].get_fontweight() for name in ("rl2", "random")] == ["bold", "normal"]


def test_names_of_lines_that_end_together_are_moved_apart_by_more_than_a_line_of_text(axes):
    style.label_ends(axes, {"a": 20.0, "b": 20.0}, style.styles(["a", "b"]))
    low, high = (text.xyann[1] for text in axes.texts)
    assert (low + high) / 2 == pytest.approx(0.5)
    # 1.4 lines of 11 points, on axes of 82 % of the picture's height.
    assert high - low == pytest.approx(1.4 * 11 / (0.82 * 4.4 * 72))


def test_a_picture_is_written_into_folders_that_are_made(tmp_path):
    path = tmp_path / "new" / "er" / "a.png"
    style.save(style.new_figure(2.0, "A"), path)
    assert matplotlib.image.imread(path).shape[:2] == (4.4 * style.DPI, 2.0 * style.DPI)
    before = path.read_bytes()
    style.save(style.new_figure(2.0, "B"), str(path))
    assert path.read_bytes() != before
    assert [found.name for found in path.parent.iterdir()] == ["a.png"]


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, ResourceError), (errno.EACCES, OutputError)])
def test_a_picture_that_cannot_be_written_is_told_and_the_old_one_stays(tmp_path, monkeypatch, number, kind):
    def refuse(path, data):
        raise OSError(number, "no")

    style.save(style.new_figure(2.0, "A"), tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    monkeypatch.setattr(style.atomic_files, "write", refuse)
    with pytest.raises(kind, match=r"cannot write the picture .*a\.png: no; what was there is as it was") as refused:
        style.save(style.new_figure(2.0, "B"), tmp_path / "a.png")
    assert type(refused.value) is kind
    assert (tmp_path / "a.png").read_bytes() == before


def test_texts_above_and_below_fit_into_the_picture_whatever_they_say():
    title = "rl2 on half-cheetah-velocity (num_episodes 2, horizon 200, protocol varibad, and more that is typed)"
    note = "Mean of 40 held-out tasks, the same for all; rl2: the best action known, 1 training seed. " * 3
    for width in (3.0, 7.0, 12.0):
        figure = style.new_figure(width, title)
        style.annotate_below(figure, note)
        figure.add_subplot().plot([0, 1])
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw(renderer)
        for text, said in ((figure._suptitle, title), (figure._supxlabel, note)):
            box = text.get_window_extent(renderer)
            assert 0 <= box.x0 < box.x1 <= figure.bbox.width
            assert text.get_text().replace("\n", " ") == said
            lines = text.get_text().split("\n")
            assert width == 3.0 or len(lines) <= 5  # as long as they can be


def test_a_short_title_is_one_line_and_a_word_is_never_cut():
    figure = style.new_figure(3.0, "short")
    assert figure._suptitle.get_text() == "short"
    word = "averyveryverylongword" * 5
    assert style.fitted(figure, f"a {word} b", 13, "bold").split("\n") == ["a", word, "b"]
