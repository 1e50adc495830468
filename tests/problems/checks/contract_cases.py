"""Environments with one planted bug each, for `adaptax.problems.checks.check`."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from adaptax.core.problem import Environment, Step, TaskDistribution, make_problem
from adaptax.core.spaces import Box, Discrete, Space

GOAL = jnp.asarray([0.5, -0.5])
_COUNTER = [0]
_LAST = [jnp.zeros(2)]


class Plane(Environment):
    """A point that is moved about, and paid for being near the task's goal; every part can be replaced."""

    begin: Callable[..., Any] = eqx.field(static=True)
    go: Callable[..., Any] = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    ends_early: bool = eqx.field(static=True)
    observation_space: Space = eqx.field(static=True)
    action_space: Space = eqx.field(static=True)

    def reset(self, task, key):
        return self.begin(task, key)

    def step(self, state, action, task, key):
        return self.go(state, action, task, key)


class Goals(TaskDistribution):
    """Goals in a square; every part can be replaced."""

    drawn: Callable[..., Any] = eqx.field(static=True)
    known: Callable[..., Any] = eqx.field(static=True)
    split: str = eqx.field(static=True)
    finite: int | None = eqx.field(static=True)

    def draw(self, key):
        return self.drawn(key)

    def oracle(self, task):
        return self.known(task)


class Unstamped(Goals):
    """Overrides what marks tasks with their split."""

    def sample(self, key):
        return self.draw(key)


def begin(task, key):
    state = 0.1 * jax.random.normal(key, (2,))
    return state, state


def go(state, action, task, key):
    state = state + 0.1 * jnp.clip(action, -1.0, 1.0)
    return Step(state, state, -jnp.sum(jnp.square(state - task)), jnp.asarray(False))


def goal(key):
    return jax.random.uniform(key, (2,), minval=-1.0)


def unknown(task):
    return jnp.asarray(jnp.nan)


def plane(
    begin=begin,
    go=go,
    goal=goal,
    oracle=unknown,
    *,
    horizon=10,
    ends_early=False,
    seen: Space = Box((2,)),  # noqa: B008
    actions: Space = Box((2,), -1.0, 1.0),  # noqa: B008
    finite=None,
    family=Goals,
    episodes=2,
):
    env = Plane(begin, go, horizon, ends_early, seen, actions)
    return make_problem(env, lambda split: family(goal, oracle, split, finite), episodes)


def changed(**parts):
    """A `go` with parts of what it returns replaced, by functions of (step, state, action, task)."""

    def other(state, action, task, key):
        step = go(state, action, task, key)
        new = {name: change(step, state, action, task) for name, change in parts.items()}
        return Step(*(new.get(name, getattr(step, name)) for name in ("state", "observation", "reward", "terminated")))

    return other


def counted(begin=begin, go=go, **options):
    """The plane with a count of steps in its state: `go` gets and gives (state, time)."""

    def reset(task, key):
        state, observation = begin(task, key)
        return (state, jnp.asarray(0)), observation

    return plane(reset, go, **options)


def at_step(number, value):
    """Observations break at one step of the episode."""

    def step(state, action, task, key):
        inner, time = state
        done = go(inner, action, task, key)
        shown = jnp.where(time + 1 == number, value, done.observation)
        return Step((done.state, time + 1), shown, done.reward, done.terminated)

    return step


def own_time_limit(state, action, task, key):
    inner, time = state
    done = go(inner, action, task, key)
    return Step((done.state, time + 1), done.observation, done.reward, time + 1 == 10)


def with_python(state, action, task, key):
    return go(state, action if float(task[0]) > 0 else -action, task, key)


def raises(*arguments):
    raise KeyError("map")


def numpy_noise(task, key):
    state = jnp.asarray(np.random.default_rng().normal(size=2), jnp.float32)
    return state, state


def counts_calls(task, key):
    _COUNTER[0] += 1
    state = jnp.full(2, 0.01 * _COUNTER[0])
    return state, state


def remembers_eagerly(task, key):
    """Compiled it is sound; called by hand, it starts where the last task began."""
    state = 0.1 * jax.random.normal(key, (2,))
    if not isinstance(task, jax.core.Tracer):
        state, _LAST[0] = state + _LAST[0], task
    return state, state


def keeps_its_own_goal(task, key):
    state = 0.1 * jax.random.normal(key, (2,))
    return (state, GOAL), state


def heads_for_its_own_goal(state, action, task, key):
    done = go(state[0], action, state[1], key)
    return Step((done.state, state[1]), done.observation, done.reward, done.terminated)


def shows_the_goal(task, key):
    state = 0.1 * jax.random.normal(key, (2,))
    return state, jnp.concatenate([state, task])


def goes_on_showing(state, action, task, key):
    done = go(state, action, task, key)
    return Step(done.state, jnp.concatenate([done.state, task]), done.reward, done.terminated)


def grid(cell):
    """Discrete observations, as `cell` of a position says."""
    reset = lambda task, key: (begin(task, key)[0], cell(begin(task, key)[0]))  # noqa: E731
    return reset, changed(observation=lambda step, *_: cell(step.state))


INSIDE = lambda x: jnp.clip(jnp.floor(10 * x[0]), 0, 4).astype(jnp.int32)  # noqa: E731
BELOW, ABOVE = (grid(lambda x, d=d: INSIDE(x) + d) for d in (-1, 1))
FIVE = {"seen": Discrete(5)}


class Limited(Plane):
    """Counts steps, and terminates at its horizon."""

    def reset(self, task, key):
        state, observation = self.begin(task, key)
        return (state, jnp.asarray(0)), observation

    def step(self, state, action, task, key):
        inner, time = state
        done = self.go(inner, action, task, key)
        return Step((done.state, time + 1), done.observation, done.reward, time + 1 >= self.horizon)


class Counting(Plane):
    """Counts its resets, to no effect."""

    count: int = eqx.field(static=True, default=0)

    def reset(self, task, key):
        object.__setattr__(self, "count", self.count + 1)
        return self.begin(task, key)


def with_env(kind):
    problem = plane()
    env = problem.env
    parts = (env.begin, env.go, env.horizon, env.ends_early, env.observation_space, env.action_space)
    return dataclasses.replace(problem, env=kind(*parts))


def with_shifted(oracle=unknown):
    """Shifted tasks are far away."""
    problem = plane(go=changed(reward=lambda s, state, a, task: jnp.where(task[0] > 5, jnp.nan, s.reward)))
    far = Goals(lambda key: 10 + goal(key), oracle, "test", None)
    return dataclasses.replace(problem, shifted=far, shift="far")


def poor_shifted():
    far = Goals(lambda key: 10 + goal(key), lambda task: jnp.asarray(-1e6), "test", None)
    return dataclasses.replace(plane(), shifted=far, shift="far")


def only_forceful(state, action, task, key):
    """Reset has put a goal of its own into the state; the force is the task's."""
    return heads_for_its_own_goal(state, task["force"] * action, None, key)


def strong_goal(key):
    return {"goal": goal(key), "force": jax.random.uniform(key, (), minval=0.5)}


def asks_python(key):
    return goal(key) * (1.0 if float(jax.random.uniform(key)) > 0.5 else -1.0)


def noisy_goal(key):
    return goal(key) + np.random.default_rng().normal(size=2).astype(np.float32)


@jax.jit
def _drawn_once(state):
    return state + jnp.asarray(np.random.default_rng().normal(size=2), jnp.float32)


def jitted_noise(task, key):
    state = _drawn_once(0.1 * jax.random.normal(key, (2,)))
    return state, state


def counts_outside(task, key):
    def count(x):
        _COUNTER[0] += 1
        return np.asarray(x + 1e-3 * _COUNTER[0], np.float32)

    state = 0.1 * jax.random.normal(key, (2,))
    state = jax.pure_callback(count, jax.ShapeDtypeStruct((2,), jnp.float32), state, vmap_method="sequential")
    return state, state


def cells(key):
    return jax.random.randint(key, (), 0, 5)


PAID = lambda won: won.astype(jnp.float32)  # noqa: E731


def cell_shown():
    """Which of five arms pays is what is observed."""
    step = lambda state, action, task, key: Step(state, task, PAID(action == task), jnp.asarray(False))  # noqa: E731
    options = {"seen": Discrete(5), "actions": Discrete(5), "finite": 5}
    return plane(lambda task, key: (jnp.zeros(()), task), step, cells, **options)


PLANTED: dict[str, tuple[str, Callable[[], Any]]] = {
    "no problem": ("problem", lambda: {"env": None}),
    "reset raises": ("raises", lambda: plane(raises)),
    "step raises": ("raises", lambda: plane(go=raises)),
    "step asks Python for a number": ("raises", lambda: plane(go=with_python)),
    "observation of a wrong shape": ("types", lambda: plane(lambda t, k: (begin(t, k)[0], jnp.zeros(3)))),
    "observation of a wrong type": ("types", lambda: plane(go=changed(observation=lambda *_: jnp.zeros(2, jnp.int32)))),
    "reward with an axis": ("types", lambda: plane(go=changed(reward=lambda s, *_: s.reward[None]))),
    "reward an integer": ("types", lambda: plane(go=changed(reward=lambda *_: jnp.asarray(1)))),
    "terminated a float": ("types", lambda: plane(go=changed(terminated=lambda *_: jnp.zeros(())))),
    "nothing terminated": ("types", lambda: plane(go=changed(terminated=lambda *_: None))),
    "state changes its type": ("types", lambda: plane(go=changed(state=lambda s, *_: s.state.astype(jnp.float16)))),
    "state changes its structure": ("types", lambda: plane(go=changed(state=lambda s, *_: (s.state, s.state)))),
    "NaN at step 9": ("numbers", lambda: counted(go=at_step(9, jnp.nan))),
    "infinite at step 3": ("numbers", lambda: counted(go=at_step(3, jnp.inf))),
    "huge at step 10": ("numbers", lambda: counted(go=at_step(10, 1e30))),
    "NaN reward in some tasks": (
        "numbers",
        lambda: plane(go=changed(reward=lambda s, state, a, task: jnp.where(task[0] > 0.8, jnp.nan, s.reward))),
    ),
    "observation beyond its box": ("numbers", lambda: plane(seen=Box((2,), -0.05, 0.05))),
    "index −1": ("numbers", lambda: plane(*BELOW, **FIVE)),
    "index too large": ("numbers", lambda: plane(*ABOVE, **FIVE)),
    "NaN at the highest action": (
        "numbers",
        lambda: plane(go=changed(reward=lambda s, st, a, t: jnp.where(jnp.all(a == 1), jnp.nan, s.reward))),
    ),
    "ends early and does not say so": (
        "termination",
        lambda: plane(go=changed(terminated=lambda s, *_: jnp.abs(s.state[0]) > 0.2)),
    ),
    "its own time limit": ("termination", lambda: counted(go=own_time_limit, ends_early=True)),
    "noise from NumPy": ("determinism", lambda: plane(numpy_noise)),
    "counts its calls": ("determinism", lambda: plane(counts_calls)),
    "remembers the last task": ("memory", lambda: plane(remembers_eagerly)),
    "tasks are all the same": ("same tasks", lambda: plane(goal=lambda key: GOAL, finite=2)),
    "reset keeps a goal of its own": ("task ignored", lambda: plane(keeps_its_own_goal, heads_for_its_own_goal)),
    "reward of a fixed goal": (
        "task ignored",
        lambda: plane(go=changed(reward=lambda s, *_: -jnp.sum(jnp.square(s.state - GOAL)))),
    ),
    "action is forgotten": (
        "action ignored",
        lambda: plane(go=lambda state, action, task, key: go(state, jnp.zeros(2), task, key)),
    ),
    "reward always 0": (
        "reward",
        lambda: plane(
            lambda task, key: (begin(task, key)[0] + task, begin(task, key)[1]),
            changed(reward=lambda *_: jnp.zeros(())),
        ),
    ),
    "the goal is shown": ("leak", lambda: plane(shows_the_goal, goes_on_showing, seen=Box((4,)))),
    "tasks without a split": (
        "splits",
        lambda: plane(goal=lambda key: jnp.round(goal(key) * 4) / 4, family=Unstamped),
    ),
    "nine tasks, and it does not say so": (
        "splits",
        lambda: plane(
            go=lambda state, action, task, key: go(state, action, task.astype(jnp.float32), key),
            goal=lambda key: jax.random.randint(key, (2,), 0, 3),
        ),
    ),
    "more tasks than said": ("splits", lambda: plane(finite=3)),
    "an oracle too low": ("oracle", lambda: plane(oracle=lambda task: jnp.asarray(-1e4))),
    "an oracle with an axis": ("oracle", lambda: plane(oracle=lambda task: jnp.zeros(1))),
    "reward of half precision": ("types", lambda: plane(go=changed(reward=lambda s, *_: s.reward.astype(jnp.float16)))),
    "observation changes its type": (
        "types",
        lambda: plane(grid(INSIDE)[0], grid(lambda x: INSIDE(x).astype(jnp.uint8))[1], **FIVE),
    ),
    "reset gives three things": ("types", lambda: plane(lambda task, key: (*begin(task, key), {}))),
    "horizon of ten and a half": ("types", lambda: plane(horizon=10.5)),
    "half an episode": ("types", lambda: plane(episodes=2.5)),
    "an optimum of one episode": ("types", lambda: dataclasses.replace(plane(), optimum=(1.0,))),
    "space of another kind": ("types", lambda: plane(seen=(2,))),
    "sample asks Python for a number": ("raises", lambda: plane(goal=asks_python)),
    "NaN at step 2500": ("numbers", lambda: counted(go=at_step(2500, jnp.nan), horizon=3000)),
    "NaN in shifted tasks": ("numbers", with_shifted),
    "ends at the highest action": (
        "termination",
        lambda: plane(go=changed(terminated=lambda s, state, action, task: jnp.all(action == 1))),
    ),
    "a time limit that is the horizon": ("termination", lambda: with_env(Limited)),
    "tasks from NumPy": ("determinism", lambda: plane(goal=noisy_goal)),
    "noise from NumPy, in a jit of its own": ("determinism", lambda: plane(jitted_noise)),
    "counts in a callback": ("determinism", lambda: plane(counts_outside)),
    "writes to itself": ("memory", lambda: with_env(Counting)),
    "reset keeps a goal of its own, and the task has more": (
        "task ignored",
        lambda: plane(keeps_its_own_goal, only_forceful, strong_goal),
    ),
    "the goal is shown from the first step": (
        "leak",
        lambda: plane(
            lambda task, key: (begin(task, key)[0], jnp.zeros(2)), changed(observation=lambda s, st, a, task: task)
        ),
    ),
    "a number is shown": ("leak", cell_shown),
    "shifted oracle too low": ("oracle", poor_shifted),
    "tasks that are no arrays": ("tasks", lambda: plane(goal=lambda key: {"size": 3.0})),
}
"""By name: the rule that must find it, and how it is made."""
