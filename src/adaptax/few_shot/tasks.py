"""Where tasks come from, and how many of them become one program."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from adaptax.few_shot.losses import has_loss

TASKS_PER_STEP = 25
"""How many tasks a sampler is asked for where the number is not given."""


class Source(NamedTuple):
    """Where the tasks of an outer step come from, those that run side by side.

    Attributes:
        size: How many there are.
        data: The arrays that they are made of; arguments of the program, lest they become constants in it.
        draw: From data and a key to this step's choice, with a leading axis of `size`: the tasks' numbers, of which no
            two are equal in a step, and an element for each.
        build: From data and one element of that choice to a task.
        name: What to call them in a message.
    """

    size: int
    data: PyTree[Array]
    draw: Callable[[Any, Array], tuple[Array, Any]]
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
    if callable(tasks) and not has_loss(tasks):
        data, rest = eqx.partition(tasks, eqx.is_array)
        size = TASKS_PER_STEP if tasks_per_step is None else tasks_per_step

        def draw(data: Any, key: Array) -> Any:
            return jnp.arange(size), jax.random.split(key, size)

        return [Source(size, data, draw, lambda data, key: eqx.combine(data, rest)(key), "a task of the sampler")]
    if has_loss(tasks) or not isinstance(tasks, Iterable):
        raise TypeError(
            "maml_train: tasks must be a sequence of tasks or a function from a key to a task; found "
            f"{type(tasks).__name__}" + (", which is itself a task: put it into a list" if has_loss(tasks) else "")
        )
    groups = _grouped(list(tasks))
    if not groups:
        raise ValueError("maml_train: tasks is empty; there is nothing to learn from")
    if tasks_per_step is None:
        return [_stacked(group, None) for group in groups]
    if len(groups) > 1 or len(groups[0].arrays) < tasks_per_step:
        found = ", ".join(f"{len(group.arrays)} like {group.name}" for group in groups)
        raise ValueError(
            f"maml_train: tasks_per_step={tasks_per_step} needs at least as many tasks, all of one structure (Equinox "
            f"modules with arrays of the same shapes); found {found}"
        )
    return [_stacked(groups[0], tasks_per_step)]


class _Group(NamedTuple):
    """Tasks that can be stacked."""

    numbers: list[int]  # where they stand in the sequence
    arrays: list[Any]
    rest: Any  # what they share
    name: str  # of the first


def _grouped(tasks: list[Any]) -> list[_Group]:
    """Tasks that can be stacked, together."""
    groups: list[_Group] = []
    places: dict[Any, list[int]] = {}  # of the groups that look alike
    for number, task in enumerate(tasks):
        arrays, rest = eqx.partition(task, lambda x: isinstance(x, jax.Array | np.ndarray | np.generic))
        leaves, structure = jax.tree.flatten(arrays)
        like = places.setdefault((str(structure), *((x.shape, x.dtype) for x in leaves)), [])
        for place in like if leaves else ():
            if eqx.tree_equal(groups[place].rest, rest) is True:
                groups[place].numbers.append(number)
                groups[place].arrays.append(arrays)
                break
        else:
            like.append(len(groups))
            groups.append(_Group([number], [arrays], rest, f"tasks[{number}] ({type(task).__name__})"))
    return groups


def _stacked(group: _Group, choose: int | None) -> Source:
    size = len(group.arrays)
    data = (jnp.asarray(group.numbers), jax.tree.map(lambda *xs: jnp.stack(xs), *group.arrays))

    def draw(data: Any, key: Array) -> Any:
        if choose is None:
            return data
        chosen = jax.random.choice(key, size, (choose,), replace=False)
        return jax.tree.map(lambda x: x[chosen], data)

    return Source(choose or size, data, draw, lambda data, element: eqx.combine(element, group.rest), group.name)
