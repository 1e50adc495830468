"""Observations that networks hardly see are told of, though they break no rule (trap E33)."""

import jax
import jax.numpy as jnp
import pytest

from adaptax.core.problem import Step
from adaptax.core.spaces import Box, Discrete
from adaptax.problems.checks.notes import observation_notes
from tests.problems.checks.contract_cases import begin, go, plane

pytestmark = pytest.mark.compiles
KEY = jax.random.key(0)


def shown(change):
    """The plane, which shows a function of its state."""

    def reset(task, key):
        state, _ = begin(task, key)
        return state, change(state)

    def step(state, action, task, key):
        step = go(state, action, task, key)
        return Step(step.state, change(step.state), step.reward, step.terminated)

    return reset, step


@pytest.mark.parametrize("bound", [1e20, 1e6])
def test_E33_a_range_that_is_hardly_filled_is_told_of(bound):
    (note,) = observation_notes(plane(seen=Box((2,), -bound, bound)), KEY)
    assert note.startswith("observations fill ")
    assert f"{-bound:g} to {bound:g}; networks read them as they are" in note


def test_E33_bounds_that_are_none_promise_nothing():
    assert observation_notes(plane(seen=Box((2,), -3.4e38, 3.4e38)), KEY) == []


def test_E33_what_is_far_from_0_is_told_of():
    (note,) = observation_notes(plane(*shown(lambda state: state + 1000.0)), KEY)
    assert "is 1e+03 ± " in note
    assert "Subtract what is usual" in note


def test_nothing_is_said_of_what_networks_see():
    assert observation_notes(plane(), KEY) == []
    assert observation_notes(plane(seen=Box((2,), -3.0, 3.0)), KEY) == []
    blind = shown(lambda state: jnp.zeros(0))
    assert observation_notes(plane(*blind, seen=Box((0,))), KEY) == []
    corner = shown(lambda state: (state[0] > 0).astype(jnp.int32))
    assert observation_notes(plane(*corner, seen=Discrete(2)), KEY) == []
