"""Environments with one planted bug each, and good ones that are unusual, for `adaptax.envs.contract`."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from adaptax import envs
from adaptax.envs.base import Environment, Step, TaskDistribution, make_problem
from adaptax.spaces import Box, Discrete, Space
from tests.problems import odd_bandit

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
    "more tasks than said": ("splits", lambda: plane(finite=3)),
    "an oracle too low": ("oracle", lambda: plane(oracle=lambda task: jnp.asarray(-1e4))),
    "an oracle with an axis": ("oracle", lambda: plane(oracle=lambda task: jnp.zeros(1))),
    "tasks that are no arrays": ("tasks", lambda: plane(goal=lambda key: {"size": 3.0})),
}
"""By name: the rule that must find it, and how it is made."""


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
    "discrete actions": lambda: envs.tabular_mdp(num_states=3, num_actions=2, horizon=4, num_episodes=2),
    "a bandit that pays 2": lambda: odd_bandit(3, 5, scale=2.0),
    "one arm and another": envs.correlated_bandit,
    "a cue in the first episode": envs.cue,
    "the two-step task": envs.two_step,
    "informed": lambda: envs.informed(plane()),
    "cart pole, varied": lambda: envs.cart_pole(variation=0.5, horizon=50),
    "held-out goals of a grid": lambda: envs.grid_navigation(held_out=True),
    "sparse": lambda: envs.point_robot_sparse(horizon=20),
}
"""By name: how it is made."""
