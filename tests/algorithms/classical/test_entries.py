import dataclasses
import importlib
import inspect
import pkgutil

import jax
import numpy as np
import pytest

from adaptax.algorithms import classical
from adaptax.algorithms.classical.entries import CLASSICAL
from adaptax.core.algorithm import Algorithm
from adaptax.core.entry import load_target
from adaptax.core.types import TimeStep
from adaptax.registry.registry import build, build_agent, suited
from tests.families import PROBLEMS

SMALL = {
    "num_arms": 2, "num_pulls": 4, "num_rounds": 3, "num_states": 3, "num_actions": 2, "num_episodes": 2,
    "horizon": 6, "length": 4, "size": 3,
}  # fmt: skip
SMALLEST = {"treasure-mountain": {"size": 5, "horizon": 15}}
"""What has no smaller one: of three cells on a side, the mountain would be all."""


def smaller(problem):
    """The settings of a problem that is enumerated in no time."""
    kind = PROBLEMS[problem].settings
    known = {field.name for field in dataclasses.fields(kind)}
    return kind(**{**{name: value for name, value in SMALL.items() if name in known}, **SMALLEST.get(problem, {})})


def test_every_agent_of_the_room_has_a_name_and_no_two_are_the_same():
    found = set()
    for module in pkgutil.iter_modules(classical.__path__):
        each = importlib.import_module(f"{classical.__name__}.{module.name}")
        found |= {
            kind for _, kind in inspect.getmembers(each, inspect.isclass)
            if issubclass(kind, Algorithm) and not inspect.isabstract(kind) and kind.__module__ == each.__name__
        }  # fmt: skip
    entered = [(load_target(entry.target), entry.parts.get("prior")) for entry in CLASSICAL.values()]
    assert len(set(entered)) == len(entered)
    unnamed = {kind for kind in found - {kind for kind, _ in entered} if not kind.__subclasses__()}
    assert unnamed == set()


@pytest.mark.parametrize("name", CLASSICAL)
def test_an_agent_says_what_it_is_for_and_needs_no_training(name):
    entry = CLASSICAL[name]
    assert entry.settings is None
    assert entry.summary
    assert len(entry.summary) < 80
    traits = {trait for problem in PROBLEMS.values() for trait in problem.traits}
    assert entry.suits is None or entry.suits in traits
    assert suited(entry)


@pytest.mark.parametrize("name", CLASSICAL)
def test_an_agent_acts_in_the_problems_that_it_is_for(name):
    for problem_name in filter(PROBLEMS.__contains__, suited(CLASSICAL[name])):
        settings = smaller(problem_name)
        problem, agent = build(PROBLEMS[problem_name], settings), build_agent(name, settings)

        def first_action(key, problem=problem, agent=agent):
            task_key, reset_key, agent_key, act_key = jax.random.split(key, 4)
            task = problem.test.sample(task_key)
            observation = problem.env.reset(task, reset_key)[1]
            meta = agent.describe(problem)
            timestep = TimeStep(observation, problem.env.action_space.null(), np.float32(0), np.bool_(True))
            return agent.act(meta, agent.begin(meta, agent_key), timestep, act_key, explore=False)[0]

        actions = np.asarray(jax.jit(jax.vmap(first_action))(jax.random.split(jax.random.key(0), 8)))
        space = problem.env.action_space
        if hasattr(space, "num"):
            assert ((actions >= 0) & (actions < space.num)).all(), problem_name
        else:
            assert np.isfinite(actions).all(), problem_name
            assert ((actions >= space.low) & (actions <= space.high)).all(), problem_name
