import pytest

from adaptax.reports.comparison_figures import (
    families_figure,
    looks,
    performance_figure,
    pulls_figure,
    reaches_figure,
    regret_figure,
    svg,
)
from tests.evaluation.comparisons import small


@pytest.mark.compiles
@pytest.mark.parametrize("figure", [performance_figure, reaches_figure, families_figure, regret_figure, pulls_figure])
def test_pictures_are_the_same_each_time_and_fit_many_agents(figure):
    content = small()
    assert svg(figure(content)) == svg(figure(content))
    learner = content["agents"]["q-learning"]
    content["agents"] = {f"learner {i}": learner for i in range(12)}
    assert svg(figure(content)).startswith(b"<?xml")


@pytest.mark.compiles
def test_curves_and_thresholds_are_drawn_where_the_figures_are():
    content = small()
    axes = performance_figure(content).axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata()) > 2]
    for line, agent in zip(lines, content["agents"].values(), strict=True):
        assert line.get_xdata().tolist() == agent["performance"]["episodes"]
        assert line.get_ydata().tolist() == [figure["value"] for figure in agent["performance"]["normalized_score"]]
    levels = [line.get_ydata()[0] for line in axes.lines if len(line.get_xdata()) == 2]
    assert levels == [0.5, 0.8, 0.9, 0.95, 1.0]
    assert axes.get_xscale() == "log"


@pytest.mark.compiles
def test_bars_of_pulls_fill_the_trial():
    content = small()
    bars = pulls_figure(content).axes[0].patches
    widths = [
        sum(bar.get_width() for bar in bars if round(bar.get_y() + bar.get_height() / 2) == row) for row in (0, 1, 2)
    ]
    assert widths == pytest.approx([1, 1, 1])
    # Of very many arms, the last ones share a part.
    pulls = content["agents"]["random"]["exploration"]["pulls_by_rank"]
    content["agents"] = {"random": {**content["agents"]["random"]}}
    content["agents"]["random"]["exploration"]["pulls_by_rank"] = pulls * 10
    bars = pulls_figure(content).axes[0].patches
    assert len(bars) == 12
    assert sum(bar.get_width() for bar in bars) == pytest.approx(1)


@pytest.mark.compiles
def test_who_never_gets_there_has_an_arrow():
    content = small()
    axes = reaches_figure(content).axes[0]
    never = sum(
        reach["episode"]["interval"][1] is None
        for agent in content["agents"].values()
        for reach in agent["reaches"].values()
    )
    assert never > 0
    assert len(axes.texts) == never  # annotations without text


def test_every_agent_has_a_look_of_its_own_and_random_is_grey():
    drawn = looks(small())
    assert len({look["color"] for look in drawn.values()}) == 3
    assert drawn["random"]["color"] == "#8A8A8A"
