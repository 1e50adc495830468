"""A memory for each pair of state and action, all with the same weights: a learning rule that does not care for names.

Kirsch, Flennerhag, van Hasselt, Friesen, Oh & Chen 2022, "Introducing symmetries to black box meta reinforcement
learning" (arXiv 2109.10781).

Tasks of many families look the same after states or actions have been given other names: arm 3 of a bandit is arm 7 of
another. A dense recurrent network learns this from examples, once for each arm. Here it is built in. A pair's memory
changes when the pair is tried, by what came of it; a context shared by all pairs keeps what concerns the whole trial
(time, and what is common to the pairs); and an action's score comes from its pair's memory and the context,

    h_{s,a} ← f(h_{s,a}, r, h_{s',·}, c),    c ← g(c, h_{s,a}, r),    score_a = w · tanh(U h_{s',a} + V c).

With h_{s,a} a number and h_{s',·} entering by its maximum, the first of these is Q-learning: what is learned here is a
rule of that form. The weights do not depend on the number of states and actions.

Differences from the paper: memories and weights belong to pairs of state and action and are read and written by lookup,
as in a table, instead of one recurrent network per connection of an input to an output.
"""

from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from adaptax.core.errors import UseError
from adaptax.core.spaces import Discrete
from adaptax.networks.heads import Linear, ScoreHead
from adaptax.networks.memory.base import Memory, MemorySizes, Seen
from adaptax.networks.memory.recurrent import Recurrent, State


class Event(NamedTuple):
    """What has happened before a step, encoded.

    Attributes:
        now: The present state, one-hot.
        tried: The pair that was tried, one-hot; zeros if none was, `[state, action]`.
        action: Its action.
        signals: The reward, and whether an episode begins.
        seen: The observation, where states are not told apart.
    """

    now: Float[Array, " state"]
    tried: Float[Array, "state action"]
    action: Float[Array, " action"]
    signals: Float[Array, "2"]
    seen: Float[Array, " observation_size"]


class Symmetric(Memory):
    """GRU memories of pairs, a GRU context, and the score of every action in the present state.

    Its input is the concatenation of: observation, previous observation (both one-hot where there are states),
    previous action (one-hot), reward, and whether an episode begins. Its output is that of scores and context.

    Attributes:
        pair: f.
        context: g.
        from_pair: U.
        from_context: V.
        score: w.
        num_states: States that are told apart; 1 if observations are not discrete, and then they enter f and g.
        num_actions: Actions.
        observation_size: Length of an encoded observation.
    """

    pair: Recurrent
    context: Recurrent
    from_pair: Linear
    from_context: Linear
    score: Linear
    num_states: int = eqx.field(static=True)
    num_actions: int = eqx.field(static=True)
    observation_size: int = eqx.field(static=True)

    kind: ClassVar[str] = "symmetric"
    """What it is called in the settings."""

    def __init__(
        self,
        observation_size: int,
        num_actions: int,
        size: int,
        head_size: int,
        span: int,
        *,
        key: Key[Array, ""],
        has_states: bool,
    ):
        """Build the network.

        Args:
            observation_size: Length of an encoded observation.
            num_actions: Actions.
            size: Units of each pair's memory, and of the context.
            head_size: Units between memories and scores.
            span: Steps that memories should span.
            key: Decides the weights.
            has_states: Whether an observation is one of several states.
        """
        keys = jax.random.split(key, 5)
        self.num_states = observation_size if has_states else 1
        self.num_actions, self.observation_size = num_actions, observation_size
        seen = 0 if self.has_states else observation_size
        following = 2 * size if self.has_states else 0
        self.pair = Recurrent("gru", 2 + seen + size + following, size, span, keys[0])
        self.context = Recurrent("gru", 3 + seen + size, size, span, keys[1])
        self.from_pair = Linear(size, head_size, 1.0, keys[2])
        self.from_context = Linear(size, head_size, 1.0, keys[3])
        self.score = Linear(head_size, 1, 0.1, keys[4])

    @classmethod
    def build(cls, sizes: MemorySizes, key: Key[Array, ""]) -> "Symmetric":
        """One for these spaces.

        Raises:
            UseError: if actions are not discrete.
        """
        if not isinstance(sizes.action, Discrete):
            raise UseError(f"RL2(memory='{cls.kind}'): expected discrete actions; found {sizes.action}")
        encoded = sizes.observation.encoded_size, sizes.action.encoded_size
        units = sizes.size, sizes.policy_size or sizes.size
        return cls(*encoded, *units, sizes.span, key=key, has_states=isinstance(sizes.observation, Discrete))

    def inputs(self, seen: Seen) -> Float[Array, "*batch input_size"]:
        """All that is remembered, side by side in one vector."""
        return jnp.concatenate([seen.observation, seen.previous, seen.action, seen.reward, seen.first], -1)

    def heads(self, sizes: MemorySizes, initial_std: float | Array, key: Key[Array, ""]) -> tuple[None, ScoreHead]:
        """Its outputs are scores already."""
        return None, ScoreHead(sizes.action)

    @property
    def size(self) -> int:
        """Length of an output."""
        return self.num_actions + self.context.size

    @property
    def has_states(self) -> bool:
        """Whether states are told apart."""
        return self.num_states > 1

    def initial(self) -> State:
        """Empty memories: of all pairs, `[state, action, size]`, and of the context."""
        return jnp.zeros((self.num_states, self.num_actions, self.pair.size)), jnp.zeros(self.context.size)

    def step(self, state: State, x: Float[Array, " input_size"]) -> tuple[State, Float[Array, " size"]]:
        """Take in one input (no batch); return the new state and the output."""
        table, context = state
        event = self.event(x)
        table, context = self.remember(table, context, event)
        return (table, context), self.output(self.features(table, context, event), context)

    def event(self, x: Float[Array, " input_size"]) -> Event:
        """What an input says has happened."""
        cuts = (self.observation_size, 2 * self.observation_size, 2 * self.observation_size + self.num_actions)
        observation, previous, action, signals = jnp.split(x, cuts)
        now, before = (observation, previous) if self.has_states else (jnp.ones(1), jnp.ones(1))
        seen = observation[:0] if self.has_states else observation
        return Event(now, before[:, None] * action[None, :], action, signals, seen)

    def remember(self, table: Array, context: Array, event: Event) -> tuple[Array, Array]:
        """Change the memory of the pair that was tried, and the context."""
        now, tried, action, signals, seen = event
        old = jnp.sum(tried[..., None] * table, (0, 1))
        inputs = [signals, seen, context]
        if self.has_states:
            following = (1.0 - signals[1]) * lookup(table, now)
            inputs += [jnp.mean(following, 0), jnp.max(following, 0)]
        (new,), _ = self.pair.step((old,), jnp.concatenate(inputs))
        table = table + tried[..., None] * (new - old)[None, None]
        played = jnp.sum(action, keepdims=True)
        (context,), _ = self.context.step((context,), jnp.concatenate([signals, played, seen, played * new]))
        return table, context

    def features(self, table: Array, context: Array, event: Event) -> Float[Array, "action head_size"]:
        """U h_{s',a} + V c for every action in the present state."""
        return self.from_pair(lookup(table, event.now)) + self.from_context(context)[None]

    def output(self, features: Float[Array, "action head_size"], context: Array) -> Float[Array, " size"]:
        """Scores and context."""
        return jnp.concatenate([self.score(jnp.tanh(features))[:, 0], context])

    def unroll(
        self,
        xs: Float[Array, "time batch input_size"],
        valid: Bool[Array, "time batch"] | None = None,
        starts: Bool[Array, "time batch"] | None = None,
    ) -> Float[Array, "time batch size"]:
        """Outputs for trials, from fresh states. Steps that are not `valid` leave the state alone."""
        happened = jnp.ones(xs.shape[:2], bool) if valid is None else valid

        def step(state: State, now: tuple[Array, Array, Array | None]) -> tuple[State, Array]:
            x, happened, starts = now
            if starts is not None:
                state = jax.tree.map(lambda s: jnp.where(starts, 0.0, s), state)
            new, output = self.step(state, x)
            return jax.tree.map(lambda n, s: jnp.where(happened, n, s), new, state), output

        initial = jax.tree.map(lambda s: jnp.zeros((xs.shape[1], *s.shape)), self.initial())
        return jax.lax.scan(jax.vmap(step), initial, (xs, happened, starts))[1]


def lookup(table: Float[Array, "state action size"], state: Float[Array, " state"]) -> Float[Array, "action size"]:
    """The memories of all actions in a state, given as a one-hot vector."""
    if len(table) == 1:
        return table[0]
    return jnp.einsum("s,sad->ad", state, table)


symmetric = Symmetric.build
"""From sizes and a key to a memory."""
