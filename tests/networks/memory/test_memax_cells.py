"""Cells of the package memax keep the protocol of memories; a refusal says what is missing."""

import dataclasses
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms.memory.settings import MEMORIES
from adaptax.core.entry import load_target
from adaptax.core.errors import MissingPackageError, UseError
from adaptax.core.spaces import Box, Discrete
from adaptax.networks import MemorySizes
from adaptax.networks.memory.layered import in_order
from adaptax.networks.memory.memax_cells import CELLS
from tests.sample_problems import quick_jit

SIZES = MemorySizes(Box((2,)), Discrete(2), 6, 0, 5)
RNG = np.random.default_rng(0)


@pytest.mark.compiles
@pytest.mark.parametrize("name", CELLS)
def test_E9_whole_trials_are_step_by_step(name):
    pytest.importorskip("memax")
    memory = load_target(MEMORIES[f"memax:{name}"])(SIZES, jax.random.key(0))
    xs = jnp.asarray(RNG.normal(size=(12, 2, 8)), jnp.float32)
    valid, starts = (jnp.asarray(RNG.random((12, 2)) < share) for share in (0.7, 0.2))

    def run(memory):
        whole = memory.unroll(xs, None, starts), in_order(memory, xs, None, starts)
        return whole, (memory.unroll(xs, valid, starts), in_order(memory, xs, valid, starts))

    whole, some = quick_jit(run)(memory)
    assert np.isfinite(whole[0]).all()
    np.testing.assert_allclose(*whole, rtol=1e-4, atol=1e-5)
    happened = np.asarray(valid)
    np.testing.assert_allclose(*(np.asarray(x)[happened] for x in some), rtol=1e-4, atol=1e-5)
    kinds = {x.dtype for x in jax.tree.leaves(memory.initial())}
    assert kinds <= {jnp.dtype("float32"), jnp.dtype("int32"), jnp.dtype("bool")}


@pytest.mark.compiles
def test_pairs_that_turn_need_an_even_number():
    pytest.importorskip("memax")
    with pytest.raises(UseError, match=r"memax:attention-rope.*memory_size: expected an even number.*found 5"):
        load_target(MEMORIES["memax:attention-rope"])(dataclasses.replace(SIZES, size=5), jax.random.key(0))


def test_it_is_said_what_to_install(monkeypatch):
    for name in ["memax", *(name for name in sys.modules if name.startswith("memax."))]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackageError, match=r'memax:ffm needs memax.*pip install "adaptax\[memax\]"'):
        load_target(MEMORIES["memax:ffm"])(SIZES, jax.random.key(0))


def test_other_names_are_no_cells():
    with pytest.raises(AttributeError, match="no attribute 'spherical'"):
        load_target("adaptax.networks.memory.memax_cells:spherical")
