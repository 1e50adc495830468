"""Policy and critics that read experience by memories of their own, for learners that learn Q of histories."""

from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key

from adaptax.core.spaces import Space
from adaptax.networks.encoders import Encoder
from adaptax.networks.heads import Linear, Readout
from adaptax.networks.memory.base import Memory


class RecurrentActor(eqx.Module):
    """The policy, and what it reads experience by.

    Attributes:
        memory: What takes in experience.
        readout: From memory and observation to what the policy reads; None: the policy reads the memory alone.
        policy: To actions, from what the space says of them: a head of `networks.heads`, or a learner's own.
        encoder: What reads observations before memory and readout do; None: they are read as they are.
    """

    memory: Memory
    readout: Readout | None
    policy: Any
    encoder: Encoder | None

    @property
    def action_space(self) -> Space:
        """What the policy chooses from."""
        space: Space = self.policy.space
        return space


class QualityHead(eqx.Module):
    """Two dense layers from what a memory has put out, the time, the task and a continuous action to some outputs.

    Attributes:
        from_memory: First layer's part for the memory's output.
        from_task: First layer's part for the task's features, computed once per trial; None: not told.
        from_time: First layer's part for the fraction of the trial that is over.
        from_action: First layer's part for the action; None: outputs are for each action.
        hidden: Second layer.
        out: Last layer; starts at 0.
    """

    from_memory: Linear
    from_task: Linear | None
    from_time: Linear
    from_action: Linear | None
    hidden: Linear
    out: Linear

    def __init__(
        self, memory_size: int, task_size: int, action_size: int, size: int, num_outputs: int, key: Key[Array, ""]
    ):
        """Build it; `task_size` and `action_size` of 0: not told."""
        keys, gain = jax.random.split(key, 6), 2.0**0.5
        self.from_memory = Linear(memory_size, size, gain, keys[0])
        self.from_task = Linear(task_size, size, gain, keys[1]) if task_size else None
        self.from_time = Linear(1, size, gain, keys[2])
        self.from_action = Linear(action_size, size, gain, keys[3]) if action_size else None
        self.hidden = Linear(size, size, gain, keys[4])
        self.out = Linear(size, num_outputs, 0.0, keys[5])

    def __call__(
        self,
        memory: Float[Array, "time batch memory_size"],
        task: Float[Array, "batch task_size"],
        time: Float[Array, "time #batch"],
        action: Float[Array, "time batch action_size"] | None,
    ) -> Float[Array, "time batch outputs"]:
        """Outputs of every step of trials; `time`: how much of its trial is over, from 0 to 1."""
        features = self.from_memory(memory) + self.from_time(time[..., None])
        if self.from_task is not None:
            features = features + self.from_task(task)[None]
        if self.from_action is not None and action is not None:
            features = features + self.from_action(action)
        return self.out(jax.nn.relu(self.hidden(jax.nn.relu(features))))


class RecurrentCritic(eqx.Module):
    """Two critics that read one memory, which is not the policy's.

    Attributes:
        memory: What takes in experience.
        heads: From its output to what each says.
        encoder: What reads observations before the memory does; None: they are read as they are.
        action_space: What is criticised.
    """

    memory: Memory
    heads: tuple[QualityHead, QualityHead]
    encoder: Encoder | None
    action_space: Space = eqx.field(static=True)

    def __call__(
        self,
        hidden: Float[Array, "time batch memory_size"],
        task: Float[Array, "batch task_size"],
        time: Float[Array, "time #batch"],
        action: Float[Array, "time batch action_size"] | None = None,
    ) -> tuple[Float[Array, "time batch outputs"], Float[Array, "time batch outputs"]]:
        """What both say of trials, from the memory's outputs and how much of its trial is over at each step."""
        first, second = self.heads
        return first(hidden, task, time, action), second(hidden, task, time, action)
