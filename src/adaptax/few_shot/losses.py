"""A task's losses, as `maml_train` calls them: with the model's state and a key, where they ask for them."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from adaptax.core.errors import kind_in_words
from adaptax.core.splits import fold_in_name


class LossTask(Protocol):
    """What `maml_train` and `adapt` need of a task.

    A task may define `support_loss(model)` and `query_loss(model)` instead of `loss`, or beside it: inner steps descend
    `support_loss`, the outer loop descends `query_loss` at what they end with, and `loss` stands in for the one that is
    missing. `inner_lr` and `first_order`, where a task has them and they are not None, override the arguments of that
    name for this task.

    A loss that has a parameter named `key` gets one, of its own in each task and at each inner step. A loss that has
    a parameter named `state` gets the model's state (batch statistics, say), and returns `(loss, state)`. Both are
    passed by name: `support_loss(model, state, key)`.
    """

    def loss(self, model: Any) -> Float[Array, ""]:
        """How bad `model` is at this task: a scalar that JAX can differentiate."""


def has_loss(task: Any) -> bool:
    """Whether this is a task."""
    return any(callable(getattr(task, name, None)) for name in ("loss", "support_loss", "query_loss"))


@dataclasses.dataclass(frozen=True)
class Loss:
    """One of a task's losses, as a function of the model's parameters.

    Attributes:
        function: The task's method.
        kind: What it is asked for, "support_loss" or "query_loss".
        static: What of the model is no parameter.
        name: What to call it in a message.
        asks: The names of its parameters.
    """

    function: Callable[..., Any]
    kind: str
    static: Any
    name: str
    asks: frozenset[str]

    def __call__(self, parameters: Any, state: Any, key: Any, step: int | Array) -> tuple[Float[Array, ""], Any]:
        """The loss, and the model's state after it.

        Args:
            parameters: Of the model.
            state: Of the model; None if it has none.
            key: Of the task; None if there is none.
            step: Inner steps done, 0 to N.
        """
        given: dict[str, Any] = {}
        if "key" in self.asks:
            if key is None:
                raise ValueError(f"{self.name}(model, …) has a parameter `key`, and there is none; pass key=")
            given["key"] = jax.random.fold_in(fold_in_name(key, self.kind), step)
        if "state" in self.asks:
            if state is None:
                raise ValueError(
                    f"{self.name}(model, …) has a parameter `state`, and there is none; pass state=, such as the one "
                    "that eqx.nn.make_with_state returns"
                )
            given["state"] = jax.tree.map(lambda x: x, state)  # Equinox's is used up by whoever changes it
        value = self.function(eqx.combine(parameters, self.static), **given)
        if "state" in self.asks:
            if not (isinstance(value, tuple) and len(value) == 2):
                raise ValueError(
                    f"{self.name}(model, …) has a parameter `state` and must return (loss, state), also where it "
                    f"leaves the state as it is; found {kind_in_words(value)}"
                )
            value, state = value[0], _same_kind(state, value[1], self.name)
        return self._scalar(value), state

    def _scalar(self, value: Any) -> Float[Array, ""]:
        number = isinstance(value, jax.Array | np.ndarray | np.generic | float)
        if not number or jnp.shape(value) != () or not jnp.issubdtype(jnp.result_type(value), jnp.floating):
            found = f"{value.dtype}{list(value.shape)}" if isinstance(value, jax.Array) else repr(value)
            raise ValueError(f"{self.name}(model) must be a floating-point scalar; found {found}. Take the mean?")
        return jnp.asarray(value, jnp.result_type(float))


def loss_of(task: Any, kind: str, static: Any, name: str) -> Loss:
    """The task's `kind` of loss, or else its `loss`, as a function of the model's parameters."""
    chosen = next((each for each in (kind, "loss") if callable(getattr(task, each, None))), None)
    if chosen is None:
        raise TypeError(
            f"{name} must have loss(model), or support_loss(model) and query_loss(model); {kind} is missing"
        )
    function = getattr(task, chosen)
    return Loss(function, kind, static, f"{name}.{chosen}", _names(function))


def _names(function: Callable[..., Any]) -> frozenset[str]:
    """Of a function's parameters, as far as they can be known."""
    try:
        return frozenset(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # what is compiled may have no signature
        return frozenset()


def state_of(state: Any) -> Any:
    """A model's state as arrays; None if it has none.

    Raises:
        TypeError: if a leaf is nothing that an array holds.
    """

    def as_array(path: Any, leaf: Any) -> Array:
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float | complex):
            raise TypeError(
                f"state must be a pytree of arrays, such as what eqx.nn.make_with_state returns; found "
                f"{kind_in_words(leaf)} at state{jax.tree_util.keystr(path)}"
            )
        return jnp.asarray(leaf)

    return jax.tree_util.tree_map_with_path(as_array, state)


def _same_kind(old: Any, new: Any, name: str) -> Any:
    """The new state, if it has the structure, shapes and types of the old one."""
    expected, found = str(jax.tree.structure(old)), str(jax.tree.structure(new))
    if expected != found:
        raise ValueError(
            f"{name}(model, …) must return a state of the structure that it was given, {expected}; found {found}"
        )

    def checked(path: Any, before: Any, after: Any) -> Array:
        fits = jnp.shape(before) == jnp.shape(after) and jnp.result_type(before) == jnp.result_type(after)
        if not fits:
            was, found = (f"{jnp.result_type(x)}{list(jnp.shape(x))}" for x in (before, after))
            raise ValueError(
                f"{name}(model, …) must return a state of the shapes and types that it was given; at "
                f"state{jax.tree_util.keystr(path)} expected {was}, found {found}"
            )
        return jnp.asarray(after)

    return jax.tree_util.tree_map_with_path(checked, old, new)
