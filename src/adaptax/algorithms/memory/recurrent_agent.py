"""What agents share whose memory is all that they learn by in a task, however θ is learned: acting, and recomputing it.

θ is a network that reads experience by a memory, and what rewards and observations are compared with as it reads them.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from adaptax.core.meta_learner import MetaLearner
from adaptax.core.problem import Problem
from adaptax.core.rollout import collect
from adaptax.core.spaces import Discrete, Space
from adaptax.core.types import AgentState, TimeStep, Transition, replace
from adaptax.networks import Encoder, MemorySizes, Seen
from adaptax.networks.distributions import Distribution
from adaptax.networks.encoders import read_space
from adaptax.optimization import observations
from adaptax.optimization.moments import Moments

REWARD_BOUND = 10.0
"""Rewards enter the network clipped to this many deviations from their center: a sparse task's first is no shock."""


def memory_sizes(settings: Any, problem: Problem, encoder: Encoder | None) -> MemorySizes:
    """What memories are built for, from the settings that say it by these names, and a problem."""
    env = problem.env
    return MemorySizes(
        observation=read_space(encoder, env.observation_space),
        action=env.action_space,
        size=settings.memory_size,
        policy_size=settings.policy_size,
        span=problem.trial_steps,
        layers=settings.memory_layers,
        heads=settings.memory_heads,
        window=settings.memory_window,
    )


class RL2Params(eqx.Module):
    """θ.

    Attributes:
        network: The learned part: `Network`, or another one that reads experience by a memory.
        reward: Moments of the training tasks' rewards.
        reward_center: What rewards are compared with as the network reads them: the mean before the first update. It
            stays, so that what a reward means to the network does not drift as it gets better.
        task: Moments of the training tasks' features, for the critic.
        observation_space: What the memory reads.
        observed: Moments of the training's observations, entry by entry; None: they are read as they are.
    """

    network: Any
    reward: Moments
    reward_center: Float[Array, ""]
    task: Moments
    observation_space: Space = eqx.field(static=True)
    observed: Moments | None = None

    @property
    def counts_pairs(self) -> bool:
        """Whether the memory reads pairs of state and action."""
        spaces = (self.observation_space, self.network.action_space)
        return self.network.memory.counts_pairs and all(isinstance(space, Discrete) for space in spaces)

    def read(self, observation: PyTree[Array]) -> Float[Array, "*batch size"]:
        """An observation as numbers, in deviations where that is asked for, for any batch axes."""
        x = self.observation_space.encode(observation)
        return x if self.observed is None else observations.in_deviations(self.observed, self.observation_space, x)

    def reward_read(self, reward: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
        """A reward in deviations from what an untrained policy earns."""
        return jnp.clip((reward - self.reward_center) / self.reward.std, -REWARD_BOUND, REWARD_BOUND)

    def encode(self, observation: PyTree[Array]) -> Float[Array, "*batch size"]:
        """An observation as memory and readout read it, for any batch axes."""
        x = self.read(observation)
        return x if self.network.encoder is None else self.network.encoder(x)

    def remembered(self, observation: PyTree[Array]) -> Float[Array, "*batch size"]:
        """What `inputs` is told of an observation at the next step; nothing of it where an encoder reads it."""
        x = self.observation_space.encode(observation)
        return x if self.network.encoder is None else jnp.zeros((*x.shape[:-1], self.network.encoder.size))

    def observe(self, trajectory: Transition, valid: Float[Array, " step"] | None) -> "RL2Params":
        """Take in what rewards and observations were, leaves `[time, task, ...]`; the network stays."""
        observed = observations.take_in(self.observed, self.observation_space, trajectory)
        return replace(self, reward=self.reward.observe(trajectory.reward.ravel(), valid), observed=observed)

    def inputs(
        self, timestep: TimeStep, previous: Float[Array, "*batch size"], begun: Bool[Array, "*batch"]
    ) -> Float[Array, "*batch features"]:
        """What the memory reads at each step, for any batch axes.

        Args:
            timestep: What is seen.
            previous: The last step's encoded observation.
            begun: Whether there was a step before it in this trial; without one there is no reward, whatever is 0.
        """
        observation = self.encode(timestep.observation)
        action = self.network.action_space.encode_action(timestep.action)
        reward = jnp.where(begun, self.reward_read(timestep.reward), 0.0)[..., None]
        first = timestep.first.astype(jnp.float32)[..., None]
        return self.network.memory.inputs(Seen(observation, previous, action, reward, first, self.counts_pairs))

    def distribution(self, hidden: Float[Array, "*batch size"], timestep: TimeStep) -> Distribution:
        """The policy after memory has put out `hidden`."""
        return self.network.policy(
            self.features(hidden, timestep), self.observation_space.legal_in(timestep.observation)
        )

    def features(self, hidden: Float[Array, "*batch size"], timestep: TimeStep) -> Float[Array, "*batch features"]:
        """What the policy reads after memory has put out `hidden`."""
        if self.network.readout is None:
            return hidden
        return self.network.readout(hidden, self.encode(timestep.observation))


class Remembered(eqx.Module):
    """The memory in one environment.

    Attributes:
        cell: The memory's state.
        previous: The last observation, encoded; zeros at the start of a trial.
        begun: Whether there was a step in this trial.
    """

    cell: PyTree[Array]
    previous: Float[Array, " size"]
    begun: Bool[Array, ""]


def previous_observations(
    observations: Float[Array, "time task size"],
    valid: Bool[Array, "time task"],
    starts: Bool[Array, "time task"] | None = None,
) -> Float[Array, "time task size"]:
    """The observation of the last step before each that happened; zeros where there was none in the same trial."""

    def step(last: Array, now: tuple[Array, Array, Array | None]) -> tuple[Array, Array]:
        observation, valid, starts = now
        if starts is not None:
            last = jnp.where(starts[:, None], 0.0, last)
        return jnp.where(valid[:, None], observation, last), last

    return jax.lax.scan(step, jnp.zeros_like(observations[0]), (observations, valid, starts))[1]


class RecurrentAgent(MetaLearner):
    """An agent whose memory is all that it learns by in a task, however θ is learned."""

    def first_look(
        self, problem: Problem, meta: RL2Params, tasks: PyTree[Array], key: Key[Array, ""]
    ) -> tuple[RL2Params, Transition]:
        """Take in what the untrained (so nearly uniform) policy sees and earns; return what that was, too."""
        tasks = jax.tree.map(lambda x: x[:64], tasks)
        trajectory = collect(self, problem, meta, tasks, jax.random.split(key, 64))
        meta = meta.observe(trajectory, trajectory.valid.ravel().astype(jnp.float32))
        return replace(meta, reward_center=meta.reward.mean), trajectory

    def begin(self, meta: RL2Params, key: Key[Array, ""]) -> AgentState:
        """Enter a trial with an empty memory."""
        nothing = jnp.zeros_like(meta.remembered(meta.observation_space.null()))
        return AgentState(adapted=None, memory=Remembered(meta.network.memory.initial(), nothing, jnp.asarray(False)))

    def act(
        self, meta: RL2Params, agent: AgentState, timestep: TimeStep, key: Key[Array, ""], *, explore: bool
    ) -> tuple[PyTree[Array], PyTree[Array], Any]:
        """Take in the last step's outcome, then sample an action (or take the mode, if not `explore`)."""
        before: Remembered = agent.memory
        cell, hidden = meta.network.memory.step(before.cell, meta.inputs(timestep, before.previous, before.begun))
        policy = meta.distribution(hidden, timestep)
        memory = Remembered(cell, meta.remembered(timestep.observation), jnp.asarray(True))
        action = policy.sample(key) if explore else policy.mode()
        aux = {"hidden": hidden, "log_prob": policy.log_prob(action)}
        return meta.network.policy.space.from_policy(action), memory, aux

    def recall(self, meta: RL2Params, trajectory: Transition) -> Float[Array, "time task size"]:
        """Memory's outputs for whole trials, leaves `[time, task, ...]`, as in acting."""
        seen = meta.remembered(trajectory.timestep.observation)
        previous = jnp.zeros_like(seen)
        starts = None if trajectory.clock is None else trajectory.clock == 0
        if meta.counts_pairs:
            valid = jnp.ones(seen.shape[:2], bool) if trajectory.valid is None else trajectory.valid
            previous = previous_observations(seen, valid, starts)
        begun = jnp.broadcast_to(jnp.arange(len(seen))[:, None] > 0, seen.shape[:2])
        inputs = meta.inputs(trajectory.timestep, previous, begun if starts is None else ~starts)
        return meta.network.memory.unroll(inputs, trajectory.valid, starts)

    def recompute(self, meta: RL2Params, trajectory: Transition) -> tuple[Float[Array, "time task size"], Distribution]:
        """Memory's outputs and action distributions for whole trials, leaves `[time, task, ...]`, as in acting."""
        hidden = self.recall(meta, trajectory)
        return hidden, meta.distribution(hidden, trajectory.timestep)
