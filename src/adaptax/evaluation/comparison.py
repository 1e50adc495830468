"""Let agents live in the same new tasks, and put together all that is said of them beside each other.

What comes out is plain data: the report, its pictures and the tables read nothing else, so the JSON file holds
everything that they show.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from adaptax.core.algorithm import Algorithm, init
from adaptax.core.problem import Problem, TaskDistribution
from adaptax.evaluation.comparison_statistics import (
    RESAMPLES,
    THRESHOLDS,
    Crossing,
    Curve,
    Draws,
    Figure,
    Place,
    Reference,
    crossings,
    curve_of,
    draw,
    evenly,
    gap,
    improvement,
    interval_of,
    merged,
    performance,
    regret,
    spread_of,
    times,
    way_of,
)
from adaptax.evaluation.evaluator import Evaluation, encounters, evaluate, learns_from_windows, tasks_are_held_out
from adaptax.evaluation.exploration import Behaviour, expected_rewards, is_bandit, off_best_mean, pulls_by_rank, watch
from adaptax.evaluation.statistics import stderr

RANDOM = "random"
HELD_OUT, TRAINING, SHIFTED = "held-out", "training", "shifted"
WATCHED = 100
"""Tasks in which actions are watched where there are states: each has many actions. In bandits, all of a family."""

Say = Callable[[int, str], None]


@dataclasses.dataclass(frozen=True)
class Entrant:
    """An agent in a comparison.

    Attributes:
        name: What it is called.
        kind: "meta-trained", "from scratch" or "classical".
        algorithm: How it acts and adapts.
        problem: The problem as it sees it, with its own number of episodes.
        meta: θ; with a leading seed axis if there are several seeds.
        num_seeds: Its training seeds.
        early: For learners from nothing: the same with a shorter trial, in which they are asked more often.
        about: What else is to be written down of it.
    """

    name: str
    kind: str
    algorithm: Algorithm
    problem: Problem
    meta: Any
    num_seeds: int = 1
    early: Problem | None = None
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)


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

    def work(self, problem: Problem, entrant: Entrant) -> int:
        """Lives of an entrant, to show how far it is."""
        lives = sum(count for _, count, _ in self.families(problem).values())
        return lives + (entrant.early is not None) * self.tasks + self.watched(problem)


@dataclasses.dataclass(frozen=True)
class Lived:
    """All that was seen of an entrant.

    Attributes:
        evaluations: By family.
        curve: What it is able to do in held-out tasks.
        behaviour: What it does there.
    """

    evaluations: Mapping[str, Evaluation]
    curve: Curve
    behaviour: Behaviour


def live(problem: Problem, entrant: Entrant, plan: Plan, say: Say) -> Lived:
    """Let an entrant live wherever the plan says; `say` is called with the lives done so far."""
    done, seeds = 0, entrant.num_seeds > 1

    def progress(what: str) -> Callable[[int], None]:
        return lambda lives: say(done + lives, f"{entrant.name}: {what}")

    evaluations = {}
    for name, (family, count, seed) in plan.families(problem).items():
        evaluations[name] = evaluate(
            entrant.algorithm, entrant.problem, entrant.meta,
            num_tasks=count, seed=seed, seeds=seeds, explore=plan.explore, family=family,
            on_progress=progress(f"{name} tasks"),
        )  # fmt: skip
        done += count
    curve = curve_of(evaluations[HELD_OUT])
    if entrant.early is not None:
        early = evaluate(
            entrant.algorithm, entrant.early, init(entrant.algorithm, entrant.early, seed=plan.seed).meta,
            num_tasks=plan.tasks, seed=plan.seed, on_progress=progress("early episodes"),
        )  # fmt: skip
        done += plan.tasks
        if early.shots is not None and curve.probed:
            curve = merged(curve, curve_of(early))
    behaviour = watch(
        entrant.algorithm, entrant.problem, entrant.meta,
        num_tasks=plan.watched(problem), seed=plan.seed, seeds=seeds, explore=plan.explore, pulls=is_bandit(problem),
        on_progress=progress("actions"),
    )  # fmt: skip
    return Lived(evaluations, curve, behaviour)


def floor_of(evaluation: Evaluation) -> np.ndarray:
    """Mean return of an episode of random actions, `[task]`."""
    return evaluation.returns.mean((0, 2), dtype=np.float64)


def oracle_of(family: TaskDistribution, num_tasks: int, seed: int) -> np.ndarray | None:
    """Return of an episode for a policy that knows the task, `[task]`, of the tasks of `evaluate`; None if unknown."""
    tasks, _ = encounters(family, num_tasks, seed)
    found = np.asarray(jax.jit(jax.vmap(family.oracle))(tasks), np.float64)
    return found if np.isfinite(found).all() else None


def reference_of(entrants: Sequence[Entrant], lived: Mapping[str, Lived], oracle: np.ndarray | None) -> Reference:
    """The way in held-out tasks: from random to the exact oracle or, where that is unknown, to the best that is known.

    That is the Bayes-optimal agent's last episode if it is known, else the best agent's last ones.
    """
    floor = floor_of(lived[RANDOM].evaluations[HELD_OUT])
    if oracle is not None:
        return Reference(floor, oracle, "a policy that knows the task (exact)")
    optima = [entrant.problem.optimum for entrant in entrants if entrant.problem.optimum is not None]
    if optima:
        last = max(optima, key=len)[-1]
        return Reference(floor, np.full(len(floor), last), "the Bayes-optimal agent's last episode (exact)")
    lasts = {name: life.curve.recent(life.curve.trial)[1] for name, life in lived.items()}
    best = max(lasts, key=lambda name: float(lasts[name].mean()))
    return Reference(
        floor, lasts[best].mean(0), f"the last episodes of {best}, the best agent here (no oracle is known)"
    )


def places(
    problem: Problem, lived: Mapping[str, Lived], plan: Plan, held_out: np.ndarray | None
) -> dict[str, dict[str, Place]]:
    """Each entrant in each family, by name and family."""
    families = plan.families(problem)
    oracles = {
        name: held_out if name == HELD_OUT else oracle_of(family, count, seed)
        for name, (family, count, seed) in families.items()
    }
    found: dict[str, dict[str, Place]] = {name: {} for name in lived}
    for family, oracle in oracles.items():
        floor = floor_of(lived[RANDOM].evaluations[family])
        reference = None if oracle is None else Reference(floor, oracle, "")
        for name, life in lived.items():
            curve = curve_of(life.evaluations[family])
            found[name][family] = Place(curve.returns[..., 0], curve.recent(curve.trial)[1], reference, floor)
    return found


def generalisation(mine: Mapping[str, Place], draws: Mapping[str, Draws]) -> dict[str, Any]:
    """One entrant's figures in each family, and the gaps between them."""
    gaps = {f"{HELD_OUT} − {TRAINING}": gap(mine[TRAINING], mine[HELD_OUT], draws[TRAINING], draws[HELD_OUT])}
    if SHIFTED in mine:
        gaps[f"{SHIFTED} − {HELD_OUT}"] = gap(mine[HELD_OUT], mine[SHIFTED], draws[HELD_OUT], draws[SHIFTED])
    return {"families": {name: place.figures(draws[name]) for name, place in mine.items()}, "gaps": gaps}


def shares_of(values: np.ndarray, agent: int, first: int = 1) -> dict[str, Any]:
    """A share in each episode from `first` on, `[seed, task, episode]`, averaged as performance is, and over all."""
    trial = values.shape[-1] + first - 1
    curve = Curve(np.arange(first, trial + 1), values, np.zeros(values.shape[-1]), trial, False)
    points = np.flatnonzero(curve.complete)
    points = points[evenly(len(points))]
    draws = draw(*values.shape[:2], agent=agent)
    total = spread_of(values.mean(-1, keepdims=True), draws)[0]
    shown = curve.windowed(values, -1)[..., points]
    return {"total": total, "episodes": curve.episodes[points].tolist(), "share": spread_of(shown, draws)}


def doings(behaviour: Behaviour, expected: np.ndarray | None, agent: int) -> dict[str, Any]:
    """Share of exploring actions, and pulls of each arm by its rank in a bandit."""
    own = None if behaviour.exploring is None else shares_of(behaviour.exploring, agent)
    content: dict[str, Any] = {"not_its_own_best": own, "reason": behaviour.reason}
    if expected is not None:
        assert behaviour.actions is not None
        assert behaviour.rewards is not None
        arms, trial = expected.shape[1], behaviour.actions.shape[-1]
        if trial > 1:
            content["not_the_best_mean"] = shares_of(
                off_best_mean(behaviour.actions, behaviour.rewards, arms), agent, first=2
            )
        pulls = pulls_by_rank(behaviour.actions, expected)
        content["pulls_by_rank"] = spread_of(pulls, draw(*pulls.shape[:2], agent=agent))
    return content


def _sooner(found: Mapping[str, Mapping[float, Crossing]], threshold: float) -> str | None:
    """Who reaches a threshold first; None if nobody does."""
    episodes = {name: crossing[threshold].episode.value for name, crossing in found.items()}
    first = min(episodes, key=lambda name: episodes[name])
    return first if math.isfinite(episodes[first]) else None


def efficiency(found: Mapping[str, Mapping[float, Crossing]], name: str) -> dict[str, Any]:
    """When one entrant reaches each threshold, and how many times as many episodes it takes as the fastest."""
    content = {}
    for threshold, crossing in found[name].items():
        first = _sooner(found, threshold)
        ratio = None
        if first is not None:
            fastest = found[first][threshold]
            at_least = None if math.isfinite(crossing.episode.value) else crossing.within / fastest.episode.value
            ratio = {**times(crossing, fastest).to_json(), "fastest": first, "more_than": at_least}
        content[f"{threshold:g}"] = {**crossing.to_json(), "times": ratio}
    return content


def pairs(lived: Mapping[str, Lived], draws: Mapping[str, Draws]) -> list[dict[str, Any]]:
    """Probability of improvement of every pair, each once."""
    names = list(lived)
    return [
        {"first": a, "second": b, **improvement(lived[a].curve, lived[b].curve, draws[a], draws[b])}
        for number, a in enumerate(names)
        for b in names[number + 1 :]
    ]


def acts(entrant: Entrant, curve: Curve, *, explore: bool) -> str:
    """How performance was measured, in a line."""
    if curve.probed:
        return "best action known, on further episodes that it does not learn from"
    if learns_from_windows(entrant.algorithm, entrant.problem):
        return "as lived, exploring"
    return "as lived, acting as in training" if explore else "as lived, by its mode"


def described(entrant: Entrant, curve: Curve, *, explore: bool) -> dict[str, Any]:
    """Who an entrant is."""
    return {
        "kind": entrant.kind,
        **entrant.about,
        "training_seeds": entrant.num_seeds,
        "trial": entrant.problem.episodes,
        "measured": acts(entrant, curve, explore=explore),
    }


def warnings_of(problem: Problem, lived: Mapping[str, Lived], oracle: np.ndarray | None) -> list[str]:
    """What a reader of the figures must know."""
    said = []
    if not tasks_are_held_out(problem):
        said.append("This family is a small finite set of tasks; the held-out tasks are those of training.")
    for name, life in lived.items():
        if oracle is not None:
            above = life.curve.recent(life.curve.trial)[1] - oracle
            if float(above.mean()) > 3 * stderr(above) + 1e-5 * abs(float(oracle.mean())):
                said.append(
                    f"{name} is above a policy that knows the task by more than 3 standard errors at its end, "
                    f"by {float(above.mean()):.3g}: a leak?"
                )
    return said


def compare(
    problem: Problem, entrants: Sequence[Entrant], plan: Plan, say: Say = lambda done, text: None
) -> dict[str, Any]:
    """Let all entrants live, and return everything that is to be said of them, as plain data.

    Args:
        problem: The problem itself, with any number of episodes.
        entrants: Agents with different names, one of them `random`; their problems differ in the number of episodes
            and in what agents see, no more.
        plan: How much to measure.
        say: Called with the number of lives done so far, and what is going on.
    """
    done, lived = 0, {}
    for entrant in entrants:
        lived[entrant.name] = live(problem, entrant, plan, lambda lives, text, done=done: say(done + lives, text))
        done += plan.work(problem, entrant)
    oracle = oracle_of(problem.test, plan.tasks, plan.seed)
    reference = reference_of(entrants, lived, oracle)
    families = plan.families(problem)
    draws = _draws(entrants, [(family, count) for family, (_, count, _) in families.items()])
    held = {name: by_family[HELD_OUT] for name, by_family in draws.items()}
    ways = {name: way_of(life.curve, reference, held[name]) for name, life in lived.items()}
    found = {name: crossings(life.curve, ways[name]) for name, life in lived.items()}
    where, expected = places(problem, lived, plan, oracle), _expected(problem, plan)
    common = min(entrant.problem.episodes for entrant in entrants)
    agents = {}
    for number, entrant in enumerate(entrants):
        name, life = entrant.name, lived[entrant.name]
        agents[name] = {
            **described(entrant, life.curve, explore=plan.explore),
            "performance": performance(life.curve, ways[name], held[name]),
            "reaches": efficiency(found, name),
            **generalisation(where[name], draws[name]),
            "regret": regret(life.evaluations[HELD_OUT].returns, reference.target, held[name], common),
            "exploration": doings(life.behaviour, expected, number),
        }
    return {
        "reference": _ends(reference, held[RANDOM], oracle),
        "thresholds": list(THRESHOLDS),
        "agents": agents,
        "pairs": pairs(lived, held),
        "families": {name: {"tasks": count, "seed": seed} for name, (_, count, seed) in families.items()},
        "shift": problem.shift,
        "resamples": RESAMPLES,
        "watched_tasks": plan.watched(problem),
        "horizon": problem.env.horizon,
        "bandit": is_bandit(problem),
        "warnings": warnings_of(problem, lived, oracle),
    }


def _draws(entrants: Sequence[Entrant], families: Sequence[tuple[str, int]]) -> dict[str, dict[str, Draws]]:
    """Resamples by entrant and family: seeds are an entrant's own, tasks are common to all."""
    return {
        entrant.name: {
            family: draw(entrant.num_seeds, count, agent=agent, family=number)
            for number, (family, count) in enumerate(families)
        }
        for agent, entrant in enumerate(entrants)
    }


def _expected(problem: Problem, plan: Plan) -> np.ndarray | None:
    """Expected rewards of the arms of the watched tasks of a bandit; None elsewhere."""
    if not is_bandit(problem):
        return None
    tasks, _ = encounters(problem.test, plan.watched(problem), plan.seed)
    return expected_rewards(problem, tasks, jax.random.fold_in(jax.random.key(plan.seed), 1))


def _ends(reference: Reference, draws: Draws, oracle: np.ndarray | None) -> dict[str, Any]:
    """The two ends of the way."""
    ends = {"random": reference.floor, "target": reference.target}
    figures = {name: Figure(float(x.mean()), interval_of(x @ draws.tasks)).to_json() for name, x in ends.items()}
    return {"label": reference.label, "exact": oracle is not None, **figures}
