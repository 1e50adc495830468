"""Run agents in the same new tasks, and put together all that is said of them beside each other.

What comes out is plain data: the report, its pictures and the tables read nothing else, so the JSON file holds
everything that they show.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from adaptax.core.problem import Problem, TaskDistribution
from adaptax.core.trained_agent import TrainedAgent
from adaptax.evaluation.adaptation_curve import AdaptationCurve, adaptation_curve, merged
from adaptax.evaluation.comparison_statistics import (
    RESAMPLES,
    THRESHOLDS,
    FamilyResult,
    Reference,
    TimeToThreshold,
    gap,
    improvement,
    interval_of,
    normalized_scores,
    performance,
    regret,
    relative_cost,
    resample,
    times_to_thresholds,
)
from adaptax.evaluation.encounters import encounters, evaluation_key, tasks_are_held_out
from adaptax.evaluation.evaluator import Evaluation, evaluate
from adaptax.evaluation.exploration import Behaviour, action_statistics, expected_rewards, is_bandit, watch
from adaptax.evaluation.statistics import Figure, Resamples, stderr

RANDOM = "random"
REFERENCE = "reference"
"""The kind of agents that others are measured by: they are not among those that come first."""
HELD_OUT, TRAINING, SHIFTED = "held-out", "training", "shifted"
WATCHED = 100
"""Tasks in which actions are watched where there are states: each has many actions. In bandits, all of a family."""

OnProgress = Callable[[int, str], None]
"""Called with the number of trials done so far, and what is going on."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """How much to measure.

    Attributes:
        tasks: Held-out tasks.
        family_tasks: Tasks of each other family.
        seed: Decides the tasks and all randomness.
        explore: Whether agents act as in training; otherwise by the best action known, where they do not learn from
            windows.
    """

    tasks: int
    family_tasks: int
    seed: int
    explore: bool = False

    def families(self, problem: Problem) -> dict[str, tuple[TaskDistribution, int, int]]:
        """Each family with its number of tasks and its seed: the same draws for two families would be paired tasks."""
        seeds = [(self.seed + i) % 2**31 for i in range(3)]
        families = {
            TRAINING: (problem.train, self.family_tasks, seeds[1]),
            HELD_OUT: (problem.test, self.tasks, seeds[0]),
        }
        if problem.shifted is not None:
            families[SHIFTED] = (problem.shifted, self.family_tasks, seeds[2])
        return families

    def watched(self, problem: Problem) -> int:
        """Number of held-out tasks in which actions are watched."""
        return min(self.tasks, self.family_tasks if is_bandit(problem) else WATCHED)

    def num_trials(self, problem: Problem, *, early: bool = False) -> int:
        """Trials of an agent, to show how far it is; `early`: it is asked in a shorter trial too."""
        trials = sum(count for _, count, _ in self.families(problem).values())
        return trials + early * self.tasks + self.watched(problem)


@dataclasses.dataclass(frozen=True)
class AgentTrials:
    """All that was seen of an agent.

    Attributes:
        evaluations: By family.
        curve: What it is able to do in held-out tasks.
        behaviour: What it does there.
    """

    evaluations: Mapping[str, Evaluation]
    curve: AdaptationCurve
    behaviour: Behaviour


def run_agent(
    problem: Problem, agent: TrainedAgent, plan: Plan, on_progress: OnProgress, early: TrainedAgent | None = None
) -> AgentTrials:
    """Run an agent wherever the plan says, and with a shorter trial as `early`."""
    done = 0

    def progress(what: str) -> Callable[[int], None]:
        return lambda trials: on_progress(done + trials, f"{agent.name}: {what}")

    evaluations = {}
    for name, (family, count, seed) in plan.families(problem).items():
        report = progress(f"{name} tasks")
        evaluations[name] = evaluate(
            agent, num_tasks=count, seed=seed, explore=plan.explore, family=family, on_progress=report
        )
        done += count
    curve = adaptation_curve(evaluations[HELD_OUT])
    if early is not None:
        begun = evaluate(early, num_tasks=plan.tasks, seed=plan.seed, on_progress=progress("early episodes"))
        done += plan.tasks
        if begun.evaluation_episodes is not None and curve.from_evaluation:
            curve = merged(curve, adaptation_curve(begun))
    behaviour = watch(
        agent, num_tasks=plan.watched(problem), seed=plan.seed, explore=plan.explore, pulls=is_bandit(problem),
        on_progress=progress("actions"),
    )  # fmt: skip
    return AgentTrials(evaluations, curve, behaviour)


def floor_of(evaluation: Evaluation) -> np.ndarray:
    """Mean return of an episode of what does the same in all, `[task]`: random actions, or a policy without memory."""
    return evaluation.returns.mean((0, 2), dtype=np.float64)


def oracle_of(family: TaskDistribution, num_tasks: int, seed: int) -> np.ndarray | None:
    """Return of an episode for a policy that knows the task, `[task]`, of the tasks of `evaluate`; None if unknown."""
    tasks, _ = encounters(family, num_tasks, seed)
    found = np.asarray(jax.jit(jax.vmap(family.oracle))(tasks), np.float64)
    return found if np.isfinite(found).all() else None


def reference_of(
    agents: Sequence[TrainedAgent],
    seen: Mapping[str, AgentTrials],
    oracle: np.ndarray | None,
    informed: str | None = None,
) -> Reference:
    """What is 0 and 1 in held-out tasks: random, and the exact oracle or, where it is unknown, the best that is known.

    That is the Bayes-optimal agent's last episode if it is known, else all episodes of a policy that was trained and is
    told the task (`informed`, an agent's name), else the best agent's last ones.
    """
    floor = floor_of(seen[RANDOM].evaluations[HELD_OUT])
    if oracle is not None:
        return Reference(floor, oracle, "a policy that knows the task (exact)")
    optima = [agent.problem.optimum for agent in agents if agent.problem.optimum is not None]
    if optima:
        last = max(optima, key=len)[-1]
        return Reference(floor, np.full(len(floor), last), "the Bayes-optimal agent's last episode (exact)")
    if informed is not None:
        policy = next(agent for agent in agents if agent.name == informed)
        how = f"{policy.about['algorithm']}, {policy.about['updates']:,} updates"
        return Reference(
            floor,
            floor_of(seen[informed].evaluations[HELD_OUT]),
            f"the trained informed policy ({how}; told the task, no exact optimum)",
        )
    lasts = {name: trials.curve.recent(trials.curve.trial)[1] for name, trials in seen.items()}
    best = max(lasts, key=lambda name: float(lasts[name].mean()))
    return Reference(
        floor, lasts[best].mean(0), f"the last episodes of {best}, the best agent here (no oracle is known)"
    )


def family_results(
    problem: Problem, seen: Mapping[str, AgentTrials], plan: Plan, held_out: np.ndarray | None
) -> dict[str, dict[str, FamilyResult]]:
    """Each agent in each family, by name and family."""
    families = plan.families(problem)
    oracles = {
        name: held_out if name == HELD_OUT else oracle_of(family, count, seed)
        for name, (family, count, seed) in families.items()
    }
    found: dict[str, dict[str, FamilyResult]] = {name: {} for name in seen}
    for family, oracle in oracles.items():
        floor = floor_of(seen[RANDOM].evaluations[family])
        reference = None if oracle is None else Reference(floor, oracle, "")
        for name, trials in seen.items():
            curve = adaptation_curve(trials.evaluations[family])
            found[name][family] = FamilyResult(curve.returns[..., 0], curve.recent(curve.trial)[1], reference, floor)
    return found


def generalisation(mine: Mapping[str, FamilyResult], resamples: Mapping[str, Resamples]) -> dict[str, Any]:
    """One agent's figures in each family, and the gaps between them."""

    def between(near: str, far: str) -> dict[str, Any]:
        return gap(mine[near], mine[far], resamples[near], resamples[far])

    gaps = {f"{HELD_OUT} − {TRAINING}": between(TRAINING, HELD_OUT)}
    if SHIFTED in mine:
        gaps[f"{SHIFTED} − {HELD_OUT}"] = between(HELD_OUT, SHIFTED)
    return {"families": {name: result.figures(resamples[name]) for name, result in mine.items()}, "gaps": gaps}


def _soonest(found: Mapping[str, Mapping[float, TimeToThreshold]], threshold: float) -> str | None:
    """Who reaches a threshold first; None if nobody does."""
    episodes = {name: times[threshold].episode.value for name, times in found.items()}
    first = min(episodes, key=lambda name: episodes[name])
    return first if math.isfinite(episodes[first]) else None


def efficiency(
    found: Mapping[str, Mapping[float, TimeToThreshold]],
    name: str,
    among: Mapping[str, Mapping[float, TimeToThreshold]],
) -> dict[str, Any]:
    """When one agent reaches each threshold, and how many times as many episodes it takes as the fastest of `among`."""
    content = {}
    for threshold, time in found[name].items():
        first = _soonest(among, threshold)
        ratio = None
        if first is not None:
            fastest = found[first][threshold]
            at_least = None if math.isfinite(time.episode.value) else time.within / fastest.episode.value
            ratio = {**relative_cost(time, fastest).to_json(), "fastest": first, "more_than": at_least}
        content[f"{threshold:g}"] = {**time.to_json(), "times": ratio}
    return content


def pairs(seen: Mapping[str, AgentTrials], resamples: Mapping[str, Resamples]) -> list[dict[str, Any]]:
    """Probability of improvement of every pair, each once."""
    names = list(seen)
    return [
        {"first": a, "second": b, **improvement(seen[a].curve, seen[b].curve, resamples[a], resamples[b])}
        for number, a in enumerate(names)
        for b in names[number + 1 :]
    ]


def how_measured(agent: TrainedAgent, curve: AdaptationCurve, *, explore: bool) -> str:
    """How performance was measured, in a line."""
    if curve.from_evaluation:
        return "best action known, on further episodes that it does not learn from"
    if agent.learns_from_windows:
        return "in the trial itself, exploring"
    return "in the trial itself, acting as in training" if explore else "in the trial itself, by its mode"


def described(agent: TrainedAgent, curve: AdaptationCurve, *, explore: bool) -> dict[str, Any]:
    """What the figures say of an agent itself: what it is, how long its trial is and how it was measured."""
    return {
        "kind": agent.kind,
        **agent.about,
        "training_seeds": agent.num_seeds,
        "trial": agent.problem.episodes,
        "measured": how_measured(agent, curve, explore=explore),
    }


def warnings_of(problem: Problem, seen: Mapping[str, AgentTrials], oracle: np.ndarray | None) -> list[str]:
    """What a reader of the figures must know."""
    said = []
    if not tasks_are_held_out(problem):
        said.append("This family is a small finite set of tasks; the held-out tasks are those of training.")
    for name, trials in seen.items():
        if oracle is not None:
            above = trials.curve.recent(trials.curve.trial)[1] - oracle
            if float(above.mean()) > 3 * stderr(above) + 1e-5 * abs(float(oracle.mean())):
                said.append(
                    f"{name} is above a policy that knows the task by more than 3 standard errors at its end, "
                    f"by {float(above.mean()):.3g}: a leak?"
                )
    return said


def compare(
    problem: Problem,
    agents: Sequence[TrainedAgent],
    plan: Plan,
    on_progress: OnProgress = lambda done, text: None,
    *,
    early: Mapping[str, TrainedAgent] | None = None,
    informed: str | None = None,
) -> dict[str, Any]:
    """Run all agents, and return everything that is to be said of them, as plain data.

    Args:
        problem: The problem itself, with any number of episodes.
        agents: Agents with different names, one of them `random`; their problems differ in the number of episodes
            and in what agents see, no more.
        plan: How much to measure.
        on_progress: Called with the number of trials done so far, and what is going on.
        early: By name, learners from scratch with a shorter trial: in it they are asked more often what they know.
        informed: Name of the agent that is told the task, if there is one: where no optimum is known it is what the
            others are measured by.
    """
    early, done, seen = early or {}, 0, {}
    for agent in agents:
        shorter = early.get(agent.name)
        seen[agent.name] = run_agent(
            problem, agent, plan, lambda trials, text, done=done: on_progress(done + trials, text), shorter
        )
        done += plan.num_trials(problem, early=shorter is not None)
    oracle = oracle_of(problem.test, plan.tasks, plan.seed)
    reference = reference_of(agents, seen, oracle, informed)
    families = {name: (count, seed) for name, (_, count, seed) in plan.families(problem).items()}
    resamples = _resamples(agents, [(name, count) for name, (count, _) in families.items()])
    return {
        "reference": _ends(reference, resamples[RANDOM][HELD_OUT], oracle),
        "thresholds": list(THRESHOLDS),
        "agents": _figures(problem, agents, plan, seen, reference, resamples, oracle),
        "pairs": pairs(seen, {name: by_family[HELD_OUT] for name, by_family in resamples.items()}),
        "families": {name: {"tasks": count, "seed": seed} for name, (count, seed) in families.items()},
        "shift": problem.shift,
        "resamples": RESAMPLES,
        "watched_tasks": plan.watched(problem),
        "horizon": problem.env.horizon,
        "bandit": is_bandit(problem),
        "warnings": warnings_of(problem, seen, oracle),
    }


def _figures(
    problem: Problem,
    agents: Sequence[TrainedAgent],
    plan: Plan,
    seen: Mapping[str, AgentTrials],
    reference: Reference,
    resamples: Mapping[str, Mapping[str, Resamples]],
    oracle: np.ndarray | None,
) -> dict[str, Any]:
    """What is to be said of each agent, by name."""
    held = {name: by_family[HELD_OUT] for name, by_family in resamples.items()}
    scores = {name: normalized_scores(trials.curve, reference, held[name]) for name, trials in seen.items()}
    times = {name: times_to_thresholds(trials.curve, scores[name]) for name, trials in seen.items()}
    learning = {agent.name: times[agent.name] for agent in agents if agent.kind != REFERENCE}
    results, expected = family_results(problem, seen, plan, oracle), _expected(problem, plan)
    common = min(agent.problem.episodes for agent in agents)
    content = {}
    for number, agent in enumerate(agents):
        name, trials = agent.name, seen[agent.name]
        content[name] = {
            **described(agent, trials.curve, explore=plan.explore),
            "performance": performance(trials.curve, scores[name], held[name]),
            "reaches": efficiency(times, name, learning),
            **generalisation(results[name], resamples[name]),
            "regret": regret(trials.evaluations[HELD_OUT].returns, reference.target, held[name], common),
            "exploration": action_statistics(trials.behaviour, expected, number),
        }
    return content


def _resamples(agents: Sequence[TrainedAgent], families: Sequence[tuple[str, int]]) -> dict[str, dict[str, Resamples]]:
    """Resamples by agent and family: seeds are an agent's own, tasks are common to all."""
    return {
        agent.name: {
            family: resample(agent.num_seeds, count, agent=number, family=place)
            for place, (family, count) in enumerate(families)
        }
        for number, agent in enumerate(agents)
    }


def _expected(problem: Problem, plan: Plan) -> np.ndarray | None:
    """Expected rewards of the arms of the watched tasks of a bandit; None elsewhere."""
    if not is_bandit(problem):
        return None
    tasks, _ = encounters(problem.test, plan.watched(problem), plan.seed)
    return expected_rewards(problem, tasks, evaluation_key(plan.seed, "expected rewards"))


def _ends(reference: Reference, resamples: Resamples, oracle: np.ndarray | None) -> dict[str, Any]:
    """What has the normalized scores 0 and 1."""
    ends = {"random": reference.floor, "target": reference.target}
    figures = {
        name: Figure(float(x.mean()), interval_of(x @ resamples.task_weights)).to_json() for name, x in ends.items()
    }
    return {"label": reference.label, "exact": oracle is not None, **figures}
