"""Trials in slots; `adaptax.core.streams` has those without.

A trial is `problem.episodes` episodes with one task. Every episode has a slot of exactly `horizon` steps. If
it terminates before, the rest of the slot is idle (`Transition.valid` is False) and the next episode begins
with the next slot. So all environments of all tasks reset at the same, statically known times: a reset is
evaluated only when there is one (it is a real branch, not a select), which physics engines need, and the
episodes of a trial can be told apart by reshaping.

`start` begins a trial, `rollout` goes through a window of it, `run_trial` through all of it, `collect` runs one in each
of many tasks (to learn from). `evaluate_trial` returns what became of a trial, `evaluation_episodes` what an agent
would do after each window.
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key, PyTree

from adaptax.core.algorithm import Algorithm
from adaptax.core.errors import UseError
from adaptax.core.interaction import checked, interact
from adaptax.core.problem import Environment, Problem, Step
from adaptax.core.step_checks import check_types
from adaptax.core.success import successes
from adaptax.core.trial_result import TrialResult, result_of
from adaptax.core.types import AgentState, Task, TimeStep, Transition, replace

MAX_EVALUATIONS = 20
"""At most so many times in a trial, evaluation episodes ask what an agent that learns from windows knows."""
MANY_WINDOWS = 64
"""From so many windows on, the last one is learned from like the others: a branch costs more than it saves."""


class TrialState(eqx.Module):
    """An agent in the middle of one task; all leaves but `adapted` have a leading axis of environments.

    Attributes:
        adapted: φ, shared by the environments.
        memory: h, one per environment.
        env_state: The environment's state.
        timestep: What the agent sees next.
        active: Whether the current episode is still going on.
    """

    adapted: PyTree[Array]
    memory: PyTree[Array]
    env_state: PyTree[Array]
    timestep: TimeStep
    active: Bool[Array, " env"]


def start(
    algorithm: Algorithm,
    problem: Problem,
    meta: PyTree[Array],
    task: Task,
    key: Key[Array, ""],
    num_envs: int = 1,
) -> TrialState:
    """Begin a trial in `num_envs` parallel environments of `task`, with fresh memory in each."""
    agent_key, env_key = jax.random.split(key)
    agent = algorithm.begin(meta, agent_key)

    def one_env(env_key: Key[Array, ""]) -> TrialState:
        env_state, observation = problem.env.reset(task, env_key)
        check_types(problem.env, observation, "reset")
        timestep = TimeStep(observation, problem.env.action_space.null(), jnp.zeros(()), jnp.asarray(True))
        return TrialState(None, agent.memory, env_state, timestep, jnp.asarray(True))

    state = jax.vmap(one_env)(jax.random.split(env_key, num_envs))
    return replace(state, adapted=agent.adapted)


def rollout(
    algorithm: Algorithm,
    problem: Problem,
    meta: PyTree[Array],
    task: Task,
    state: TrialState,
    key: Key[Array, ""],
    *,
    clock: int | Int[Array, ""],
    steps: int,
    explore: bool = True,
) -> tuple[TrialState, Transition]:
    """Go on for `steps` steps without adapting; return the state after them and the trajectory.

    Args:
        algorithm: Whose `act` to use.
        problem: Where.
        meta: θ.
        task: The task.
        state: Where to go on from.
        key: Randomness of this window.
        clock: Steps that the trial has lasted so far. It must not be batched by `vmap` (all environments of all
            tasks keep step), or resets would be computed at every step.
        steps: How many steps.
        explore: Passed on to `act`.

    Returns:
        The state after the window, and a trajectory with leaves `[time, env, ...]`.
    """
    num_envs = state.active.shape[0]
    agent_key, env_key, reset_key = jax.random.split(key, 3)
    agent_keys = jax.random.split(agent_key, (steps, num_envs))
    env_keys = jax.random.split(env_key, (steps, num_envs))
    reset_keys = jax.random.split(reset_key, num_envs)

    def one_step(state: TrialState, now: tuple[Any, Any, Any]) -> tuple[TrialState, Transition]:
        clock, agent_keys, env_keys = now

        def one_env(before: TrialState, agent_key: Any, env_key: Any) -> tuple[TrialState, Transition]:
            agent = AgentState(state.adapted, before.memory)
            action, memory, aux = algorithm.act(meta, agent, before.timestep, agent_key, explore=explore)
            step, next_step = interact(problem.env, before.env_state, action, task, env_key)
            after = TrialState(None, memory, step.state, next_step, before.active)
            return _close_step(problem.env, clock, before, after, action, step, aux)

        stepped, transition = jax.vmap(one_env)(replace(state, adapted=None), agent_keys, env_keys)
        stepped = replace(stepped, adapted=state.adapted)
        return _reset_when_due(problem, task, stepped, clock, reset_keys), transition

    clocks = jnp.asarray(clock, jnp.int32) + jnp.arange(steps, dtype=jnp.int32)
    state, trajectory = jax.lax.scan(one_step, state, (clocks, agent_keys, env_keys))
    return state, checked(problem.env, trajectory)


def _close_step(
    env: Environment, clock: Any, before: TrialState, after: TrialState, action: Any, step: Step, aux: Any
) -> tuple[TrialState, Transition]:
    """Book one environment's step, from `before` to `after`: boundaries, and idleness after an early end."""
    active, next_step = before.active, after.timestep
    last = (clock + 1) % env.horizon == 0
    if step.lost is not None:
        active = active & ~step.lost
    # Where no episode ends early, all are active and nothing has to be kept back.
    terminated = step.terminated & (active if env.ends_early else last)
    cut = last if step.truncated is None else last | step.truncated

    def keep(new: PyTree[Array], old: PyTree[Array]) -> PyTree[Array]:
        return jax.tree.map(lambda n, o: jnp.where(active, n, o), new, old) if env.ends_early else new

    transition = Transition(
        before.timestep,
        action,
        keep(next_step.reward, 0.0),
        terminated,
        active & cut & ~terminated,
        next_step.observation,
        aux,
        active,
        lost=step.lost,
        success=None if step.success is None else active & step.success,
    )
    memory, env_state, timestep = keep(
        (after.memory, after.env_state, next_step), (before.memory, before.env_state, before.timestep)
    )
    going_on = active & ~terminated if step.truncated is None else active & ~terminated & ~step.truncated
    return TrialState(None, memory, env_state, timestep, going_on), transition


def _reset_when_due(problem: Problem, task: Task, state: TrialState, clock: Any, reset_keys: Any) -> TrialState:
    """Begin the next episode if this step filled the slot; previous action and reward carry over."""

    def reset(body: tuple[Any, TimeStep, Any]) -> tuple[Any, TimeStep, Any]:
        def one_env(timestep: TimeStep, key: Key[Array, ""]) -> tuple[Any, TimeStep, Any]:
            env_state, observation = problem.env.reset(task, jax.random.fold_in(key, clock))
            yes = jnp.asarray(True)
            return env_state, TimeStep(observation, timestep.action, timestep.reward, yes), yes

        env_state, timestep, active = jax.vmap(one_env)(body[1], reset_keys)
        return env_state, timestep, active

    # What the agent knows stays outside of the branch: passing through it would copy it (a replay buffer, say).
    body = state.env_state, state.timestep, state.active
    if problem.env.horizon == 1:
        body = reset(body)
    else:
        body = jax.lax.cond((clock + 1) % problem.env.horizon == 0, reset, lambda body: body, body)
    env_state, timestep, active = body
    return replace(state, env_state=env_state, timestep=timestep, active=active)


def num_windows(algorithm: Algorithm, problem: Problem) -> int:
    """Windows of experience in a trial.

    Raises:
        UseError: if the trial does not divide into windows.
    """
    window = algorithm.window(problem)
    size = window.num_envs * window.steps
    windows, left_over = divmod(problem.trial_steps, size)
    if left_over or problem.episodes % window.num_envs:
        fitting = math.lcm(window.num_envs, size // math.gcd(size, problem.env.horizon))
        raise UseError(
            f"{type(algorithm).__name__}.window: expected windows that divide a trial, which has {problem.episodes} "
            f"episodes × {problem.env.horizon} steps; found {window.num_envs} environments × {window.steps} steps. "
            f"Choose a multiple of {fitting} episodes"
        )
    return windows


def num_evaluations(algorithm: Algorithm, problem: Problem) -> int:
    """How often evaluation episodes ask what an agent knows in a trial: before each window, or less often but evenly.

    Never within an episode: environments begin theirs at the same time.
    """
    common = math.gcd(num_windows(algorithm, problem), problem.episodes // algorithm.window(problem).num_envs)
    return max(n for n in range(1, min(common, MAX_EVALUATIONS) + 1) if common % n == 0)


def run_trial(
    algorithm: Algorithm,
    problem: Problem,
    meta: PyTree[Array],
    task: Task,
    key: Key[Array, ""],
    *,
    explore: bool = True,
) -> Transition:
    """Run one whole trial, adapting after every window; return it with leaves `[time, env, ...]`."""
    trajectory = _run_trial(algorithm, problem, meta, task, key, explore=explore, evaluation_explores=None)[0]
    return jax.tree.map(lambda x: jax.lax.collapse(x, 0, 2), trajectory)


def evaluation_episodes(
    algorithm: Algorithm,
    problem: Problem,
    meta: PyTree[Array],
    task: Task,
    key: Key[Array, ""],
    *,
    explore: bool = False,
) -> Transition:
    """What the agent would do in further episodes, before it learns anything and as it learns; it learns nothing there.

    Args:
        algorithm: The agent.
        problem: Where.
        meta: θ.
        task: The task.
        key: Randomness; the trial is that of `run_trial` with the same key.
        explore: Whether these episodes explore.

    Returns:
        A trajectory with leaves `[evaluation, time, env, ...]`, with as many environments as a window has.
    """
    evaluated = _run_trial(algorithm, problem, meta, task, key, explore=True, evaluation_explores=explore)[1]
    assert evaluated is not None
    return evaluated


def trial_and_evaluations(
    algorithm: Algorithm,
    problem: Problem,
    meta: PyTree[Array],
    task: Task,
    key: Key[Array, ""],
    *,
    explore: bool = True,
    with_evaluation: bool = False,
) -> tuple[Transition, Transition | None, PyTree[Array]]:
    """The trial that `evaluate_trial` runs, step by step, and the evaluation episodes on the way.

    Arguments are those of `evaluate_trial`.

    Returns:
        The trial, leaves `[time, env, ...]`; evaluation episodes, leaves `[evaluation, time, env, ...]`, or None
        without them; and φ after the trial.
    """
    trajectory, evaluated, adapted = _run_trial(
        algorithm, problem, meta, task, key, explore=explore, evaluation_explores=False if with_evaluation else None
    )
    return jax.tree.map(lambda x: jax.lax.collapse(x, 0, 2), trajectory), evaluated, adapted


def _evaluation_episode(
    algorithm: Algorithm,
    problem: Problem,
    meta: PyTree[Array],
    task: Task,
    adapted: PyTree[Array],
    key: Key[Array, ""],
    *,
    explore: bool,
) -> Transition:
    """One episode in each of a window's environments with what was learned so far, and fresh memory."""
    fresh = start(algorithm, problem, meta, task, jax.random.fold_in(key, 1), algorithm.window(problem).num_envs)
    fresh = replace(fresh, adapted=adapted)
    steps, key = problem.env.horizon, jax.random.fold_in(key, 2)
    return rollout(algorithm, problem, meta, task, fresh, key, clock=0, steps=steps, explore=explore)[1]


def _run_trial(
    algorithm: Algorithm,
    problem: Problem,
    meta: PyTree[Array],
    task: Task,
    key: Key[Array, ""],
    *,
    explore: bool,
    evaluation_explores: bool | None,
) -> tuple[Transition, Transition | None, PyTree[Array]]:
    """The trial `[window, time, env, ...]`, φ after it, and evaluation episodes if it is said whether they explore."""
    windows, window = num_windows(algorithm, problem), algorithm.window(problem)
    groups = num_evaluations(algorithm, problem)
    start_key, trial_key = jax.random.split(key)
    state = start(algorithm, problem, meta, task, start_key, window.num_envs)

    def one_window(state: TrialState, index: Int[Array, ""]) -> tuple[TrialState, Transition]:
        rollout_key, adapt_key = jax.random.split(jax.random.fold_in(trial_key, index))
        clock, steps = index * window.steps, window.steps
        state, trajectory = rollout(
            algorithm, problem, meta, task, state, rollout_key, clock=clock, steps=steps, explore=explore
        )
        agent = AgentState(state.adapted, state.memory)

        def learn(agent: AgentState) -> AgentState:
            return algorithm.adapt(meta, agent, replace(trajectory, success=None, lost=None), adapt_key)

        if windows > MANY_WINDOWS:
            agent = learn(agent)
        elif windows > 1:  # nothing comes after the last window, so nothing is learned from it
            agent = jax.lax.cond(index < windows - 1, learn, lambda agent: agent, agent)
        return replace(state, adapted=agent.adapted, memory=agent.memory), trajectory

    def one_group(state: TrialState, indices: Int[Array, " group"]) -> tuple[TrialState, Any]:
        evaluated = None
        if evaluation_explores is not None:
            evaluation_key = jax.random.split(jax.random.fold_in(trial_key, indices[0]))[0]
            evaluated = _evaluation_episode(
                algorithm, problem, meta, task, state.adapted, evaluation_key, explore=evaluation_explores
            )
        state, trajectories = jax.lax.scan(one_window, state, indices)
        return state, (trajectories, evaluated)

    if windows == 1:
        state, trajectories = one_window(state, jnp.asarray(0))
        return jax.tree.map(lambda x: x[None], trajectories), None, state.adapted
    state, (trajectories, evaluated) = jax.lax.scan(one_group, state, jnp.arange(windows).reshape(groups, -1))
    return jax.tree.map(lambda x: jax.lax.collapse(x, 0, 2), trajectories), evaluated, state.adapted


def collect(
    algorithm: Algorithm,
    problem: Problem,
    meta: PyTree[Array],
    tasks: Task,
    keys: Key[Array, " task"],
    *,
    explore: bool = True,
) -> Transition:
    """Run one trial in each of `tasks` (leaves `[task, ...]`); leaves `[time, task, env, ...]`."""

    def one_task(task: Task, key: Key[Array, ""]) -> Transition:
        return run_trial(algorithm, problem, meta, task, key, explore=explore)

    return jax.vmap(one_task, out_axes=1)(tasks, keys)


def evaluate_trial(
    algorithm: Algorithm,
    problem: Problem,
    meta: PyTree[Array],
    task: Task,
    key: Key[Array, ""],
    *,
    explore: bool = True,
    with_evaluation: bool = False,
) -> TrialResult:
    """Run one whole trial and return what each of its episodes brought.

    Args:
        algorithm: The agent.
        problem: Where.
        meta: θ.
        task: The task.
        key: Randomness.
        explore: Whether the trial explores.
        with_evaluation: Whether evaluation episodes, which do not explore, show what was known on the way; the trial
            is the same with and without them.
    """
    trajectory, evaluated, adapted = trial_and_evaluations(
        algorithm, problem, meta, task, key, explore=explore, with_evaluation=with_evaluation
    )
    known = None if evaluated is None else jnp.mean(jnp.sum(evaluated.reward, 1), -1)
    result = result_of(trajectory, problem.env.horizon, adapted)
    if evaluated is None:
        return result
    reached = jax.vmap(lambda episodes: successes(episodes, problem.env.horizon))(evaluated)
    shares = jax.tree.map(lambda x: jnp.mean(x.astype(jnp.float32), (1, 2)), reached)
    return replace(result, evaluation_episodes=known, evaluation_successes=shares)
