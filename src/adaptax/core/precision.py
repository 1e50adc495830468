"""Single precision, whatever the program around has chosen: agents are trained, saved, measured and used in it."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def in_single_precision(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Have what a function computes be in single precision, in a program with `jax_enable_x64` too."""

    @functools.wraps(function)
    def inside(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        if not jax.config.jax_enable_x64:  # type: ignore[attr-defined]
            return function(*arguments, **named)
        with jax.enable_x64(False):
            return function(*arguments, **named)

    return inside
