"""Tasks that are values with names, each drawn by itself: what families of a user's environments differ in."""

import math
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from adaptax.core.errors import UseError, short_repr
from adaptax.core.problem import TaskDistribution
from adaptax.core.types import Task

FEW = 64
"""So few tasks are a small finite set: nothing can be held out."""

Ranges = tuple[tuple[str, float, float, bool], ...]
Choices = tuple[tuple[str, int], ...]


class ValueTasks(TaskDistribution):
    """Values drawn each by itself: uniform in a range, or one of several.

    A task is a dictionary of numbers; of a choice it has the index.

    Attributes:
        ranges: By name, the smallest and the largest value; whether its logarithm is uniform.
        choices: By name, of how many.
        finite: Number of tasks, where there are only choices, and few.
    """

    split: str = eqx.field(static=True)
    ranges: Ranges = eqx.field(static=True)
    choices: Choices = eqx.field(static=True)
    finite: int | None = eqx.field(static=True, default=None)

    @classmethod
    def of(cls, split: str, ranges: Ranges, choices: Choices) -> "ValueTasks":
        """Those of a split."""
        count = math.prod(n for _, n in choices)
        finite = count if not ranges and count <= FEW else None
        return cls(split=split, ranges=ranges, choices=choices, finite=finite)

    def draw(self, key: Key[Array, ""]) -> Task:
        """Draw all values."""
        task = {}
        for index, (name, low, high, logarithmic) in enumerate(self.ranges):
            own = jax.random.fold_in(key, index)
            if logarithmic:
                task[name] = jnp.exp(jax.random.uniform(own, (), minval=math.log(low), maxval=math.log(high)))
            else:
                task[name] = jax.random.uniform(own, (), minval=low, maxval=high)
        for index, (name, count) in enumerate(self.choices):
            task[name] = jax.random.randint(jax.random.fold_in(key, len(self.ranges) + index), (), 0, count)
        return task

    def oracle(self, task: Task) -> Float[Array, ""]:
        """Unknown."""
        return jnp.asarray(jnp.nan)


def drawn_from(tasks: Mapping[str, Any], who: str) -> tuple[Ranges, Choices, dict[str, tuple[Any, ...]]]:
    """Ranges, choices, and what is chosen from.

    Args:
        tasks: By name `(low, high)`, `(low, high, "log")` or a list.
        who: Which function was given them.

    Raises:
        UseError: if one of them is nothing of that kind.
    """
    if not isinstance(tasks, Mapping) or not tasks:
        raise UseError(
            f"{who}(tasks): expected what the tasks' values are drawn from, by name, as "
            f'{{"mass": (0.5, 2.0)}}; found {short_repr(tasks)}'
        )
    ranges, values = [], {}
    for name, source in tasks.items():
        numbers = source[:2] if isinstance(source, tuple) else ()
        ordered = len(numbers) == 2 and all(isinstance(x, int | float) for x in numbers) and numbers[0] < numbers[1]
        logarithmic = tuple(source[2:]) == ("log",) if isinstance(source, tuple) else False
        if ordered and (len(source) == 2 or (logarithmic and numbers[0] > 0)):
            ranges.append((name, float(numbers[0]), float(numbers[1]), logarithmic))
        elif isinstance(source, list) and source:
            values[name] = tuple(source)
        else:
            raise UseError(
                f'{who}(tasks): {name}: expected (low, high) with low < high, (low, high, "log") with '
                f"0 < low, or a list of values; found {short_repr(source)}"
            )
    choices = tuple((name, len(source)) for name, source in values.items())
    return tuple(ranges), choices, values
