"""Deep Q-networks, from nothing on every task.

Mnih et al. 2015, "Human-level control through deep reinforcement learning"; van Hasselt et al. 2016, "Deep
reinforcement learning with double Q-learning" (arXiv 1509.06461).

    minimise (r + γ Q̄(s', argmax_a' Q(s', a')) − Q(s, a))²  over steps drawn from a memory of past experience

where Q̄ is an older copy of Q. Actions are ε-greedy; ε falls linearly over episodes.

Differences from the papers: dense layers; Adam; gradients are scaled down to a norm, but errors are not clipped at 1:
where values are far larger, the end of an episode would weigh no more than each small error before it, and cart-pole
diverges. A time limit is no end: what comes after it is estimated (trap E11). Observations may be read in deviations
from their running mean (`normalize_observations`), and values be in units of what is paid (`normalize_rewards`): the
memory holds both as they were, and what is drawn is read as is known by then.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, PyTree

from adaptax.algorithms.standard_rl.settings import DQNSettings
from adaptax.core.algorithm import FromScratch
from adaptax.core.errors import UseError
from adaptax.core.problem import Problem
from adaptax.core.replay_buffer import ReplayBuffer
from adaptax.core.spaces import Discrete, Space, sample_legal
from adaptax.core.splits import fold_in_name
from adaptax.core.types import AgentState, TimeStep, Transition, Window
from adaptax.networks import MLP, Encoder, Linear
from adaptax.networks.distributions import NEVER
from adaptax.networks.encoders import make_encoder
from adaptax.optimization import observations
from adaptax.optimization.moments import Moments, no_moments


class DQNSpaces(eqx.Module):
    """What the learner is told of a problem.

    Attributes:
        observation: The observation space.
        num_actions: A.
        ends_early: Whether episodes may end before their horizon: a constant that is added to all rewards is something
            to learn from then.
    """

    observation: Space = eqx.field(static=True)
    num_actions: int = eqx.field(static=True)
    ends_early: bool = eqx.field(static=True, default=True)


class QNetwork(eqx.Module):
    """Q(s, ·) from an encoded observation.

    Attributes:
        body: Dense layers.
        head: To a value per action.
        encoder: What reads observations first; None: the body does.
        space: The observation space.
    """

    body: MLP
    head: Linear
    encoder: Encoder | None
    space: Space = eqx.field(static=True)

    def __call__(self, features: Float[Array, "*batch size"]) -> Float[Array, "*batch actions"]:
        """Values of all actions; those that are not legal have the least there is."""
        values = self.head(self.body(features if self.encoder is None else self.encoder(features)))
        legal = self.space.legal(features)
        return values if legal is None else jnp.where(legal, values, NEVER)


class Paid(eqx.Module):
    """What rewards there were.

    Attributes:
        moments: Of all so far.
        center: What they are compared with: their mean before the first gradient, so that what a value means does not
            drift as the agent gets better; 0 where episodes may end early.
    """

    moments: Moments
    center: Float[Array, ""]

    def units(self, reward: Float[Array, " batch"]) -> Float[Array, " batch"]:
        """Rewards compared with the center, in units of how far they are from it (root mean square)."""
        far = self.moments.variance + (self.moments.mean - self.center) ** 2
        nothing = far <= 1e-10 * self.moments.mean**2  # all the same: rounding noise
        return (reward - self.center) / jnp.where(nothing, 1.0, jnp.sqrt(jnp.where(nothing, 1.0, far)))


class DQNState(eqx.Module):
    """φ.

    Attributes:
        network: Q.
        target: Q̄.
        opt_state: The optimiser's state.
        memory: Past experience.
        episodes: Episodes over.
        steps: Gradient steps done.
        observed: Moments of what was observed, entry by entry; None: observations are read as they are.
        paid: What rewards there were; None: they are taken as they are.
    """

    network: QNetwork
    target: QNetwork
    opt_state: PyTree[Array]
    memory: ReplayBuffer
    episodes: Int[Array, ""]
    steps: Int[Array, ""]
    observed: Moments | None = None
    paid: Paid | None = None

    def read(self, features: Float[Array, "*batch size"]) -> Float[Array, "*batch size"]:
        """Encoded observations as the networks see them."""
        if self.observed is None:
            return features
        return observations.in_deviations(self.observed, self.network.space, features)

    def read_all(self, batch: ReplayBuffer) -> ReplayBuffer:
        """Steps drawn from the memory, with what the networks see and learn from."""
        reward = batch.reward if self.paid is None else self.paid.units(batch.reward)
        return dataclasses.replace(batch, before=self.read(batch.before), after=self.read(batch.after), reward=reward)

    def look(self, window: Transition, *, centers: bool) -> "DQNState":
        """Take in what was observed and earned in a window, leaves `[time, ...]`; it may move the center, or not."""
        observed, paid = observations.take_in(self.observed, self.network.space, window), self.paid
        if paid is not None:
            moments = paid.moments.observe(window.reward, window.valid.astype(jnp.float32))
            moves = centers & (self.steps == 0)
            paid = Paid(moments, jnp.where(moves, moments.mean, paid.center))
        return dataclasses.replace(self, observed=observed, paid=paid)


@dataclasses.dataclass(frozen=True)
class DQN(DQNSettings, FromScratch):
    """DQN; see the module and `DQNSettings`."""

    def describe(self, problem: Problem) -> DQNSpaces:
        """What `begin` needs of a problem: its spaces; nothing is meta-learned.

        Raises:
            UseError: if actions are not discrete.
        """
        actions = problem.env.action_space
        if not isinstance(actions, Discrete):
            raise UseError(f"DQN: expected a Discrete space of actions, got {actions!r}")
        return DQNSpaces(problem.env.observation_space, actions.num, problem.env.ends_early)

    def window(self, problem: Problem) -> Window:
        """As many steps as lie between gradient steps."""
        return Window(num_envs=1, steps=self.train_every)

    def _optimizer(self) -> optax.GradientTransformation:
        return optax.chain(optax.clip_by_global_norm(self.max_gradient_norm), optax.adam(self.learning_rate))

    def begin(self, meta: DQNSpaces, key: Key[Array, ""]) -> AgentState:
        """Draw a network; remember nothing."""
        body_key, head_key = jax.random.split(key)
        size, zero = meta.observation.encoded_size, jnp.asarray(0, jnp.int32)
        hidden = (self.hidden_size, self.hidden_size)
        encoder = make_encoder(self.encoder, meta.observation, fold_in_name(key, "encoder"))
        body = MLP(size if encoder is None else encoder.size, hidden, "relu", body_key)
        head = Linear(self.hidden_size, meta.num_actions, 0.01, head_key)
        network = QNetwork(body, head, encoder, meta.observation)
        memory = ReplayBuffer.empty(self.buffer_size, size)
        observed = observations.unseen(meta.observation, normalize=self.normalize_observations)
        paid = Paid(no_moments(), jnp.zeros(())) if self.normalize_rewards else None
        opt_state = self._optimizer().init(network)
        return AgentState(DQNState(network, network, opt_state, memory, zero, zero, observed, paid), None)

    def act(
        self, meta: DQNSpaces, agent: AgentState, timestep: TimeStep, key: Key[Array, ""], *, explore: bool
    ) -> tuple[Int[Array, ""], None, None]:
        """The best action known; with probability ε, if exploring, any."""
        learner: DQNState = agent.adapted
        features = learner.read(meta.observation.encode(timestep.observation))
        best = jnp.argmax(learner.network(features)).astype(jnp.int32)
        if not explore:
            return best, None, None
        explore_key, random_key = jax.random.split(key)
        share = jnp.minimum(learner.episodes / self.epsilon_episodes, 1.0)
        epsilon = self.epsilon + (self.final_epsilon - self.epsilon) * share
        curious = jax.random.uniform(explore_key) < epsilon
        anything = sample_legal(Discrete(meta.num_actions), meta.observation.legal(features), random_key)
        return jnp.where(curious, anything, best), None, None

    def adapt(self, meta: DQNSpaces, agent: AgentState, trajectory: Transition, key: Key[Array, ""]) -> AgentState:
        """Remember a window, leaves `[time, env, ...]`; take one gradient step on steps drawn from the memory."""
        learner: DQNState = agent.adapted
        window = jax.tree.map(lambda x: jax.lax.collapse(x, 0, 2), trajectory)
        learner = learner.look(window, centers=not meta.ends_early)
        memory = learner.memory.add(
            meta.observation.encode(window.timestep.observation),
            window.action,
            window.reward,
            meta.observation.encode(window.next_observation),
            window.terminated,
            window.valid,
        )
        over = window.terminated | window.truncated
        episodes = learner.episodes + jnp.sum(over, dtype=jnp.int32)
        batch = learner.read_all(memory.draw(key, self.batch_size))
        gradient = jax.grad(self._loss)(learner.network, learner.target, batch)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes its integer counter with floats
            updates, opt_state = self._optimizer().update(gradient, learner.opt_state, learner.network)
        network = eqx.apply_updates(learner.network, updates)
        steps = learner.steps + 1
        copied = steps % self.target_every == 0
        target = jax.tree.map(lambda new, old: jnp.where(copied, new, old), network, learner.target)
        ready = (memory.count >= self.learning_starts) & jnp.any(window.valid)  # idle time is no experience
        learned = jax.tree.map(
            lambda new, old: jnp.where(ready, new, old),
            (network, target, opt_state, steps),
            (learner.network, learner.target, learner.opt_state, learner.steps),
        )
        network, target, opt_state, steps = learned
        after = DQNState(network, target, opt_state, memory, episodes, steps, learner.observed, learner.paid)
        return AgentState(after, agent.memory)

    def _loss(self, network: QNetwork, target: QNetwork, batch: ReplayBuffer) -> Float[Array, ""]:
        """Half the mean square of the temporal-difference errors."""
        after = target(batch.after)
        best = jnp.argmax(network(batch.after) if self.double else after, -1)
        value = jnp.take_along_axis(after, best[:, None], -1)[:, 0]
        goal = batch.reward + self.discount * jnp.where(batch.terminated, 0.0, value)
        quality = jnp.take_along_axis(network(batch.before), batch.action[:, None], -1)[:, 0]
        return 0.5 * jnp.mean((jax.lax.stop_gradient(goal) - quality) ** 2)
