"""Programs with simulators in them: a loop on the host around pieces that are compiled.

An environment whose simulator runs on the host calls `simulate` in its `reset` and `step`, and is an environment like
any other to those who use it: the rollout, updates and evaluations are the same functions. Where such a function would
be compiled as a whole, `program` goes through it instead: what lies between two calls of the simulator is compiled,
loops and branches that have calls in them run on the host, and the calls are ordinary Python. So each is made once and
in order, may take as long as it likes, raises what it raises, and can be interrupted; a callback of a compiled program
promises none of that.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from adaptax.core.host_blocks import Block
from adaptax.core.host_pieces import evaluate, simulate_p


def simulate(call: Callable[..., Sequence[np.ndarray]], shapes: PyTree[jax.ShapeDtypeStruct], *args: PyTree) -> Any:
    """Have a simulator do something, on the host.

    Args:
        call: Takes the leaves of `args` and returns arrays like the leaves of `shapes`, all NumPy's and all with the
            same leading axes: those that `vmap` has added, so that it is called once for the whole batch. What it
            returns must depend on nothing but its arguments.
        shapes: Shapes and types of what it returns, without those axes.
        args: Arrays, in any pytrees.
    """
    leaves, structure = jax.tree.flatten(shapes)
    found = simulate_p.bind(
        *(jax.lax.stop_gradient(jnp.asarray(x)) for x in jax.tree.leaves(args)),
        call=call,
        shapes=tuple((x.shape, np.dtype(x.dtype)) for x in leaves),
        batch=(),
    )
    return jax.tree.unflatten(structure, found)


class HostProgram:
    """What `jax.jit` makes of a function, for one that calls simulators; see `program`."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any] | None = None):
        self._function, self._options = function, options
        self._known: dict[Any, tuple[Callable[[], Block], Any]] = {}

    def __call__(self, *args: PyTree[Array]) -> Any:
        """Run it; or, while another program is traced, be part of that."""
        if any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(args)):
            return self._function(*args)
        block, structure = self._taken_apart(args)
        found = block()(jax.tree.leaves(args))
        return jax.tree.unflatten(structure, [x if isinstance(x, jax.Array) else jnp.asarray(x) for x in found])

    def lower(self, *args: PyTree) -> "HostProgram":
        """Take it apart for arguments, or for their shapes."""
        self._taken_apart(args)
        return self

    def compile(self, options: dict[str, Any] | None = None) -> "HostProgram":
        """As of a program that is compiled as a whole; the pieces are compiled as each is reached."""
        self._options = options or self._options
        return self

    def memory_analysis(self) -> None:
        """Not known before it has run."""
        return None

    def as_text(self) -> str:
        """Nothing: the pieces are compiled one by one."""
        return ""

    def _taken_apart(self, args: tuple[PyTree, ...]) -> "tuple[Callable[[], Block], Any]":
        leaves, structure = jax.tree.flatten(args)
        key = structure, tuple((np.shape(x), jnp.result_type(x)) for x in leaves)
        if key not in self._known:
            closed, shapes = jax.make_jaxpr(self._function, return_shape=True)(*args)
            flat = jax.make_jaxpr(lambda *leaves: evaluate(closed.jaxpr, closed.consts, leaves))(*leaves)
            block = functools.cache(lambda: Block(flat, self._options))
            self._known[key] = block, jax.tree.structure(shapes)
        return self._known[key]


def program(function: Callable[..., Any], *, on_host: bool, **options: Any) -> Any:
    """A function as a program: compiled as a whole, by `jax.jit` with `options`; or, `on_host`, taken apart."""
    if on_host:
        return HostProgram(function, options.get("compiler_options"))
    return jax.jit(function, **options)
