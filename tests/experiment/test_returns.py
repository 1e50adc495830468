import numpy as np

from adaptax.evaluation.evaluator import Evaluation
from adaptax.experiment.returns import RETURNS, write_returns


def test_returns_of_every_task_are_written_and_through_no_link(tmp_path):
    returns = np.random.default_rng(0).normal(size=(2, 40, 5)).astype(np.float32)
    known = Evaluation(returns, np.full((2, 40, 5), 3), returns[..., :2])
    other = Evaluation(returns[:1] + 1, np.full((1, 40, 5), 2))
    (tmp_path / "precious").write_text("precious")
    (tmp_path / RETURNS).symlink_to("precious")
    write_returns(tmp_path / RETURNS, {"rl2": known, "my_agents:Agent": other})
    assert (tmp_path / "precious").read_text() == "precious"
    with np.load(tmp_path / RETURNS) as read:
        assert sorted(read) == [
            "my_agents:Agent/returns", "my_agents:Agent/steps",
            "rl2/evaluation_episodes", "rl2/returns", "rl2/steps",
        ]  # fmt: skip
        np.testing.assert_array_equal(read["rl2/returns"], returns)
        np.testing.assert_array_equal(read["rl2/evaluation_episodes"], returns[..., :2])
        np.testing.assert_array_equal(read["my_agents:Agent/returns"], other.returns)
        assert read["my_agents:Agent/steps"].sum() == 400
