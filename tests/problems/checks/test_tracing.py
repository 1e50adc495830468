import jax
import jax.numpy as jnp
import numpy as np

from adaptax.problems.checks.tracing import changes, has_own_jit, unused, unused_in
from tests.problems.checks.contract_cases import PLANTED, goal, plane
from tests.problems.checks.sound_cases import GOOD


def test_what_no_output_depends_on_is_unused_even_if_something_is_computed_from_it():
    assert unused(lambda a, b, c: (a + 1, jnp.sum(b) * 0 + c)[:1], *jnp.ones(3)) == [False, True, True]
    assert unused(lambda a, b: jnp.where(a > 0, b, a), *jnp.ones(2)) == [False, False]


def test_inner_programs_count_as_using_what_they_are_given():
    loop = lambda a, b: jax.lax.fori_loop(0, 3, lambda _, pair: (pair[0], pair[1] + 1), (a, b))[1]  # noqa: E731
    assert unused(loop, *jnp.ones(2)) == [False, False]


def test_leaves_of_the_task_and_the_action():
    assert unused_in(plane().env, goal(jax.random.key(0))) == ([False], False)
    problem = PLANTED["reset keeps a goal of its own, and the task has more"][1]()
    task = problem.train.draw(jax.random.key(0))
    assert list(task) == ["goal", "force"]
    # Leaves of dictionaries are in the order of their names.
    assert unused_in(problem.env, task) == ([False, True], False)
    assert unused_in(PLANTED["action is forgotten"][1]().env, goal(jax.random.key(0))) == ([False], True)


def test_what_python_draws_makes_another_program_and_what_jax_draws_does_not():
    key = jax.random.key(0)
    assert changes(lambda key: jax.random.normal(key) + np.random.default_rng().normal(), key)
    assert changes(lambda key: jax.random.normal(key, (2,)) + np.random.default_rng().normal(size=2), key)
    assert not changes(lambda key: jax.random.normal(key) + jax.random.normal(jax.random.key(1)), key)


def test_a_jit_of_the_environments_own_is_told_from_those_of_jax():
    task = goal(jax.random.key(0))
    assert has_own_jit(GOOD["a jit of its own"]().env, task)
    assert not has_own_jit(plane().env, task)
