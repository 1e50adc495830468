"""What agents do in new tasks, rather than what it brings: which of their actions explore, and which arms they pull.

An action explores if the agent, in the same state, would take another one with `explore=False`. That says nothing of
agents that never take the mode of anything (posterior sampling, upper confidence bounds: their `act` ignores
`explore`), nor of agents that live by their mode, as those with a memory do unless asked to explore. Bandits have a
measure for all: a pull explores if its arm is not the one with the best mean reward so far.
"""

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from adaptax.core.algorithm import Algorithm
from adaptax.core.problem import Problem
from adaptax.core.rollout import live
from adaptax.core.spaces import Box, Discrete
from adaptax.core.types import AgentState, Metrics, Task, TimeStep, TrainState, Transition, Window, replace
from adaptax.evaluation.evaluator import encounters, learns_from_windows

STREAMS = 1024
"""Streams that are watched at once, about."""
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
        """As the agent's."""
        return self.agent.init(problem, key)

    def update(self, problem: Problem, state: TrainState) -> tuple[TrainState, Metrics]:
        """Nothing is trained while it is watched."""
        return state, {}

    def begin(self, meta: PyTree[Array], key: Key[Array, ""]) -> AgentState:
        """As the agent does."""
        return self.agent.begin(meta, key)

    def act(
        self, meta: PyTree[Array], agent: AgentState, timestep: TimeStep, key: Key[Array, ""], *, explore: bool
    ) -> tuple[PyTree[Array], PyTree[Array], Any]:
        """As the agent does; `aux` has beside its own whether it explores."""
        action, memory, aux = self.agent.act(meta, agent, timestep, key, explore=explore)
        best = self.agent.act(meta, agent, timestep, key, explore=False)[0] if explore else action
        differs = [jnp.any(a != b) for a, b in zip(jax.tree.leaves(action), jax.tree.leaves(best), strict=True)]
        return action, memory, {"own": aux, "explores": jnp.any(jnp.stack(differs))}

    def adapt(self, meta: PyTree[Array], agent: AgentState, trajectory: Transition, key: Key[Array, ""]) -> AgentState:
        """As the agent does."""
        return self.agent.adapt(meta, agent, replace(trajectory, aux=trajectory.aux["own"]), key)

    def window(self, problem: Problem) -> Window:
        """As the agent's."""
        return self.agent.window(problem)


def is_bandit(problem: Problem) -> bool:
    """Whether there are arms to pull and nothing else: discrete actions, nothing to see, episodes of one step."""
    seen, arms = problem.env.observation_space, problem.env.action_space
    nothing = isinstance(seen, Box) and seen.encoded_size == 0
    return nothing and isinstance(arms, Discrete) and problem.env.horizon == 1


def heeds_explore(algorithm: Algorithm, problem: Problem, meta: PyTree[Array]) -> bool:
    """Whether the agent acts in another way with `explore=False`: whether the programs are the same, not two draws."""
    env = problem.env

    def first_action(explore: bool, meta: PyTree[Array], task: Task, key: Key[Array, ""]) -> PyTree[Array]:
        observation = env.reset(task, key)[1]
        timestep = TimeStep(observation, env.action_space.null(), jnp.zeros(()), jnp.asarray(True))
        return algorithm.act(meta, algorithm.begin(meta, key), timestep, key, explore=explore)[0]

    key = jax.random.key(0)
    task = jax.eval_shape(problem.test.sample, key)
    programs = [
        str(jax.make_jaxpr(lambda *args, explore=explore: first_action(explore, *args))(meta, task, key))
        for explore in (True, False)
    ]
    return len({re.sub(r"0x[0-9a-f]+", "", program) for program in programs}) == 2


def why_undefined(algorithm: Algorithm, problem: Problem, meta: PyTree[Array], *, explore: bool = False) -> str:
    """Why one cannot say which of an agent's actions explore; empty if one can. `meta` is that of one seed."""
    if not heeds_explore(algorithm, problem, meta):
        return NO_CHOICE
    if not explore and not learns_from_windows(algorithm, problem):
        return ACTS_BY_MODE
    return "" if isinstance(problem.env.action_space, Discrete) else CONTINUOUS


def watch(
    algorithm: Algorithm,
    problem: Problem,
    meta: PyTree[Array],
    *,
    num_tasks: int,
    seed: int = 0,
    seeds: bool = False,
    explore: bool = False,
    pulls: bool = False,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Behaviour:
    """Watch the lives that `evaluate` lets an agent live in the first `num_tasks` held-out tasks of the same `seed`.

    Args:
        algorithm: The agent.
        problem: Where.
        meta: θ; with a leading seed axis if `seeds`.
        num_tasks: How many tasks.
        seed: Decides the tasks and all randomness.
        seeds: Whether `meta` holds several independently trained θ.
        explore: As in `evaluate`.
        pulls: Whether to return actions and rewards too, for a bandit.
        on_progress: Called with the number of tasks done so far.
    """
    of_one = jax.tree.map(lambda x: x[0], meta) if seeds else meta
    reason = why_undefined(algorithm, problem, of_one, explore=explore)
    if reason and not pulls:
        on_progress(num_tasks)
        return Behaviour(None, reason)
    tasks, keys = encounters(problem.test, num_tasks, seed)
    watched, explore = Watched(algorithm), explore or learns_from_windows(algorithm, problem)
    over_tasks = jax.vmap(lambda *args: _one(watched, problem, explore, pulls, *args), in_axes=(None, 0, 0))
    run = jax.jit(jax.vmap(over_tasks, in_axes=(0, None, None)) if seeds else over_tasks)
    chunk, parts = min(num_tasks, max(1, STREAMS // algorithm.window(problem).streams)), []
    for begin in range(0, num_tasks, chunk):
        indices = np.arange(begin, begin + chunk) % num_tasks  # the last chunk is filled up: one program serves all
        found = run(meta, jax.tree.map(lambda x: x[indices], tasks), keys[indices])  # noqa: B023
        parts.append([np.asarray(x).reshape(-1, chunk, x.shape[-1])[:, : num_tasks - begin] for x in found])
        on_progress(min(begin + chunk, num_tasks))
    exploring, *rest = (np.concatenate(part, 1) for part in zip(*parts, strict=True))
    return Behaviour(None if reason else exploring.astype(np.float64), reason, *rest)


def _one(
    watched: Watched, problem: Problem, explore: bool, pulls: bool, meta: Any, task: Task, key: Key[Array, ""]
) -> tuple[Array, ...]:
    """One life: share of exploring actions in each episode; with `pulls` also actions and rewards."""
    lived = live(watched, problem, meta, task, key, explore=explore)
    # As in `lifetime`: episodes of parallel streams count one after the other.
    episodes = lambda x: x.reshape(-1, problem.env.horizon, x.shape[-1])  # noqa: E731
    valid = episodes(lived.valid)
    explores = jnp.sum(episodes(lived.aux["explores"]) & valid, 1) / jnp.maximum(jnp.sum(valid, 1), 1)
    shares = explores.reshape(-1)
    return (shares, lived.action.reshape(-1), lived.reward.reshape(-1)) if pulls else (shares,)


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
    rank = np.argsort(order, axis=1)
    ranks = np.take_along_axis(np.broadcast_to(rank, (len(actions), *rank.shape)), actions, -1)
    return np.stack([(ranks == place).sum(-1) for place in range(expected.shape[1])], -1).astype(np.float64)
