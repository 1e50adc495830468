"""What agents do in new tasks, rather than what it brings: which of their actions explore, and which arms they pull.

An action explores if the agent, in the same state, would take another one with `explore=False`. That says nothing of
agents that never take the mode of anything (posterior sampling, upper confidence bounds: their `act` ignores
`explore`), nor of agents that act by their mode, as those with a memory do unless asked to explore. Bandits have a
measure for all: a pull explores if its arm is not the one with the best mean reward so far.
"""

import dataclasses
import functools
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from adaptax.core.algorithm import Algorithm
from adaptax.core.problem import Problem
from adaptax.core.rollout import run_trial
from adaptax.core.spaces import Box, Discrete
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import AgentState, Metrics, Task, TimeStep, TrainState, Transition, Window, replace
from adaptax.evaluation.adaptation_curve import AdaptationCurve, evenly
from adaptax.evaluation.comparison_statistics import resample, spread_of
from adaptax.evaluation.encounters import encounters
from adaptax.evaluation.trials import run_trials

SAMPLES = 256
"""Rewards of each arm in each task, from which its expected reward is told."""

NO_CHOICE = "it acts in one way only"
ACTS_BY_MODE = "it acts by its mode: finding out is part of its policy"
CONTINUOUS = "actions are continuous: each that is drawn differs from the mode"


@dataclasses.dataclass(frozen=True)
class Behaviour:
    """What an agent did in each of some tasks.

    Attributes:
        exploring: Share of the actions of each episode that explore, `[seed, task, episode]`; None if not defined.
        reason: Why not; empty if it is.
        actions: In a bandit, the arms, `[seed, task, pull]`; else None.
        rewards: In a bandit, what they brought, `[seed, task, pull]`; else None.
    """

    exploring: np.ndarray | None
    reason: str
    actions: np.ndarray | None = None
    rewards: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Watched(Algorithm):
    """An agent that does what it does, and says of each action whether it is another than its best one.

    Attributes:
        agent: The agent.
    """

    agent: Algorithm

    def init(self, problem: Problem, key: Key[Array, ""]) -> TrainState:
        """The agent's own initial state."""
        return self.agent.init(problem, key)

    def update(self, problem: Problem, state: TrainState) -> tuple[TrainState, Metrics]:
        """Nothing is trained while it is watched."""
        return state, {}

    def begin(self, meta: PyTree[Array], key: Key[Array, ""]) -> AgentState:
        """The agent's own state at the start of a trial."""
        return self.agent.begin(meta, key)

    def act(
        self, meta: PyTree[Array], agent: AgentState, timestep: TimeStep, key: Key[Array, ""], *, explore: bool
    ) -> tuple[PyTree[Array], PyTree[Array], Any]:
        """The agent's own action and memory; `aux` holds its `aux` as `own`, and whether this `explores`."""
        action, memory, aux = self.agent.act(meta, agent, timestep, key, explore=explore)
        best = self.agent.act(meta, agent, timestep, key, explore=False)[0] if explore else action
        differs = [jnp.any(a != b) for a, b in zip(jax.tree.leaves(action), jax.tree.leaves(best), strict=True)]
        return action, memory, {"own": aux, "explores": jnp.any(jnp.stack(differs))}

    def adapt(self, meta: PyTree[Array], agent: AgentState, trajectory: Transition, key: Key[Array, ""]) -> AgentState:
        """The agent's own adaptation, with its own `aux`."""
        return self.agent.adapt(meta, agent, replace(trajectory, aux=trajectory.aux["own"]), key)

    def window(self, problem: Problem) -> Window:
        """The agent's own window."""
        return self.agent.window(problem)


def is_bandit(problem: Problem) -> bool:
    """Whether there are arms to pull and nothing else: discrete actions, nothing to see, episodes of one step."""
    seen, arms = problem.env.observation_space, problem.env.action_space
    nothing = isinstance(seen, Box) and seen.encoded_size == 0
    return nothing and isinstance(arms, Discrete) and problem.env.horizon == 1


def heeds_explore(agent: TrainedAgent) -> bool:
    """Whether the agent acts in another way with `explore=False`: whether the programs are the same, not two draws."""
    agent = agent.of_seed(0)
    algorithm, env = agent.algorithm, agent.problem.env

    def first_action(explore: bool, meta: PyTree[Array], task: Task, key: Key[Array, ""]) -> PyTree[Array]:
        observation = env.reset(task, key)[1]
        timestep = TimeStep(observation, env.action_space.null(), jnp.zeros(()), jnp.asarray(True))
        return algorithm.act(meta, algorithm.begin(meta, key), timestep, key, explore=explore)[0]

    key = jax.random.key(0)
    task = jax.eval_shape(agent.problem.test.sample, key)
    programs = [
        str(jax.make_jaxpr(functools.partial(first_action, explore))(agent.meta, task, key))
        for explore in (True, False)
    ]
    return len({re.sub(r"0x[0-9a-f]+", "", program) for program in programs}) == 2


def why_undefined(agent: TrainedAgent, *, explore: bool = False) -> str:
    """Why one cannot say which of an agent's actions explore; empty if one can."""
    if not heeds_explore(agent):
        return NO_CHOICE
    if not explore and not agent.learns_from_windows:
        return ACTS_BY_MODE
    return "" if isinstance(agent.problem.env.action_space, Discrete) else CONTINUOUS


def watch(
    agent: TrainedAgent,
    *,
    num_tasks: int,
    seed: int = 0,
    explore: bool = False,
    pulls: bool = False,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Behaviour:
    """Watch the trials that `evaluate` gives an agent in the first `num_tasks` held-out tasks of the same `seed`.

    Args:
        agent: The agent, with one or several training seeds.
        num_tasks: How many tasks.
        seed: Decides the tasks and all randomness.
        explore: As in `evaluate`.
        pulls: Whether to return actions and rewards too, for a bandit.
        on_progress: Called with the number of tasks done so far.
    """
    reason = why_undefined(agent, explore=explore)
    if reason and not pulls:
        on_progress(num_tasks)
        return Behaviour(None, reason)
    tasks, keys = encounters(agent.problem.test, num_tasks, seed)
    explore = explore or agent.learns_from_windows

    def trial(agent: TrainedAgent, task: Task, key: Key[Array, ""]) -> tuple[Array, ...]:
        trajectory = run_trial(agent.algorithm, agent.problem, agent.meta, task, key, explore=explore)
        share = _exploring(agent.problem, trajectory)
        return (share, trajectory.action.reshape(-1), trajectory.reward.reshape(-1)) if pulls else (share,)

    watched = dataclasses.replace(agent, algorithm=Watched(agent.algorithm))
    exploring, *rest = run_trials(watched, tasks, keys, trial, on_progress=on_progress)
    return Behaviour(None if reason else exploring.astype(np.float64), reason, *rest)


def _exploring(problem: Problem, trajectory: Transition) -> Float[Array, " episode"]:
    """Share of exploring actions in each episode; as in `evaluate_trial`, parallel ones count one after the other."""

    def by_episode(x: Array) -> Array:
        return x.reshape(-1, problem.env.horizon, x.shape[-1])

    valid = by_episode(trajectory.valid)
    explores = jnp.sum(by_episode(trajectory.aux["explores"]) & valid, 1) / jnp.maximum(jnp.sum(valid, 1), 1)
    return explores.reshape(-1)


def expected_rewards(problem: Problem, tasks: Task, key: Key[Array, ""]) -> np.ndarray:
    """Expected reward of each arm of a bandit, `[task, arm]`.

    Exact where one leaf of the task has an entry for each arm and sampled rewards agree with it; else their means.
    """
    env, space = problem.env, problem.env.action_space
    assert isinstance(space, Discrete)
    num_arms = space.num
    num_tasks = jax.tree.leaves(tasks)[0].shape[0]

    def pull(task: Task, arm: Array, key: Key[Array, ""]) -> Array:
        reset_key, step_key = jax.random.split(key)
        return env.step(env.reset(task, reset_key)[0], arm, task, step_key).reward

    all_arms = jax.vmap(jax.vmap(pull, in_axes=(None, 0, 0)), in_axes=(0, None, 0))

    def add(sums: Array, key: Key[Array, ""]) -> tuple[Array, None]:
        rewards = all_arms(tasks, jnp.arange(num_arms), jax.random.split(key, (num_tasks, num_arms)))
        return sums + jnp.stack([rewards, rewards**2]), None

    sums, _ = jax.jit(lambda keys: jax.lax.scan(add, jnp.zeros((2, num_tasks, num_arms)), keys))(
        jax.random.split(key, SAMPLES)
    )
    mean, square = np.asarray(sums, np.float64) / SAMPLES
    error = np.mean(np.maximum(square - mean**2, 0.0)) / (SAMPLES - 1)
    leaves = [np.asarray(x, np.float64) for x in jax.tree.leaves(tasks) if x.shape == mean.shape]
    # A mean of squares over all tasks is close to 1 error if the leaf is what is earned, and far above it if not.
    if len(leaves) == 1 and np.mean((leaves[0] - mean) ** 2) <= 4 * error + 1e-10:
        return leaves[0]
    return mean


def off_best_mean(actions: np.ndarray, rewards: np.ndarray, num_arms: int) -> np.ndarray:
    """Whether each pull but the first is of another arm than those with the best mean reward so far.

    An arm that was never pulled has no mean, so its first pull explores.

    Args:
        actions: Arms, `[seed, task, pull]`.
        rewards: What they brought.
        num_arms: How many there are.

    Returns:
        1.0 or 0.0, `[seed, task, pull − 1]`.
    """
    pulls, total = np.zeros((*actions.shape[:-1], num_arms)), np.zeros((*actions.shape[:-1], num_arms))
    explores = np.zeros(actions.shape)
    for time in range(actions.shape[-1]):
        arm = actions[..., time, None]
        mean = np.where(pulls > 0, total / np.maximum(pulls, 1), -np.inf)
        mine, best = np.take_along_axis(mean, arm, -1)[..., 0], mean.max(-1)
        # Sums of the same rewards in another order may differ in their last digits.
        explores[..., time] = (mine == -np.inf) | (mine < best - 1e-9 * np.maximum(1.0, np.abs(best)))
        np.put_along_axis(pulls, arm, np.take_along_axis(pulls, arm, -1) + 1, -1)
        np.put_along_axis(total, arm, np.take_along_axis(total, arm, -1) + rewards[..., time, None], -1)
    return explores[..., 1:]


def pulls_by_rank(actions: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """How often the truly best arm was pulled, the second best, and so on, `[seed, task, rank]`.

    Args:
        actions: Arms, `[seed, task, pull]`.
        expected: Expected reward of each arm, `[task, arm]`; of equal arms, the first counts as better.
    """
    order = np.argsort(-expected, axis=1, kind="stable")
    of_arm = np.argsort(order, axis=1)
    ranks = np.take_along_axis(np.broadcast_to(of_arm, (len(actions), *of_arm.shape)), actions, -1)
    return np.stack([(ranks == rank).sum(-1) for rank in range(expected.shape[1])], -1).astype(np.float64)


def action_statistics(behaviour: Behaviour, expected: np.ndarray | None, agent: int) -> dict[str, Any]:
    """Fraction of exploring actions, and pulls of each arm by its rank in a bandit, with intervals; plain data.

    Args:
        behaviour: What the agent did.
        expected: In a bandit, expected reward of each arm, `[task, arm]`; else None.
        agent: Its number in a comparison, which decides how its seeds are resampled.
    """
    own = None if behaviour.exploring is None else fractions_of(behaviour.exploring, agent)
    content: dict[str, Any] = {"not_its_own_best": own, "reason": behaviour.reason}
    if expected is not None:
        assert behaviour.actions is not None
        assert behaviour.rewards is not None
        arms, trial = expected.shape[1], behaviour.actions.shape[-1]
        if trial > 1:
            off_best = off_best_mean(behaviour.actions, behaviour.rewards, arms)
            content["not_the_best_mean"] = fractions_of(off_best, agent, first=2)
        pulls = pulls_by_rank(behaviour.actions, expected)
        content["pulls_by_rank"] = spread_of(pulls, resample(*pulls.shape[:2], agent=agent))
    return content


def fractions_of(values: np.ndarray, agent: int, first: int = 1) -> dict[str, Any]:
    """A fraction in each episode from `first` on, `[seed, task, episode]`, averaged as performance is; and over all."""
    trial = values.shape[-1] + first - 1
    curve = AdaptationCurve(np.arange(first, trial + 1), values, np.zeros(values.shape[-1]), trial, False)
    points = np.flatnonzero(curve.complete)
    points = points[evenly(len(points))]
    resamples = resample(*values.shape[:2], agent=agent)
    total = spread_of(values.mean(-1, keepdims=True), resamples)[0]
    shown = curve.windowed(values, -1)[..., points]
    return {"total": total, "episodes": curve.episodes[points].tolist(), "fraction": spread_of(shown, resamples)}
