"""What a recurrent soft actor-critic, or Q-learning, learns, what it learns from, and what it needs between updates."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from adaptax.core.problem import Problem
from adaptax.core.replay_buffer import TrialBuffer
from adaptax.core.types import Transition
from adaptax.networks.recurrent_actor_critic import RecurrentActor, RecurrentCritic


class Learned(eqx.Module):
    """Everything that gradients change.

    Attributes:
        actor: The policy: the part that is kept after training.
        critic: Q. None: the actor acts by its own Q.
        log_temperature: log α; None with it.
    """

    actor: RecurrentActor
    critic: RecurrentCritic | None = None
    log_temperature: Float[Array, ""] | None = None

    @property
    def judge(self) -> RecurrentCritic | RecurrentActor:
        """What has Q."""
        return self.actor if self.critic is None else self.critic


class Replayed(eqx.Module):
    """Trials, leaves `[time, trial, ...]`; where episodes end early, some in a row, of which the last may be cut off.

    Attributes:
        steps: What happened, without what nobody learns from.
        task: The tasks' features as critics read them, `[trial, size]`; of size 0 if they are not told.
    """

    steps: Transition
    task: Float[Array, "trial size"]


class LearnerState(eqx.Module):
    """What learning needs and acting does not.

    Attributes:
        critic: Q; None: it is the actor's.
        target: Q̄.
        log_temperature: log α; None without a critic.
        optimizers: The optimisers' states: of the policy, of the critics, of the temperature.
        buffer: The newest trials.
    """

    critic: RecurrentCritic | None
    target: RecurrentCritic | RecurrentActor
    log_temperature: Float[Array, ""] | None
    optimizers: tuple[PyTree[Array], ...]
    buffer: TrialBuffer


def parts_of(learned: Learned) -> tuple[Any, ...]:
    """What has an optimiser of its own."""
    if learned.critic is None:
        return (learned.actor,)
    return learned.actor, learned.critic, learned.log_temperature


class Places(eqx.Module):
    """Where in their trials steps are, leaves `[time, trial]`; `[time, 1]` where all trials keep step.

    Attributes:
        remaining: Σ_{i=t}^{T−1} γ^{i−t}: what an average reward of 1 over the remaining steps is worth.
        time: How much of the trial is over, from 0 to 1.
        over: With which steps a trial is over; None: with the last.
        cut: After which the rest of their trial was not seen; None: none.
        counted: Which are learned from; None: all.
    """

    remaining: Float[Array, "time #trial"]
    time: Float[Array, "time #trial"]
    over: Bool[Array, "time trial"] | None
    cut: Bool[Array, "time trial"] | None
    counted: Bool[Array, "time trial"] | None


def places_of(problem: Problem, steps: Transition, discount: float | Float[Array, ""]) -> Places:
    """Where the steps of trials are, leaves `[time, trial, ...]`.

    Where trials follow each other, the last one is over with the last step, or cut off there. From a step that was cut
    off nothing is learned: its value stands for the rest.
    """
    length = len(steps.reward)
    remaining = jnp.cumsum(discount ** jnp.arange(length, dtype=jnp.float32))[::-1]
    time = jnp.linspace(0.0, 1.0, length)
    if steps.clock is None:
        return Places(remaining[:, None], time[:, None], None, None, steps.valid)
    over = problem.next_clock(steps.clock, steps.terminated) == 0
    cut = ~over & (jnp.arange(length) == length - 1)[:, None]
    counted = ~cut if steps.valid is None else ~cut & steps.valid
    return Places(remaining[steps.clock], time[steps.clock], over, cut, counted)
