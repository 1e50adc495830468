"""Reading an agent's memory in the middle of its trials, as one vector of numbers."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from adaptax.core.errors import ConfigError
from adaptax.core.rollout import TrialState, rollout, run_trial, start
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import AgentState, Task
from adaptax.evaluation.trials import run_trials

MOST_RECORDED = 20
"""So many times a memory is read in a trial, at most, besides the start."""


def recorded_episodes(total: int) -> tuple[int, ...]:
    """After how many of `total` episodes to read the memory: all, or up to `MOST_RECORDED` that get sparser."""
    if total <= MOST_RECORDED:
        return tuple(range(total + 1))
    return (0, *np.unique(np.round(np.geomspace(1, total, MOST_RECORDED)).astype(int)).tolist())


def memory_vector(memory: PyTree[Array]) -> Float[Array, " size"]:
    """The floats of a memory as one vector; counters and keys in it are no representation."""
    floats = [x.ravel() for x in jax.tree.leaves(memory) if jnp.issubdtype(x.dtype, jnp.floating)]
    return jnp.concatenate([jnp.zeros(0), *(x.astype(jnp.float32) for x in floats)])


def check_remembers(agent: TrainedAgent) -> None:
    """Check that the agent's knowledge of a task is in its memory, and that the memory is made of floats.

    The posterior of an agent that has one (PEARL) is as good as a memory.

    Raises:
        ConfigError: if it is not; says which agents have one.
    """
    algorithm, meta = agent.algorithm, agent.meta
    if has_posteriors(agent):
        return
    if agent.learns_from_windows:
        found = "learns by changing parameters between windows of experience, not by remembering"
    elif not jax.eval_shape(lambda key: memory_vector(algorithm.begin(meta, key).memory), jax.random.key(0)).size:
        found = "has no memory of floating-point numbers"
    else:
        return
    raise ConfigError(
        "inspect: expected an agent that learns by remembering, as rl2 with --memory lstm, gru or symmetric, or by "
        "believing, as varibad and pearl; found "
        f"{type(algorithm).__name__}, which {found}. `adaptax evaluate` shows how its return changes with experience"
    )


def has_posteriors(agent: TrainedAgent) -> bool:
    """Whether what the agent knows of a task is a posterior over a latent vector."""
    return hasattr(agent.algorithm, "posteriors")


def posteriors_of_trial(
    agent: TrainedAgent, task: Task, key: Key[Array, ""], *, episodes: tuple[int, ...], explore: bool
) -> Float[Array, "episode size"]:
    """Run a trial and read the posterior after `episodes` of it: means, then logarithms of deviations."""
    algorithm: Any = agent.algorithm
    trajectory = run_trial(algorithm, agent.problem, agent.meta, task, key, explore=explore)
    mean, variance = algorithm.posteriors(agent.meta, trajectory)
    known = jnp.concatenate([mean, 0.5 * jnp.log(variance)], 1)
    return known[agent.problem.env.horizon * np.asarray(episodes, np.int32)]


def memories_of_trial(
    agent: TrainedAgent, task: Task, key: Key[Array, ""], *, episodes: tuple[int, ...], explore: bool
) -> Float[Array, "episode size"]:
    """Run a trial and read the memory after `episodes` of it (the first 0, the last all).

    To take in an episode's last reward, the agent is asked for its next action. The action is thrown away, and the
    trial goes on with the memory as it was.
    """
    algorithm, problem, meta = agent.algorithm, agent.problem, agent.meta
    start_key, trial_key, ask_key = jax.random.split(key, 3)

    def known(state: TrialState) -> Float[Array, " size"]:
        memory, timestep = jax.tree.map(lambda x: x[0], (state.memory, state.timestep))
        return memory_vector(
            algorithm.act(meta, AgentState(state.adapted, memory), timestep, ask_key, explore=explore)[1]
        )

    def one_episode(carry: tuple[TrialState, Array], now: tuple[Array, Array]) -> tuple[tuple[TrialState, Array], None]:
        (trial, states), (index, place) = carry, now
        steps = problem.env.horizon
        trial, _ = rollout(
            algorithm, problem, meta, task, trial, jax.random.fold_in(trial_key, index),
            clock=index * steps, steps=steps, explore=explore,
        )  # fmt: skip
        return (trial, jax.lax.dynamic_update_index_in_dim(states, known(trial), place, 0)), None

    trial = start(algorithm, problem, meta, task, start_key)
    first = known(trial)
    states = jnp.zeros((len(episodes), first.size)).at[0].set(first)
    # What is not to be kept is written where the next one that is will overwrite it.
    indices = np.arange(problem.episodes, dtype=np.int32)
    places = np.searchsorted(episodes, indices + 1).astype(np.int32)
    return jax.lax.scan(one_episode, (trial, states), (jnp.asarray(indices), jnp.asarray(places)))[0][1]


def record_memories(
    agent: TrainedAgent,
    tasks: Task,
    keys: Key[Array, " task"],
    *,
    episodes: tuple[int, ...],
    explore: bool = False,
    on_progress: Callable[[int], None] = lambda done: None,
) -> np.ndarray:
    """Read the memory, of one training seed, in all `tasks` (leaves `[task, ...]`); return `[episode, task, size]`."""

    def trial(agent: TrainedAgent, task: Task, key: Key[Array, ""]) -> Float[Array, "episode size"]:
        read = posteriors_of_trial if has_posteriors(agent) else memories_of_trial
        # An agent that learns from windows has to explore while it learns, and does so in evaluations too.
        return read(agent, task, key, episodes=episodes, explore=explore or agent.learns_from_windows)

    states: np.ndarray = run_trials(agent, tasks, keys, trial, on_progress=on_progress)[0]
    return np.ascontiguousarray(states.swapaxes(0, 1))
