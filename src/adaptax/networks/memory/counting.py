"""A symmetric memory that also counts: how often each pair was tried, and what it has brought, exactly.

What a bandit's arms or an MDP's pairs have brought is summed up by their counts and means: these suffice for what is
known of independent rewards (and Gittins, UCB and Thompson sampling read nothing else). A recurrent cell of some units
approximates them, the worse the longer the trial; here they are kept beside it (`adaptax.networks.memory.symmetric`),

    n_{s,a} ← n_{s,a} + 1,    R_{s,a} ← R_{s,a} + r,
    score_a = w · tanh(U h_{s',a} + V c + W [log(1 + n), R / (1 + n), 1 / √(1 + n), log(1 + Σ n)]).

The fourth says how long the trial has been. A critic that reads the counts, too, was no better on bandits of 500 pulls.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from adaptax.networks.heads import Linear
from adaptax.networks.memory.recurrent import State
from adaptax.networks.memory.symmetric import Event, Symmetric, lookup

DECADES = 3.0
"""Logarithms are divided by this, so that they are of order 1."""


class Counting(Symmetric):
    """Symmetric memories beside exact counts and sums.

    Attributes:
        from_counts: W.
    """

    from_counts: Linear

    kind: ClassVar[str] = "counting"

    def __init__(self, *sizes: int, key: Key[Array, ""], has_states: bool):
        """Build the network; the arguments are those of `Symmetric`."""
        super().__init__(*sizes, key=key, has_states=has_states)
        self.from_counts = Linear(4, self.from_pair.bias.size, 1.0, jax.random.fold_in(key, 0))

    def initial(self) -> State:
        """Empty memories, and counts and sums of all pairs, `[state, action, 2]`."""
        return *super().initial(), jnp.zeros((self.num_states, self.num_actions, 2))

    def step(self, state: State, x: Float[Array, " input_size"]) -> tuple[State, Float[Array, " size"]]:
        """Take in one input (no batch); return the new state and the output."""
        table, context, counts = state
        event = self.event(x)
        table, context = self.remember(table, context, event)
        counts = counts + event.tried[..., None] * jnp.stack([jnp.ones(()), event.signals[0]])[None, None]
        features = self.features(table, context, event) + self.from_counts(self.known(counts, event))
        return (table, context, counts), self.output(features, context)

    def known(self, counts: Float[Array, "state action 2"], event: Event) -> Float[Array, "action 4"]:
        """What is read of the counts of every action in the present state."""
        number, total = jnp.moveaxis(lookup(counts, event.now), -1, 0)
        steps = jnp.broadcast_to(jnp.log1p(jnp.sum(counts[..., 0])) / DECADES, number.shape)
        return jnp.stack([jnp.log1p(number) / DECADES, total / (1 + number), (1 + number) ** -0.5, steps], -1)


counting = Counting.build
"""From sizes and a key to a memory."""
