"""Tiny MDPs of which every trajectory can be written down, so that expectations are sums.

A window of experience in which each trajectory τ is one stream, with its rewards times p(τ) · (number of trajectories),
is "infinitely much data": a mean over its streams is an expectation. So an algorithm's own `adapt` makes the exact
policy-gradient step on it, and no test needs a second implementation of what it tests.
"""

import functools
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from adaptax.algorithms.gradient.inner_loop import GradientBased, GradientParams, Theta
from adaptax.core.problem import Problem
from adaptax.core.types import AgentState, TimeStep, Transition, replace
from adaptax.optimization.inner_optimizers import descend
from adaptax.problems.tabular import TabularTask, tabular_mdp

STATES, ACTIONS, HORIZON = 3, 2, 3

jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""For programs that run once or twice: compiled in half the time, and on arrays this small as fast."""


class Paths(NamedTuple):
    """Trajectories of an MDP that starts in state 0, leaves `[time, path]`."""

    states: Int[Array, "time path"]
    actions: Int[Array, "time path"]

    @property
    def number(self) -> int:
        """How many there are."""
        return self.actions.shape[1]


def tiny_problem(episodes: int = 1) -> Problem:
    """Random MDPs of 3 states, 2 actions and 3 steps."""
    return tabular_mdp(STATES, ACTIONS, HORIZON, episodes)


def all_paths(horizon: int = HORIZON) -> Paths:
    """Every sequence of states and actions."""
    pairs = itertools.product(range(STATES), range(ACTIONS))
    paths = [path for path in itertools.product(pairs, repeat=horizon) if path[0][0] == 0]
    states, actions = np.moveaxis(np.asarray(paths, np.int32), -1, 0)
    return Paths(jnp.asarray(states.T), jnp.asarray(actions.T))


def certain_paths(task: TabularTask, horizon: int = HORIZON) -> Paths:
    """Every sequence of actions, with the states that follow from it where transitions are certain."""
    sequences = np.asarray(list(itertools.product(range(ACTIONS), repeat=horizon)), np.int32)
    actions = jnp.asarray(sequences.T)
    successors = jnp.argmax(task.transitions, -1).astype(jnp.int32)
    states = [jnp.zeros(len(sequences), jnp.int32)]
    for action in actions[:-1]:
        states.append(successors[states[-1], action])
    return Paths(jnp.stack(states), actions)


def certain(task: TabularTask) -> TabularTask:
    """The task with its likeliest transitions only."""
    return replace(task, transitions=jax.nn.one_hot(jnp.argmax(task.transitions, -1), STATES))


def noise_like(tree: PyTree[Any], scale: float, key: Key[Array, ""]) -> Any:
    """Normal numbers in the shape of `tree`."""
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(key, len(leaves))
    draws = [scale * jax.random.normal(k, x.shape, x.dtype) for k, x in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, draws)


def random_instance(algorithm: GradientBased, num_tasks: int, key: Key[Array, ""]) -> tuple[Theta, TabularTask]:
    """A random θ, and random tasks with leaves `[task, ...]`.

    Fresh networks are too near to uniform policies to show much, and fresh learning rates are all the same: weights are
    N(0, 0.7²) and learned rates vary.
    """
    problem = tiny_problem()
    weights_key, rates_key, task_key = jax.random.split(key, 3)
    shapes = jax.eval_shape(lambda key: algorithm.begin_meta(problem, key)[0].theta, key)
    theta = noise_like(replace(shapes, learned=None), 0.7, weights_key)
    rates = algorithm.inner.init(algorithm.initial(theta))
    rates = jax.tree.map(jnp.add, rates, noise_like(rates, 0.5, rates_key))
    tasks = jax.vmap(problem.train.draw)(jax.random.split(task_key, num_tasks))
    return replace(theta, learned=rates), tasks


def chances(
    algorithm: GradientBased, theta: Theta, parameters: PyTree[Array], task: TabularTask, paths: Paths
) -> Float[Array, " path"]:
    """p(τ) under π_φ."""
    log_probs = algorithm.policy(theta, parameters, jnp.arange(STATES)).log_probs()  # type: ignore[union-attr]
    moves = task.transitions[paths.states[:-1], paths.actions[:-1], paths.states[1:]]
    return jnp.exp(jnp.sum(log_probs[paths.states, paths.actions], 0)) * jnp.prod(moves, 0)


def window(
    algorithm: GradientBased,
    theta: Theta,
    parameters: PyTree[Array],
    task: TabularTask,
    paths: Paths,
    weights: Float[Array, " path"],
) -> Transition:
    """A window in which π_φ took `paths`, a stream each; rewards are multiplied by `weights`."""
    policy = algorithm.policy(theta, parameters, paths.states)
    time = jnp.broadcast_to(jnp.arange(paths.actions.shape[0])[:, None], paths.actions.shape)
    reward = task.rewards[paths.states, paths.actions] * weights[None]
    return Transition(
        TimeStep(paths.states, paths.actions, jnp.zeros_like(reward), time == 0),
        paths.actions,
        reward,
        terminated=jnp.zeros_like(time, bool),
        truncated=time == len(time) - 1,
        next_observation=paths.states,
        aux={"log_prob": policy.log_prob(paths.actions), "policy": policy},
        valid=jnp.ones_like(time, bool),
    )


def expected_window(
    algorithm: GradientBased, theta: Theta, parameters: PyTree[Array], task: TabularTask, paths: Paths
) -> Transition:
    """The window whose mean over streams is the expectation over trajectories of π_φ."""
    weights = paths.number * chances(algorithm, theta, parameters, task, paths)
    return window(algorithm, theta, parameters, task, paths, weights)


def expected_trial(algorithm: GradientBased, meta: GradientParams, task: TabularTask, paths: Paths) -> Transition:
    """A task's windows under exact inner steps, leaves `[window, time, path]`; constants, as all experience is."""
    meta, key = jax.lax.stop_gradient(meta), jax.random.key(0)  # the inner loop uses none

    def one_window(agent: AgentState, _: None) -> tuple[AgentState, Transition]:
        experience = expected_window(algorithm, meta.theta, agent.adapted.parameters, task, paths)
        return algorithm.adapt(meta, agent, experience, key), experience

    return jax.lax.scan(one_window, algorithm.begin(meta, key), None, length=algorithm.inner_steps + 1)[1]


def exact_return(
    algorithm: GradientBased, theta: Theta, parameters: PyTree[Array], task: TabularTask
) -> Float[Array, ""]:
    """J(φ), the expected return of π_φ, by backward induction: no trajectory is enumerated here."""
    chosen = jnp.exp(algorithm.policy(theta, parameters, jnp.arange(STATES)).log_probs())  # type: ignore[union-attr]
    value = jnp.zeros(STATES, chosen.dtype)
    for _ in range(HORIZON):
        value = jnp.sum(chosen * (task.rewards + task.transitions @ value), -1)
    return value[0]


def exact_returns(algorithm: GradientBased, theta: Theta, task: TabularTask) -> Float[Array, " window"]:
    """J(φ_0), …, J(φ_K) per step, with inner steps on J itself."""
    parameters = algorithm.initial(theta)
    state = algorithm.inner.start(theta.learned, parameters)
    loss = lambda p: -exact_return(algorithm, theta, p, task) / HORIZON  # noqa: E731

    def step(carry: tuple[Any, Any], _: None) -> tuple[tuple[Any, Any], Array]:
        parameters, state, value = descend(algorithm.inner, theta.learned, carry[1], carry[0], loss)
        return (parameters, state), -value

    return jax.lax.scan(step, (parameters, state), None, length=algorithm.inner_steps + 1)[1]
