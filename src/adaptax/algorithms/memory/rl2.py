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
    - The policy may be a network whose weights the memory puts out (`policy_network="hypernetwork"`, Beck et al. 2023).
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
from jaxtyping import Array, Float, Key, PyTree

from adaptax.algorithms.memory.recurrent_agent import RecurrentAgent, RL2Params, memory_sizes
from adaptax.algorithms.memory.settings import MEMORIES, RL2Settings
from adaptax.core import parallel
from adaptax.core.entry import load_target
from adaptax.core.experience import Experience, sample_tasks
from adaptax.core.problem import Problem, known_features, standardized, task_features
from adaptax.core.spaces import Space
from adaptax.core.splits import fold_in_name
from adaptax.core.streams import stream, trial_returns
from adaptax.core.types import AgentState, Metrics, Task, TimeStep, TrainState, Transition, replace
from adaptax.networks import Critic, Encoder, Memory, MemorySizes, PolicyHead, Readout, ScoreHead
from adaptax.networks.encoders import make_encoder
from adaptax.networks.hypernetworks import Hypernetwork, hypernetwork_heads
from adaptax.optimization import minibatches, observations
from adaptax.optimization.losses import clipped_surrogate, generalized_advantages, masked_mean
from adaptax.optimization.moments import no_moments


class Network(eqx.Module):
    """Everything that gradients change.

    Attributes:
        memory: What takes in experience.
        readout: From memory and observation to what the policy reads; None: the policy reads the memory alone. A
            hypernetwork puts out all that the policy is.
        policy: To actions.
        critic: From memory and task to values.
        encoder: What reads observations before memory and readout do; None: they are read as they are.
    """

    memory: Memory
    readout: Readout | Hypernetwork | None
    policy: PolicyHead | ScoreHead
    critic: Critic
    encoder: Encoder | None = None

    @property
    def action_space(self) -> Space:
        """What the policy chooses from."""
        return self.policy.space


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
        sizes = memory_sizes(self, problem, encoder)
        memory = self._memory(sizes, memory_key)
        readout, policy = self._heads(memory, sizes, policy_key)
        critic = Critic(memory.size, features.shape[1] if self.informed_critic else 0, self.critic_size, critic_key)
        network = Network(memory, readout, policy, critic, encoder)
        moments = no_moments(features.shape[1:]).observe(features)
        seen = env.observation_space
        observed = observations.unseen(seen, normalize=self.normalize_observations)
        meta = RL2Params(network, no_moments(), jnp.zeros(()), moments, seen, observed)
        meta, _ = self.first_look(problem, meta, tasks, look_key)
        return TrainState(meta, self._optimizer().init(network), jnp.asarray(0), key)

    def _memory(self, sizes: MemorySizes, key: Key[Array, ""]) -> Memory:
        """What takes in experience."""
        memory: Memory = load_target(MEMORIES[self.memory])(sizes, key)
        return memory

    def _heads(
        self, memory: Memory, sizes: MemorySizes, key: Key[Array, ""]
    ) -> tuple[Readout | Hypernetwork | None, PolicyHead | ScoreHead]:
        """What reads the memory."""
        if self.policy_network == "dense":
            return memory.heads(sizes, self.initial_std, key)
        settings: Any = {"context_size": self.context_size, "init": self.hyper_init}
        return hypernetwork_heads(sizes, memory.belief_size, self.initial_std, key, **settings)

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
        return self.improve(problem, state, experience)

    def kept(self, aux: PyTree[Array]) -> PyTree[Array]:
        """What PPO's passes need of what was put aside in acting: nothing, as memory is recomputed."""
        return None

    def improve(
        self,
        problem: Problem,
        state: TrainState,
        experience: Experience,
        bonus: Float[Array, "time task"] | None = None,
    ) -> tuple[TrainState, Metrics]:
        """`learn`, with rewards that are added to those that the policy is to earn, and to no others."""
        meta: RL2Params = state.meta
        tasks = experience.tasks
        trajectory = jax.tree.map(lambda x: x.squeeze(2), experience.trajectory)  # one environment per task

        hidden, old_log_probs = trajectory.aux["hidden"], trajectory.aux["log_prob"]
        after = None if experience.extra is None else experience.extra.squeeze(1)
        earned = trajectory if bonus is None else replace(trajectory, reward=trajectory.reward + bonus)
        advantages, targets = self._advantages(problem, meta, earned, hidden, tasks, after)
        if not problem.env.ends_early or trajectory.clock is not None:
            trajectory = replace(trajectory, valid=None)
        trajectory = replace(trajectory, aux=self.kept(trajectory.aux), next_observation=None)

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
