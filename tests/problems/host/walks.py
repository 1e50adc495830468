"""One small family twice: as a Gymnasium environment, and in JAX."""

import os
import signal
import time

import equinox as eqx
import gymnasium
import jax.numpy as jnp
import numpy as np

from adaptax.core.problem import Environment, Step, make_problem
from adaptax.core.spaces import Box
from adaptax.problems.host.gymnasium_problems import gymnasium_problem
from adaptax.problems.task_values import ValueTasks

RANGES = {"goal": (-1.0, 1.0), "drift": (0.0, 0.125)}
HORIZON = 6
EDGE = 1.25


class Walk(gymnasium.Env):
    """A point on a line, which drifts, and earns more the nearer it is to a goal; beyond the edge it is over."""

    observation_space = gymnasium.spaces.Box(-10, 10, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, goal=0.0, drift=0.0):
        self.task = {"goal": goal, "drift": drift}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.task.update(options or {})
        self.place, self.steps = np.float32(0), 0
        return self.seen(), {}

    def seen(self):
        return np.asarray([self.place, self.steps], np.float32)

    def step(self, action):
        self.place = self.place + np.float32(0.5) * action[0] + np.float32(self.task["drift"])
        self.steps += 1
        reward = -abs(float(self.place) - self.task["goal"])
        return self.seen(), reward, bool(abs(self.place) > EDGE), False, {}


class Twin(Environment):
    """The same in JAX."""

    observation_space: Box = eqx.field(static=True, default=Box((2,)))
    action_space: Box = eqx.field(static=True, default=Box((1,), -1.0, 1.0))
    horizon: int = eqx.field(static=True, default=HORIZON)
    ends_early: bool = eqx.field(static=True, default=True)

    def reset(self, task, key):
        return jnp.zeros(2), jnp.zeros(2)

    def step(self, state, action, task, key):
        after = jnp.stack([state[0] + 0.5 * action[0] + task["drift"], state[1] + 1])
        return Step(after, after, -jnp.abs(after[0] - task["goal"]), jnp.abs(after[0]) > EDGE)


def walks(**options):
    return gymnasium_problem(Walk, RANGES, **{"horizon": HORIZON, "episodes": 2, **options})


def twins(episodes=2):
    ranges = tuple((name, low, high, False) for name, (low, high) in RANGES.items())
    return make_problem(Twin(), lambda split: ValueTasks(split=split, ranges=ranges, choices=()), episodes)


class Noisy(Walk):
    """It draws from its own generator."""

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed, options=options)
        self.place = np.float32(self.np_random.normal() / 8)
        return self.seen(), {}


def noisy(workers: int = 0, episodes=2):
    return gymnasium_problem(Noisy, RANGES, horizon=HORIZON, episodes=episodes, workers=workers, step_timeout=5.0)


class Faulty(Walk):
    """What goes wrong is in a file: a line for each fault, taken by whoever comes first after some steps."""

    def step(self, action):
        self.fail()
        return super().step(action)

    def fail(self):
        folder = os.environ.get("WALK_FAULTS", "")
        for name in sorted(os.listdir(folder)) if folder else ():
            try:
                os.rename(os.path.join(folder, name), os.path.join(folder + ".done", name))
            except FileNotFoundError:
                continue
            kind = name.split("-")[1]
            if kind == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if kind == "hang":
                time.sleep(1000)
            if kind == "raise":
                raise RuntimeError("the simulator has exploded")
            self.place = np.float32(np.nan)
            return


def faulty(workers=2, episodes=2):
    return gymnasium_problem(Faulty, RANGES, horizon=HORIZON, episodes=episodes, workers=workers, step_timeout=2.0)


def pendulums(episodes=2):
    return gymnasium_problem("Pendulum-v1", {"g": (5.0, 15.0)}, episodes=episodes)
