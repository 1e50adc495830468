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

from adaptax.core.errors import ConfigError
from adaptax.runs.atomic_files import shown

SMALLEST, LARGEST = 1e-30, 1e30
"""Numbers in single precision that can be squared, or divided by, now and then; 0 is fine too."""
LARGEST_COUNT = 1_000_000
"""Of what is asked for by number: tasks, episodes, steps between two events."""
MOST_STEPS = 10**9
"""Environment steps that an update may have: no memory would hold what has to be kept of more."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or an empty string if nothing is near."""
    words = list(known)
    near = difflib.get_close_matches(word, words, n=1) or [other for other in words if sorted(other) == sorted(word)]
    return f"; did you mean '{near[0]}'?" if near else ""


def setting(
    default: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    only: Mapping[str, tuple[Any, ...]] | None = None,
    spelled: Mapping[str, int] | None = None,
) -> Any:
    """A dataclass field whose value must lie in [low, high], or above `above`.

    `only` says for which values of other fields it has an effect: {"outer": ("ppo",)}. Elsewhere it must stay at its
    default, so that nobody tunes what does nothing. `spelled` are words that stand for a value on a command line.
    """
    rules = {"low": low, "high": high, "above": above, "only": only or {}, "spelled": spelled or {}}
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
                    raise ConfigError(f"{where}: expected one of {', '.join(choices)}; found {shown(value)}{hint}")
            elif field.type is bool:
                if not isinstance(value, bool):
                    raise ConfigError(f"{where}: expected True or False; found {shown(value)}")
            elif kind_of(field) in (int, float) and not _fits(field, value):
                raise ConfigError(f"{where}: expected {expectation(field)}; found {shown(value)}{_precision(value)}")
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
                    f"{where}: has an effect only if {other} is {' or '.join(map(repr, values))}; found "
                    f"{other}={found!r} and {field.name}={value!r}. Leave it out, or change {other}"
                )


def episodes_of(settings: Settings) -> tuple[str | None, int]:
    """Name and value of the field that says how many episodes a trial has; no name if it is always one."""
    for name in ("num_pulls", "num_episodes"):
        if hasattr(settings, name):
            return name, getattr(settings, name)
    return None, 1


def horizon_of(settings: Settings) -> int:
    """Steps of an episode."""
    horizon = getattr(settings, "horizon", None)
    if not isinstance(horizon, int):
        raise TypeError(f"{type(settings).__name__} has no horizon")
    return horizon


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


@dataclasses.dataclass(frozen=True)
class RL2Settings(Settings):
    """RL²: a recurrent network that learns within a trial by remembering it (Duan et al. 2016; Wang et al. 2016).

    Attributes:
        memory: Kind of memory; "symmetric" has one for each action (and state), all with the same weights (Kirsch et
            al. 2022); "none" sees the present observation alone, and so cannot adapt.
        memory_size: Units of the memory; of each, if there are many. Paper: GRU with 256 (Duan et al., appendix A);
            LSTM with 48 (Wang et al.).
        policy_size: Units of a layer that reads memory and observation together, for the policy; 0 for none. Worth
            having where there are states to tell apart.
        critic_size: Units of each of the critic's two hidden layers.
        informed_critic: Tell the critic the task in training. The policy never sees it.
        num_tasks: Tasks, that is trials, in each update.
        num_updates: Updates in the whole run; the learning rate and the entropy cost fall to 0 over them.
        num_epochs: PPO's passes over the trials of an update.
        num_minibatches: Minibatches of whole trials in each pass.
        learning_rate: Adam's peak learning rate α.
        discount: γ per environment step, across the episodes of a trial. Paper: 0.99.
        gae_lambda: λ of generalised advantage estimation. Paper: 0.3.
        clip: PPO's ε.
        entropy_cost: Weight of the entropy bonus at the start.
        value_cost: Weight of the critic's loss.
        max_gradient_norm: Gradients are scaled down to this norm.
        adam_b2: Decay of Adam's second moments β₂.
        initial_std: Standard deviation of continuous actions at the start, in units of half their range.
    """

    memory: Literal["lstm", "gru", "symmetric", "none"] = "lstm"
    memory_size: int = setting(64, low=1, high=4096)
    policy_size: int = setting(0, low=0, high=4096)
    critic_size: int = setting(64, low=1, high=4096)
    informed_critic: bool = True
    num_tasks: int = setting(512, low=1, high=LARGEST_COUNT)
    num_updates: int = setting(350, low=1, high=LARGEST_COUNT)
    num_epochs: int = setting(1, low=1, high=100)
    num_minibatches: int = setting(16, low=1, high=LARGEST_COUNT)
    learning_rate: float = setting(3e-3, above=0, high=1)
    discount: float = setting(1.0, low=0, high=1)
    gae_lambda: float = setting(0.9, low=0, high=1)
    clip: float = setting(0.2, above=0, high=1e6)
    entropy_cost: float = setting(0.05, low=0, high=1e6)
    value_cost: float = setting(0.5, low=0, high=1e6)
    max_gradient_norm: float = setting(1.0, above=0)
    adam_b2: float = setting(0.99, low=0, high=0.999999)
    initial_std: float = setting(0.5, above=0, high=1e6)

    def __post_init__(self):
        """Check every field, and that trials divide into minibatches."""
        super().__post_init__()
        if self.num_tasks % self.num_minibatches:
            raise ConfigError(
                f"RL2Settings.num_tasks: expected a multiple of num_minibatches={self.num_minibatches}; "
                f"found {self.num_tasks}"
            )

    def check_problem(self, problem: Settings) -> None:
        """Check that the memory can serve the problem's actions, and that an update is not too long.

        Raises:
            ConfigError: naming the field, what was expected and what was found.
        """
        if self.memory == "symmetric" and problem.continuous_actions:
            raise ConfigError(
                "RL2Settings.memory: 'symmetric' has a memory for each action, so it expects discrete ones; "
                f"found {type(problem).__name__}, whose actions are continuous. Try --memory lstm or gru"
            )
        check_distribution(self, problem, "initial_std")
        name, episodes = episodes_of(problem)
        check_steps(self, problem, {"num_tasks": self.num_tasks, **({name: episodes} if name else {})})
