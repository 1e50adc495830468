"""Tasks with a loss, as `maml_train` takes them: what they are, and how many of them become one program."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

TASKS_PER_STEP = 25
"""How many tasks a sampler is asked for where the number is not given."""


class LossTask(Protocol):
    """What `maml_train` and `adapt` need of a task.

    A task may define `support_loss(model)` and `query_loss(model)` instead of `loss`, or beside it: inner steps descend
    `support_loss`, the outer loop descends `query_loss` at what they end with, and `loss` stands in for the one that is
    missing. `inner_lr` and `first_order`, where a task has them and they are not None, override the arguments of that
    name for this task.
    """

    def loss(self, model: Any) -> Float[Array, ""]:
        """How bad `model` is at this task: a scalar that JAX can differentiate."""


def _has_loss(task: Any) -> bool:
    return any(callable(getattr(task, name, None)) for name in ("loss", "support_loss", "query_loss"))


def loss_of(task: Any, kind: str, static: Any, name: str) -> Callable[[Any], Float[Array, ""]]:
    """The task's `kind` of loss, or else its `loss`, as a function of the model's parameters."""
    chosen = next((each for each in (kind, "loss") if callable(getattr(task, each, None))), None)
    if chosen is None:
        raise TypeError(
            f"{name} must have loss(model), or support_loss(model) and query_loss(model); {kind} is missing"
        )

    def loss(parameters: Any) -> Float[Array, ""]:
        value = getattr(task, chosen)(eqx.combine(parameters, static))
        number = isinstance(value, jax.Array | np.ndarray | np.generic | float)
        if not number or jnp.shape(value) != () or not jnp.issubdtype(jnp.result_type(value), jnp.floating):
            found = f"{value.dtype}{list(value.shape)}" if isinstance(value, jax.Array) else repr(value)
            raise ValueError(f"{name}.{chosen}(model) must be a floating-point scalar; found {found}. Take the mean?")
        return jnp.asarray(value, jnp.result_type(float))

    return loss


class Source(NamedTuple):
    """Where the tasks of an outer step come from, those that run side by side.

    Attributes:
        size: How many there are.
        data: The arrays that they are made of; arguments of the program, lest they become constants in it.
        draw: From data and a key to this step's choice, with a leading axis of `size`.
        build: From data and one element of that choice to a task.
        name: What to call them in a message.
    """

    size: int
    data: PyTree[Array]
    draw: Callable[[Any, Array], Any]
    build: Callable[[Any, Any], Any]
    name: str


def sources(tasks: Any, tasks_per_step: int | None) -> list[Source]:
    """Where the tasks of an outer step come from: a sampler, or groups of tasks that can be stacked.

    Args:
        tasks: A sequence of tasks, or a function from a key to a task.
        tasks_per_step: How many make an outer step; of a sequence all if None.

    Raises:
        TypeError: `tasks` is neither.
        ValueError: There are no tasks, or none of them can be chosen among.
    """
    if callable(tasks) and not _has_loss(tasks):
        data, rest = eqx.partition(tasks, eqx.is_array)
        size = TASKS_PER_STEP if tasks_per_step is None else tasks_per_step

        def draw(data: Any, key: Array) -> Array:
            return jax.random.split(key, size)

        return [Source(size, data, draw, lambda data, key: eqx.combine(data, rest)(key), "a task of the sampler")]
    if _has_loss(tasks) or not isinstance(tasks, Iterable):
        raise TypeError(
            "maml_train: tasks must be a sequence of tasks or a function from a key to a task; found "
            f"{type(tasks).__name__}" + (", which is itself a task: put it into a list" if _has_loss(tasks) else "")
        )
    groups = _grouped(list(tasks))
    if not groups:
        raise ValueError("maml_train: tasks is empty; there is nothing to learn from")
    if tasks_per_step is None:
        return [_stacked(arrays, rest, None, name) for arrays, rest, name in groups]
    if len(groups) > 1 or len(groups[0][0]) < tasks_per_step:
        raise ValueError(
            f"maml_train: tasks_per_step={tasks_per_step} needs at least as many tasks, all of one structure (Equinox "
            f"modules with arrays of the same shapes); found {', '.join(f'{len(g[0])} like {g[2]}' for g in groups)}"
        )
    return [_stacked(*groups[0][:2], tasks_per_step, groups[0][2])]


def _grouped(tasks: list[Any]) -> list[tuple[list[Any], Any, str]]:
    """Tasks that can be stacked, together: their arrays, what they share, and the name of the first."""
    groups: list[tuple[list[Any], Any, str]] = []
    places: dict[Any, list[int]] = {}  # of the groups that look alike
    for number, task in enumerate(tasks):
        arrays, rest = eqx.partition(task, lambda x: isinstance(x, jax.Array | np.ndarray | np.generic))
        leaves, structure = jax.tree.flatten(arrays)
        like = places.setdefault((str(structure), *((x.shape, x.dtype) for x in leaves)), [])
        for place in like if leaves else ():
            if eqx.tree_equal(groups[place][1], rest) is True:
                groups[place][0].append(arrays)
                break
        else:
            like.append(len(groups))
            groups.append(([arrays], rest, f"tasks[{number}] ({type(task).__name__})"))
    return groups


def _stacked(arrays: list[Any], rest: Any, choose: int | None, name: str) -> Source:
    # The number of a task is an element too: it gives tasks without arrays the leading axis that others have.
    size = len(arrays)
    data = (jnp.arange(size), jax.tree.map(lambda *xs: jnp.stack(xs), *arrays))

    def draw(data: Any, key: Array) -> Any:
        if choose is None:
            return data
        chosen = jax.random.choice(key, size, (choose,), replace=False)
        return jax.tree.map(lambda x: x[chosen], data)

    return Source(choose or size, data, draw, lambda data, element: eqx.combine(element[1], rest), name)
