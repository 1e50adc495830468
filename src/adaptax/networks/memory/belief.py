"""A belief over latent variables, from what any memory has taken in: VariBAD's encoder q_φ(m | τ_:t).

    q(m | τ_:t) = N(μ_t, σ_t²),   (μ_t, log σ_t) = W h_t + b,   h_t = f(h_{t−1}, o_t, a_{t−1}, r_{t−1}),

and before the first step, when nothing was experienced, exactly the prior N(0, I). What is put out is the *hyper-state*
s⁺ = (μ, log σ, o): belief and observation. What reads it needs nothing else (Zintgraf et al. 2020, section 3.3).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from adaptax.networks.distributions import Normal
from adaptax.networks.heads import Linear, PolicyHead
from adaptax.networks.memory.base import Memory, MemorySizes, Seen
from adaptax.networks.mlp import MLP

NARROWEST = 3.0
"""log σ lies between ∓ this, so that no KL divergence between beliefs overflows."""
FIRST_DEVIATION = -2.0
"""log σ before anything is learned: narrow, so that what the memory holds reaches the decoder through the noise."""


def gaussian(belief: Float[Array, "*batch numbers"]) -> Normal:
    """A belief as the distribution that it is; `numbers` are means, then logarithms of deviations."""
    return Normal(*jnp.split(belief, 2, -1))


class HyperLayers(eqx.Module):
    """Layers that read the hyper-state, for the policy.

    Attributes:
        body: The layers.
    """

    body: MLP

    def __call__(
        self, memory: Float[Array, "*batch memory_size"], observation: Float[Array, "*batch observation_size"]
    ) -> Float[Array, "*batch size"]:
        """Features of hyper-states, which hold the observation already."""
        return self.body(memory)


class BeliefMemory(Memory):
    """A memory that puts out a belief, and the observation beside it.

    Attributes:
        encoder: The memory that takes in experience.
        head: From its output to (μ, log σ).
        observation_size: Length of an encoded observation.
    """

    encoder: Memory
    head: Linear
    observation_size: int = eqx.field(static=True)

    def __init__(self, encoder: Memory, latent_size: int, observation_size: int, key: Key[Array, ""]):
        self.encoder = encoder
        head = Linear(encoder.size, 2 * latent_size, 1.0, key)
        self.head = eqx.tree_at(lambda head: head.bias, head, head.bias.at[latent_size:].set(FIRST_DEVIATION))
        self.observation_size = observation_size

    @property
    def counts_pairs(self) -> bool:  # type: ignore[override]
        """As the memory within."""
        return self.encoder.counts_pairs

    @property
    def belief_size(self) -> int:
        """Numbers of a belief."""
        return self.head.bias.shape[0]

    @property
    def size(self) -> int:
        """Length of a hyper-state."""
        return self.belief_size + self.observation_size

    def initial(self) -> PyTree[Array]:
        """An empty memory, and that there was no step."""
        return self.encoder.initial(), jnp.asarray(False)

    def inputs(self, seen: Seen) -> Float[Array, "*batch input_size"]:
        """The observation, then what the memory within reads."""
        return jnp.concatenate([seen.observation, self.encoder.inputs(seen)], -1)

    def step(self, state: PyTree[Array], x: Float[Array, " input_size"]) -> tuple[PyTree[Array], Float[Array, " size"]]:
        """Take in one input (no batch); return the new state and the hyper-state."""
        before, begun = state
        after, hidden = self.encoder.step(before, x[self.observation_size :])
        return (after, jnp.asarray(True)), self._hyper_state(hidden, begun, x)

    def unroll(
        self,
        xs: Float[Array, "time batch input_size"],
        valid: Bool[Array, "time batch"] | None = None,
        starts: Bool[Array, "time batch"] | None = None,
    ) -> Float[Array, "time batch size"]:
        """Hyper-states of whole trials."""
        hidden = self.encoder.unroll(xs[..., self.observation_size :], valid, starts)
        first = jnp.broadcast_to(jnp.arange(len(xs))[:, None] == 0, xs.shape[:2]) if starts is None else starts
        return self._hyper_state(hidden, ~first, xs)

    def belief(self, hyper_state: Float[Array, "*batch size"]) -> Float[Array, "*batch numbers"]:
        """The belief in a hyper-state."""
        return hyper_state[..., : self.belief_size]

    def _hyper_state(self, hidden: Array, begun: Bool[Array, "*batch"], x: Array) -> Float[Array, "*batch size"]:
        mean, raw = jnp.split(self.head(hidden), 2, -1)
        belief = jnp.concatenate([mean, NARROWEST * jnp.tanh(raw / NARROWEST)], -1)
        belief = jnp.where(begun[..., None], belief, 0.0)  # N(0, I)
        return jnp.concatenate([belief, x[..., : self.observation_size]], -1)

    def heads(  # type: ignore[override]
        self, sizes: MemorySizes, initial_std: float | Array, key: Key[Array, ""]
    ) -> tuple[HyperLayers, PolicyHead]:
        """Two layers that read the hyper-state, and the policy's head."""
        body_key, head_key = jax.random.split(key)
        body = MLP(self.size, (sizes.policy_size, sizes.policy_size), "relu", body_key)
        return HyperLayers(body), PolicyHead(sizes.policy_size, sizes.action, initial_std, head_key)
