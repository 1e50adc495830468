import json

import jax.numpy as jnp
import numpy as np

from adaptax.runlog import RunLog
from adaptax.training import Progress


def test_a_row_per_update_and_means_over_seeds(tmp_path):
    chunks = [
        Progress(2, {"return": np.array([[1.0, 3.0], [2.0, 4.0]]), "entropy": np.ones((2, 2))}, 0.5, jnp.zeros(())),
        Progress(4, {"return": np.array([[5.0, 5.0], [6.0, 8.0]]), "entropy": np.zeros((2, 2))}, 1.0, jnp.zeros(())),
    ]
    with RunLog(tmp_path, 10) as log:
        for chunk in chunks:
            log.write(chunk)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows == log.rows
    assert [row["update"] for row in rows] == [1, 2, 3, 4]
    assert [row["env_steps"] for row in rows] == [10, 20, 30, 40]
    assert [row["return"] for row in rows] == [2, 3, 5, 7]
    assert rows[0]["returns"] == [1, 3]
    assert [row["entropy"] for row in rows] == [1, 1, 0, 0]
    assert list((tmp_path / "tensorboard").glob("events.*"))
