"""Small problems and agents whose every number is known, for the tests."""

import dataclasses
import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from adaptax.core.algorithm import FromScratch
from adaptax.core.problem import Environment, Problem, Step, TaskDistribution, make_problem
from adaptax.core.spaces import Box, Discrete, Space
from adaptax.core.types import AgentState, Window
from adaptax.problems.bandit import BernoulliBandit, UniformBernoulliArms

quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""For programs that run a few times on tiny arrays: less optimised, compiled in half the time."""


@functools.cache
def _program(function: Any) -> Any:
    return eqx.filter_jit(function)


def program(function: Any) -> Any:
    """A function or method as one program: of its arguments arrays are traced, and all else is constant.

    A test that calls methods of an algorithm one operation at a time compiles hundreds. Algorithms are values: equal
    ones share their programs, whatever test they are made in.
    """
    if (owner := getattr(function, "__self__", None)) is not None:
        traced = any(isinstance(x, jax.core.Tracer) for x in vars(owner).values())  # part of another program then
        return function if traced else functools.partial(_program(function.__func__), owner)
    return _program(function)


class Length(eqx.Module):
    """After how many steps an episode terminates."""

    length: Any


class Clockwork(Environment):
    """Shows the step of the episode; pays 100 × that step plus the action; terminates after `task.length` steps."""

    horizon: int = eqx.field(static=True)
    ends_early: bool = eqx.field(static=True)
    action_space: Space = eqx.field(static=True)
    observation_space: Space = eqx.field(static=True)

    def __init__(self, horizon: int, ends_early: bool, num_actions: int):
        self.horizon = horizon
        self.ends_early = ends_early
        self.action_space = Discrete(num_actions)
        self.observation_space = Box((1,))

    def reset(self, task, key):
        return jnp.asarray(0), jnp.zeros(1)

    def step(self, state, action, task, key):
        reward = (100 * state + action).astype(jnp.float32)
        return Step(state + 1, (state + 1).astype(jnp.float32)[None], reward, state + 1 >= task.length)


class Lengths(TaskDistribution):
    """Lengths from 1 to horizon + 1: the longest episodes do not terminate."""

    horizon: int = eqx.field(static=True)
    split: str = eqx.field(static=True)
    finite: int | None = eqx.field(static=True)

    def __init__(self, horizon: int, split: str):
        self.horizon = horizon
        self.split = split
        self.finite = horizon + 1

    def draw(self, key):
        return Length(jax.random.randint(key, (), 1, self.horizon + 2))

    def oracle(self, task):
        return jnp.asarray(jnp.nan)


def clockwork(horizon: int, episodes: int, *, ends_early: bool = True, num_actions: int = 1000) -> Problem:
    """A problem in which reward, observation and memory tell where in the trial they were."""
    env = Clockwork(horizon, ends_early, num_actions)
    return make_problem(env, lambda split: Lengths(horizon, split), episodes)


@dataclasses.dataclass(frozen=True)
class Counter(FromScratch):
    """Its action is the number of times that it has acted before; `aux` is what it saw.

    `adapted` is the number of windows so far and the actions of the last one.
    """

    streams: int = 1
    window_steps: int | None = None

    def describe(self, problem):
        return jnp.zeros(0)

    def begin(self, meta, key):
        last = jnp.full((self.window_steps or 0, self.streams), -1)
        return AgentState((jnp.asarray(0), last), jnp.asarray(0))

    def act(self, meta, agent, timestep, key, *, explore):
        return agent.memory, agent.memory + 1, {"saw": timestep, "adapted": agent.adapted}

    def adapt(self, meta, agent, trajectory, key):
        last = agent.adapted[1] if self.window_steps is None else trajectory.action
        return AgentState((agent.adapted[0] + 1, last), agent.memory)

    def window(self, problem):
        return Window(self.streams, self.window_steps or problem.trial_steps)


class OddBandit(BernoulliBandit):
    """Bernoulli arms that pay `scale`; with `shuffled`, each pull is of a random arm, whatever the action."""

    scale: float = eqx.field(static=True)
    shuffled: bool = eqx.field(static=True)

    def __init__(self, num_arms: int, scale: float = 1.0, shuffled: bool = False):
        super().__init__(num_arms)
        self.scale = scale
        self.shuffled = shuffled

    def step(self, state, action, task, key):
        if self.shuffled:
            key, arm_key = jax.random.split(key)
            action = jax.random.randint(arm_key, (), 0, self.action_space.num)
        step = super().step(state, action, task, key)
        return Step(step.state, step.observation, self.scale * step.reward, step.terminated)


def odd_bandit(num_arms: int, num_pulls: int, **options: Any) -> Problem:
    """Bernoulli bandits with rewards that are scaled or tell nothing."""
    env = OddBandit(num_arms, **options)
    return make_problem(env, lambda split: UniformBernoulliArms(num_arms, split), num_pulls)


class Marked(Environment):
    """An environment whose steps can be counted in a program's text: each has one Bessel function."""

    env: Environment
    horizon: int = eqx.field(static=True)
    ends_early: bool = eqx.field(static=True)
    action_space: Space = eqx.field(static=True)
    observation_space: Space = eqx.field(static=True)

    def reset(self, task, key):
        return self.env.reset(task, key)

    def step(self, state, action, task, key):
        step = self.env.step(state, action, task, key)
        reward = step.reward + 0.0 * jax.lax.bessel_i1e(step.reward)
        return Step(step.state, step.observation, reward, step.terminated)


def marked(problem: Problem) -> Problem:
    """The problem, with steps that `marked_steps` can count."""
    env = problem.env
    spaces = env.action_space, env.observation_space
    return dataclasses.replace(problem, env=Marked(env, env.horizon, env.ends_early, *spaces))


def marked_steps(function: Any, *args: Any) -> int:
    """Number of steps of marked environments that `function` takes: all lengths of loops and batches multiplied."""

    def count(jaxpr: Any) -> int:
        total = 0
        for equation in jaxpr.eqns:
            if equation.primitive.name == "bessel_i1e":
                total += equation.outvars[0].aval.size
            inside = [p for p in jax.tree.leaves(list(equation.params.values())) if hasattr(p, "eqns")]
            times = equation.params["length"] if equation.primitive.name == "scan" else 1
            total += times * sum(count(getattr(p, "jaxpr", p)) for p in inside)
        return total

    return count(jax.make_jaxpr(function)(*args).jaxpr)


def random_state(algorithm: Any, problem: Problem, seed: int = 0) -> Any:
    """A train state with weights of order one everywhere, without compiling `init`.

    Unlike fresh networks, its policies are far from uniform and its critic is not zero.
    """
    shapes = jax.eval_shape(lambda key: algorithm.init(problem, key), jax.random.key(seed))
    rng = np.random.default_rng(seed)
    draw = lambda x: jnp.asarray(rng.normal(size=x.shape) * 0.7, x.dtype)  # noqa: E731
    network = jax.tree.map(draw, shapes.meta.network)
    positive = lambda x: jnp.abs(draw(x)) + 0.5  # noqa: E731
    reward, task = jax.tree.map(positive, (shapes.meta.reward, shapes.meta.task))
    center = jnp.zeros(())
    meta = dataclasses.replace(shapes.meta, network=network, reward=reward, reward_center=center, task=task)
    opt_state = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes.opt_state)
    return dataclasses.replace(shapes, meta=meta, opt_state=opt_state, step=jnp.asarray(0), key=jax.random.key(seed))


def train(algorithm: Any, problem: Problem, num_updates: int, seed: int = 0) -> tuple[Any, Any]:
    """Initialise and do `num_updates` updates in one program; return the state and the metrics of each."""

    @quick_jit
    def run(key):
        state = algorithm.init(problem, key)
        return jax.lax.scan(lambda state, _: algorithm.update(problem, state), state, None, length=num_updates)

    return run(jax.random.key(seed))


def same(a: Any, b: Any) -> bool:
    """Whether two pytrees are bitwise equal."""
    raw = lambda x: np.asarray(jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x)  # noqa: E731
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        raw(x).tobytes() == raw(y).tobytes() for x, y in pairs
    )


TINY = {
    "memory_size": 4, "critic_size": 4, "num_tasks": 8, "num_updates": 100, "num_epochs": 2, "num_minibatches": 2,
    "learning_rate": 1e-2, "entropy_cost": 0.05,
}  # fmt: skip
"""Settings of RL² that train in no time."""
