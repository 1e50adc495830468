from adaptax.evaluation.reference_scores import ReferenceScores
from adaptax.reports.reference_tables import policies_table, reference_table
from tests.evaluation.test_reference_scores import of_two_tasks, seen

ABOUT = {
    "informed policy": {"algorithm": "oracle-ppo", "updates": 200, "training_seeds": 1},
    "memory-less policy": {"algorithm": "multitask-ppo", "updates": 1, "training_seeds": 3},
}


def content(oracle=float("nan")):
    known = of_two_tasks()
    scores = ReferenceScores(known.informed, known.memoryless, known.random, ABOUT)
    return scores.to_json({"rl2": seen([2, 4], [4, 7])}, oracle)


def test_an_agents_way_by_hand():
    text = str(reference_table(content(), "rl2"))
    assert max(map(len, text.splitlines())) <= 100
    rows = {line.split()[0]: " ".join(line.split()) for line in text.splitlines() if line[:1] in "12"}
    assert rows["1"] == "1 3.00 ± 1.00 50.0% 50.0% … 50.0% 50.0% +0.0% -317.7% … +317.7%"
    assert rows["2"].startswith("2 5.50 ± 1.50 112.5% -46.3% … 271.3% 50.0% +62.5% ")
    words = " ".join(text.split())
    assert "0 % is random (1.00 per episode), 100 % the informed policy (5.00): oracle-ppo, 200 updates" in words
    assert "multitask-ppo, 1 update × 3 seeds" in words
    assert "is no exact optimum. The memory-less policy (3.00)" in words
    assert "no exact optimum (which has 9.00, 200.0%)" in " ".join(str(reference_table(content(9.0), "rl2")).split())


def test_both_policies():
    lines = str(policies_table(content(9.0), title="of mine")).splitlines()
    assert lines[0] == "of mine"
    cells = {line.split("  ")[0]: line.split() for line in lines}
    assert cells["informed policy"][-1] == "100.0%"
    assert cells["memory-less policy"][-1] == "50.0%"
    assert cells["random"][-1] == "0.0%"
    assert cells["knows the task (exact)"][-2:] == ["9.00", "200.0%"]
    assert "knows the task" not in str(policies_table(content(), title=""))
