"""RL²: fast reinforcement learning via slow reinforcement learning.

Duan et al. 2016 (arXiv 1611.02779); Wang et al. 2016, "Learning to reinforcement learn" (arXiv 1611.05763).

A recurrent policy π_θ(a_t | h_t), h_t = f_θ(h_{t-1}, o_t, a_{t-1}, r_{t-1}, first_t), keeps its memory h across all
episodes of a trial with one task, and θ maximises the expected return of the *whole trial*,

    θ* = argmax_θ E_{task} E_{π_θ} [ Σ_{t=0}^{T-1} γ^t r_t ],   T = episodes × horizon.

So exploring in the first episodes is worth what it brings in the later ones, and the memory's dynamics become a
learning algorithm.

Differences from the paper:
    - PPO (Schulman et al. 2017) with generalised advantages over whole trials instead of TRPO; back-propagation
      through whole trials; γ = 1, λ = 0.9, learning rate and entropy bonus falling to 0.
    - LSTM by default; gate biases set for the trial's length (Tallec & Ollivier 2018).
    - The input has the product of reward and one-hot action too, so that counting per action is linear. Where
      observations are discrete, so is counting per state and action: the input has the pair that the reward was for.
      A layer that reads memory and observation together (`policy_size`) can then look the present state up. Without
      both, RL² on random MDPs learns which action is best on the whole, and stays there.
    - Or, with `memory="symmetric"`, a small GRU for each pair of state and action, all with the same weights: the
      learning rule is the same for every pair. See `adaptax.networks.memory.symmetric`.
    - Rewards enter as differences from what a random policy earns, in units of their running deviation, and the critic
      predicts the *average* reward of the remaining steps in those units, so trials of 10 and of 500 steps, rewards of
      1 and of 1000, and rewards to which a constant is added train alike.
    - So may observations, entry by entry (`normalize_observations`): what is learned of them in training stays as it is
      in an evaluation.
    - Where episodes end early, trials of a task follow each other without idle steps (`adaptax.core.streams`), and the
      critic stands for what a trial that is cut off would still bring.
    - The critic is told the task in training (`informed_critic`); policy and deployment never are.
"""

import dataclasses
import functools
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Key, PyTree

from adaptax.algorithms.memory.settings import MEMORIES, RL2Settings
from adaptax.core import parallel
from adaptax.core.entry import load_target
from adaptax.core.experience import Experience, sample_tasks
from adaptax.core.meta_learner import MetaLearner
from adaptax.core.problem import Problem, known_features, standardized, task_features
from adaptax.core.rollout import collect
from adaptax.core.spaces import Discrete, Space
from adaptax.core.splits import fold_in_name
from adaptax.core.streams import stream, trial_returns
from adaptax.core.types import AgentState, Metrics, Task, TimeStep, TrainState, Transition, replace
from adaptax.networks import Critic, Encoder, Memory, MemorySizes, PolicyHead, Readout, ScoreHead, Seen
from adaptax.networks.distributions import Distribution
from adaptax.networks.encoders import make_encoder, read_space
from adaptax.optimization import minibatches, observations
from adaptax.optimization.losses import clipped_surrogate, generalized_advantages, masked_mean
from adaptax.optimization.moments import Moments, no_moments

REWARD_BOUND = 10.0
"""Rewards enter the network clipped to this many deviations from their center: a sparse task's first is no shock."""


class Network(eqx.Module):
    """Everything that gradients change.

    Attributes:
        memory: What takes in experience.
        readout: From memory and observation to what the policy reads; None: the policy reads the memory alone.
        policy: To actions.
        critic: From memory and task to values.
        encoder: What reads observations before memory and readout do; None: they are read as they are.
    """

    memory: Memory
    readout: Readout | None
    policy: PolicyHead | ScoreHead
    critic: Critic
    encoder: Encoder | None = None

    @property
    def action_space(self) -> Space:
        """What the policy chooses from."""
        return self.policy.space


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

    def encode(self, observation: PyTree[Array]) -> Float[Array, "*batch size"]:
        """An observation as memory and readout read it, for any batch axes."""
        x = self.observation_space.encode(observation)
        if self.observed is not None:
            x = observations.in_deviations(self.observed, self.observation_space, x)
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
        deviations = (timestep.reward - self.reward_center) / self.reward.std
        reward = jnp.where(begun, jnp.clip(deviations, -REWARD_BOUND, REWARD_BOUND), 0.0)[..., None]
        first = timestep.first.astype(jnp.float32)[..., None]
        return self.network.memory.inputs(Seen(observation, previous, action, reward, first, self.counts_pairs))

    def distribution(self, hidden: Float[Array, "*batch size"], timestep: TimeStep) -> Distribution:
        """The policy after memory has put out `hidden`."""
        if self.network.readout is not None:
            hidden = self.network.readout(hidden, self.encode(timestep.observation))
        return self.network.policy(hidden, self.observation_space.legal_in(timestep.observation))


class Remembered(eqx.Module):
    """The memory in one environment.

    Attributes:
        cell: The recurrent network's state.
        previous: The last observation, encoded; zeros at the start of a trial.
        begun: Whether there was a step in this trial.
    """

    cell: tuple[Array, ...]
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


@dataclasses.dataclass(frozen=True)
class RL2(RL2Settings, RecurrentAgent):
    """RL² with PPO; see the module and `RL2Settings`."""

    fills_slots: ClassVar[bool] = True

    def init(self, problem: Problem, key: Key[Array, ""]) -> TrainState:
        """Build the network for `problem`, and look at its tasks, and at what a random policy sees and earns."""
        memory_key, policy_key, critic_key, look_key = jax.random.split(key, 4)
        encoder = make_encoder(self.encoder, problem.env.observation_space, fold_in_name(key, "encoder"))
        tasks = jax.vmap(problem.train.sample)(jax.random.split(look_key, 1024))
        features = known_features(tasks)
        env = problem.env
        spaces = read_space(encoder, env.observation_space), env.action_space
        sizes = MemorySizes(*spaces, self.memory_size, self.policy_size, problem.trial_steps)
        memory = load_target(MEMORIES[self.memory])(sizes, memory_key)
        readout, policy = memory.heads(sizes, self.initial_std, policy_key)
        critic = Critic(memory.size, features.shape[1] if self.informed_critic else 0, self.critic_size, critic_key)
        network = Network(memory, readout, policy, critic, encoder)
        moments = no_moments(features.shape[1:]).observe(features)
        seen = env.observation_space
        observed = observations.unseen(seen, normalize=self.normalize_observations)
        meta = RL2Params(network, no_moments(), jnp.zeros(()), moments, seen, observed)
        meta, _ = self.first_look(problem, meta, tasks, look_key)
        return TrainState(meta, self._optimizer().init(network), jnp.asarray(0), key)

    def _optimizer(self) -> optax.GradientTransformation:
        steps = self.num_updates * self.num_epochs * self.num_minibatches
        return minibatches.adam(self.learning_rate, steps, max_gradient_norm=self.max_gradient_norm, b2=self.adam_b2)

    def update_steps(self, problem: Problem) -> int:
        """A trial in each task; where episodes end early, as many as go into the same number of steps."""
        return self.num_tasks * problem.stream_steps

    def collect(self, problem: Problem, state: TrainState) -> Experience:
        """Go through a trial in each of many tasks; where episodes end early, through one after the other.

        `extra` is the memory's output after the last step then, leaves `[task, env, ...]`: what the critic reads of a
        trial that is cut off.
        """
        if not problem.streams:
            return super().collect(problem, state)
        tasks, keys = sample_tasks(problem, state, self.num_tasks, self.num_minibatches)

        def one_task(task: Task, key: Key[Array, ""]) -> tuple[Transition, Array]:
            last, trajectory = stream(self, problem, state.meta, task, key)

            def one_env(memory: PyTree[Array], timestep: TimeStep) -> Array:
                return self.act(state.meta, AgentState(None, memory), timestep, key, explore=False)[2]["hidden"]

            return trajectory, jax.vmap(one_env)(last.memory, last.timestep)

        return Experience(tasks, *jax.vmap(one_task, out_axes=(1, 0))(tasks, keys[:, 1]))

    def values(
        self, meta: RL2Params, hidden: Float[Array, "time task size"], tasks: PyTree[Array]
    ) -> Float[Array, "time task"]:
        """The critic's prediction of the average reward of the remaining steps, in deviations."""
        features = standardized(jax.vmap(task_features)(tasks), meta.task.mean[None], meta.task.std[None])
        return meta.network.critic(hidden, features)

    def learn(self, problem: Problem, state: TrainState, experience: Experience) -> tuple[TrainState, Metrics]:
        """Do PPO on the trials of each task: one whole trial, or some in a row of which the last may be cut off."""
        meta: RL2Params = state.meta
        tasks = experience.tasks
        trajectory = jax.tree.map(lambda x: x.squeeze(2), experience.trajectory)  # one environment per task

        hidden, old_log_probs = trajectory.aux["hidden"], trajectory.aux["log_prob"]
        after = None if experience.extra is None else experience.extra.squeeze(1)
        advantages, targets = self._advantages(problem, meta, trajectory, hidden, tasks, after)
        if not problem.env.ends_early or trajectory.clock is not None:
            trajectory = replace(trajectory, valid=None)
        trajectory = replace(trajectory, aux=None, next_observation=None)

        entropy_cost = self.entropy_cost * jnp.maximum(1 - state.step / self.num_updates, 0.0)
        loss = functools.partial(self._loss, meta, entropy_cost)
        network, opt_state, metrics = minibatches.minibatch_epochs(
            loss,
            self._optimizer(),
            meta.network,
            state.opt_state,
            (trajectory, old_log_probs, advantages, targets, tasks),
            (1, 1, 1, 1, 0),
            num_epochs=self.num_epochs,
            num_minibatches=self.num_minibatches,
        )
        valid = None if trajectory.valid is None else trajectory.valid.ravel().astype(jnp.float32)
        meta = replace(meta, network=network).observe(trajectory, valid)
        metrics = {"return": jnp.mean(trial_returns(trajectory)), **metrics}
        return replace(state, meta=meta, opt_state=opt_state, step=state.step + 1), parallel.mean(metrics)

    def _remaining(self, problem: Problem) -> Float[np.ndarray, " clock"]:
        """Σ_{i=t}^{T-1} γ^{i-t}: what an average reward of 1 over the remaining steps is worth at each place t."""
        powers = self.discount ** np.arange(problem.stream_steps, dtype=np.float64)
        return np.cumsum(powers)[::-1].astype(np.float32)

    def _advantages(
        self,
        problem: Problem,
        meta: RL2Params,
        trajectory: Transition,
        hidden: Array,
        tasks: PyTree[Array],
        after: Float[Array, "task size"] | None = None,
    ) -> tuple[Float[Array, "time task"], Float[Array, "time task"]]:
        """Normalised advantages over whole trials, and targets for the critic in its units.

        `after` is the memory's output after the last step, where the last trial may be cut off.
        """

        def values(hidden: Array, remaining: Array) -> Array:
            return remaining * (meta.reward.mean + meta.reward.std * self.values(meta, hidden, tasks))

        table = jnp.asarray(self._remaining(problem))
        clock = jnp.arange(problem.stream_steps)[:, None] if trajectory.clock is None else trajectory.clock
        next_clock = problem.next_clock(clock, trajectory.terminated)
        remaining = table[:, None] if trajectory.clock is None else table[clock]
        before = values(hidden, remaining)
        cut = bootstraps = None
        if after is not None:
            last_step = jnp.arange(len(before))[:, None] == len(before) - 1
            cut = jnp.broadcast_to(last_step, before.shape)
            bootstraps = jnp.broadcast_to(values(after[None], table[next_clock[-1:]]), before.shape)
        advantages = generalized_advantages(
            trajectory.reward,
            before,
            discount=self.discount,
            gae_lambda=self.gae_lambda,
            ended=jnp.broadcast_to(next_clock == 0, before.shape),
            cut=cut,
            bootstraps=bootstraps,
            valid=trajectory.valid,
        )
        targets = ((advantages + before) / remaining - meta.reward.mean) / meta.reward.std
        spread = no_moments().observe(advantages.ravel(), trajectory.valid.ravel().astype(jnp.float32))
        return (advantages - spread.mean) / spread.std, targets

    def _loss(self, meta: RL2Params, entropy_cost: Array, network: Network, minibatch: Any) -> Any:
        """PPO's loss on a minibatch of whole trials."""
        trajectory, old_log_probs, advantages, targets, tasks = minibatch
        meta = replace(meta, network=network)
        hidden, policy = self.recompute(meta, trajectory)
        action = network.policy.space.policy_action(trajectory.action)
        average = functools.partial(masked_mean, mask=trajectory.valid)
        gain = average(clipped_surrogate(policy.log_prob(action), old_log_probs, advantages, self.clip))
        value_loss = average((self.values(meta, hidden, tasks) - targets) ** 2)
        entropy = average(policy.entropy())
        metrics = {"value_loss": value_loss, "entropy": entropy, "policy_gain": gain}
        return self.value_cost * value_loss - gain - entropy_cost * entropy, metrics
