"""The model of what a program holds at once, against programs whose arrays can be counted by hand and against XLA."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from adaptax.experiment.memory_model import OURS, _where, arrays_at_peak, largest

MEGA = jax.ShapeDtypeStruct((512, 512), jnp.float32)
SIZE = 512 * 512 * 4


def held(function, *arguments):
    return sum(x.bytes for x in arrays_at_peak(function, *arguments)) / SIZE


def given_by_xla(function, *arguments):
    analysis = jax.jit(function).lower(*arguments).compile().memory_analysis()
    return (analysis.temp_size_in_bytes + analysis.output_size_in_bytes) / SIZE


def products(x):
    return (x @ x) @ (x @ x.T)


def elementwise(x):
    return jnp.sum(jnp.exp(x * 2) + jnp.sin(x) * 3)


def stacked(x):
    return jax.lax.scan(lambda c, _: (c @ c, c), x, None, length=7)[1]


def once(x):
    return jax.lax.scan(lambda c, _: (c @ c, jnp.tanh(c) @ c), x, None, length=1)


def carried(x):
    return jax.lax.fori_loop(0, 9, lambda i, c: jnp.tanh(c @ c), x)


def learned(x):
    loss = lambda w: jnp.sum(jax.lax.scan(lambda h, _: (jnp.tanh(h @ w), None), x, None, length=16)[0])  # noqa: E731
    return jax.grad(loss)(x)


@pytest.mark.parametrize(
    ("function", "arrays"),
    # By hand: two products and the result; nothing; what is stacked, the carry and its successor; of a loop of one
    # turn, its results and what is multiplied, nothing twice; a carry, and the product whose place tanh takes.
    [(products, 3), (elementwise, 0), (stacked, 9), (once, 3), (carried, 2)],
)
def test_arrays_are_those_that_one_counts_by_hand(function, arrays):
    assert held(function, MEGA) == pytest.approx(arrays, abs=0.01)


@pytest.mark.parametrize("function", [products, stacked, once, carried, learned])
def test_it_is_what_xla_says(function):
    assert held(function, MEGA) == pytest.approx(given_by_xla(function, MEGA), rel=0.01)


def test_a_branch_and_a_called_function_count_with_what_they_hold():
    def branched(x):
        return jax.lax.cond(x[0, 0] > 0, products, lambda x: x, x)

    assert held(branched, MEGA) >= held(products, MEGA)
    assert held(jax.jit(products), MEGA) == held(products, MEGA)
    assert held(jax.checkpoint(products), MEGA) == held(products, MEGA)


def test_the_largest_are_told_with_their_number():
    told = largest(arrays_at_peak(products, MEGA), 1)
    assert told == [f"3 × (512×512 float32, {SIZE / 1e6:.3g} MB)"]


def test_the_line_that_is_named_is_the_packages_own_whatever_the_folders_above_are_called():
    places = [OURS.parents[1] / ".venv/lib/adaptax/jax/lax.py", OURS / "rollout.py", OURS / "training.py"]
    frames = [SimpleNamespace(file_name=str(file), function_name="f", line_num=7) for file in places]
    info = SimpleNamespace(traceback=SimpleNamespace(frames=frames))
    assert _where(SimpleNamespace(source_info=info)) == "f (rollout.py, line 7)"
    del frames[1:]
    assert _where(SimpleNamespace(source_info=info)) == ""
