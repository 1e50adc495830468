"""The only place where agents meet environments.

A trial is `problem.episodes` episodes with one task. Every episode has a slot of exactly `horizon` steps. If
it terminates before, the rest of the slot is idle (`Transition.valid` is False) and the next episode begins
with the next slot. So all streams of all tasks reset at the same, statically known times: a reset is
evaluated only when there is one (it is a real branch, not a select), which physics engines need, and the
episodes of a trial can be told apart by reshaping.

The doors: `start` a life in a task, `rollout` a window of it, `live` a whole trial, `collect` trials for many tasks (to
learn from), `lifetime` what became of one (to evaluate), `shots` what an agent would do after each window.
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from adaptax.core.algorithm import Algorithm
from adaptax.core.problem import Environment, Problem
from adaptax.core.step_checks import action_is_in, check_action, check_outcome, check_types, is_in, is_sound
from adaptax.core.types import AgentState, Task, TimeStep, Transition, replace

MOST_PROBES = 20
"""How often an agent that learns from windows is asked, at most, what it knows."""
MANY_WINDOWS = 64
"""From so many windows on, the last one is learned from like the others: a branch costs more than it saves."""


class Life(eqx.Module):
    """An agent in the middle of one task; all leaves but `adapted` have a leading stream axis.

    Attributes:
        adapted: φ, shared by the streams.
        memory: h, one per stream.
        env_state: The environment's state.
        timestep: What the agent sees next.
        active: Whether the current episode is still going on.
    """

    adapted: PyTree[Array]
    memory: PyTree[Array]
    env_state: PyTree[Array]
    timestep: TimeStep
    active: Bool[Array, " stream"]


class Lifetime(eqx.Module):
    """What became of one trial.

    Attributes:
        returns: Undiscounted return of each episode, in the order in which they were experienced.
        steps: Environment steps that each episode took.
        shots: Mean return of further episodes, at evenly spaced times of the trial (`num_probes`), by the best action
            then known and without learning from them; None for agents that do not learn from windows.
        sound: Whether all that the agent has learned by the end is finite. (What is NaN once stays so.)
    """

    returns: Float[Array, " episodes"]
    steps: Int[Array, " episodes"]
    shots: Float[Array, " probes"] | None
    sound: Bool[Array, ""]


def start(
    algorithm: Algorithm,
    problem: Problem,
    meta: PyTree[Array],
    task: Task,
    key: Key[Array, ""],
    streams: int = 1,
) -> Life:
    """Begin a trial in `streams` parallel environments of `task`, with fresh memory in each."""
    agent_key, env_key = jax.random.split(key)
    agent = algorithm.begin(meta, agent_key)

    def one_stream(env_key: Key[Array, ""]) -> Life:
        env_state, observation = problem.env.reset(task, env_key)
        check_types(problem.env, observation, "reset")
        timestep = TimeStep(observation, problem.env.action_space.null(), jnp.zeros(()), jnp.asarray(True))
        return Life(None, agent.memory, env_state, timestep, jnp.asarray(True))

    life = jax.vmap(one_stream)(jax.random.split(env_key, streams))
    return replace(life, adapted=agent.adapted)


def rollout(
    algorithm: Algorithm,
    problem: Problem,
    meta: PyTree[Array],
    task: Task,
    life: Life,
    key: Key[Array, ""],
    *,
    clock: int | Int[Array, ""],
    steps: int,
    explore: bool = True,
) -> tuple[Life, Transition]:
    """Live on for `steps` steps without adapting; return the life after them and the trajectory.

    Args:
        algorithm: Whose `act` to use.
        problem: Where.
        meta: θ.
        task: The task.
        life: Where to go on from.
        key: Randomness of this window.
        clock: Steps that the life has lasted so far. It must not be batched by `vmap` (all streams of all tasks
            keep step), or resets would be computed at every step.
        steps: How many steps.
        explore: Passed on to `act`.

    Returns:
        The life after the window, and a trajectory with leaves `[time, stream, ...]`.
    """
    streams = life.active.shape[0]
    agent_key, env_key, reset_key = jax.random.split(key, 3)
    agent_keys = jax.random.split(agent_key, (steps, streams))
    env_keys = jax.random.split(env_key, (steps, streams))
    reset_keys = jax.random.split(reset_key, streams)

    def one_step(life: Life, now: tuple[Any, Any, Any]) -> tuple[Life, Transition]:
        clock, agent_keys, env_keys = now

        def one_stream(before: Life, agent_key: Any, env_key: Any) -> tuple[Life, Transition]:
            agent = AgentState(life.adapted, before.memory)
            action, memory, aux = algorithm.act(meta, agent, before.timestep, agent_key, explore=explore)
            check_action(problem.env, action)
            step = problem.env.step(before.env_state, action, task, env_key)
            check_types(problem.env, step.observation, "step")
            check_outcome(problem.env, step.reward, step.terminated)
            next_step = TimeStep(step.observation, action, step.reward, jnp.asarray(False))
            after = Life(None, memory, step.state, next_step, before.active)
            return _close_step(problem.env, clock, before, after, step.terminated, aux)

        stepped, transition = jax.vmap(one_stream)(replace(life, adapted=None), agent_keys, env_keys)
        stepped = replace(stepped, adapted=life.adapted)
        return _reset_when_due(problem, task, stepped, clock, reset_keys), transition

    clocks = jnp.asarray(clock, jnp.int32) + jnp.arange(steps, dtype=jnp.int32)
    life, trajectory = jax.lax.scan(one_step, life, (clocks, agent_keys, env_keys))
    return life, _checked(problem.env, trajectory)


def _checked(env: Environment, trajectory: Transition) -> Transition:
    """The trajectory; where it broke the contract, or the policy did, with a reward of NaN, so that none learns of it.

    All of it at once, after it was lived: in the loop, where every operation has its price, the same costs more.
    """

    def reward(step: Transition) -> Array:
        sound = is_in(env.observation_space, step.timestep.observation) & action_is_in(env.action_space, step.action)
        sound &= is_in(env.observation_space, step.next_observation) & is_sound(step.reward)
        return jnp.where(sound | ~step.valid, step.reward, jnp.nan)

    return replace(trajectory, reward=jax.vmap(jax.vmap(reward))(trajectory))


def _close_step(
    env: Environment, clock: Any, before: Life, after: Life, terminated: Any, aux: Any
) -> tuple[Life, Transition]:
    """Book one environment's step, from `before` to `after`: boundaries, and idleness after an early end."""
    active, next_step = before.active, after.timestep
    last = (clock + 1) % env.horizon == 0
    # Where no episode ends early, all are active and nothing has to be kept back.
    terminated = terminated & (active if env.ends_early else last)

    def keep(new: PyTree[Array], old: PyTree[Array]) -> PyTree[Array]:
        return jax.tree.map(lambda n, o: jnp.where(active, n, o), new, old) if env.ends_early else new

    transition = Transition(
        before.timestep,
        next_step.action,
        keep(next_step.reward, 0.0),
        terminated,
        active & last & ~terminated,
        next_step.observation,
        aux,
        active,
    )
    memory, env_state, timestep = keep(
        (after.memory, after.env_state, next_step), (before.memory, before.env_state, before.timestep)
    )
    return Life(None, memory, env_state, timestep, active & ~terminated), transition


def _reset_when_due(problem: Problem, task: Task, life: Life, clock: Any, reset_keys: Any) -> Life:
    """Begin the next episode if this step filled the slot; previous action and reward carry over."""

    def reset(body: tuple[Any, TimeStep, Any]) -> tuple[Any, TimeStep, Any]:
        def one_stream(timestep: TimeStep, key: Key[Array, ""]) -> tuple[Any, TimeStep, Any]:
            env_state, observation = problem.env.reset(task, jax.random.fold_in(key, clock))
            yes = jnp.asarray(True)
            return env_state, TimeStep(observation, timestep.action, timestep.reward, yes), yes

        env_state, timestep, active = jax.vmap(one_stream)(body[1], reset_keys)
        return env_state, timestep, active

    # What the agent knows stays outside of the branch: passing through it would copy it (a replay buffer, say).
    body = life.env_state, life.timestep, life.active
    if problem.env.horizon == 1:
        body = reset(body)
    else:
        body = jax.lax.cond((clock + 1) % problem.env.horizon == 0, reset, lambda body: body, body)
    env_state, timestep, active = body
    return replace(life, env_state=env_state, timestep=timestep, active=active)


def num_windows(algorithm: Algorithm, problem: Problem) -> int:
    """Windows of experience in a trial.

    Raises:
        ValueError: if the trial does not divide into windows.
    """
    window = algorithm.window(problem)
    windows, left_over = divmod(problem.trial_steps, window.streams * window.steps)
    if left_over or problem.episodes % window.streams:
        raise ValueError(
            f"{type(algorithm).__name__}.window: a trial of {problem.episodes} episodes × {problem.env.horizon} steps "
            f"does not divide into windows of {window.streams} streams × {window.steps} steps"
        )
    return windows


def num_probes(algorithm: Algorithm, problem: Problem) -> int:
    """How often `lifetime` asks what an agent knows: before each window, or less often but evenly if there are many.

    Never within an episode: streams begin theirs at the same time.
    """
    common = math.gcd(num_windows(algorithm, problem), problem.episodes // algorithm.window(problem).streams)
    return max(n for n in range(1, min(common, MOST_PROBES) + 1) if common % n == 0)


def live(
    algorithm: Algorithm,
    problem: Problem,
    meta: PyTree[Array],
    task: Task,
    key: Key[Array, ""],
    *,
    explore: bool = True,
) -> Transition:
    """Live one whole trial, adapting after every window; return it with leaves `[time, stream, ...]`."""
    trajectory = _live(algorithm, problem, meta, task, key, explore=explore, probe=None)[0]
    return jax.tree.map(lambda x: jax.lax.collapse(x, 0, 2), trajectory)


def shots(
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
        key: Randomness; the trial is the one that `live` lives with the same key.
        explore: Whether the probes explore.

    Returns:
        A trajectory with leaves `[probe, time, stream, ...]`, with as many streams as a window has.
    """
    probes = _live(algorithm, problem, meta, task, key, explore=True, probe=explore)[1]
    assert probes is not None
    return probes


def _probe(
    algorithm: Algorithm,
    problem: Problem,
    meta: PyTree[Array],
    task: Task,
    adapted: PyTree[Array],
    key: Key[Array, ""],
    *,
    explore: bool,
) -> Transition:
    """One episode in each of a window's streams with what was learned so far, and fresh memory."""
    fresh = start(algorithm, problem, meta, task, jax.random.fold_in(key, 1), algorithm.window(problem).streams)
    fresh = replace(fresh, adapted=adapted)
    steps, key = problem.env.horizon, jax.random.fold_in(key, 2)
    return rollout(algorithm, problem, meta, task, fresh, key, clock=0, steps=steps, explore=explore)[1]


def _live(
    algorithm: Algorithm,
    problem: Problem,
    meta: PyTree[Array],
    task: Task,
    key: Key[Array, ""],
    *,
    explore: bool,
    probe: bool | None,
) -> tuple[Transition, Transition | None, PyTree[Array]]:
    """Live a trial, leaves `[window, time, stream, ...]`; probe on the way, exploring or not, if asked to; φ after."""
    windows, window = num_windows(algorithm, problem), algorithm.window(problem)
    groups = num_probes(algorithm, problem)
    start_key, live_key = jax.random.split(key)
    life = start(algorithm, problem, meta, task, start_key, window.streams)

    def one_window(life: Life, index: Int[Array, ""]) -> tuple[Life, Transition]:
        rollout_key, adapt_key = jax.random.split(jax.random.fold_in(live_key, index))
        clock, steps = index * window.steps, window.steps
        life, trajectory = rollout(
            algorithm, problem, meta, task, life, rollout_key, clock=clock, steps=steps, explore=explore
        )
        agent = AgentState(life.adapted, life.memory)

        def learn(agent: AgentState) -> AgentState:
            return algorithm.adapt(meta, agent, trajectory, adapt_key)

        if windows > MANY_WINDOWS:
            agent = learn(agent)
        elif windows > 1:  # nothing comes after the last window, so nothing is learned from it
            agent = jax.lax.cond(index < windows - 1, learn, lambda agent: agent, agent)
        return replace(life, adapted=agent.adapted, memory=agent.memory), trajectory

    def one_group(life: Life, indices: Int[Array, " group"]) -> tuple[Life, Any]:
        probed = None
        if probe is not None:
            probe_key = jax.random.split(jax.random.fold_in(live_key, indices[0]))[0]
            probed = _probe(algorithm, problem, meta, task, life.adapted, probe_key, explore=probe)
        life, lived = jax.lax.scan(one_window, life, indices)
        return life, (lived, probed)

    if windows == 1:
        life, lived = one_window(life, jnp.asarray(0))
        return jax.tree.map(lambda x: x[None], lived), None, life.adapted
    life, (lived, probed) = jax.lax.scan(one_group, life, jnp.arange(windows).reshape(groups, -1))
    return jax.tree.map(lambda x: jax.lax.collapse(x, 0, 2), lived), probed, life.adapted


def collect(
    algorithm: Algorithm,
    problem: Problem,
    meta: PyTree[Array],
    tasks: Task,
    keys: Key[Array, " task"],
    *,
    explore: bool = True,
) -> Transition:
    """Live one trial in each of `tasks` (leaves `[task, ...]`); leaves `[time, task, stream, ...]`."""

    def one_task(task: Task, key: Key[Array, ""]) -> Transition:
        return live(algorithm, problem, meta, task, key, explore=explore)

    return jax.vmap(one_task, out_axes=1)(tasks, keys)


def lifetime(
    algorithm: Algorithm,
    problem: Problem,
    meta: PyTree[Array],
    task: Task,
    key: Key[Array, ""],
    *,
    explore: bool = True,
    probes: bool = False,
) -> Lifetime:
    """Live one whole trial and return what each of its episodes brought; with `probes`, what was known on the way."""
    probe = False if probes else None
    trajectory, probed, adapted = _live(algorithm, problem, meta, task, key, explore=explore, probe=probe)
    trajectory = jax.tree.map(lambda x: jax.lax.collapse(x, 0, 2), trajectory)

    def per_episode(x: Array) -> Array:
        return x.reshape(-1, problem.env.horizon, x.shape[-1]).sum(1).reshape(-1)

    known = None if probed is None else jnp.mean(jnp.sum(probed.reward, 1), -1)
    numbers = [x for x in jax.tree.leaves(adapted) if jnp.issubdtype(x.dtype, jnp.inexact)]
    sound = jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in numbers])) if numbers else jnp.asarray(True)
    return Lifetime(per_episode(trajectory.reward), per_episode(trajectory.valid.astype(jnp.int32)), known, sound)
