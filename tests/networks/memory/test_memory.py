"""A memory is a class and a name: who uses it asks it, and knows no kinds."""

import dataclasses
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import RL2
from adaptax.algorithms.memory.settings import MEMORIES, DenseMemoryKind, MemaxKind, MemoryKind
from adaptax.core.entry import load_target
from adaptax.core.errors import ConfigError
from adaptax.core.spaces import Box, Discrete
from adaptax.networks.memory.base import Memory, MemorySizes, Seen, dense_input_size
from adaptax.networks.memory.memax_cells import CELLS
from adaptax.problems import bernoulli_bandit, cart_pole, tabular_mdp


class MovingAverages(Memory):
    """Exponential moving averages of projected inputs, one decay for each unit."""

    weight: jax.Array
    decay: jax.Array

    @classmethod
    def build(cls, sizes, key):
        weight = jax.random.normal(key, (dense_input_size(sizes), sizes.size)) / 4
        return cls(weight, jnp.linspace(0.5, 2.0, sizes.size))

    @property
    def size(self):
        return self.weight.shape[1]

    def initial(self):
        return jnp.zeros(self.size)

    def step(self, state, x):
        keep = jax.nn.sigmoid(self.decay)
        state = keep * state + (1 - keep) * jnp.tanh(x @ self.weight)
        return state, state

    def unroll(self, xs, valid=None, starts=None):
        happened = jnp.ones(xs.shape[:2], bool) if valid is None else valid
        starts = jnp.zeros(xs.shape[:2], bool) if starts is None else starts

        def step(state, now):
            x, happened, starts = now
            state = jnp.where(starts[:, None], 0.0, state)
            new = jnp.where(happened[:, None], jax.vmap(self.step)(state, x)[0], state)
            return new, new

        return jax.lax.scan(step, jnp.zeros((xs.shape[1], self.size)), (xs, happened, starts))[1]


moving_averages = MovingAverages.build


@dataclasses.dataclass(frozen=True)
class AveragingRL2(RL2):
    memory: Literal["moving-averages"] = "moving-averages"


@pytest.mark.compiles
@pytest.mark.parametrize("problem", [bernoulli_bandit(2, 4), tabular_mdp(3, 2, 2, 2), cart_pole(1, 30)])
def test_a_new_memory_trains_by_its_name_alone(problem, monkeypatch):
    monkeypatch.setitem(MEMORIES, "moving-averages", f"{__name__}:moving_averages")
    learner = AveragingRL2(memory_size=5, critic_size=4, num_tasks=4, num_minibatches=2, num_updates=2)
    state = learner.init(problem, jax.random.key(0))
    assert isinstance(state.meta.network.memory, MovingAverages)
    after, metrics = jax.jit(lambda state: learner.update(problem, state))(state)
    assert np.isfinite(metrics["return"])
    for name in ("weight", "decay"):
        before, now = (getattr(s.meta.network.memory, name) for s in (state, after))
        assert np.abs(np.asarray(now) - np.asarray(before)).max() > 0


def test_kinds_of_the_settings_are_those_that_can_be_built():
    assert set(MemoryKind.__args__) == set(MEMORIES)
    assert set(DenseMemoryKind.__args__) == set(OWN) - {"symmetric", "counting"}
    assert set(MemaxKind.__args__) == set(MEMORIES) - set(OWN) == {f"memax:{name}" for name in CELLS}


OWN = sorted(kind for kind in MEMORIES if ":" not in kind)
"""Those that need no other package."""
SPACES = [(Box((0,)), Discrete(3)), (Discrete(4), Discrete(3)), (Box((2,)), Discrete(3)), (Box((2,)), Box((1,)))]


@pytest.mark.compiles
@pytest.mark.parametrize("spaces", SPACES, ids=["bandit", "mdp", "control", "robot"])
@pytest.mark.parametrize("kind", OWN)
def test_every_kind_keeps_the_protocol(kind, spaces):
    sizes = MemorySizes(*spaces, size=5, policy_size=0, span=6)
    if kind in ("symmetric", "counting") and not isinstance(spaces[1], Discrete):
        with pytest.raises(ValueError, match=rf"{kind}.*: expected discrete actions; found Box"):
            load_target(MEMORIES[kind])(sizes, jax.random.key(0))
        return
    memory = load_target(MEMORIES[kind])(sizes, jax.random.key(0))
    assert isinstance(memory, Memory)

    countable = sizes.countable and memory.counts_pairs
    o, a = (jnp.asarray(np.random.default_rng(0).normal(size=(7, space.encoded_size)), jnp.float32) for space in spaces)
    number = jnp.ones((7, 1))
    xs = memory.inputs(Seen(o, o, a, number, number, countable))
    state, outputs = memory.initial(), []
    for x in xs:
        state, output = memory.step(state, x)
        outputs.append(output)
    assert output.shape == (memory.size,)
    np.testing.assert_allclose(memory.unroll(xs[:, None])[:, 0], jnp.stack(outputs), rtol=2e-5, atol=2e-6)
    readout, policy = memory.heads(sizes, 0.5, jax.random.key(1))
    assert readout is None
    assert eqx.is_inexact_array(jax.tree.leaves(policy(outputs[0]))[0])


def test_an_unknown_kind_is_refused():
    known = "lstm, gru, lru, transformer, none, symmetric, counting, memax:…"
    with pytest.raises(ConfigError, match=f"memory: expected one of {known}; found 'elephant'"):
        RL2(memory="elephant")
