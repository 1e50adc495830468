"""The picture of a training: its returns, evaluations on validation tasks, and what to compare them with."""

import math
from typing import TYPE_CHECKING, Any

from adaptax.core.errors import OutputError, ResourceError, if_installed
from adaptax.core.rollout import num_windows
from adaptax.experiment.progress import OnMessage
from adaptax.reports.results import BAYES_OPTIMAL, KNOWS
from adaptax.reports.tables import best_reference
from adaptax.runs.metrics_log import returns_of

if TYPE_CHECKING:
    from adaptax.experiment.assessment import Assessment

CURVE = "training.png"


def draw_training(run: Any, on_message: OnMessage) -> None:
    """Draw the returns of a training, with references if it is evaluated by now.

    The picture is left out where matplotlib is not installed, or there is no room: the run is good.

    Args:
        run: The training, as what `train` returns.
        on_message: Called with a line for a person if it is left out.
    """
    if not run.metrics or run.directory is None:
        return
    adapted = num_windows(run.algorithm, run.problem) > 1
    name = "adapted_" if adapted else ""
    evaluations = [
        {
            "env_steps": row["env_steps"],
            "return": row[f"validation_{name}returns"],
            "mean": row[f"validation_{name}return"],
            "stderr": row[f"validation_{name}stderr"],
            "tasks": row["tasks"],
        }
        for row in run.validations
    ]
    try:
        with if_installed(CURVE, on_message):
            from adaptax.reports.figures import plot_training

            plot_training(
                run.directory / CURVE,
                [{"env_steps": row["env_steps"], "return": returns_of(row)} for row in run.metrics],
                title=run.title,
                what="an adapted episode" if adapted else "a trial",
                evaluations=evaluations,
                references=references_of(run.evaluation, adapted=adapted),
            )
    except (OutputError, ResourceError) as error:
        on_message(f"warning: {error}")


def references_of(assessment: "Assessment | None", *, adapted: bool) -> dict[str, float]:
    """What to compare a training with: random, the best agent known, one that knows the task, the Bayes-optimal one.

    Args:
        assessment: The evaluation; None: there is none.
        adapted: Whether one episode is meant, the last of a trial; else a whole trial.
    """
    if assessment is None:
        return {}
    results: Any = assessment.results
    names = [name for name in list(results)[1:] if name in ("random", best_reference(results))]
    episodes = assessment.protocol["episodes"]
    found = {
        name: float(results[name].episode_returns[-1]) if adapted else results[name].summary.mean for name in names
    }
    if not math.isnan(assessment.oracle):
        found[KNOWS] = assessment.oracle * (1 if adapted else episodes)
    if assessment.optimum is not None:
        found[BAYES_OPTIMAL] = assessment.optimum[-1] if adapted else sum(assessment.optimum)
    return found
