"""What a recurrent soft actor-critic learns, what it learns from, and what it needs between updates."""

from typing import Any

import equinox as eqx
from jaxtyping import Array, Float, PyTree

from adaptax.core.replay_buffer import TrialBuffer
from adaptax.core.types import Transition
from adaptax.networks.recurrent_actor_critic import RecurrentActor, RecurrentCritic


class Learned(eqx.Module):
    """Everything that gradients change.

    Attributes:
        actor: The policy: the part that is kept after training.
        critic: Q.
        log_temperature: log α.
    """

    actor: RecurrentActor
    critic: RecurrentCritic
    log_temperature: Float[Array, ""]


class Replayed(eqx.Module):
    """Whole trials, leaves `[time, trial, ...]`.

    Attributes:
        steps: What happened, without what nobody learns from.
        task: The tasks' features as critics read them, `[trial, size]`; of size 0 if they are not told.
    """

    steps: Transition
    task: Float[Array, "trial size"]


class LearnerState(eqx.Module):
    """What learning needs and acting does not.

    Attributes:
        critic: Q.
        target: Q̄.
        log_temperature: log α.
        optimizers: The optimisers' states: of the policy, of the critics, of the temperature.
        buffer: The newest trials.
    """

    critic: RecurrentCritic
    target: RecurrentCritic
    log_temperature: Float[Array, ""]
    optimizers: tuple[PyTree[Array], ...]
    buffer: TrialBuffer


def parts_of(learned: Learned) -> tuple[Any, ...]:
    """What has an optimiser of its own."""
    return learned.actor, learned.critic, learned.log_temperature
