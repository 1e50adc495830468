"""Whether a meta-learner has learned anything: a trained agent beside its own untrained self, on the same new tasks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adaptax.core.trained_agent import TrainedAgent, join_seeds
from adaptax.evaluation.evaluator import Evaluation
from adaptax.evaluation.statistics import margin_95, stderr, summarize
from adaptax.experiment.curves import references_of
from adaptax.experiment.evaluation import assess
from adaptax.experiment.run import Run
from adaptax.experiment.surroundings import Surroundings
from adaptax.registry.learning_table import Row
from adaptax.registry.registry import FROM_SCRATCH
from adaptax.reports.results import BAYES_OPTIMAL, KNOWS

ENOUGH = 3.0
"""Standard errors over tasks by which every training has to be better than the network that it began from."""


def measured(row: Row, run: Run, num_tasks: int, seed: int, surroundings: Surroundings) -> dict[str, Any]:
    """Evaluate the agent of a row, its untrained self and random actions.

    Of agents that learn from windows, one episode is meant, by the best action known after all windows but the trial's
    last; of others a whole trial.

    Args:
        row: What was trained.
        run: The training.
        num_tasks: Held-out tasks, the same for all.
        seed: Decides the tasks; that of the training, so that the untrained self is what it began from.
        surroundings: Whom to tell.

    Returns:
        "mean", "stderr", "interval" of the trained agent over seeds and tasks; the same of "untrained" and "random";
        "gain", by training seed, with its standard error over tasks; "learns": whether each of them is at least
        `ENOUGH` of its standard errors; "steps": returns with their margins of 95 % before and after each window, by
        sampled and by best-known actions; the "ceiling", what it is, and "seconds" of training in this process.
    """
    agent, seeds = run.agent, row.seeds
    trains, adapted = row.algorithm not in FROM_SCRATCH, agent.learns_from_windows
    first = TrainedAgent.initial(agent.algorithm, agent.problem, seed=run.options.seed, num_seeds=seeds)
    # As further seeds of one agent: one program, and the same tasks.
    found = assess(
        run.recipe,
        join_seeds([agent, first]) if trains else agent,
        num_tasks=num_tasks,
        seed=seed,
        against=("random",),
        surroundings=surroundings,
    )
    both = found.results[row.algorithm]
    trained, untrained = (_of_seeds(both, part) for part in (slice(seeds), slice(seeds if trains else 0, None)))
    scores, before = (_scores(one, adapted=adapted) for one in (trained, untrained))
    if not trains:  # what it has learned is what it knows at the end beside what it knew at the beginning
        episodes = untrained.evaluation_episodes
        # Who learns within its only episode has nothing before it: whoever knows nothing acts at random.
        before = _scores(found.results["random"], adapted=adapted) if episodes is None else episodes[..., 0]
    gains = _gains(scores, before)
    known = references_of(found, adapted=adapted)
    ceiling_is = next((name for name in (BAYES_OPTIMAL, KNOWS) if name in known), "unknown")
    return {
        **_figures(scores),
        "what": "an adapted episode" if adapted else "a trial",
        "untrained": _figures(before),
        "random": _figures(_scores(found.results["random"], adapted=adapted)),
        "gain": gains,
        "learns": learns(gains),
        "steps": {row.algorithm: _steps(trained), **({"untrained": _steps(untrained)} if trains else {})},
        "seeds": seeds,
        "tasks": num_tasks,
        "published": row.published,
        "source": row.source,
        "ceiling": known.get(ceiling_is),
        "ceiling_is": ceiling_is,
        "seconds": run.seconds,
        "env_steps": run.metrics[-1]["env_steps"] if trains else 0,  # with those before a resumption
        "directory": str(run.directory),
    }


def learns(gains: Sequence[Mapping[str, float]]) -> bool:
    """Whether every training has gained enough."""
    return all(gain["mean"] > 0 and gain["mean"] >= ENOUGH * gain["stderr"] for gain in gains)


def _of_seeds(found: Evaluation, part: slice) -> Evaluation:
    """What some of the seeds did."""
    evaluations = found.evaluation_episodes
    return Evaluation(found.returns[part], found.steps[part], None if evaluations is None else evaluations[part])


def _scores(found: Evaluation, *, adapted: bool) -> np.ndarray:
    """What is compared, `[seed, task]`."""
    return found.adapted_returns if adapted else found.scores


def _figures(scores: np.ndarray) -> dict[str, Any]:
    summary = summarize(scores)
    return {"mean": summary.mean, "stderr": summary.stderr, "interval": list(summary.interval)}


def _gains(trained: np.ndarray, untrained: np.ndarray) -> list[dict[str, float]]:
    """What each training has added, in the same tasks, with its standard error over them."""
    return [
        {"mean": float(gain.mean()), "stderr": stderr(gain[None])}
        for gain in trained.astype(np.float64) - untrained.astype(np.float64)
    ]


def _steps(found: Evaluation) -> Mapping[str, list[list[float]]]:
    """Means and margins before and after each window; of agents without, of the first episode and the last."""
    if found.evaluation_episodes is None:
        curves = {"mode": found.returns[..., [0, -1]]}
    else:
        curves = {"sample": found.window_returns, "mode": found.evaluation_episodes}
    return {
        name: [[float(x.mean()), margin_95(x)] for x in np.moveaxis(values, -1, 0)] for name, values in curves.items()
    }
