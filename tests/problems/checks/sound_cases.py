"""Good environments with unusual features, in which `adaptax.problems.checks.check` must find nothing."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from adaptax import problems
from adaptax.core.problem import Step
from adaptax.core.spaces import Box, Discrete
from tests.problems.checks.contract_cases import (
    FIVE,
    INSIDE,
    at_step,
    begin,
    changed,
    counted,
    go,
    goal,
    grid,
    plane,
)
from tests.sample_problems import odd_bandit


def early(state, action, task, key):
    done = go(state, action, task, key)
    return Step(done.state, done.observation, done.reward, jnp.sum(jnp.square(done.state - task)) < 0.1)


def rewarded_at_the_end(state, action, task, key):
    inner, time = state
    done = go(inner, action, task, key)
    return Step((done.state, time + 1), done.observation, jnp.where(time == 9, done.reward, 0.0), done.terminated)


def in_a_dictionary(task, key):
    state, observation = begin(task, key)
    return {"position": state, "key": key}, observation


def from_a_dictionary(state, action, task, key):
    done = go(state["position"], action, task, key)
    return Step({"position": done.state, "key": key}, done.observation, done.reward, done.terminated)


def at_home(state, action, task, key):
    """Every step costs 1 until the very goal is met, which is rare."""
    done = go(state, action, task, key)
    met = jnp.sum(jnp.square(done.state - task)) < 1e-9
    return Step(done.state, done.observation, jnp.where(met, 0.0, -1.0), met)


def of_whole_numbers(state, action, task, key):
    return go(state, action, task.astype(jnp.float32), key)


def shown_as(change):
    """Observations that are made of the position."""
    return (
        lambda task, key: (begin(task, key)[0], change(begin(task, key)[0])),
        changed(observation=lambda s, *_: change(s.state)),
    )


def rots(state, action, task, key):
    """Ends after four steps; what would come after is NaN."""
    done = at_step(0, 0.0)(state, action, task, key)
    time = state[1]
    return Step(done.state, done.observation, jnp.where(time > 3, jnp.nan, done.reward), time == 3)


def from_the_task(task, key):
    return task["start"], task["start"]


def with_start(key):
    return {"goal": goal(key), "start": goal(jax.random.fold_in(key, 1))}


def with_oracle(key):
    drawn = goal(key)
    return {"goal": drawn, "best": jnp.sum(jnp.square(drawn))}


def to_its_goal(state, action, task, key):
    return go(state, action, task["goal"], key)


@jax.jit
def _moved(state, action):
    return jax.lax.fori_loop(0, 5, lambda _, x: x + 0.02 * action, state)


def in_a_jit(state, action, task, key):
    after = _moved(state, action)
    return Step(after, after, -jnp.sum(jnp.square(after - task)), jnp.asarray(False))


def coins(task, key):
    """Binary observations that may look like binary tasks."""
    state = jax.random.bernoulli(key, 0.5, (2,)).astype(jnp.float32)
    return state, state


GOOD: dict[str, Callable[[], Any]] = {
    "plane": plane,
    "horizon 1": lambda: plane(horizon=1),
    "one episode": lambda: plane(episodes=1),
    "without noise": lambda: plane(lambda task, key: (jnp.zeros(2), jnp.zeros(2))),
    "ends early": lambda: plane(go=early, ends_early=True, horizon=30),
    "paid at the end alone": lambda: counted(go=rewarded_at_the_end),
    "state in a dictionary, with a key": lambda: plane(in_a_dictionary, from_a_dictionary),
    "discrete observations": lambda: plane(*grid(INSIDE), **FIVE),
    "actions without bounds": lambda: plane(actions=Box((2,))),
    "a finite family": lambda: plane(goal=lambda key: jnp.sign(goal(key)), finite=4),
    "an oracle that knows": lambda: plane(oracle=lambda task: jnp.asarray(0.0)),
    "rewards all negative and far away": lambda: plane(goal=lambda key: 100 + goal(key)),
    "discrete actions": lambda: problems.tabular_mdp(num_states=3, num_actions=2, horizon=4, num_episodes=2),
    "a bandit that pays 2": lambda: odd_bandit(3, 5, scale=2.0),
    "one arm and another": problems.correlated_bandit,
    "a cue in the first episode": problems.cue,
    "the two-step task": problems.two_step,
    "a sign at the start of a corridor": problems.t_maze,
    "a mountain, and what is seen from its top": problems.treasure_mountain,
    "informed": lambda: problems.informed(plane()),
    "cart pole, varied": lambda: problems.cart_pole(variation=0.5, horizon=50),
    "held-out goals of a grid": lambda: problems.grid_navigation(held_out=True),
    "one step, which is the last": lambda: plane(
        go=changed(terminated=lambda *_: jnp.asarray(True)), horizon=1, ends_early=True
    ),
    "ends after two steps by its own rules": lambda: problems.cue(num_cues=3),
    "paid by a rare end": lambda: plane(go=at_home, oracle=lambda task: jnp.asarray(0.0), ends_early=True),
    "whole numbers as tasks": lambda: plane(
        go=of_whole_numbers, goal=lambda key: jax.random.randint(key, (2,), 0, 3), finite=9
    ),
    "one observation": lambda: plane(*shown_as(lambda x: jnp.asarray(0)), seen=Discrete(1)),
    "small integers": lambda: plane(*shown_as(lambda x: INSIDE(x).astype(jnp.uint8)), **FIVE),
    "half a box": lambda: plane(*shown_as(jnp.abs), seen=Box((2,), 0.0)),
    "a matrix": lambda: plane(*shown_as(lambda x: jnp.broadcast_to(x, (2, 2))), seen=Box((2, 2))),
    "starts where the task says": lambda: plane(from_the_task, to_its_goal, with_start),
    "the oracle is kept in the task": lambda: plane(go=to_its_goal, goal=with_oracle, oracle=lambda task: task["best"]),
    "a key as a task": lambda: plane(
        go=lambda state, action, task, key: go(state, action, goal(task), key), goal=lambda key: key
    ),
    "many coins as a task": lambda: plane(
        go=lambda state, action, task, key: go(state, action, jnp.where(task[:2], 1.0, task[2:].mean()), key),
        goal=lambda key: jax.random.bernoulli(key, 0.5, (64,)),
    ),
    "a jit of its own": lambda: plane(go=in_a_jit),
    "coins": lambda: plane(
        coins,
        lambda state, action, task, key: go(*(coins(task, key)[0], action, task, key)),
        lambda key: jax.random.bernoulli(key, 0.5, (2,)).astype(jnp.float32),
        finite=4,
    ),
    "NaN after the end": lambda: counted(go=rots, ends_early=True),
    "a horizon of 3000": lambda: plane(horizon=3000),
    "an oracle that is met": lambda: plane(
        go=changed(reward=lambda s, state, action, task: task[0] + 0 * action[0]), oracle=lambda task: 10 * task[0]
    ),
    "sparse": lambda: problems.point_robot_sparse(horizon=20),
}
"""By name: how it is made."""
