"""MLflow: at $MLFLOW_TRACKING_URI, by default in `mlflow.db` where the command was started."""

import os
import re
import time
from collections.abc import Mapping
from typing import Any

from adaptax.runs.trackers.tracker import TrackedRun, flat

STATES = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
MOST = 100
"""So many parameters may be logged at once."""
LONGEST = 500
"""Letters of a parameter's value that all its stores take."""


class MLflowTracker:
    """A run of MLflow, in the experiment $MLFLOW_EXPERIMENT_NAME, or else "adaptax"."""

    def __init__(self) -> None:
        self._client: Any = None
        self._identity = ""

    def start(self, run: TrackedRun) -> str:
        """Begin it, or go on with it."""
        import mlflow

        self._client, self._identity = mlflow.MlflowClient(), run.identity
        if self._identity:
            self._client.update_run(self._identity, status="RUNNING")
            return self._identity
        self._identity = self._client.create_run(self._experiment(), run_name=run.name).info.run_id
        params = [mlflow.entities.Param(_name(name), str(value)[:LONGEST]) for name, value in flat(run.config).items()]
        for first in range(0, len(params), MOST):
            self._client.log_batch(self._identity, params=params[first : first + MOST])
        return self._identity

    def log(self, update: int, metrics: Mapping[str, float]) -> None:
        """Log numbers of an update."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(
            self._identity, metrics=[Metric(_name(name), float(value), now, update) for name, value in metrics.items()]
        )

    def finish(self, status: str) -> None:
        """Say how it ended."""
        self._client.set_terminated(self._identity, STATES[status])

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "adaptax")
        found = self._client.get_experiment_by_name(name)
        identity: str = self._client.create_experiment(name) if found is None else found.experiment_id
        return identity


def _name(name: str) -> str:
    """A name with letters that MLflow takes."""
    return re.sub(r"[^\w\-./ ]", ".", name)
