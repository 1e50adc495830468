"""What a traced program depends on, and what it keeps, found in its text rather than by trying."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax.extend.core import jaxprs_in_params

from adaptax.core.problem import Environment
from adaptax.core.types import Task
from adaptax.problems.checks.recording import numbers_of


def unused(function: Callable[..., Any], *args: Any) -> list[bool]:
    """Of each leaf of `args`, whether no output of the program can depend on it.

    Inner programs (loops, branches) count as using all that they are given: what is said to be unused is.
    """
    program = jax.make_jaxpr(function)(*args).jaxpr
    needed = {id(variable) for variable in program.outvars}
    for equation in reversed(program.eqns):
        if equation.effects or any(id(variable) in needed for variable in equation.outvars):
            needed.update(id(variable) for variable in equation.invars)
    return [id(variable) not in needed for variable in program.invars]


def unused_in(env: Environment, task: Task) -> tuple[list[bool], bool]:
    """Of each leaf of a task, whether neither reset nor step uses it; and whether no step uses any of the action."""
    reset, step, state = _functions(env, task)
    action = env.action_space.null()
    in_reset, in_step = unused(reset, task), unused(step, task, action, state)
    leaves = len(in_reset)
    return [a and b for a, b in zip(in_reset, in_step[:leaves], strict=True)], in_step[leaves]


def changes(function: Callable[..., Any], *args: Any) -> bool:
    """Whether two traces of a function are different programs: then it is Python that has drawn something."""
    # A new function each time: traces of the same one are kept.
    one, other = (jax.make_jaxpr(lambda *args: function(*args))(*args) for _ in range(2))  # noqa: PLW0108
    texts = [re.sub("0x[0-9a-f]+", "", str(program)) for program in (one, other)]
    if texts[0] != texts[1] or len(one.consts) != len(other.consts):
        return True
    return any(
        numbers_of(a).tobytes() != numbers_of(b).tobytes() for a, b in zip(one.consts, other.consts, strict=True)
    )


def has_own_jit(env: Environment, task: Task) -> bool:
    """Whether reset or step call something compiled that is not JAX's own: it keeps what it was traced with."""
    reset, step, state = _functions(env, task)
    programs = jax.make_jaxpr(reset)(task), jax.make_jaxpr(step)(task, env.action_space.null(), state)
    return any(_has_own_jit(program.jaxpr) for program in programs)


def _has_own_jit(program: Any) -> bool:
    home = Path(jax.__file__).parent
    for equation in program.eqns:
        for inner in jaxprs_in_params(equation.params):
            file = inner.debug_info.func_filename if equation.primitive.name in {"jit", "pjit"} else None
            if (file is not None and not Path(file).is_relative_to(home)) or _has_own_jit(inner):
                return True
    return False


def _functions(env: Environment, task: Task) -> tuple[Callable[..., Any], Callable[..., Any], Any]:
    """Reset and step as functions of arrays alone, and what a state is like."""
    key = jax.random.key(0)
    state, _ = jax.eval_shape(env.reset, task, key)
    return lambda task: env.reset(task, key), lambda task, action, state: env.step(state, action, task, key), state
