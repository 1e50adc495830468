"""Hyper-parameters and problem parameters, checked before JAX is imported.

An algorithm *is* its configuration: its class derives from the settings here and adds the five functions. They
stand in a file of their own because importing JAX takes a second, and a typing error should not.
"""

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from types import NoneType
from typing import Any, ClassVar, Literal, get_args, get_origin

from adaptax.core.errors import ConfigError, short_repr

SMALLEST, LARGEST = 1e-30, 1e30
"""Numbers in single precision that can be squared, or divided by, now and then; 0 is fine too."""
LARGEST_COUNT = 1_000_000
"""Of what is asked for by number: tasks, episodes, steps between two events."""
MOST_STEPS = 10**9
"""Environment steps that an update may have: no memory would hold what has to be kept of more."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or an empty string if nothing is near; several, if it may abbreviate any of them."""
    words = list(known)
    near = [other for other in words if _abbreviates(word, other)]
    if not near:
        alike = [other for other in words if sorted(other) == sorted(word)]
        near = difflib.get_close_matches(word, words, n=1) or alike
    return f"; did you mean {' or '.join(repr(other) for other in near[:3])}?" if near else ""


def _abbreviates(word: str, long: str) -> bool:
    """Whether a word is the initials of another's parts, or begins each: "--lr" or "--learn-rate"."""
    short, parts = word.strip("-"), long.strip("-").split("-")
    if word.startswith("-") != long.startswith("-") or len(parts) < 2:
        return False
    initials, pieces = "".join(part[:1] for part in parts), short.split("-")
    same = len(pieces) == len(parts) and all(map(str.startswith, parts, pieces)) and "" not in pieces
    return len(short) > 1 and (short == initials or same)


def in_short(choices: Iterable[Any]) -> list[Any]:
    """Choices; of names that begin alike (`memax:ffm`, `memax:s6`) one for all: `memax:…`."""
    return list(dict.fromkeys(f"{x.partition(':')[0]}:…" if isinstance(x, str) and ":" in x else x for x in choices))


def setting(
    default: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    only: Mapping[str, tuple[Any, ...]] | None = None,
    spelled: Mapping[str, int] | None = None,
    yields: bool = False,
) -> Any:
    """A dataclass field whose value must lie in [low, high], or above `above`.

    `only` says for which values of other fields it has an effect: {"outer": ("ppo",)}. Elsewhere it must stay at its
    default, so that nobody tunes what does nothing. `spelled` are words that stand for a value on a command line.
    `yields`: where somebody's own settings have an option of the same name, that is the one that is typed.
    """
    rules = {"low": low, "high": high, "above": above, "only": only or {}, "spelled": spelled or {}, "yields": yields}
    return dataclasses.field(default=default, metadata=rules)


def kind_of(field: dataclasses.Field[Any]) -> Any:
    """The type of a field's values, `None` apart."""
    kinds = [kind for kind in get_args(field.type) if kind is not NoneType]
    return kinds[0] if NoneType in get_args(field.type) else field.type


def expectation(field: dataclasses.Field[Any]) -> str:
    """What a number must be, in words."""
    low, high, above = (field.metadata.get(name) for name in ("low", "high", "above"))
    kind = "an integer" if kind_of(field) is int else "a number"
    if low is not None and high is not None:
        words = "".join(f", or {word}" for word in field.metadata.get("spelled", {}))
        return f"{kind} between {_plain(low)} and {_plain(high)}{words}"
    bounds = (("> ", above), ("≥ ", low), ("≤ ", high))
    rules = " and ".join(f"{sign}{_plain(bound)}" for sign, bound in bounds if bound is not None)
    return f"{kind} {rules}".rstrip()


def _plain(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"


def _precision(value: Any) -> str:
    """Why a number that is in its range is refused all the same; nothing for others."""
    if not isinstance(value, float) or not math.isfinite(value) or value == 0 or SMALLEST <= abs(value) <= LARGEST:
        return ""
    return f"; numbers other than 0 are at least {SMALLEST:g} and at most {LARGEST:g}, whatever their sign"


def _fits(field: dataclasses.Field[Any], value: Any) -> bool:
    rule, kind = field.metadata, kind_of(field)
    if kind is float and hasattr(value, "aval"):
        return True  # a JAX array, maybe traced: sweeps are `vmap` over `replace(algorithm, ...)`
    if value is None:
        return kind is not field.type
    if isinstance(value, bool) or not isinstance(value, int if kind is int else (int, float)):
        return False
    if kind is float and not (value == 0 or SMALLEST <= abs(value) <= LARGEST):
        return False
    low, high, above = rule.get("low"), rule.get("high"), rule.get("above")
    return not (
        (low is not None and value < low)
        or (high is not None and value > high)
        or (above is not None and value <= above)
    )


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base of all settings: every field is checked as soon as an object exists.

    Fields that are floats may be JAX arrays, unchecked, so that `jax.vmap` over `dataclasses.replace` sweeps them.
    """

    continuous_actions: ClassVar[bool] = False
    """For settings of a problem: whether its actions are continuous."""
    discrete_states: ClassVar[bool] = True
    """For settings of a problem: whether its states can be counted."""
    on_host: ClassVar[bool] = False
    """For settings of a problem: whether simulators on the host make its steps, which are dear then."""

    def __post_init__(self):
        """Check every field.

        Raises:
            ConfigError: naming the field, what was expected, and what was found.
        """
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            where = f"{type(self).__name__}.{field.name}"
            if get_origin(field.type) is Literal:
                choices = get_args(field.type)
                if value not in choices:
                    hint = suggestion(str(value), choices)
                    named = ", ".join(in_short(choices))
                    raise ConfigError(f"{where}: expected one of {named}; found {short_repr(value)}{hint}")
            elif field.type is bool:
                if not isinstance(value, bool):
                    raise ConfigError(f"{where}: expected True or False; found {short_repr(value)}")
            elif kind_of(field) is str:
                if not isinstance(value, str) and (value is not None or field.type is str):
                    raise ConfigError(f"{where}: expected a word; found {short_repr(value)}")
            elif kind_of(field) in (int, float) and not _fits(field, value):
                raise ConfigError(
                    f"{where}: expected {expectation(field)}; found {short_repr(value)}{_precision(value)}"
                )
            self._check_effect(field, value, where)

    def check_problem(self, problem: "Settings") -> None:
        """Check that an algorithm's settings suit those of a problem. They do by default."""

    def _check_effect(self, field: dataclasses.Field[Any], value: Any, where: str) -> None:
        """Refuse a changed value that would change nothing."""
        if hasattr(value, "aval") or value == field.default:
            return
        for other, values in field.metadata.get("only", {}).items():
            found = getattr(self, other, None)
            if found not in values:
                raise ConfigError(
                    f"{where}: has an effect only if {other} is {' or '.join(map(repr, in_short(values)))}; found "
                    f"{other}={found!r} and {field.name}={value!r}. Leave it out, or change {other}"
                )


def episodes_of(settings: Settings) -> tuple[str | None, int]:
    """Name and value of the field that says how many episodes a trial has; no name if there is no choice."""
    known = {field.name for field in dataclasses.fields(settings)}
    for name in ("num_pulls", "num_episodes", "episodes"):
        if name in known:
            return name, getattr(settings, name)
    return None, getattr(settings, "episodes", 1)


def horizon_of(settings: Settings) -> int:
    """Steps of an episode."""
    horizon = getattr(settings, "horizon", None)
    if not isinstance(horizon, int):
        raise TypeError(f"{type(settings).__name__} has no horizon")
    return horizon


def as_many_as_fit(most: int, fewest: int, most_steps: int, steps_of_each: int, *, multiple_of: int = 1) -> int:
    """How many things of so many steps make `most_steps` at most, within limits, as a multiple of a number."""
    number = max(fewest, min(most, most_steps // max(steps_of_each, 1)))
    return max(number // multiple_of, 1) * multiple_of


def check_steps(settings: Settings, problem: Settings, factors: Mapping[str, int]) -> None:
    """Check that the steps of an update can be held in some memory at all.

    Args:
        settings: Those of an algorithm.
        problem: Those of a problem; an episode has its horizon.
        factors: What multiplies to the episodes of an update, by the names of the fields; one to blame first.

    Raises:
        ConfigError: naming the fields, what was expected and what was found.
    """
    horizon = horizon_of(problem)
    steps = horizon * math.prod(factors.values())
    if steps <= MOST_STEPS:
        return
    known = {field.name for field in dataclasses.fields(problem)}
    parts = {**factors, "horizon" if "horizon" in known else f"steps of {', '.join(sorted(known))}": horizon}
    product = " × ".join(f"{value} ({name})" for name, value in parts.items() if value > 1)
    raise ConfigError(
        f"{type(settings).__name__}.{next(iter(factors))}: expected at most {MOST_STEPS} steps in an update on "
        f"{type(problem).__name__}; found {product} = {steps}. Lower one of them"
    )


def check_distribution(settings: Settings, problem: Settings, field: str) -> None:
    """Check that the deviation of a normal distribution was left alone where actions are discrete.

    Raises:
        ConfigError: naming the field, what was expected and what was found.
    """
    value = getattr(settings, field)
    default = next(known.default for known in dataclasses.fields(settings) if known.name == field)
    if problem.continuous_actions or hasattr(value, "aval") or value == default:
        return
    raise ConfigError(
        f"{type(settings).__name__}.{field}: has an effect on continuous actions only; found "
        f"{value!r} for {type(problem).__name__}, whose actions are discrete. Leave it out"
    )


def check_episodes(problem: Settings, streams: int, field: str, what: str) -> None:
    """Check that the episodes of a trial divide into windows of `streams` episodes each.

    Raises:
        ConfigError: naming the field, what was expected and what was found.
    """
    name, episodes = episodes_of(problem)
    if episodes % streams == 0:
        return
    where = type(problem).__name__
    if name is None:
        length = "one episode" if episodes == 1 else f"{episodes} episodes"
        raise ConfigError(
            f"{where}: a trial is {length}, but {field}={streams} episodes {what} are expected. "
            f"Try --{field} 1 if it learns within episodes, or an agent with a memory, such as rl2"
        )
    below = streams * max(episodes // streams, 1)
    raise ConfigError(
        f"{where}.{name}: expected a multiple of {field}={streams}, the episodes {what}; "
        f"found {episodes}. Try --{name.replace('_', '-')} {below} or {below + streams}"
    )


def check_windows(settings: Settings, problem: Settings, field: str, streams: int, steps: int | None) -> None:
    """Check that a trial divides into windows of `streams` × `steps` (None: an episode).

    Raises:
        ConfigError: naming the field, what was expected and what was found.
    """
    check_episodes(problem, streams, "streams", "that run at the same time")
    (name, episodes), horizon = episodes_of(problem), horizon_of(problem)
    total = episodes // streams * horizon
    if steps is not None and total % steps:
        raise ConfigError(
            f"{type(settings).__name__}.{field}: expected a divisor of the {total} steps of a trial in each "
            f"environment ({name or 'episodes'}={episodes} × horizon={horizon} / streams={streams}); found {steps}"
        )
