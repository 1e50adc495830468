"""Programs that are taken apart where a simulator is called do what they would do as a whole."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.errors import UseError
from adaptax.core.host_program import HostProgram, program, simulate

SCALAR = jax.ShapeDtypeStruct((), jnp.float32)


class Doubling:
    """A simulator that doubles a number, and counts how often it is called and with which batches."""

    def __init__(self):
        self.batches = []

    def __call__(self, x):
        self.batches.append(x.shape)
        return [2 * x]

    def of(self, x):
        return simulate(self, [SCALAR], x)[0]


def pure(x):
    return 2 * x


def both(function, *args):
    """What a function of something that doubles makes of arguments: taken apart, and as a whole."""
    simulator = Doubling()
    apart = HostProgram(lambda *args: function(simulator.of, *args))(*args)
    whole = jax.jit(lambda *args: function(pure, *args))(*args)
    jax.tree.map(np.testing.assert_array_equal, apart, whole)
    return simulator


def test_loops_of_known_length_forwards_and_backwards():
    for reverse in (False, True):

        def loop(double, start, xs, reverse=reverse):
            def step(carry, x):
                carry = double(carry + x["a"]) / 3
                return carry, {"seen": carry * x["b"], "before": x["a"]}

            return jax.lax.scan(step, start, xs, reverse=reverse)

        xs = {"a": jnp.arange(5.0), "b": jnp.linspace(0, 1, 5)}
        assert both(loop, jnp.asarray(1.0), xs).batches == [()] * 5


def test_loops_that_end_by_a_condition_and_loops_in_loops():
    def loop(double, start):
        def outer(carry):
            total, count = carry
            return jax.lax.scan(lambda x, _: (double(x), x), total, length=2)[0], count + 1

        return jax.lax.while_loop(lambda carry: carry[0] < 100, outer, (start, jnp.asarray(0)))

    assert len(both(loop, jnp.asarray(1.5)).batches) == 8


def test_a_branch_that_is_not_taken_calls_nothing():
    def branch(double, take, x):
        return jax.lax.cond(take, double, lambda x: x + 1, x), jax.lax.switch(2, [double, jnp.sin, lambda x: x], x)

    assert both(branch, jnp.asarray(False), jnp.asarray(3.0)).batches == []
    assert both(branch, jnp.asarray(True), jnp.asarray(3.0)).batches == [()]


def test_a_batch_is_one_call_whatever_is_batched():
    def batched(double, xs, y):
        return jax.vmap(jax.vmap(lambda x: double(x + y)), out_axes=1)(xs)

    assert both(batched, jnp.ones((3, 4)), jnp.asarray(2.0)).batches == [(3, 4)]

    pairs = []

    def add(x, y):
        pairs.append((x.shape, y.shape))
        return [x + y.sum(-1)]

    run = HostProgram(jax.vmap(lambda x, y: simulate(add, [SCALAR], {"x": x, "y": y})[0], in_axes=(None, 1)))
    assert run(jnp.asarray(1.0), jnp.ones((5, 2))).tolist() == [6.0, 6.0]
    assert pairs == [((2,), (2, 5))]


def test_functions_within_functions_keys_and_modules():
    class Pair(eqx.Module):
        left: jax.Array
        right: jax.Array

    def inside(double, pair, key):
        noise = jax.random.normal(key)
        again = jax.jit(jax.checkpoint(lambda x: double(x) + noise))
        keys = jax.random.split(key, 3)

        def step(carry, key):
            return again(carry), (jax.random.fold_in(key, 1), jax.random.uniform(key))

        left, (later, drawn) = jax.lax.scan(step, pair.left, keys)
        return Pair(left, pair.right), jax.random.key_data(later), drawn, jnp.asarray(3), 4.0

    simulator = both(inside, Pair(jnp.asarray(1.0), jnp.arange(3)), jax.random.key(1))
    assert len(simulator.batches) == 3


def test_calls_are_made_in_order_and_once_also_where_nobody_wants_what_they_return():
    simulator = Doubling()

    def loop(x):
        simulator.of(x)
        return jax.lax.scan(lambda x, _: (simulator.of(x), None), x, length=3)[0]

    run = HostProgram(loop)
    run(jnp.asarray(1.0))
    run(jnp.asarray(1.0))
    assert len(simulator.batches) == 2 * 4


def test_what_a_simulator_raises_comes_as_it_is():
    class OutOfPaperError(Exception):
        pass

    def broken(x):
        raise OutOfPaperError

    with pytest.raises(OutOfPaperError):
        HostProgram(lambda x: simulate(broken, [SCALAR], x))(jnp.asarray(1.0))


def test_it_is_refused_in_a_program_that_is_compiled_as_a_whole():
    with pytest.raises(UseError, match="runs on the host"):
        jax.jit(Doubling().of)(jnp.asarray(1.0))


def test_shapes_are_known_without_a_call_and_programs_may_be_parts_of_others():
    simulator = Doubling()
    inner = program(jax.vmap(simulator.of), on_host=True)
    assert jax.eval_shape(inner, jnp.ones(3)).shape == (3,)
    assert simulator.batches == []
    assert HostProgram(lambda x: inner(x) + 1)(jnp.ones(3)).tolist() == [3, 3, 3]
    assert inner.lower(jnp.ones(2)).compile()(jnp.ones(2)).tolist() == [2, 2]
    assert simulator.of(jnp.asarray(4.0)) == 8


def test_no_derivative_looks_for_its_way_through_a_simulator():
    simulator = Doubling()
    run = HostProgram(jax.grad(lambda x: x**2 + simulator.of(x)))
    assert run(jnp.asarray(3.0)) == 6.0
