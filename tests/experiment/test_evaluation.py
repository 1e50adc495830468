import json

import numpy as np
import pytest

from adaptax.algorithms.classical.random import Random
from adaptax.core.errors import OutputError
from adaptax.core.trained_agent import TrainedAgent
from adaptax.evaluation.evaluator import Evaluation, PreparedEvaluation
from adaptax.experiment.evaluation import Assessment, assess, write_assessment
from adaptax.experiment.surroundings import Surroundings
from adaptax.problems import bernoulli_bandit, grid_navigation
from adaptax.problems.settings import BanditSettings
from adaptax.registry.presets import settings_for
from adaptax.runs.recipe import Recipe

RECIPE = Recipe("rl2", "bandit", settings_for("rl2", "bandit")[0], BanditSettings(num_arms=2, num_pulls=5))


def random_as_the_trained_agent(problem, against):
    return assess(
        RECIPE,
        TrainedAgent.initial(Random(), problem),
        num_tasks=400,
        seed=0,
        against=against,
        surroundings=Surroundings(on_message=print),
    )


@pytest.mark.compiles
def test_the_trained_agent_comes_first_and_all_meet_the_same_tasks(tmp_path):
    assessment = random_as_the_trained_agent(bernoulli_bandit(2, 5), ["bayes-optimal-bandit", "random"])
    assert list(assessment.results) == ["rl2", "bayes-optimal-bandit", "random"]
    # Here `rl2` is random, with the same seed: the same tasks and the same randomness give the same returns.
    np.testing.assert_array_equal(assessment.results["rl2"].returns, assessment.results["random"].returns)
    assert assessment.protocol["held_out"]
    content = assessment.to_json()
    assert content["optimum"] == pytest.approx(2.888889, abs=1e-6)
    assert content["oracle"] == pytest.approx(5 * 2 / 3, abs=5 * 4 * 0.24 / 20)
    assert write_assessment(assessment, tmp_path, {"more": 1}).directory == tmp_path
    assert json.loads((tmp_path / "evaluation.json").read_text()) == {"more": 1, **content}
    assert (tmp_path / "adaptation.png").exists()
    assert repr(assessment).splitlines()[1].split()[:2] == ["agent", "return"]
    assert assessment._repr_html_().count("<tr>") == 4


@pytest.mark.compiles
def test_a_finite_family_is_not_called_held_out(capsys):
    assert not random_as_the_trained_agent(grid_navigation(), []).protocol["held_out"]
    assert "finite set" in capsys.readouterr().out
    assert random_as_the_trained_agent(grid_navigation(held_out=True), []).protocol["held_out"]


def test_E24_a_figure_above_the_optimum_is_not_printed_without_a_warning(monkeypatch, capsys):
    impossible = Evaluation(np.ones((1, 400, 5)), np.ones((1, 400, 5), int))
    monkeypatch.setattr(
        "adaptax.evaluation.evaluator.PreparedEvaluation.__call__", lambda *arguments, **options: impossible
    )
    assessment = random_as_the_trained_agent(bernoulli_bandit(2, 5), [])
    assert isinstance(assessment, Assessment)
    said = capsys.readouterr().out
    assert "above the exact optimum (2.889)" in said
    assert "above a policy that knows the tasks" in said


def test_E43_figures_are_written_through_no_link_and_over_no_folder(tmp_path, monkeypatch):
    known = Evaluation(np.zeros((1, 40, 5)), np.ones((1, 40, 5), int))
    monkeypatch.setattr(PreparedEvaluation, "__call__", lambda *arguments: known)
    assessment = random_as_the_trained_agent(bernoulli_bandit(2, 5), [])
    names = ("evaluation.json", "returns.npz", "adaptation.png")
    for name in names:
        (tmp_path / f"precious {name}").write_text("precious")
        (tmp_path / name).symlink_to(f"precious {name}")
    write_assessment(assessment, tmp_path, {})
    for name in names:
        assert (tmp_path / f"precious {name}").read_text() == "precious"
        assert not (tmp_path / name).is_symlink()
        (tmp_path / name).unlink()
        (tmp_path / name).mkdir()
        with pytest.raises(OutputError, match=rf"cannot write .*{name}: Is a directory") as refused:
            write_assessment(assessment, tmp_path, {})
        assert refused.value.exit_code == 6
        (tmp_path / name).rmdir()
    assert not list(tmp_path.glob("*.tmp"))
