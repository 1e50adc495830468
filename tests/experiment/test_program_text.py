"""The largest arrays of a compiled program, against programs whose arrays can be counted by hand."""

import jax
import jax.numpy as jnp

from adaptax.experiment.program_text import arrays_in, largest

SIDE = 516
MEGA = jax.ShapeDtypeStruct((SIDE, SIDE), jnp.float32)
SIZE = SIDE * SIDE * 4


def compiled(function):
    return jax.jit(function).lower(MEGA).compile()


def large(program):
    return [array for array in arrays_in(program.as_text()) if array.bytes >= SIZE]


def products(x):
    first = x @ x
    second = x @ x.T
    return first @ second


def stacked(x):
    return jax.lax.scan(lambda c, _: (jnp.tanh(c @ c), c), x, None, length=7)[1]


def test_products_are_arrays_and_what_is_fused_into_a_sum_is_none():
    assert {array.what for array in large(compiled(products))} == {"516×516 float32"}
    assert len([array for array in large(compiled(products)) if "products" in array.where]) == 3
    assert large(compiled(lambda x: jnp.sum(jnp.exp(x * 2) + 1))) == []


def test_what_a_loop_stacks_is_one_array_the_largest():
    program = compiled(stacked)
    assert [array.bytes for array in large(program) if array.what == "7×516×516 float32"] == [7 * SIZE]
    assert (
        largest(program, 1) == ["1 × (7×516×516 float32, 7.46 MB)"]
        or "stacked (test_program_text.py" in largest(program, 1)[0]
    )


def test_a_line_says_where_an_array_is_made():
    first = largest(compiled(products), 1)[0]
    assert first.startswith("1 × (516×516 float32, 1.07 MB) in products (test_program_text.py, line ")


def test_a_text_without_tables_or_none_at_all_is_no_error():
    text = compiled(products).as_text()
    assert all(not array.where for array in arrays_in(text[text.index("ENTRY") :]))
    assert arrays_in("") == []
