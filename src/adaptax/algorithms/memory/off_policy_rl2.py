"""Off-policy RL²: a recurrent soft actor-critic that learns from trials of the past, many times from each.

Or recurrent Q-learning on the same trials (`learner="q-learning"`; `greedy_policy.py`).

Ni, Eysenbach & Salakhutdinov 2022, "Recurrent model-free RL can be a strong baseline for many POMDPs" (arXiv
2110.05038); as in Grigsby et al. 2024, "AMAGO" (arXiv 2310.09971), whole trials are replayed.

A trial is an episode of one decision process whose state is the history h_t = (o_0, a_0, r_0, …, o_t). Policy and
critics read it through memories of their own, and learn from whole trials that are drawn from a buffer:

    y_t = r_t + Σ_{i=1}^{n-1} γ^i (r_{t+i} + α H_{t+i}) + γ^n V̄(h_{t+n}),    nothing past the trial's end
    V̄(h) = E_{a ~ π} [min_i Q̄_i(h, a) − α log π(a | h)]
    critics minimise (Q_i(h_t, a_t) − y_t)²,    the policy E_{a ~ π} [α log π(a | h_t) − min_i Q_i(h_t, a)],
    and the temperature α moves until the policy's entropy H is what is wanted, H̄.

Differences from the paper:
    - Discrete actions, too: expectations over all of them (Christodoulou 2019); the entropy that is wanted falls to 0.
      Several choices at once: over all their combinations, with a value for each, of a policy that makes them
      independently given the history. Illegal actions are in no expectation, and no entropy is wanted of them.
    - n-step targets (n = 3), with the entropies on the way: what is paid late in a trial is known earlier.
    - A trial is read from its start with the newest parameters: there is no stored state of a memory to be stale.
    - Both critics read one memory; the policy has another one, so that neither's gradient disturbs the other's.
    - Critics are told the task and the time in training (`informed_critic`); the policy never is.
    - Rewards are in deviations from what a random policy earns, and critics predict the *average* of the remaining
      ones, so that trials of 10 and of 500 steps, rewards of 1 and of 1000, train alike. Where no episode ends early, a
      constant that is added to all rewards changes nothing.
    - Where episodes end early, trials of a task follow each other without idle steps (`adaptax.core.streams`), and the
      value of the last step stands for what a trial that is cut off would still bring.
    - Critics may classify values instead (`critic_loss="two-hot"`).
    - Learning rates fall to 0.
"""

import dataclasses
import functools
import math
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key, PyTree

from adaptax.algorithms.memory.greedy_policy import GreedyHead, judge_greedily
from adaptax.algorithms.memory.off_policy_settings import OffPolicyRL2Settings
from adaptax.algorithms.memory.recurrent_agent import RecurrentAgent, RL2Params, memory_sizes
from adaptax.algorithms.memory.settings import MEMORIES
from adaptax.algorithms.memory.soft_learner import Learned, LearnerState, Places, Replayed, parts_of, places_of
from adaptax.algorithms.memory.soft_losses import CriticScale, Judged, Reading, judge
from adaptax.core import parallel
from adaptax.core.combinations import choices_of, combination
from adaptax.core.entry import load_target
from adaptax.core.errors import UseError
from adaptax.core.experience import Experience
from adaptax.core.problem import Problem, known_features, standardized, task_features
from adaptax.core.replay_buffer import TrialBuffer
from adaptax.core.splits import fold_in_name
from adaptax.core.streams import stream, trial_returns
from adaptax.core.types import Metrics, Task, TrainState, Transition, replace
from adaptax.networks import ScoreHead, SoftPolicyHead
from adaptax.networks.encoders import make_encoder
from adaptax.networks.recurrent_actor_critic import QualityHead, RecurrentActor, RecurrentCritic
from adaptax.optimization import minibatches, observations, soft_actor_critic
from adaptax.optimization.losses import masked_mean
from adaptax.optimization.moments import no_moments
from adaptax.optimization.soft_returns import n_step_targets
from adaptax.optimization.value_categories import ValueCategories

LARGEST_VALUE = 100.0
"""The largest average of the remaining rewards, in deviations, that a classifying critic can tell."""


def _trials_first(tree: PyTree[Array]) -> Any:
    """Leaves `[time, trial, ...]` as `[trial, time, ...]`, and the other way round."""
    return jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), tree)


def _of_one_environment(trajectory: Transition) -> Transition:
    """Leaves `[time, task, env, ...]`, of one environment for each task, as `[time, task, ...]`."""
    return jax.tree.map(lambda x: x.squeeze(2), trajectory)


@dataclasses.dataclass(frozen=True)
class OffPolicyRL2(OffPolicyRL2Settings, RecurrentAgent):
    """Recurrent soft actor-critic on replayed trials; see the module and `OffPolicyRL2Settings`."""

    fills_slots: ClassVar[bool] = True

    def init(self, problem: Problem, key: Key[Array, ""]) -> TrainState:
        """Build policy, critics and an empty buffer for `problem`, and look at what a random policy sees and earns.

        Raises:
            UseError: if actions are several choices with too many combinations, or not those that the learner is for.
        """
        actor_key, critic_key, look_key = jax.random.split(key, 3)
        soft_actor_critic.check_combinations(problem.env.action_space, "OffPolicyRL2")
        if self.learner == "q-learning" and not problem.env.action_space.integers:
            raise UseError(
                f"OffPolicyRL2(learner='q-learning'): expected discrete actions, got {problem.env.action_space!r}. "
                "Nothing was trained. Leave it out"
            )
        tasks = jax.vmap(problem.train.sample)(jax.random.split(look_key, 1024))
        features = known_features(tasks)
        moments = no_moments(features.shape[1:]).observe(features)
        actor = self._actor(problem, actor_key)
        soft = self.learner == "soft-actor-critic"
        critic = self._critic(problem, features.shape[1] if self.informed_critic else 0, critic_key) if soft else None
        seen = problem.env.observation_space
        observed = observations.unseen(seen, normalize=self.normalize_observations)
        meta = RL2Params(actor, no_moments(), jnp.zeros(()), moments, seen, observed)
        meta, trajectory = self.first_look(problem, meta, tasks, look_key)
        temperature = jnp.log(jnp.asarray(self.initial_temperature, jnp.float32)) if soft else None
        learned = Learned(meta.network, critic, temperature)
        tasks = jax.tree.map(lambda x: x[: trajectory.reward.shape[1]], tasks)
        one = jax.eval_shape(lambda: jax.tree.map(lambda x: x[0], self._looked_at(problem, meta, trajectory, tasks)))
        buffer = TrialBuffer.empty(self.buffer_size, one)
        optimizers = tuple(self._optimizer().init(part) for part in parts_of(learned))
        learner = LearnerState(critic, learned.judge, temperature, optimizers, buffer)
        meta = replace(meta, network=self._exploring(meta.network, jnp.asarray(0)))
        return TrainState(meta, learner, jnp.asarray(0), key)

    def _actor(self, problem: Problem, key: Key[Array, ""]) -> RecurrentActor:
        memory_key, policy_key, encoder_key = jax.random.split(key, 3)
        encoder = make_encoder(self.encoder, problem.env.observation_space, encoder_key)
        sizes = memory_sizes(self, problem, encoder)
        memory = load_target(MEMORIES[self.memory])(sizes, memory_key)
        readout, policy = memory.heads(sizes, 1.0, policy_key)
        size = self.policy_size or memory.size
        if self.learner == "q-learning" and isinstance(policy, ScoreHead):
            policy = GreedyHead(None, jnp.ones(()), sizes.action, self._scale)
        elif self.learner == "q-learning":
            policy = GreedyHead.build(size, sizes.action, self._scale, policy_key)
        elif not sizes.action.integers:
            policy = SoftPolicyHead(size, sizes.action, policy_key)
        return RecurrentActor(memory, readout, policy, encoder)

    def _critic(self, problem: Problem, task_size: int, key: Key[Array, ""]) -> RecurrentCritic:
        memory_key, encoder_key, *head_keys = jax.random.split(key, 4)
        encoder = make_encoder(self.encoder, problem.env.observation_space, encoder_key)
        sizes = memory_sizes(self, problem, encoder)
        memory = load_target(MEMORIES[self.critic_memory])(sizes, memory_key)
        read = 0 if sizes.action.integers else sizes.action.encoded_size
        outputs = math.prod(choices_of(sizes.action)) * self._scale.width
        first, second = (QualityHead(memory.size, task_size, read, self.critic_size, outputs, k) for k in head_keys)
        return RecurrentCritic(memory, (first, second), encoder, sizes.action)

    @property
    def _scale(self) -> CriticScale:
        classify = self.critic_loss == "two-hot"
        return CriticScale(ValueCategories(self.num_categories, LARGEST_VALUE) if classify else None)

    @property
    def gradient_steps(self) -> int:
        """Gradient steps of an update."""
        return max(1, round(self.replay_ratio * self.num_tasks / self.batch_size))

    @property
    def tasks_per_minibatch(self) -> int:
        """Devices share the tasks of an update, and the trials of a gradient step."""
        return math.gcd(self.num_tasks, self.batch_size)

    def _optimizer(self) -> optax.GradientTransformation:
        steps = self.num_updates * self.gradient_steps
        return minibatches.adam(self.learning_rate, steps, max_gradient_norm=self.max_gradient_norm)

    def update_steps(self, problem: Problem) -> int:
        """A trial in each task; where episodes end early, as many as go into the same number of steps."""
        return self.num_tasks * problem.stream_steps

    def training_trial(self, problem: Problem, meta: PyTree[Array], task: Task, key: Key[Array, ""]) -> Transition:
        """A whole trial; where episodes end early, one after the other, of which the last may be cut off."""
        if not problem.streams:
            return super().training_trial(problem, meta, task, key)
        return stream(self, problem, meta, task, key)[1]

    def learn(self, problem: Problem, state: TrainState, experience: Experience) -> tuple[TrainState, Metrics]:
        """Put the trials into the buffer, then do gradient steps on trials that are drawn from it.

        The buffer is the same on all devices. Each step's trials are drawn alike there, and shared out.
        """
        learner: LearnerState = state.opt_state
        trajectory = _of_one_environment(experience.trajectory)
        meta = state.meta.observe(trajectory, trajectory.valid.ravel().astype(jnp.float32))
        new = self._replayed(problem, meta, trajectory, experience.tasks)
        buffer = learner.buffer.add(parallel.gather(new))
        step_key = jax.random.fold_in(fold_in_name(state.key, "replay"), state.step)

        def step(carry: tuple[Learned, Any, Any], index: Array) -> tuple[tuple[Learned, Any, Any], Metrics]:
            learned, target, optimizers = carry
            draw_key, act_key = jax.random.split(jax.random.fold_in(step_key, index))
            keys = jax.random.split(act_key, self.batch_size)
            drawn, keys = parallel.local((buffer.draw(draw_key, self.batch_size), keys))
            drawn = replace(drawn, steps=_trials_first(drawn.steps))
            loss = functools.partial(self._loss, problem, replace(state, meta=meta), target)
            gradient, metrics = jax.grad(loss, has_aux=True)(learned, drawn, keys)
            learned, optimizers = self._descend(learned, parallel.mean(gradient), optimizers)
            return (learned, soft_actor_critic.polyak(target, learned.judge, self.polyak), optimizers), metrics

        learned = Learned(meta.network, learner.critic, learner.log_temperature)
        start = learned, learner.target, learner.optimizers
        (learned, target, optimizers), metrics = jax.lax.scan(step, start, jnp.arange(self.gradient_steps))
        metrics = {"return": jnp.mean(trial_returns(trajectory)), **jax.tree.map(jnp.mean, metrics)}
        learner = LearnerState(learned.critic, target, learned.log_temperature, optimizers, buffer)
        meta = replace(meta, network=self._exploring(learned.actor, state.step + 1))
        return replace(state, meta=meta, opt_state=learner, step=state.step + 1), parallel.mean(metrics)

    def _looked_at(self, problem: Problem, meta: RL2Params, trajectory: Transition, tasks: PyTree[Array]) -> Replayed:
        """What the buffer will be like."""
        if problem.streams:
            tasks = jax.tree.map(lambda x: x[:1], tasks)
            keys = jax.random.split(jax.random.key(0), 1)
            trajectory = jax.vmap(lambda task, key: self.training_trial(problem, meta, task, key), out_axes=1)(
                tasks, keys
            )
        return self._replayed(problem, meta, _of_one_environment(trajectory), tasks)

    def _replayed(self, problem: Problem, meta: RL2Params, trajectory: Transition, tasks: PyTree[Array]) -> Replayed:
        """What is kept of trials, leaves `[trial, ...]`."""
        valid = trajectory.valid if problem.env.ends_early or problem.env.on_host else None
        clock = terminated = None
        if problem.streams:  # whole trials are welcome, too: from a file, say
            along = jnp.arange(len(trajectory.reward), dtype=jnp.int32)[:, None]
            clock = jnp.broadcast_to(along, trajectory.reward.shape) if trajectory.clock is None else trajectory.clock
            terminated = trajectory.terminated
        nothing = dict.fromkeys(("truncated", "next_observation", "aux", "lost", "success"))
        steps = replace(trajectory, valid=valid, clock=clock, terminated=terminated, **nothing)
        features = standardized(jax.vmap(task_features)(tasks), meta.task.mean[None], meta.task.std[None])
        return Replayed(_trials_first(steps), features if self.informed_critic else features[:, :0])

    def _descend(self, learned: Learned, gradient: Learned, optimizers: tuple[Any, ...]) -> tuple[Learned, Any]:
        """One step of Adam for each part, whose gradients have scales of their own."""
        updated = []
        for part, slope, before in zip(parts_of(learned), parts_of(gradient), optimizers, strict=True):
            with jax.numpy_dtype_promotion("standard"):  # optax mixes its integer counter with floats
                change, after = self._optimizer().update(slope, before, part)
            updated.append((eqx.apply_updates(part, change), after))
        parts, states = zip(*updated, strict=True)
        return Learned(*parts), tuple(states)

    def _exploring(self, actor: RecurrentActor, step: Array) -> RecurrentActor:
        """An ε-greedy policy with the ε of an update; others explore by themselves."""
        if not isinstance(actor.policy, GreedyHead):
            return actor
        left = jnp.maximum(1 - step / self.num_updates, 0.0).astype(jnp.float32)
        return replace(actor, policy=replace(actor.policy, epsilon=self.exploration * left**3))

    def _loss(
        self,
        problem: Problem,
        state: TrainState,
        target: RecurrentCritic | RecurrentActor,
        learned: Learned,
        drawn: Replayed,
        keys: Key[Array, " trial"],
    ) -> tuple[Array, Metrics]:
        """Losses of all that is learned, on trials; none's gradient reaches what is another's."""
        steps, places = drawn.steps, places_of(problem, drawn.steps, self.discount)
        judged, temperature = self._judged(state.meta, target, learned, drawn, places, keys)
        targets = self._targets(problem, state.meta, steps, places, judged, temperature)
        losses = [self._scale.loss(said, targets / places.remaining) for said in judged.outputs]
        critic_loss = functools.reduce(jnp.add, losses)
        average = functools.partial(masked_mean, mask=places.counted)
        metrics = {"critic_loss": average(critic_loss), "value": average(judged.values / places.remaining)}
        if learned.log_temperature is None:
            return metrics["critic_loss"], metrics
        temperature_loss = soft_actor_critic.temperature_loss(
            learned.log_temperature, judged.entropy, self._wanted_entropy(state, steps)
        )
        metrics |= {"entropy": average(judged.entropy), "temperature": temperature}
        return average(critic_loss + judged.actor_loss + temperature_loss), metrics

    def _judged(
        self, meta: RL2Params, target: Any, learned: Learned, drawn: Replayed, places: Places, keys: Array
    ) -> tuple[Judged, Float[Array, ""]]:
        """What policy and critics, or Q-learning, make of trials, and α."""
        if learned.critic is None or learned.log_temperature is None:
            return self._judged_greedily(meta, target, learned.actor, drawn.steps, places), jnp.zeros(())
        steps, space = drawn.steps, learned.actor.action_space
        _, policy = self.recompute(replace(meta, network=learned.actor), steps)
        hidden, old = (self.recall(replace(meta, network=critic), steps) for critic in (learned.critic, target))
        temperature = jax.lax.stop_gradient(jnp.exp(learned.log_temperature))
        action = combination(space, steps.action) if space.integers else space.policy_action(steps.action)
        where = places.remaining, places.time
        reading = Reading(policy, hidden, old, drawn.task, action, *where, temperature, keys)
        return judge(reading, learned.critic, target, self._scale), temperature

    def _judged_greedily(
        self, meta: RL2Params, target: RecurrentActor, actor: RecurrentActor, steps: Transition, places: Places
    ) -> Judged:
        """What Q-learning makes of trials."""

        def said(actor: RecurrentActor) -> Array:
            model = replace(meta, network=actor)
            outputs: Array = actor.policy.outputs(model.features(self.recall(model, steps), steps.timestep))
            return outputs

        action = combination(actor.action_space, steps.action)
        legal = meta.observation_space.legal_in(steps.timestep.observation)
        return judge_greedily(actor.policy, (said(actor), said(target)), action, legal, places.remaining)

    def _targets(
        self,
        problem: Problem,
        meta: RL2Params,
        steps: Transition,
        places: Places,
        judged: Judged,
        temperature: Float[Array, ""],
    ) -> Float[Array, "time trial"]:
        """What the critics are to say, in deviations of rewards.

        Where an early end leaves rewards out, they are compared with nothing: what is paid at each step counts then.
        """
        center = jnp.zeros(()) if problem.env.ends_early else meta.reward_center
        return n_step_targets(
            (steps.reward - center) / meta.reward.std,
            judged.values,
            temperature * judged.entropy,
            discount=self.discount,
            num_steps=self.num_steps,
            valid=steps.valid,
            over=places.over,
            cut=places.cut,
        )

    def _wanted_entropy(self, state: TrainState, steps: Transition) -> Float[Array, "*time_trial"]:
        """H̄, which falls to 0 where actions are discrete: late in training, chance teaches nothing new."""
        space, seen = state.meta.network.action_space, state.meta.observation_space
        wanted = soft_actor_critic.target_entropy(space, 1.0, seen.legal_in(steps.timestep.observation))
        if not space.integers:
            return jnp.asarray(wanted)
        return wanted * (self.target_entropy * jnp.maximum(1 - state.step / self.num_updates, 0.0))
