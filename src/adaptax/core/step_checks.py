"""What must hold at every step of an agent, in compiled code and at next to no cost.

JAX clamps indices that are out of bounds and turns NaN into 0 as an integer, so a broken environment trains on quietly.
Here a step that breaks the contract has a reward of NaN: whoever sums rewards finds out, and
`adaptax.training.diagnosis` then says which task, step and value it was.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from adaptax.core.errors import DivergenceError, EnvironmentContractError, kind_in_words
from adaptax.core.problem import Environment
from adaptax.core.spaces import Space

HUGE = 1e18
"""The square of anything beyond overflows float32, so losses of it are infinite."""


def is_sound(x: Array) -> Bool[Array, ""]:
    """Whether all numbers are finite and their squares are."""
    return jnp.all(jnp.abs(x) < HUGE)  # comparisons with NaN are false


def is_in(space: Space, x: Array) -> Bool[Array, ""]:
    """Whether an observation is sound and lies in its space."""
    if not space.integers and not space.bounded:
        return is_sound(x) & space.contains(x)
    return jnp.all(space.contains(x))


def action_is_in(space: Space, action: Array) -> Bool[Array, ""]:
    """Whether what a policy chose is an action: continuous ones may lie beyond the bounds, where they are clipped."""
    return space.contains(action) if space.integers else is_sound(action)


def check_types(env: Environment, observation: PyTree[Array], where: str) -> None:
    """Check what `reset` or `step` has shown; while a program is traced, so at no cost in it.

    Raises:
        EnvironmentContractError: naming environment, field, and what was expected and found.
    """
    wrong = mismatch(observation, *type_of(env.observation_space))
    if wrong:
        raise _broken(env, where, "observation", wrong)


def check_outcome(env: Environment, reward: Array, terminated: Array, success: Array | None = None) -> None:
    """Check the types of what a step has brought, and of whether it was a success if that is said.

    Raises:
        EnvironmentContractError: as `check_types`.
    """
    said = [("reward", reward, jnp.floating), ("terminated", terminated, jnp.bool_)]
    said += [] if success is None else [("success", success, jnp.bool_)]
    for field, x, kind in said:
        wrong = mismatch(x, (), kind)
        if wrong:
            raise _broken(env, "step", field, wrong)


def check_action(env: Environment, action: PyTree[Array]) -> None:
    """Check the type of what a policy has put out, before the environment gets it.

    Raises:
        DivergenceError: naming what was expected and found.
    """
    wrong = mismatch(action, *type_of(env.action_space))
    if wrong:
        raise DivergenceError(f"the policy's output: action: {wrong}. {type(env).__name__} was not given it")


def type_of(space: Space) -> tuple[tuple[int, ...], type]:
    """Shape and kind of an element."""
    return space.shape, jnp.integer if space.integers else jnp.floating


_KINDS = {jnp.integer: "an integer", jnp.floating: "a float", jnp.bool_: "a bool"}


def mismatch(x: object, shape: tuple[int, ...], kind: type) -> str:
    """What was expected and found; nothing if `x` is an array of this shape and kind."""
    leaves = jax.tree.leaves(x)
    if not (len(leaves) == 1 and leaves[0] is x and hasattr(x, "dtype") and hasattr(x, "shape")):
        found = kind_in_words(x)
    elif tuple(x.shape) == shape and jnp.issubdtype(x.dtype, kind):
        return ""
    else:
        found = f"{x.dtype} of shape {tuple(x.shape)}"
    return f"expected {_KINDS[kind]} array of shape {shape}, found {found}"


def _broken(env: Environment, where: str, field: str, wrong: str) -> EnvironmentContractError:
    return EnvironmentContractError(
        f"{type(env).__name__}.{where}: {field}: {wrong}. Nothing was trained; `adaptax check-env` finds more"
    )
