"""Modules of a user's own, in a directory of their own, in which the command was typed."""

import sys

import pytest

from adaptax.registry import registry

SOURCES = {
    "my_envs": '''
"""A user's problems."""
from __future__ import annotations

import dataclasses
from typing import Literal

from adaptax.core.settings import Settings, setting
from adaptax.problems import bernoulli_bandit, point_robot


def make(arms: int = 3, pulls: int = 40, kind: Literal["short", "long"] = "long", shift: float | None = None, env=None):
    """Bandits of my own. And more.

    Args:
        arms: How many arms
            there are.
        pulls (int): Episodes of a trial.
        kind: Which.
        shift: Nothing.
        env: No option.
    """
    return bernoulli_bandit(num_arms=arms, num_pulls=pulls)


@dataclasses.dataclass(frozen=True)
class RobotSettings(Settings):
    """Where it goes.

    Attributes:
        num_episodes: Episodes.
    """

    num_episodes: int = setting(4, low=1, high=80)


def robot(num_episodes=4):
    return point_robot(num_episodes=num_episodes, horizon=5)


robot.settings = RobotSettings


@dataclasses.dataclass(frozen=True)
class Plain:
    size: int = 2

    def __post_init__(self):
        if self.size == 7:
            raise ValueError("7 is too much")


def plain(size):
    return bernoulli_bandit(num_arms=size, num_pulls=20)


plain.settings = Plain
ready = bernoulli_bandit(num_arms=2, num_pulls=20)


def needs(size):
    return ready


def nothing():
    return {}


def fails():
    return 1 / 0


value = 3
''',
    "my_algos": '''
"""A user's algorithms."""
import dataclasses

from adaptax.algorithms import Random
from adaptax.algorithms.memory.rl2 import RL2
from adaptax.core.algorithm import Algorithm
from adaptax.core.errors import ConfigError
from adaptax.core.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class Mine(RL2):
    """RL² with a knob.

    Attributes:
        knob: What it turns.
    """

    num_tasks: int = setting(32, low=1)
    knob: float = setting(0.5, low=0, high=1)

    def check_problem(self, problem):
        super().check_problem(problem)
        if self.knob == 0.75:
            raise ConfigError("not with this knob")


@dataclasses.dataclass(frozen=True)
class Lazy(Random):
    """Learns nothing."""

    size: int = 2

    def __post_init__(self):
        if self.size > 9:
            raise ValueError("no more than 9")


@dataclasses.dataclass(frozen=True)
class Bare(Settings, Random):
    """Settings and algorithm in one.

    Attributes:
        count: How many.
    """

    count: int = setting(1, low=1, high=3)


@dataclasses.dataclass(frozen=True)
class Half(Algorithm):
    def init(self, problem, key):
        return None


@dataclasses.dataclass(frozen=True)
class Needs(Random):
    size: int = dataclasses.field(kw_only=True)


class Other:
    pass
''',
    "imports": "import gymnaxx\n",
    "wrong": "def make(:\n",
    "stops": "raise SystemExit(0)\n",
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name, source in SOURCES.items():
        (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    before = {name: dict(getattr(registry, name)) for name in ("PROBLEMS", "ALGORITHMS")}
    path = [*sys.path]
    yield tmp_path
    assert sys.path == path  # the working directory was on it for the import only
    for table, known in before.items():
        for name in set(getattr(registry, table)) - set(known):
            registry.forget(name)
    for name in SOURCES:
        sys.modules.pop(name, None)
