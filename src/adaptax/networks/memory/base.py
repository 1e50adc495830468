"""What a memory is, and how one is built by its name.

A new memory is a class that derives from `Memory`, in a file of its own, and its name in
`algorithms/memory/settings.py`, beside where it is built. Whoever uses memories (RL², the meta-policy gradient) asks
them and does not look at their class.
"""

import abc
import dataclasses
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from adaptax.core.spaces import Discrete, Space
from adaptax.networks.heads import PolicyHead, Readout, ScoreHead


@dataclasses.dataclass(frozen=True)
class MemorySizes:
    """What a memory is built for.

    Attributes:
        observation: The observation space.
        action: The action space.
        size: Units of the memory; of each, if there are many.
        policy_size: Units of the layer that the policy reads it through; 0: none.
        span: Steps that it should span.
        layers: Layers, of memories that have some.
        heads: What an attention layer looks for at a time.
        window: Steps back that attention sees, the present one among them; 0: the span, bounded.
    """

    observation: Space
    action: Space
    size: int
    policy_size: int
    span: int
    layers: int = 1
    heads: int = 4
    window: int = 0

    @property
    def countable(self) -> bool:
        """Whether pairs of observation and action can be counted."""
        return isinstance(self.observation, Discrete) and isinstance(self.action, Discrete)


class Seen(eqx.Module):
    """What there is to remember at a step, encoded, for any batch axes.

    Attributes:
        observation: What is seen.
        previous: What was seen at the last step; zeros if nobody counts pairs.
        action: What was done there.
        reward: What it has brought, in deviations.
        first: Whether an episode begins.
        countable: Whether observations and actions are one-hot vectors.
    """

    observation: Float[Array, "*batch observation_size"]
    previous: Float[Array, "*batch observation_size"]
    action: Float[Array, "*batch action_size"]
    reward: Float[Array, "*batch 1"]
    first: Float[Array, "*batch 1"]
    countable: bool = eqx.field(static=True)


class Memory(eqx.Module):
    """A memory, written for one environment in `step` (which `jax.vmap` batches) and for whole batches in `unroll`.

    `unroll` gives the outputs that `step` gives one after the other, from fresh states, and leaves the state alone in
    steps that did not happen.
    """

    counts_pairs: ClassVar[bool] = True
    """Whether it reads pairs of the previous observation and action, where there are such."""

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """Length of an output."""

    @property
    def belief_size(self) -> int:
        """How many of an output's numbers, the first ones, tell what is known of the task: all by default."""
        return self.size

    @abc.abstractmethod
    def initial(self) -> PyTree[Array]:
        """The state at the start of a trial."""

    @abc.abstractmethod
    def step(self, state: Any, x: Float[Array, " input_size"]) -> tuple[Any, Float[Array, " size"]]:
        """Take in one input (no batch); return the new state and the output."""

    @abc.abstractmethod
    def unroll(
        self,
        xs: Float[Array, "time batch input_size"],
        valid: Bool[Array, "time batch"] | None = None,
        starts: Bool[Array, "time batch"] | None = None,
    ) -> Float[Array, "time batch size"]:
        """Outputs for trials, from fresh states.

        Args:
            xs: What it reads.
            valid: Which steps happened; None: all.
            starts: With which steps a trial begins, and the state is fresh again; None: with the first ones only.
        """

    def inputs(self, seen: Seen) -> Float[Array, "*batch input_size"]:
        """What it reads: by default all there is, and rewards by action (and state), so that counting is linear."""
        parts = [seen.observation, seen.action, seen.action * seen.reward, seen.reward, seen.first]
        if seen.countable:
            pair = (seen.previous[..., :, None] * seen.action[..., None, :]).reshape(*seen.action.shape[:-1], -1)
            parts += [pair, pair * seen.reward]
        return jnp.concatenate(parts, -1)

    def heads(
        self, sizes: MemorySizes, initial_std: float | Array, key: Key[Array, ""]
    ) -> tuple[Readout | None, PolicyHead | ScoreHead]:
        """What reads it: a layer that reads the observation too (None: there is none), and the policy's head."""
        policy = PolicyHead(sizes.policy_size or self.size, sizes.action, initial_std, key)
        if not sizes.policy_size:
            return None, policy
        readout_key = jax.random.fold_in(key, 1)
        return Readout(self.size, sizes.observation.encoded_size, sizes.policy_size, readout_key), policy


def dense_input_size(sizes: MemorySizes) -> int:
    """Length of what `Memory.inputs` returns by default."""
    observation, action = sizes.observation.encoded_size, sizes.action.encoded_size
    return observation + 2 * action + 2 + (2 * observation * action if sizes.countable else 0)
