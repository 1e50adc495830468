import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms.memory.rl2 import RL2
from adaptax.core.algorithm import FromScratch, init, num_parameters
from adaptax.core.errors import DivergenceError
from adaptax.core.types import AgentState, replace
from adaptax.problems import bernoulli_bandit
from adaptax.training.loop import next_look, train

PROBLEM = bernoulli_bandit(num_arms=3, num_pulls=4)
ALGORITHM = RL2(memory_size=4, critic_size=4, num_tasks=8, num_minibatches=2, num_updates=6)


def leaves(state):
    return [np.asarray(x) for x in jax.tree.leaves((state.meta, state.opt_state, state.step))]


def run(num_updates=6, state=None, **options):
    state = init(ALGORITHM, PROBLEM, seed=0) if state is None else state
    return train(ALGORITHM, PROBLEM, state, num_updates=num_updates, **options)


def looks(start, num_updates, chunk):
    found = [start]
    while found[-1] < num_updates:
        found.append(next_look(found[-1], num_updates, chunk, first=len(found) == 1))
    return found[1:]


def test_the_host_looks_after_the_first_update_whole_chunks_and_the_last():
    assert looks(0, 30, 10) == [1, 10, 20, 30]
    assert looks(0, 13, 10) == [1, 10, 13]
    assert looks(0, 7, 10) == [1, 7]
    assert looks(0, 1, 10) == [1]
    assert looks(9, 25, 10) == [10, 20, 25]
    assert looks(13, 25, 10) == [14, 20, 25]
    assert looks(25, 25, 10) == []
    assert looks(0, 3, 1) == [1, 2, 3]


@pytest.mark.compiles
def test_the_host_sees_every_update_once():
    seen = []
    run(
        on_chunk=lambda p: seen.append((p.done, p.metrics["return"].shape, p.metrics["return"].copy())) or False,
        chunk=2,
    )
    assert [(done, shape) for done, shape, _ in seen] == [(1, (1, 1)), (2, (1, 1)), (4, (2, 1)), (6, (2, 1))]
    returns = np.concatenate([r for *_, r in seen])
    assert len(np.unique(returns)) > 1
    # Each is that of its own update, wherever its chunk begins.
    others = []
    run(on_chunk=lambda p: others.append(p.metrics["return"].copy()) or False, chunk=5)
    np.testing.assert_array_equal(np.concatenate(others), returns)


@pytest.mark.compiles
def test_the_state_that_is_trained_from_stays_as_it_is():
    state = init(ALGORITHM, PROBLEM, seed=0)
    before = leaves(state)
    after = run(num_updates=2, state=state)
    for x, y in zip(leaves(state), before, strict=True):
        np.testing.assert_array_equal(x, y)
    assert any((x != y).any() for x, y in zip(leaves(after), before, strict=True))


@pytest.mark.compiles
def test_on_chunk_can_stop_it_and_the_state_is_that_of_the_last_update():
    state = run(on_chunk=lambda progress: progress.done >= 4, chunk=2)
    assert int(state.step) == 4


@pytest.mark.compiles
def test_E27_train_n_then_m_is_train_n_plus_m():
    whole = leaves(run())
    for chunk, stops in ((10, (2, 6)), (10, (5, 6)), (3, (1, 4, 6)), (1, (6,))):
        state, done = None, 0
        for stop in stops:
            state, done = run(num_updates=stop, chunk=chunk, state=state, done=done), stop
        for a, b in zip(whole, leaves(state), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.compiles
def test_same_seed_is_bitwise_the_same_and_another_seed_is_not():
    first, second = leaves(run()), leaves(run())
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    other = leaves(run(state=init(ALGORITHM, PROBLEM, seed=1)))
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


@pytest.mark.compiles
def test_E20_two_devices_do_the_work_of_one():
    one, two = leaves(run(devices=1)), leaves(run(devices=2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.compiles
def test_seeds_are_independent_runs():
    both = train(
        ALGORITHM,
        PROBLEM,
        init(ALGORITHM, PROBLEM, seed=0, num_seeds=2),
        num_updates=6,
        num_seeds=2,
        devices=2,
    )
    weights = np.asarray(both.meta.network.memory.weight)
    assert weights.shape[0] == 2
    assert np.abs(weights[0] - weights[1]).max() > 0.1
    # Each is what it would be alone, up to rounding.
    keys = jax.random.split(jax.random.key(0), 2)
    alone = run(state=jax.jit(lambda key: ALGORITHM.init(PROBLEM, key))(keys[1]))
    np.testing.assert_allclose(np.asarray(alone.meta.network.memory.weight), weights[1], rtol=1e-3, atol=1e-4)


class Breaking(FromScratch):
    """Counts its updates; the fourth does not come to a number."""

    def describe(self, problem):
        return jnp.zeros(())

    def begin(self, meta, key):
        return AgentState(None, None)

    def act(self, meta, agent, timestep, key, *, explore):
        return jnp.asarray(0, jnp.int32), None, None

    def update(self, problem, state):
        meta = jnp.where(state.step == 3, jnp.nan, state.meta + 1)
        return replace(state, meta=meta, step=state.step + 1), {"return": jnp.zeros(())}


@pytest.mark.parametrize("chunk", [1, 6])
def test_an_update_that_is_not_finite_is_not_taken_and_ends_training(chunk):
    state, seen = init(Breaking(), PROBLEM, seed=0), []
    with pytest.raises(DivergenceError, match=r"update 4: leaf \.meta became NaN or infinite") as caught:
        train(Breaking(), PROBLEM, state, num_updates=6, chunk=chunk, on_chunk=lambda p: seen.append(p.done))
    assert (int(caught.value.state.step), float(caught.value.state.meta)) == (3, 3.0)
    assert seen == ([1, 2, 3] if chunk == 1 else [1])


@pytest.mark.compiles
def test_tasks_that_do_not_divide_over_devices_are_refused():
    odd = RL2(memory_size=4, critic_size=4, num_tasks=6, num_minibatches=2, num_updates=2)
    with pytest.raises(ValueError, match="num_tasks=6 does not divide"):
        train(odd, PROBLEM, init(odd, PROBLEM, seed=0), num_updates=2, devices=2)


def test_num_parameters_counts_floats():
    assert num_parameters({"a": np.zeros((2, 3), np.float32), "b": np.zeros(4, np.int32)}) == 6
