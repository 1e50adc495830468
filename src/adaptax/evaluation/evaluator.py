"""The one evaluator: adaptation curves on held-out tasks, the same tasks for every agent.

An agent enters each task as `begin` makes it, goes through one trial, and adapts in whichever way it does. Its curve is
the return of each episode, averaged over tasks (and seeds), at equal experience: episode 3 is the third episode with
a task, whether a memory, a gradient step or a posterior has learned from the first two.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Array, Key, PyTree

from adaptax.core.arguments import counted, flag, instance, seed_number, whole_number
from adaptax.core.errors import DivergenceError, EnvironmentContractError, UseError
from adaptax.core.notebook import evenly_spaced, html_table
from adaptax.core.problem import TaskDistribution
from adaptax.core.rollout import evaluate_trial
from adaptax.core.success import Successes
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.trial_result import TrialResult
from adaptax.core.types import Task
from adaptax.evaluation.encounters import Encounters, encounters
from adaptax.evaluation.protocols import Protocol, check_windows, protocol_trial
from adaptax.evaluation.statistics import Summary, margin_95, stderr, summarize
from adaptax.evaluation.trials import PreparedTrials


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What an agent did in each of the tasks.

    Attributes:
        returns: Undiscounted returns, `[seed, task, episode]`.
        steps: Environment steps that each of these episodes took.
        evaluation_episodes: For agents that learn by `adapt` after windows: mean return of one more episode by the best
            action known, learning nothing, before any window and at evenly spaced times (after every window, if
            they are few), `[seed, task, evaluation]`.
        title: Who was evaluated, and on what; empty if it is not known.
        successes: Which episodes succeeded, in any step and in the last, `[seed, task, episode]` each; None: the
            environment does not say.
        evaluation_successes: What share of the further episodes did, as `evaluation_episodes`.
        protocol: What was asked for, if it was not one trial; then the last of the episodes are those to be judged by.
    """

    returns: np.ndarray
    steps: np.ndarray
    evaluation_episodes: np.ndarray | None = None
    title: str = ""
    successes: Successes | None = None
    evaluation_successes: Successes | None = None
    protocol: Protocol | None = None

    def __repr__(self) -> str:
        mean, by_episode = self.scores.mean(), self.episode_returns
        shape = zip(self.returns.shape, ("seed", "task", "episode"), strict=True)
        error = stderr(self.scores) if np.isfinite(mean) else np.nan
        who = f"{self.title}: " if self.title else ""
        return (
            f"Evaluation({who}{mean:.4g} ± {error:.2g} in a trial; {' × '.join(counted(*each) for each in shape)}, "
            f"the first {by_episode[0]:.4g}, the last {by_episode[-1]:.4g})"
        )

    def _repr_html_(self) -> str:
        seeds, tasks, episodes = self.returns.shape
        note = (
            f"{counted(seeds, 'training seed')} × {counted(tasks, 'task')} × {counted(episodes, 'episode')}; "
            "intervals are Student's, over seeds and tasks"
        )
        rows = [("whole trial", *_with_interval(self.scores))]
        for index in evenly_spaced(episodes):
            rows.append((f"episode {index + 1:,}", *_with_interval(self.returns[..., index])))
        return html_table(self.title or "Evaluation", ("return", "mean", "95 % interval"), rows, note)

    @property
    def scores(self) -> np.ndarray:
        """Return of the whole trial, `[seed, task]`."""
        return self.returns.sum(-1, dtype=np.float64)

    @property
    def episode_returns(self) -> np.ndarray:
        """Mean return of each episode, `[episode]`."""
        return self.returns.mean((0, 1), dtype=np.float64)

    @property
    def stderr_per_episode(self) -> np.ndarray:
        """Standard error, over tasks and seeds, of the mean return of each episode, `[episode]`."""
        return np.array([stderr(self.returns[..., episode]) for episode in range(self.returns.shape[-1])])

    @property
    def margin_per_episode(self) -> np.ndarray:
        """How far the 95 % interval of the mean return of each episode reaches to each side, `[episode]`."""
        return np.array([margin_95(self.returns[..., episode]) for episode in range(self.returns.shape[-1])])

    @property
    def margin_of_sums(self) -> np.ndarray:
        """The same of the mean return up to and with each episode, `[episode]`."""
        sums = self.returns.cumsum(-1, dtype=np.float64)
        return np.array([margin_95(sums[..., episode]) for episode in range(sums.shape[-1])])

    @property
    def adapted_returns(self) -> np.ndarray:
        """Return of an episode when most is learned, `[seed, task]`: by the best action, after all windows but one.

        That is what the last window of a trial is lived with. Where no evaluation episode asks, the trial's last
        episode is meant.
        """
        found = self.returns if self.evaluation_episodes is None else self.evaluation_episodes
        return found[..., -1].astype(np.float64)

    @property
    def window_returns(self) -> np.ndarray:
        """Mean return of the trial's own episodes between one evaluation and the next, `[seed, task, evaluation]`."""
        assert self.evaluation_episodes is not None
        return self.returns.reshape(*self.returns.shape[:2], self.evaluation_episodes.shape[-1], -1).mean(
            -1, dtype=np.float64
        )

    @property
    def success_rates(self) -> dict[str, np.ndarray]:
        """Share of each task's episodes that succeeded, `[seed, task]`, by "ever" and "last"; empty if that is unknown.

        Of a protocol, only the episodes to be judged by count. Of an agent that learns from windows, those by the best
        action known after all windows but one. Of others, the last episode of the trial.
        """
        if self.successes is None:
            return {}
        if self.protocol is None and self.evaluation_successes is not None:
            found, last = self.evaluation_successes, slice(-1, None)
        else:
            found = self.successes
            last = slice(-1 if self.protocol is None else -self.protocol.judged_episodes, None)
        return {name: getattr(found, name)[..., last].mean(-1, dtype=np.float64) for name in ("ever", "last")}

    @functools.cached_property
    def summary(self) -> Summary:
        """Mean, standard error, IQM and 95 % intervals of the return of a whole trial."""
        return summarize(self.scores)

    def exceeds(self, optimum: float) -> bool:
        """Whether the mean is above an exact optimum by more than 3 standard errors, which proves a leak.

        An unknown (NaN) optimum is never exceeded.
        """
        return self.summary.mean > optimum + 3 * self.summary.stderr + 1e-5 * abs(optimum)

    def to_json(self) -> dict[str, Any]:
        """The figures of one agent, as `adaptax evaluate --json` prints them."""
        content = {
            **self.summary.to_json(),
            "episode_returns": self.episode_returns.tolist(),
            "steps": float(self.steps.sum(-1).mean()),
        }
        if self.evaluation_episodes is not None:
            content["after_windows"] = {
                name: [{"mean": float(x.mean()), "stderr": stderr(x)} for x in np.moveaxis(values, -1, 0)]
                for name, values in (("sample", self.window_returns), ("mode", self.evaluation_episodes))
            }
        if self.protocol is not None:
            judged = self.returns[..., -self.protocol.judged_episodes :].mean(-1, dtype=np.float64)
            content["judged"] = {"mean": float(judged.mean()), "stderr": stderr(judged)}
        return content | self._successes_as_json()

    def _successes_as_json(self) -> dict[str, Any]:
        if self.successes is None:
            return {}
        content: dict[str, Any] = {
            name: {"mean": float(rate.mean()), "stderr": stderr(rate), "margin_95": margin_95(rate)}
            for name, rate in self.success_rates.items()
        }
        parts = {"episodes": self.successes, "after_windows": self.evaluation_successes}
        for name, found in parts.items():
            if found is not None:
                of_each = {kind: getattr(found, kind).mean((0, 1), dtype=np.float64) for kind in ("ever", "last")}
                content[name] = {kind: rates.tolist() for kind, rates in of_each.items()}
        return {"success": content}


def _with_interval(values: np.ndarray) -> tuple[str, str]:
    """The mean of `[seed, task]`, and its interval."""
    mean = float(values.mean(dtype=np.float64))
    if not np.isfinite(mean):
        return f"{mean:.4g}", "unknown"
    half = margin_95(values)
    return f"{mean:.4g}", f"{mean - half:.4g} to {mean + half:.4g}"


def evaluate(
    agent: TrainedAgent,
    *,
    num_tasks: int,
    seed: int = 0,
    explore: bool = False,
    family: TaskDistribution | None = None,
    met: Encounters | None = None,
    protocol: Protocol | None = None,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Let an agent go through one trial in each of `num_tasks` tasks, held-out by default.

    Evaluation changes nothing: θ and its normalisers stay as they are.

    Args:
        agent: The agent, with one or several training seeds.
        num_tasks: How many tasks. Every agent with the same `seed` and `num_tasks` gets the same ones, and the same
            randomness of the environment as far as it consumes it in the same order.
        seed: Decides the tasks and all randomness.
        explore: False: act by the best action known (a stochastic policy's mode); True: act as in training. Agents that
            learn from windows of several episodes have to explore in any case; their best actions are scored apart
            (`Evaluation.evaluation_episodes`).
        family: Where tasks come from: `agent.problem.test` by default; its `train` or `shifted` to compare.
        met: What `encounters` returns for that family, `num_tasks` and `seed`, if several agents are to share it.
        protocol: Which episodes to live through, and by which to be judged; None: one trial. `explore` has no effect
            then: while it adapts an agent acts as in training, and judged by the best action known.
        on_progress: Called with the number of tasks done so far.

    Raises:
        UseError: if an argument is none that it takes.
        EnvironmentContractError: if the return of an episode is NaN: the environment did something that it must not, or
            the agent put out an action that is none.
        DivergenceError: if what an agent learns in a task becomes NaN or infinite.
    """
    run = prepare(agent, num_tasks=num_tasks, seed=seed, explore=explore, family=family, met=met, protocol=protocol)
    return run(agent.meta, on_progress)


def prepare(
    agent: TrainedAgent,
    *,
    num_tasks: int,
    seed: int = 0,
    explore: bool = False,
    family: TaskDistribution | None = None,
    met: Encounters | None = None,
    protocol: Protocol | None = None,
) -> "PreparedEvaluation":
    """What `evaluate` does, for whoever does it again and again as an agent learns: it is compiled once.

    Arguments are those of `evaluate`; the agent's θ is not looked at.

    Returns:
        A function of θ and of `on_progress`, which raises what `evaluate` raises.

    Raises:
        UseError: if an argument is none that it takes.
    """
    instance("evaluate(agent)", agent, TrainedAgent, "An untrained one: TrainedAgent.initial(algorithm, problem)")
    num_tasks, seed = whole_number("evaluate(num_tasks)", num_tasks, 1), seed_number("evaluate(seed)", seed)
    explore, family = flag("evaluate(explore)", explore), agent.problem.test if family is None else family
    instance("evaluate(family)", family, TaskDistribution, "Those of a problem are problem.test, .train and .shifted")
    if met is not None and len(met.keys) != num_tasks:
        raise UseError(
            f"evaluate(met): expected {num_tasks} tasks, as num_tasks says; found {len(met.keys)}; nothing was done"
        )
    tasks, keys = encounters(family, num_tasks, seed) if met is None else met
    adapts, with_evaluation = agent.learns_from_windows, agent.has_evaluation_episodes
    if protocol is not None:
        check_windows(agent, protocol)

    def trial(agent: TrainedAgent, task: Task, key: Key[Array, ""]) -> TrialResult:
        if protocol is not None:
            return protocol_trial(agent, protocol, task, key)
        algorithm, problem, meta = agent.algorithm, agent.problem, agent.meta
        return evaluate_trial(
            algorithm, problem, meta, task, key, explore=explore or adapts, with_evaluation=with_evaluation
        )

    return PreparedEvaluation(PreparedTrials(agent, trial, num_tasks), agent, Encounters(tasks, keys), protocol)


@dataclasses.dataclass(frozen=True)
class PreparedEvaluation:
    """What `prepare` returns; it is compiled once.

    Attributes:
        run: Runs the trials.
        agent: The agent; its θ is not looked at.
        met: What it meets.
        protocol: Which episodes to live through, and by which to be judged; None: one trial.
    """

    run: PreparedTrials
    agent: TrainedAgent
    met: Encounters
    protocol: Protocol | None

    def __call__(self, meta: PyTree[Array], on_progress: Callable[[int], None]) -> Evaluation:
        """Evaluate θ; raises what `evaluate` raises."""
        found = self.run(meta, *self.met, on_progress)
        parts = found.returns, found.steps, found.evaluation_episodes
        title, successes = self.agent.title, (found.successes, found.evaluation_successes)
        result = Evaluation(*parts, title, *successes, self.protocol)
        _check(self.agent, found.sound, result)
        return result

    def lower(self) -> Any:
        """Trace it: what is returned may be compiled in another thread, which a call then finds."""
        return self.run.lower(self.agent.meta, *self.met)


def _check(agent: TrainedAgent, sound: np.ndarray, evaluation: Evaluation) -> None:
    """Refuse what is not finite; `sound[seed, task]`: whether all that was learned there is."""
    algorithm, problem = agent.algorithm, agent.problem
    for what, values in (("episode", evaluation.returns), ("evaluation episode", evaluation.evaluation_episodes)):
        if values is not None and not np.isfinite(values).all():
            seed, task, index = np.argwhere(~np.isfinite(values))[0]
            error = EnvironmentContractError(
                f"{type(problem.env).__name__}: task {task}, {what} {index + 1}, {type(algorithm).__name__}: the "
                f"return is {values[seed, task, index]:g}. The environment broke its contract, or the agent's action "
                "was none; `adaptax check-env` finds more"
            )
            error.task, error.trained = int(task), int(seed)
            raise error
    if not sound.all():
        seed, task = np.argwhere(~sound)[0]
        raise DivergenceError(
            f"task {task}: what {type(algorithm).__name__} learned in it became NaN or infinite, and in "
            f"{np.sum(~sound) - 1} more of {sound.size} trials. Lower its learning rate"
        )
