"""Gymnasium's spaces as learners see them, and back. Without JAX: it runs in worker processes too.

What has parts becomes one vector, the parts sorted by their names (of parts in parts: "outer.inner"), categories as
zeros and ones: as `adaptax.core.composite_spaces` has it.
"""

import contextlib
import math
from typing import Any, NamedTuple

import numpy as np

from adaptax.core.errors import UseError, needs

with needs("gymnasium", "a Gymnasium environment"):
    import gymnasium
    from gymnasium import spaces

MASK = "action_mask"
"""What observations, or what `reset` and `step` tell besides, call the mask of legal actions."""


class Description(NamedTuple):
    """A space as learners see it.

    Attributes:
        kind: "discrete", "choices" (several at once), "numbers", "image", "mask" or "parts".
        shape: Shape of an element.
        nums: How many there are to choose from, of the first two kinds.
        low: Lower bound of numbers, of all or one for each entry.
        high: Upper bound.
        parts: By name, sorted.
    """

    kind: str
    shape: tuple[int, ...] = ()
    nums: tuple[int, ...] = ()
    low: Any = -math.inf
    high: Any = math.inf
    parts: "tuple[tuple[str, Description], ...]" = ()

    @property
    def dtype(self) -> Any:
        """Type of an element's entries."""
        return {"discrete": np.int32, "choices": np.int32, "image": np.uint8}.get(self.kind, np.float32)

    @property
    def size(self) -> int:
        """Numbers that a part takes in a vector."""
        return sum(self.nums) if self.nums else math.prod(self.shape)


def observed(space: Any, mask_size: int = 0) -> Description:
    """An observation space as learners see it.

    Bounds are not told: few environments keep to them, and fewer fill them.

    Args:
        space: The space.
        mask_size: Number of actions, if a part called `MASK` may tell which are legal.

    Raises:
        UseError: if it is no fixed structure of numbers and categories.
    """
    if isinstance(space, spaces.Dict | spaces.Tuple):
        named = sorted(_leaves(space, ""), key=lambda leaf: leaf[0])
        parts = []
        for name, leaf in named:
            if _is_mask(name, leaf):
                size = math.prod(leaf.shape)
                parts.append((name, Description("mask" if size == mask_size else "numbers", (size,))))
            else:
                parts.append((name, observed(leaf)))
        return Description("parts", (sum(described.size for _, described in parts),), parts=tuple(parts))
    if isinstance(space, spaces.Discrete):
        return Description("discrete", nums=(int(space.n),))
    if isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary):
        nums = _choices(space)
        return Description("choices", (len(nums),), nums)
    if isinstance(space, spaces.Box):
        if space.dtype == np.uint8 and len(space.shape) == 3 and (space.high == 255).all():
            return Description("image", tuple(space.shape))
        return Description("numbers", tuple(space.shape))
    with contextlib.suppress(NotImplementedError):
        flat = spaces.utils.flatten_space(space)
        if isinstance(flat, spaces.Box):
            return Description("numbers", tuple(flat.shape))
    raise UseError(f"observation space: expected numbers, categories, or a fixed structure of them; found {space}")


def seen(space: Any, observation: Any) -> np.ndarray:
    """An observation as learners see it; whether its numbers are finite is not looked at.

    Raises:
        ValueError: if it is none of the space.
    """
    if isinstance(space, spaces.Dict | spaces.Tuple):
        named = sorted(_leaves(space, "", observation), key=lambda leaf: leaf[0])
        return np.concatenate([_as_numbers(name, *leaf) for name, leaf in named])
    if isinstance(space, spaces.Discrete):
        number = int(observation) - int(space.start)
        if not 0 <= number < space.n:
            raise ValueError(f"observation {observation!r} is not in {space}")
        return np.asarray(number, np.int32)
    if isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary):
        numbers = (np.asarray(observation) - getattr(space, "start", 0)).astype(np.int32)
        if numbers.shape != space.shape or (numbers < 0).any() or (numbers.ravel() >= _choices(space)).any():
            raise ValueError(f"observation {observation!r} is not in {space}")
        return numbers.ravel()
    if not isinstance(space, spaces.Box):
        observation, space = spaces.utils.flatten(space, observation), spaces.utils.flatten_space(space)
    numbers = np.asarray(observation, observed(space).dtype)
    if numbers.shape != space.shape:
        raise ValueError(f"observation of shape {numbers.shape}, expected {space.shape}")
    return numbers


def chosen(space: Any) -> Description:
    """An action space as learners see it.

    Raises:
        UseError: if it is none that they can choose in.
    """
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
        return observed(space)
    if not isinstance(space, spaces.Box):
        raise UseError(f"action space: expected a Box, Discrete, MultiDiscrete or MultiBinary; found {space}")
    low, high = space.low.ravel().astype(float), space.high.ravel().astype(float)
    alike = bool((low == low[:1]).all() and (high == high[:1]).all())
    bounds = (float(low[0]), float(high[0])) if alike else (tuple(low.tolist()), tuple(high.tolist()))
    return Description("numbers", tuple(space.shape), (), *bounds)


def done(space: Any, actions: np.ndarray) -> list[Any]:
    """What environments are given of learners' actions, `[row, ...]`."""
    if isinstance(space, spaces.Discrete):
        return [action + int(space.start) for action in actions.tolist()]
    if isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary):
        choices = actions.reshape(-1, *space.shape) + getattr(space, "start", 0)
        return list(choices.astype(space.dtype))
    return list(np.clip(actions, space.low, space.high).astype(space.dtype))


class MaskShown(gymnasium.Wrapper):  # type: ignore[type-arg]
    """An environment that tells which actions are legal beside its observations (as Gymnasium's taxi) shows it."""

    def __init__(self, env: Any):
        super().__init__(env)
        self._num = chosen(env.action_space).size
        self.observation_space = spaces.Dict(
            {"observation": env.observation_space, MASK: spaces.MultiBinary(self._num)}
        )

    def _shown(self, observation: Any, info: Any) -> dict[str, Any]:
        return {"observation": observation, MASK: np.asarray(info[MASK]).reshape(self._num)}

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        observation, info = self.env.reset(**options)
        return self._shown(observation, info), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Do an action."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._shown(observation, info), reward, terminated, truncated, info


def _leaves(space: Any, name: str, value: Any = None) -> list[tuple[str, Any]]:
    """The spaces of a structure that have no parts, by name; with a value, with that of each."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        inner = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        if value is not None and len(value) != len(space.spaces):
            raise ValueError(f"observation with {len(value)} parts, expected {len(space.spaces)}")
        before = f"{name}." if name else ""
        parts = (_leaves(part, f"{before}{key}", None if value is None else value[key]) for key, part in inner)
        return [leaf for leaves in parts for leaf in leaves]
    return [(name, space if value is None else (space, value))]


def _is_mask(name: str, space: Any) -> bool:
    """Whether a part tells which actions are legal, by a number for each."""
    return name.rpartition(".")[2] == MASK and isinstance(space, spaces.Box | spaces.MultiBinary)


def _as_numbers(name: str, space: Any, value: Any) -> np.ndarray:
    """A part as it stands in a vector."""
    if _is_mask(name, space):
        mask = np.asarray(value, np.float32)
        if mask.shape != space.shape:
            raise ValueError(f"{name} of shape {mask.shape}, expected {space.shape}")
        return mask.ravel()
    found = seen(space, value)
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
        return np.concatenate(
            [np.eye(num, dtype=np.float32)[k] for num, k in zip(observed(space).nums, np.ravel(found), strict=True)]
        )
    return found.ravel().astype(np.float32)


def _choices(space: Any) -> tuple[int, ...]:
    if isinstance(space, spaces.MultiDiscrete):
        return tuple(int(n) for n in space.nvec.ravel())
    return (2,) * math.prod(space.shape)
