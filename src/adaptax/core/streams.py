"""Trials one after the other: where episodes end early, no step is idle.

`rollout` gives every episode a slot, so that all environments reset at the same times; in what an episode leaves of its
slot, nothing happens. An agent that falls after 20 of 200 steps lives in a tenth of what it is given. Here the next
episode begins at once, and after the last one of a trial the next trial with the same task, with fresh memory. So
environments are at different places of their trials, and each step says where it is (`Transition.clock`).

Only to learn from, and only for agents that do not adapt within a trial: an evaluation is by episodes.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from adaptax.core.algorithm import Algorithm
from adaptax.core.interaction import checked, interact
from adaptax.core.problem import Problem
from adaptax.core.rollout import TrialState, start
from adaptax.core.types import AgentState, Task, TimeStep, Transition

RESET_POOL = 16
"""First states of each environment that are drawn before a stream where resets are dear; they serve in turn."""


class StreamState(eqx.Module):
    """One environment in the middle of a stream.

    Attributes:
        memory: h.
        env_state: The environment's state.
        timestep: What the agent sees next.
        clock: Where its trial stands (`Problem.next_clock`).
        elapsed: Steps of the episode so far.
        resets: Episodes that have begun after the first.
    """

    memory: PyTree[Array]
    env_state: PyTree[Array]
    timestep: TimeStep
    clock: Int[Array, "*env"]
    elapsed: Int[Array, "*env"]
    resets: Int[Array, "*env"]


def stream(
    algorithm: Algorithm,
    problem: Problem,
    meta: PyTree[Array],
    task: Task,
    key: Key[Array, ""],
    *,
    num_envs: int = 1,
) -> tuple[TrialState, Transition]:
    """Go through training trials of one task for `Problem.stream_steps` steps, without adapting and without idle steps.

    Args:
        algorithm: Whose `begin` and `act` to use.
        problem: Where.
        meta: θ.
        task: The task of all trials.
        key: Randomness.
        num_envs: Environments, each with trials of its own.

    Returns:
        The state after the last step, from which the trial that is not over then would go on; and a trajectory with
        leaves `[time, env, ...]`, all of it valid.
    """
    start_key, agent_key, env_key, reset_key = jax.random.split(key, 4)
    begun = start(algorithm, problem, meta, task, start_key, num_envs)
    fresh = algorithm.begin(meta, jax.random.fold_in(start_key, 1)).memory
    resets = _prepared_resets(problem, task, jax.random.split(reset_key, num_envs))

    def one_env(before: StreamState, resets: Any, agent_key: Any, env_key: Any) -> tuple[StreamState, Transition]:
        agent = AgentState(begun.adapted, before.memory)
        action, memory, aux = algorithm.act(meta, agent, before.timestep, agent_key, explore=True)
        step, next_step = interact(problem.env, before.env_state, action, task, env_key)
        time_limit = before.elapsed + 1 == problem.env.horizon
        transition = Transition(
            before.timestep,
            action,
            step.reward,
            step.terminated,
            time_limit & ~step.terminated,
            step.observation,
            aux,
            jnp.asarray(True),
            before.clock,
            success=step.success,
        )
        clock = problem.next_clock(before.clock, step.terminated)
        after = StreamState(memory, step.state, next_step, clock, before.elapsed + 1, before.resets)
        first = _reset(problem, task, resets, before.resets)
        return _begin_next(problem, after, first, fresh, episode_over=step.terminated | time_limit), transition

    def one_step(state: StreamState, keys: Any) -> tuple[StreamState, Transition]:
        return jax.vmap(one_env)(state, resets, *keys)

    zeros = jnp.zeros(num_envs, jnp.int32)
    state = StreamState(begun.memory, begun.env_state, begun.timestep, zeros, zeros, zeros)
    keys = tuple(jax.random.split(key, (problem.stream_steps, num_envs)) for key in (agent_key, env_key))
    state, trajectory = jax.lax.scan(one_step, state, keys)
    after = TrialState(begun.adapted, state.memory, state.env_state, state.timestep, begun.active)
    return after, checked(problem.env, trajectory)


def _prepared_resets(problem: Problem, task: Task, keys: Key[Array, " env"]) -> PyTree[Array]:
    """What first states are taken from, leaves `[env, ...]`: keys to draw them by, or a pool if drawing is dear."""
    if not problem.env.dear_reset:
        return keys
    pools = jax.vmap(lambda key: jax.random.split(key, RESET_POOL))(keys)
    return jax.vmap(jax.vmap(lambda key: problem.env.reset(task, key)))(pools)


def _reset(problem: Problem, task: Task, resets: PyTree[Array], count: Int[Array, ""]) -> tuple[Any, Any]:
    """The first state and observation of the episode after `count` others."""
    if not problem.env.dear_reset:
        return problem.env.reset(task, jax.random.fold_in(resets, count))
    return jax.tree.map(lambda x: x[count % RESET_POOL], resets)


def _begin_next(
    problem: Problem, after: StreamState, first: tuple[Any, Any], fresh: PyTree[Array], *, episode_over: Bool[Array, ""]
) -> StreamState:
    """Begin the next episode if the last is over; and the next trial, with fresh memory, if its last one was that."""

    def choose(condition: Bool[Array, ""], new: PyTree[Array], old: PyTree[Array]) -> PyTree[Array]:
        return jax.tree.map(lambda n, o: jnp.where(condition, n, o), new, old)

    trial_over = after.clock == 0
    begins = episode_over | trial_over
    env_state, observation = choose(begins, first, (after.env_state, after.timestep.observation))
    nothing = problem.env.action_space.null(), jnp.zeros_like(after.timestep.reward)
    action, reward = choose(trial_over, nothing, (after.timestep.action, after.timestep.reward))
    return StreamState(
        choose(trial_over, fresh, after.memory),
        env_state,
        TimeStep(observation, action, reward, begins),
        after.clock,
        jnp.where(begins, 0, after.elapsed),
        after.resets + begins.astype(jnp.int32),
    )


def first_trials(clock: Int[Array, "time *batch"]) -> Bool[Array, "time *batch"]:
    """Which steps of streams belong to their first trials: those are whole, and as long as they come.

    Later ones may be cut off, and are the rarer the longer they are: a mean over all that are whole would be one of the
    short ones.
    """
    return jnp.cumsum(clock == 0, 0) == 1


def trial_returns(trajectory: Transition) -> Float[Array, "*batch"]:
    """Return of the trial in each environment, from leaves `[time, *batch]`; of the first one, if there are more."""
    if trajectory.clock is None:
        return jnp.sum(trajectory.reward, 0)
    return jnp.sum(jnp.where(first_trials(trajectory.clock), trajectory.reward, 0.0), 0)
