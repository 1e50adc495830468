"""No program asks LAPACK for decompositions: of several at once, jaxlib 0.10 may wait for itself for ever on few cores.

Seeds that are trained side by side are several at once, whatever an algorithm's own code says.
"""

import jax
import pytest

from adaptax import algorithms
from adaptax.algorithms import RL2
from adaptax.core.algorithm import FromScratch, first_state
from tests.algorithms.test_conformance import NAMES, PROBLEMS, SETTINGS

DECOMPOSED = {
    "geqrf", "geqp3", "qr", "lu", "cholesky", "svd", "eigh", "eig", "triangular_solve", "householder_product",
    "hessenberg", "schur", "tridiagonal", "tridiagonal_solve",
}  # fmt: skip
LEARNERS = [name for name in NAMES if name in SETTINGS]


def operations(jaxpr):
    """Names of all operations of a program, and of those within."""
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                program = getattr(inner, "jaxpr", inner)
                if hasattr(program, "eqns"):
                    yield from operations(program)


def test_operations_within_others_are_found():
    def inside(x):
        return jax.lax.cond(x[0, 0] > 0, lambda x: jax.numpy.linalg.qr(x)[1], lambda x: x, x)

    found = {*operations(jax.make_jaxpr(jax.jit(jax.vmap(inside)))(jax.numpy.ones((2, 3, 3))).jaxpr)}
    assert found & DECOMPOSED


@pytest.mark.compiles
@pytest.mark.parametrize("name", LEARNERS)
def test_no_learner_s_program_asks_for_any(name):
    algorithm, problem = getattr(algorithms, name)(**SETTINGS[name]), PROBLEMS[name]()

    def beginning_and_update(key):
        state = first_state(algorithm, problem, key, 2)
        one = (
            jax.tree.map(lambda x: x[0], state)
            if not isinstance(algorithm, FromScratch)
            else algorithm.init(problem, key)
        )
        return state, algorithm.update(problem, one)

    assert not DECOMPOSED & {*operations(jax.make_jaxpr(beginning_and_update)(jax.random.key(0)).jaxpr)}


@pytest.mark.parametrize("memory", ["lstm", "gru", "symmetric", "counting", "none"])
def test_no_memory_s_first_state_asks_for_any(memory):
    algorithm = RL2(memory=memory, memory_size=4, critic_size=4, policy_size=4, num_tasks=4, num_minibatches=2)
    problem = PROBLEMS["UCB1"]()
    jaxpr = jax.make_jaxpr(lambda key: first_state(algorithm, problem, key, 3))(jax.random.key(0)).jaxpr
    assert not DECOMPOSED & {*operations(jaxpr)}
