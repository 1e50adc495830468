"""What an agent does in a few tasks, step by step, to be shown; and what it earns in each family of tasks.

It is the evaluator's own trial: the same rollout, the same tasks and the same randomness for the same seed and number
of tasks. One compiled program serves all families.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from adaptax.core.problem import Problem, TaskDistribution
from adaptax.core.rollout import num_evaluations, trial_and_evaluations
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.trial_result import result_of
from adaptax.core.types import Task, Transition, key_data
from adaptax.evaluation.encounters import Encounters, encounters, evaluation_key, oracle_return
from adaptax.evaluation.exploration import is_bandit
from adaptax.evaluation.statistics import margin_95
from adaptax.evaluation.trials import PreparedTrials

MOST_EPISODES = 12
"""Of a trial, so many episodes are shown at most; of more, they get sparser. Pulls of a bandit are all shown."""
MOST_PULLS = 2000
SAMPLED = 2
"""Of an agent that learns from windows, so many of the episodes are shown that it learned from, for each window."""
MOST_NUMBERS = 50_000_000
"""Numbers that a program may return: of long trials, fewer tasks are run at once."""
FAMILIES = ("held-out", "training", "shifted")
QUICKLY: dict[str, bool | str | int | float] = {"xla_backend_optimization_level": 0}
"""How a program is compiled that runs once, in few tasks: to optimise it takes longer."""


class Episode(NamedTuple):
    """Which episode of a trial is shown.

    Attributes:
        number: Which of the trial, from 0; of evaluation episodes, which evaluation.
        stage: How often the agent had changed its parameters before it; 0 for agents that learn by remembering.
        known: Whether it is an evaluation episode: by the best action known, and nothing is learned from it.
    """

    number: int
    stage: int
    known: bool


@dataclasses.dataclass(frozen=True)
class Recording:
    """Trials in a few tasks, step by step.

    Attributes:
        problem: Where.
        tasks: Leaves `[task, ...]`.
        episodes: Which episodes of each trial there are, in the order in which they are to be shown.
        total: Episodes of a trial.
        observations: What was seen before each step, and after the last, `[task, episode, step + 1, ...]`.
        actions: What was done, `[task, episode, step, ...]`.
        rewards: What it brought, `[task, episode, step]`.
        valid: Whether the step took place: not after an early end, `[task, episode, step]`.
    """

    problem: Problem
    tasks: Task
    episodes: tuple[Episode, ...]
    total: int
    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    valid: np.ndarray


class FamilyReturns(NamedTuple):
    """What an agent earns in one family of tasks.

    Attributes:
        tasks: How many.
        first: Mean return of an episode before anything is learned.
        last: The same of one at the end of the trial (of agents that learn from windows: by the best action known).
        first_margin: How far the 95 % interval over tasks reaches to each side.
        last_margin: The same of `last`.
        oracle: Mean return of an episode for a policy that knows the tasks; NaN if unknown.
    """

    tasks: int
    first: float
    last: float
    first_margin: float
    last_margin: float
    oracle: float


def shown_episodes(agent: TrainedAgent) -> tuple[Episode, ...]:
    """Which episodes of a trial are worth showing."""
    problem, total = agent.problem, agent.problem.episodes
    if is_bandit(problem):
        return tuple(Episode(index, 0, False) for index in range(min(total, MOST_PULLS)))
    if not agent.has_evaluation_episodes:
        indices = np.unique(np.round(np.geomspace(1, total, MOST_EPISODES)).astype(int)) - 1
        indices = np.arange(total) if total <= MOST_EPISODES else indices
        return tuple(Episode(int(index), 0, False) for index in indices)
    evaluations = num_evaluations(agent.algorithm, problem)
    few = np.arange(evaluations)
    if evaluations > MOST_EPISODES // 2:
        few = np.unique(np.round(np.geomspace(1, evaluations, MOST_EPISODES // 2)).astype(int)) - 1
    shown, between = [], total // evaluations
    for stage in map(int, few):
        sampled = range(stage * between, stage * between + min(SAMPLED, between))
        shown += [Episode(index, stage, False) for index in sampled] if stage < evaluations - 1 else []
        shown.append(Episode(stage, stage, True))
    return tuple(shown)


class Recorder:
    """Runs trials and keeps what is to be shown; compiled once for all families of tasks."""

    def __init__(
        self,
        agent: TrainedAgent,
        *,
        num_tasks: int,
        seed: int = 0,
        explore: bool = False,
        met: Encounters | None = None,
    ):
        """Prepare it.

        Args:
            agent: The agent, of one training seed.
            num_tasks: Tasks of each family; of long trials, fewer are run.
            seed: Decides tasks and randomness.
            explore: As in `evaluate`.
            met: The held-out tasks of an evaluation, of which the first are taken; None: they are drawn.
        """
        self.agent, self.seed, self._met = agent, seed, met
        num_tasks = num_tasks if met is None else min(num_tasks, len(met.keys))
        self.episodes = shown_episodes(agent)
        self.explore = explore or agent.learns_from_windows
        self._with_evaluation = agent.has_evaluation_episodes
        env = agent.problem.env
        sizes = [int(np.prod(space.shape, dtype=np.int64)) for space in (env.observation_space, env.action_space)]
        numbers = agent.problem.episodes + len(self.episodes) * env.horizon * (2 + 2 * sizes[0] + sizes[1])
        self.num_tasks = max(1, min(num_tasks, MOST_NUMBERS // numbers))
        self._run = PreparedTrials(agent, self._trial, self.num_tasks)

    def _trial(self, agent: TrainedAgent, task: Task, key: Key[Array, ""]) -> PyTree[Array]:
        algorithm, problem = agent.algorithm, agent.problem
        trajectory, evaluated, adapted = trial_and_evaluations(
            algorithm, problem, agent.meta, task, key, explore=self.explore, with_evaluation=self._with_evaluation
        )
        result = result_of(trajectory, problem.env.horizon, adapted)
        known = result.returns[:0] if evaluated is None else jnp.mean(jnp.sum(evaluated.reward, 1), -1)
        return {"returns": result.returns, "known": known, "seen": self._seen(trajectory, evaluated)}

    def _seen(self, trajectory: Transition, evaluated: Transition | None) -> PyTree[Array]:
        """What is shown of a trial; leaves `[episode, step, ...]`."""
        horizon = self.agent.problem.env.horizon

        def of(x: Transition) -> dict[str, Array]:
            return {
                "before": x.timestep.observation,
                "after": x.next_observation,
                "action": x.action,
                "reward": x.reward,
                "valid": x.valid,
            }

        def in_turn(x: Array) -> Array:
            """`[time, env, ...]` as `[episode, step, ...]`, parallel ones after each other, as returns are counted."""
            slots = x.reshape(x.shape[0] // horizon, horizon, *x.shape[1:])
            turns = jnp.moveaxis(slots, 2, 1)
            return turns.reshape(turns.shape[0] * turns.shape[1], *turns.shape[2:])

        whole = jax.tree.map(in_turn, of(trajectory))
        lived = np.array([episode.number for episode in self.episodes if not episode.known], int)
        parts = [jax.tree.map(lambda x: x[lived], whole)]
        if evaluated is not None:
            asked = np.array([episode.number for episode in self.episodes if episode.known], int)
            parts.append(jax.tree.map(lambda x: x[asked, :, 0], of(evaluated)))
        return jax.tree.map(lambda *x: jnp.concatenate(x), *parts)

    def record(
        self, family: str = "held-out", *, num_shown: int = 0, on_progress: Callable[[int], None] = lambda done: None
    ) -> tuple[FamilyReturns, Recording | None]:
        """Run trials in a family of tasks.

        Args:
            family: "held-out", "training" or "shifted".
            num_shown: Of so many tasks, the first, the trials are returned.
            on_progress: Called with the number of tasks done so far.

        Returns:
            What was earned; and the trials, or None of none.

        Raises:
            ValueError: if there is no such family.
        """
        problem = self.agent.problem
        members = {"held-out": problem.test, "training": problem.train, "shifted": problem.shifted}.get(family)
        if members is None:
            raise ValueError(f"family: expected one of {', '.join(FAMILIES)} that the problem has, found {family!r}")
        met = self._encounters(family, members)
        found = jax.tree.map(lambda x: x[0], self._run(self.agent.meta, met.tasks, met.keys, on_progress))
        returns, known = (found[name].astype(np.float64) for name in ("returns", "known"))
        ends = known if known.shape[-1] else returns
        few = max(1, ends.shape[-1] // 10)
        first, last = (ends[:, part].mean(-1)[None] for part in (slice(few), slice(-few, None)))
        earned = FamilyReturns(
            self.num_tasks,
            float(first.mean()),
            float(last.mean()),
            margin_95(first),
            margin_95(last),
            oracle_return(problem, met.tasks, members),
        )
        return earned, self._recording(met, found["seen"], num_shown) if num_shown else None

    def _encounters(self, family: str, members: TaskDistribution) -> Encounters:
        """The tasks of a family that are met."""
        if family == "held-out":
            met = encounters(members, self.num_tasks, self.seed) if self._met is None else self._met
            return jax.tree.map(lambda x: x[: self.num_tasks], met)
        task_key, trial_key = jax.random.split(evaluation_key(self.seed, f"recording of {family} tasks"))
        draw = jax.jit(jax.vmap(members.sample), compiler_options=QUICKLY)
        keys = jax.random.split(trial_key, self.num_tasks)
        return Encounters(draw(jax.random.split(task_key, self.num_tasks)), keys)

    def _recording(self, met: Encounters, seen: dict[str, np.ndarray], num_shown: int) -> Recording:
        count = min(num_shown, self.num_tasks)
        tasks = jax.tree.map(lambda x: np.asarray(key_data(x))[:count], met.tasks)
        # Evaluation episodes were put at the end; each goes back to its place.
        lived = [i for i, episode in enumerate(self.episodes) if not episode.known]
        order = np.argsort([*lived, *(i for i, episode in enumerate(self.episodes) if episode.known)])
        parts = {name: x[:count][:, order] for name, x in seen.items()}
        observations = np.concatenate([parts["before"], parts["after"][:, :, -1:]], 2)
        observations[:, :, 1:] = parts["after"]  # where an episode ended early, too, what its last step led to
        return Recording(
            self.agent.problem,
            tasks,
            self.episodes,
            self.agent.problem.episodes,
            observations,
            parts["action"],
            parts["reward"],
            parts["valid"],
        )
