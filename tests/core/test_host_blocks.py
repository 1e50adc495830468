"""Rounds of a loop that are compiled across a simulator's call do what they do one by one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.errors import UseError
from adaptax.core.host_pieces import simulate_p
from adaptax.core.host_program import HostProgram, simulate
from tests.core.test_host_program import SCALAR, Doubling, both, pure

LENGTH = 7


def rounds(reset_every, *, reverse=False, reads_index=True):
    """A loop as a rollout has it: act, step, book; and a reset, which calls the simulator as well, when it is due."""

    def loop(double, weights, start, xs):
        def one(carry, x):
            state, total, clock = carry
            action = jnp.tanh(weights["a"] * state + x["noise"])
            stepped = double(state + action)
            due = (clock + 1) % reset_every == 0
            state = jax.lax.cond(due, lambda s: double(weights["b"] + 0 * s), lambda s: s, stepped / 4)
            total = total + stepped * (clock if reads_index else 1)
            return (state, total, clock + 1), {
                "action": action,
                "after": stepped,
                "x": x["noise"],
                "same": weights["b"],
            }

        return jax.lax.scan(one, (start, jnp.asarray(0.0), jnp.asarray(0)), xs, reverse=reverse)

    return loop


ARGUMENTS = {"a": jnp.asarray(0.7), "b": jnp.asarray(-0.3)}, jnp.asarray(0.25), {"noise": jnp.linspace(-1, 1, LENGTH)}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("reset_every", [1, 3, LENGTH, 100])
def test_a_loop_with_a_call_and_a_reset_that_is_sometimes_due(reset_every, reverse):
    calls = LENGTH + LENGTH // reset_every
    assert len(both(rounds(reset_every, reverse=reverse), *ARGUMENTS).batches) == calls


def test_a_loop_with_one_call_and_nothing_besides():
    def loop(double, start, xs):
        return jax.lax.scan(lambda carry, x: (double(carry) / 3 + x, carry), start, xs)

    assert len(both(loop, jnp.asarray(1.0), jnp.arange(5.0)).batches) == 5


def test_a_loop_with_two_calls_in_a_round_and_one_whose_branch_depends_on_what_the_simulator_says():
    def two(double, start):
        return jax.lax.scan(lambda carry, _: (double(double(carry) + 1) / 5, carry), start, length=4)

    def told(double, start):
        def one(carry, _):
            found = double(carry)
            return jax.lax.cond(found > 5, lambda x: double(-x) / 8, lambda x: x + 1, found), found

        return jax.lax.scan(one, start, length=6)

    assert len(both(two, jnp.asarray(1.0)).batches) == 8
    both(told, jnp.asarray(1.0))


def test_loops_of_one_round_and_of_none():
    for length in (0, 1, 2):

        def loop(double, start, length=length):
            return jax.lax.scan(lambda carry, _: (double(carry), carry), start, length=length)

        assert len(both(loop, jnp.asarray(1.5)).batches) == length


def test_what_a_loop_was_given_is_as_it_was():
    simulator = Doubling()
    weights, start, xs = ARGUMENTS
    run = HostProgram(lambda *args: rounds(3)(simulator.of, *args))
    first = run(weights, start, xs)
    second = run(weights, start, xs)
    jax.tree.map(np.testing.assert_array_equal, first, second)
    assert float(weights["a"]) == np.float32(0.7)
    jax.tree.map(np.testing.assert_array_equal, first, rounds(3)(pure, *ARGUMENTS))


def test_batches_of_loops_are_loops_of_batches():
    def loop(double, starts):
        return jax.vmap(lambda start: rounds(3)(double, ARGUMENTS[0], start, ARGUMENTS[2]))(starts)

    simulator = both(loop, jnp.linspace(0, 1, 4))
    assert set(simulator.batches) == {(4,)}


def test_operations_that_cannot_be_taken_apart_say_so():
    simulator = Doubling()

    @jax.custom_vjp
    def special(x):
        return simulator.of(x)

    special.defvjp(lambda x: (special(x), x), lambda saved, slope: (slope,))
    with pytest.raises(UseError, match="cannot be called within 'custom_vjp_call"):
        HostProgram(lambda x: special(x) + 1)(jnp.asarray(1.0))


def test_what_a_simulator_returns_has_the_shapes_that_were_said():
    def wrong(x):
        return [np.zeros((2, 2), np.float32)]

    with pytest.raises(ValueError, match="reshape"):
        HostProgram(lambda x: simulate(wrong, [SCALAR], x))(jnp.asarray(1.0))
    assert simulate_p.multiple_results
