"""What can be wrong with an environment: rules by name, and findings that a person can act on."""

import dataclasses
import traceback
import types
from collections.abc import Iterator
from pathlib import Path

import equinox as eqx
import jax
import numpy as np

RULES: dict[str, str] = {
    "problem": "the factory returns a Problem",
    "raises": "nothing raises, and all can be traced",
    "types": "shapes and types are those of the spaces, and stay the same",
    "tasks": "tasks are arrays, of the same shapes in all families",
    "numbers": "observations and rewards are finite, and observations lie in their space",
    "termination": "`ends_early` is true, and time limits are left to the horizon",
    "determinism": "the same key gives the same task and the same episodes",
    "memory": "one task leaves nothing behind for the next",
    "same tasks": "tasks differ",
    "task ignored": "what happens depends on all of the task",
    "action ignored": "what happens depends on the action",
    "reward": "rewards differ",
    "leak": "observations do not show the task",
    "splits": "families have no task in common, or say that they are finite",
    "oracle": "no random policy is better than the oracle",
}
"""By name, what each demands."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        rule: Which rule is broken.
        where: Task, step and field.
        expected: What the contract says.
        found: What is the case.
        advice: What to do.
    """

    rule: str
    where: str
    expected: str
    found: str
    advice: str

    def line(self) -> str:
        """All of it, in a line."""
        return " ".join(
            f"{self.rule}: {self.where}: expected {self.expected}, found {self.found}. {self.advice}".split()
        )


def raised(where: str, error: Exception) -> Finding:
    """An exception, with the last line of the environment's own that it came through."""
    what = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'without a message'}{at(error)}"
    traced = isinstance(error, jax.errors.ConcretizationTypeError | jax.errors.TracerArrayConversionError)
    advice = "Use jnp.where or jax.lax.cond, and jnp instead of np" if traced else "Correct it"
    return Finding("raises", where, "no exception", what, advice)


def at(error: BaseException) -> str:
    """File and line, in brackets, of the last frame that is neither ours nor a library's; nothing if there is none."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<")]
    outer = [f for f in frames if not any(Path(f.filename).is_relative_to(place) for place in _libraries())]
    # The environments of the package are environments, too, and the machinery around them is not.
    ours = [f for f in frames if Path(f.filename).parent == Path(__file__).parents[1]]
    chosen = (outer or ours or frames)[-1:]
    return "".join(f" ({Path(f.filename).name}, line {f.lineno})" for f in chosen)


def _libraries() -> Iterator[Path]:
    """Where those are that are never at fault."""
    yield Path(__file__).parents[2]
    modules: tuple[types.ModuleType, ...] = (jax, eqx, np, dataclasses)
    for module in modules:
        path = Path(str(module.__file__))
        yield path.parent if path.stem == "__init__" else path
