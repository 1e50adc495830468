"""What a recurrent soft actor-critic makes of whole trials: values, entropies and losses of every step.

Discrete actions: expectations over all of them, or over all combinations of several choices. Continuous ones: one draw
at each step, with derivatives.
"""

import dataclasses
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from adaptax.networks.distributions import Categorical, Distribution, MultiCategorical, SquashedNormal
from adaptax.networks.recurrent_actor_critic import RecurrentCritic
from adaptax.optimization import soft_actor_critic as sac
from adaptax.optimization.value_categories import ValueCategories

Pair: TypeAlias = tuple[Array, Array]
"""Something of both critics."""


@dataclasses.dataclass(frozen=True)
class CriticScale:
    """How a critic's outputs are read: as the average of the remaining rewards, itself or in categories.

    Attributes:
        categories: The bins of classifying critics; None: outputs are the averages.
    """

    categories: ValueCategories | None

    @property
    def width(self) -> int:
        """Outputs for each value."""
        return 1 if self.categories is None else self.categories.num

    def averages(self, outputs: Float[Array, "*batch outputs"]) -> Float[Array, "*batch values"]:
        """What outputs say the averages are."""
        if self.categories is None:
            return outputs
        return self.categories.mean(outputs.reshape(*outputs.shape[:-1], -1, self.width))

    def of_action(self, outputs: Float[Array, "*batch outputs"], action: Int[Array, "*batch"]) -> Array:
        """Of outputs for all actions those for one, `[*batch, width]`."""
        of_each = outputs.reshape(*outputs.shape[:-1], -1, self.width)
        return jnp.take_along_axis(of_each, action[..., None, None], -2)[..., 0, :]

    def values(
        self, outputs: Float[Array, "*batch outputs"], remaining: Float[Array, "time #trial"]
    ) -> Float[Array, "*batch values"]:
        """Values: averages times what an average of 1 over the remaining steps is worth."""
        return remaining[..., None] * self.averages(outputs)

    def loss(self, outputs: Float[Array, "*batch width"], averages: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
        """Of outputs for one value each: half the squared error, or the cross-entropy."""
        if self.categories is not None:
            return self.categories.loss(outputs, averages)
        return 0.5 * (outputs[..., 0] - averages) ** 2


class Reading(eqx.Module):
    """Trials as policy and critics have read them, leaves `[time, trial, ...]`.

    Attributes:
        policy: π.
        hidden: What the critics' memory put out.
        old: What that of their older copies did.
        task: Features of the tasks, `[trial, size]`.
        action: What was done: which of all actions, or combinations of choices, it was; or a vector.
        remaining: What an average reward of 1 over the remaining steps is worth.
        time: How much of its trial is over at each step.
        temperature: α.
        keys: Randomness of each trial.
    """

    policy: Distribution | SquashedNormal
    hidden: Float[Array, "time trial size"]
    old: Float[Array, "time trial size"]
    task: Float[Array, "trial task_size"]
    action: PyTree[Array]
    remaining: Float[Array, "time #trial"]
    time: Float[Array, "time #trial"]
    temperature: Float[Array, ""]
    keys: Key[Array, " trial"]


class Judged(eqx.Module):
    """What came of it, leaves `[time, trial]`.

    Attributes:
        values: V̄, of the older copies; no gradient goes through them.
        entropy: H of the policy, or its estimate; nor through this.
        actor_loss: What the policy is to minimise.
        outputs: What each critic said of what was done, `[time, trial, width]`.
    """

    values: Float[Array, "time trial"]
    entropy: Float[Array, "time trial"]
    actor_loss: Float[Array, "time trial"]
    outputs: tuple[Array, ...]


def judge(reading: Reading, critic: RecurrentCritic, target: RecurrentCritic, scale: CriticScale) -> Judged:
    """Values, entropies, the policy's loss, and what the critics said of what was done."""
    of_all = isinstance(reading.policy, Categorical | MultiCategorical)
    judged = (_all_actions if of_all else _draws)(reading, critic, target, scale)
    values, entropy = jax.lax.stop_gradient((judged.values, judged.entropy))
    return Judged(values, entropy, judged.actor_loss, judged.outputs)


def _both(outputs: Pair, scale: CriticScale, remaining: Array) -> Pair:
    return scale.values(outputs[0], remaining), scale.values(outputs[1], remaining)


def _all_actions(reading: Reading, critic: RecurrentCritic, target: RecurrentCritic, scale: CriticScale) -> Judged:
    log_probs, alpha = reading.policy.log_probs(), reading.temperature  # type: ignore[union-attr]
    outputs = critic(reading.hidden, reading.task, reading.time)
    now = _both(outputs, scale, reading.remaining)
    old = _both(target(reading.old, reading.task, reading.time), scale, reading.remaining)
    return Judged(
        sac.soft_value_of_all(old, log_probs, alpha),
        reading.policy.entropy(),  # type: ignore[union-attr]
        sac.actor_loss_of_all(now, log_probs, alpha),
        (scale.of_action(outputs[0], reading.action), scale.of_action(outputs[1], reading.action)),
    )


def _draws(reading: Reading, critic: RecurrentCritic, target: RecurrentCritic, scale: CriticScale) -> Judged:
    draw = jax.vmap(lambda policy, key: policy.draw(key), in_axes=(1, 0), out_axes=1)
    action, log_prob = draw(reading.policy, reading.keys)
    still, hidden = jax.lax.stop_gradient((critic, reading.hidden))  # critics do not learn from what they say of draws
    now = _both(still(hidden, reading.task, reading.time, action), scale, reading.remaining)
    old = _both(target(reading.old, reading.task, reading.time, action), scale, reading.remaining)
    first, second = (x[..., 0] for x in now)
    return Judged(
        sac.soft_value((old[0][..., 0], old[1][..., 0]), log_prob, reading.temperature),
        -log_prob,
        sac.actor_loss((first, second), log_prob, reading.temperature),
        critic(reading.hidden, reading.task, reading.time, reading.action),
    )
