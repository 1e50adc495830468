"""The ELBO of beliefs about a task: what is decoded from them, and how far each is from the one before.

    L = −1/H · mean_t [ E_{m ~ q_t} Σ_{i<H} log p_θ(step i | m) − β KL(q_t ‖ q_{t−1}) ],   q_0 = N(0, I),

with the steps i of the whole trial, past and future (Zintgraf et al. 2020, section 3.2).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from adaptax.algorithms.belief.settings import VariBADSettings
from adaptax.algorithms.memory.recurrent_agent import RL2Params
from adaptax.core.splits import fold_in_name
from adaptax.core.types import Metrics, Transition, replace
from adaptax.networks.decoders import Decoder, Steps
from adaptax.networks.distributions import kl_divergence
from adaptax.networks.memory.belief import gaussian
from adaptax.optimization.losses import masked_mean


class VariBADParams(RL2Params):
    """θ and φ: those of RL², whose memory is the encoder, and the decoders.

    Attributes:
        decoder: What a latent variable says of the task.
    """

    decoder: Decoder = Decoder(None, None, None)

    def belief(self, hyper_state: Float[Array, "*batch size"]) -> Float[Array, "*batch numbers"]:
        """The belief in a hyper-state, which is what the memory puts out."""
        memory: Any = self.network.memory
        found: Array = memory.belief(hyper_state)
        return found


class Kept(eqx.Module):
    """What the buffer keeps of a trial, leaves `[trial, ...]`, steps `[trial, time, ...]`.

    Attributes:
        trajectory: What beliefs are formed on.
        decoded: What they are to tell; None: the same trial.
        features: The task's, in deviations.
    """

    trajectory: Transition
    decoded: Transition | None
    features: Float[Array, "*trial features"]


def kl_to_previous(belief: Float[Array, "time trial numbers"], starts: Bool[Array, "time trial"]) -> Array:
    """KL(q_t ‖ q_{t−1}), `[time, trial]`; before the first step, and where a trial starts, q_{t−1} is N(0, I)."""
    previous = jnp.concatenate([jnp.zeros_like(belief[:1]), belief[:-1]])
    previous = jnp.where(starts[..., None], 0.0, previous)
    return kl_divergence(gaussian(belief), gaussian(previous))


def negative_elbo(
    settings: VariBADSettings,
    decoder: Decoder,
    belief: Float[Array, "time trial numbers"],
    starts: Bool[Array, "time trial"],
    valid: Bool[Array, "time trial"],
    decoded: Steps,
    features: Float[Array, "trial features"],
    keys: Key[Array, " trial"],
) -> tuple[Float[Array, ""], Metrics]:
    """L of some trials, and its parts.

    Args:
        settings: β, and how many beliefs and steps are drawn.
        decoder: p_θ.
        belief: q_t, before each step.
        starts: Where a trial starts.
        valid: Which steps happened.
        decoded: The steps that the beliefs are to tell, `[step, trial]`.
        features: The tasks', in deviations.
        keys: Randomness of each trial.
    """
    horizon = len(decoded.reward)
    kl = masked_mean(kl_to_previous(belief, starts), valid)
    q = gaussian(belief)
    noise = jax.vmap(lambda key: jax.random.normal(key, q.mean[:, 0].shape), out_axes=1)(keys)
    latent = q.mean + jnp.exp(q.log_std) * noise
    if settings.elbo_beliefs:
        latent, valid = some((latent, valid), settings.elbo_beliefs, keys, "beliefs")
    if settings.decoded_steps:
        decoded = some(decoded, settings.decoded_steps, keys, "steps")
        decoded = replace(decoded, weight=horizon / settings.decoded_steps * decoded.weight)
    fit = masked_mean(decoder.log_likelihood(latent, decoded, features), valid)
    return (settings.kl_weight * kl - fit) / horizon, {"log_likelihood": fit / horizon, "kl": kl}


def steps_of(meta: RL2Params, trajectory: Transition, likelihood: str) -> Steps:
    """What is to be decoded of steps, for any batch axes, with rewards as a likelihood wants them."""
    space, reward = meta.network.policy.space, trajectory.reward
    above = jnp.where(jnp.isnan(reward), reward, (reward > 0).astype(jnp.float32))  # NaN is to be noticed
    return Steps(
        meta.read(trajectory.timestep.observation),
        space.encode_action(space.clip(trajectory.action)),
        meta.read(trajectory.next_observation),
        above if likelihood == "bernoulli" else meta.reward_read(reward),
        trajectory.valid.astype(jnp.float32),
    )


def learned_part(meta: VariBADParams) -> Any:
    """What the ELBO changes: memory, encoder of observations, decoder."""
    return meta.network.memory, meta.network.encoder, meta.decoder


def with_learned(meta: VariBADParams, learned: Any) -> VariBADParams:
    """θ with what the ELBO has changed."""
    memory, encoder, decoder = learned
    return replace(meta, network=replace(meta.network, memory=memory, encoder=encoder), decoder=decoder)


def bare(trajectory: Transition) -> Transition:
    """A trajectory without what no belief is formed on and nothing is decoded from; of lost trials nothing is valid."""
    valid = trajectory.valid if trajectory.lost is None else trajectory.valid & ~jnp.any(trajectory.lost, 0)[None]
    return replace(trajectory, valid=valid, aux=None, terminated=None, truncated=None, lost=None, success=None)


def some(tree: Any, number: int, keys: Key[Array, " trial"], purpose: str) -> Any:
    """So many steps of each trial, drawn with replacement, of leaves `[time, trial, ...]`."""
    length = jax.tree.leaves(tree)[0].shape[0]

    def of_trial(key: Key[Array, ""], trial: Any) -> Any:
        chosen = jax.random.randint(fold_in_name(key, purpose), (number,), 0, length)
        return jax.tree.map(lambda x: x[chosen], trial)

    return jax.vmap(of_trial, in_axes=(0, 1), out_axes=1)(keys, tree)
