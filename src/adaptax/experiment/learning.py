"""Whether a meta-learner has learned anything: a trained agent beside its own untrained self, on the same new tasks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adaptax.core.trained_agent import TrainedAgent
from adaptax.evaluation.evaluator import Encounters, Evaluation, encounters, evaluate, oracle_return
from adaptax.evaluation.statistics import margin_95, stderr, summarize
from adaptax.experiment import causes
from adaptax.experiment.progress import Progress
from adaptax.experiment.run import Run
from adaptax.experiment.surroundings import Surroundings
from adaptax.registry.learning_table import Row
from adaptax.registry.presets import agent_for

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
        sampled and by best-known actions; the "ceiling", what it is, and "seconds" of training.
    """
    agent = run.agent
    problem = agent.problem
    met = encounters(problem.test, num_tasks, seed)
    untrained = TrainedAgent.initial(
        agent.algorithm, problem, seed=run.options.seed, num_seeds=row.seeds, name="untrained"
    )
    chance = TrainedAgent.initial(
        agent_for("random", row.problem, run.recipe.problem_settings), run.recipe.build_problem(), name="random"
    )
    agents = {row.algorithm: agent, "untrained": untrained, "random": chance}
    found = {name: _met(one, met, seed, surroundings, name) for name, one in agents.items()}
    adapted = agent.learns_from_windows
    scores = {name: _scores(one, adapted=adapted) for name, one in found.items()}
    oracle = oracle_return(problem, met.tasks) * (1 if adapted else problem.episodes)
    gains = _gains(scores[row.algorithm], scores["untrained"])
    return {
        **_figures(scores[row.algorithm]),
        "what": "an adapted episode" if adapted else "a trial",
        "untrained": _figures(scores["untrained"]),
        "random": _figures(scores["random"]),
        "gain": gains,
        "learns": learns(gains),
        "steps": {name: _steps(found[name]) for name in (row.algorithm, "untrained")},
        "seeds": row.seeds,
        "tasks": num_tasks,
        "published": row.published,
        "source": row.source,
        "ceiling": oracle if np.isfinite(oracle) else None,
        "ceiling_is": "knows the task" if np.isfinite(oracle) else "unknown",
        "seconds": run.seconds,
        "env_steps": run.env_steps,
        "directory": str(run.directory),
    }


def learns(gains: Sequence[Mapping[str, float]]) -> bool:
    """Whether every training has gained enough."""
    return all(gain["mean"] > 0 and gain["mean"] >= ENOUGH * gain["stderr"] for gain in gains)


def _met(agent: TrainedAgent, met: Encounters, seed: int, around: Surroundings, name: str) -> Evaluation:
    """Let an agent go through the tasks by the best actions that it knows."""
    tasks = len(met.keys)
    how: dict[str, Any] = {"num_tasks": tasks, "seed": seed, "explore": False}
    with causes.of_evaluation(agent, **how, on_message=around.on_message):
        return evaluate(
            agent, **how, met=met, on_progress=lambda done: around.on_progress(Progress("evaluate", done, tasks, name))
        )


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
