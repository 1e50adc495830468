import dataclasses

import jax
import jax.numpy as jnp
import pytest

from adaptax.core.algorithm import Algorithm
from adaptax.core.types import AgentState, Window
from tests.sample_problems import Counter, clockwork


@dataclasses.dataclass(frozen=True)
class Minimal(Algorithm):
    def init(self, problem, key):
        raise NotImplementedError

    def update(self, problem, state):
        raise NotImplementedError

    def begin(self, meta, key):
        raise NotImplementedError

    def act(self, meta, agent, timestep, key, *, explore):
        raise NotImplementedError


@pytest.mark.parametrize("missing", ["init", "begin", "act"])
def test_three_functions_are_required(missing):
    body = {name: vars(Minimal)[name] for name in ("init", "begin", "act") if name != missing}
    with pytest.raises(TypeError, match=missing):
        type("Incomplete", (Algorithm,), body)()


def test_adapt_is_the_identity_by_default():
    agent = AgentState(jnp.ones(2), jnp.zeros(3))
    assert Minimal().adapt(None, agent, None, jax.random.key(0)) is agent


def test_window_is_one_stream_and_the_whole_trial_by_default():
    assert Minimal().window(clockwork(horizon=3, episodes=4)) == Window(num_envs=1, steps=12)


def test_learning_from_scratch_has_an_empty_outer_loop(key):
    problem = clockwork(horizon=3, episodes=4)
    state = Counter().init(problem, key)
    after, metrics = Counter().update(problem, state)
    assert after is state
    assert metrics == {}
    assert state.step == 0
