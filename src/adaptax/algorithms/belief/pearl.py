"""PEARL: off-policy meta-reinforcement learning with probabilistic context variables.

Rakelly, Zhou, Quillen, Finn & Levine 2019, "Efficient off-policy meta-reinforcement learning via probabilistic context
variables" (arXiv 1903.08254).

What was experienced in a task, its context c, says what the task may be: q_φ(z | c), a product of normal factors, one
for each step, whatever their order. A policy π(a | s, z) acts as if z were the truth: z is drawn from the prior at
first, held for an episode, and drawn anew from the posterior, which is posterior sampling. All of it learns from
replayed experience, by the soft actor-critic given z, while the encoder minimises

    E_{z ~ q(z | c)} [critic's loss given z] + β/N KL(q(z | c) ‖ N(0, I)).

Contexts are the beginnings of a task's recent trials, what critics and policy learn from is drawn out of all of its
experience: the encoder sees what it would in a new task.

In `AgentState`, φ is the posterior and the z drawn from it; `adapt` multiplies the factors of an episode into it.

Differences from the paper:
    - The prior is one of the factors, so that the posterior of nothing is the prior, and of little is near it. Factors
      are in natural parameters, of which a product is a sum; in acting, that sum is exact, so the order of steps and of
      episodes does not change a bit.
    - A context is the first steps of a trial, as it is in acting, and not any recent steps. Which actions were chosen
      tells of rewards that were seen before them: where those are left out, no likelihood of the others is right.
    - Training trials are as trials are: an episode with z of the prior, others with z of the posterior. The paper's
      contexts are from episodes with z of the prior alone.
    - Temperature by a target entropy (Haarnoja et al. 2018b); discrete actions by sums over all (Christodoulou 2019);
      several choices at once by sums over all their combinations, with a value for each, and a policy that makes them
      independently given what it sees. Illegal actions are in no sum, and no entropy is wanted of them.
    - Rewards in units of their deviation, compared with what a random policy earns where episodes cannot end early, and
      values divided by Σ γ^t over an episode, so that units and lengths do not matter.
    - `encoder_objective="reward"` has a model of rewards given z teach the encoder, in the place of the critic: with
      β = 1 that is the evidence lower bound, and q is calibrated, which no critic's loss promises.
    - The best action known (`explore=False`) is the policy's mean action at the posterior's mean.
"""

import dataclasses
import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, PyTree

from adaptax.algorithms.belief.pearl_params import Batch, PEARLMemory, PEARLNetwork, PEARLParams, Posterior
from adaptax.algorithms.belief.pearl_settings import PEARLSettings
from adaptax.algorithms.standard_rl.dqn import Paid
from adaptax.core import parallel
from adaptax.core.errors import UseError
from adaptax.core.experience import Experience
from adaptax.core.meta_learner import MetaLearner
from adaptax.core.problem import Problem
from adaptax.core.rollout import run_trial
from adaptax.core.spaces import Space
from adaptax.core.splits import fold_in_name
from adaptax.core.task_buffers import TaskBuffers
from adaptax.core.types import AgentState, Metrics, TimeStep, TrainState, Transition, Window, replace
from adaptax.networks.context import ContextEncoder, ExactSum, in_one_order, kl_from_prior, moments_of
from adaptax.networks.distributions import Categorical, MultiCategorical, SquashedNormal
from adaptax.networks.encoders import make_encoder
from adaptax.networks.latent import LatentPolicy, RewardModel, TwinCritics, beside
from adaptax.optimization import minibatches, observations
from adaptax.optimization import soft_actor_critic as sac
from adaptax.optimization.moments import no_moments
from adaptax.optimization.soft_actor_critic import check_combinations


@dataclasses.dataclass(frozen=True)
class PEARL(PEARLSettings, MetaLearner):
    """PEARL; see the module and `PEARLSettings`."""

    def init(self, problem: Problem, key: Key[Array, ""]) -> TrainState:
        """Build networks and empty buffers, and look at what a random policy sees and earns.

        Raises:
            UseError: if actions are several choices with too many combinations.
        """
        seen, acts = problem.env.observation_space, problem.env.action_space
        check_combinations(acts, "PEARL")
        network = self._network(seen, acts, key)
        observed = observations.unseen(seen, normalize=self.normalize_observations)
        meta = PEARLParams(network, Paid(no_moments(), jnp.zeros(())), observed, seen)
        looked = observations.look(
            problem, fold_in_name(key, "first look"), functools.partial(run_trial, self, problem, meta)
        )
        meta = meta.take_in(looked, centers=not problem.env.ends_early)
        size = self.buffer_size, seen.encoded_size, acts.encoded_size
        buffers = TaskBuffers.empty(self.num_train_tasks, *size)
        memory = PEARLMemory(self._optimizer().init(network), network.critics, buffers)
        return TrainState(meta, memory, jnp.asarray(0), key)

    def _network(self, seen: Space, acts: Space, key: Key[Array, ""]) -> PEARLNetwork:
        context_key, policy_key, critic_key, reward_key = jax.random.split(key, 4)
        encoder = make_encoder(self.encoder, seen, fold_in_name(key, "encoder"))
        size, sizes = seen.encoded_size if encoder is None else encoder.size, (self.hidden_size,) * self.num_layers
        step = 2 * size + acts.encoded_size
        taught = self.encoder_objective == "reward"
        return PEARLNetwork(
            ContextEncoder(step + 1, sizes, self.latent_size, context_key),
            LatentPolicy(size + self.latent_size, sizes, acts, policy_key),
            TwinCritics(size, self.latent_size, acts, sizes, critic_key),
            RewardModel(step + self.latent_size, sizes, reward_key) if taught else None,
            jnp.log(jnp.asarray(self.initial_temperature, jnp.float32)),
            encoder,
        )

    def _optimizer(self) -> optax.GradientTransformation:
        steps = self.num_updates * self.gradient_steps
        return minibatches.adam(self.learning_rate, steps, max_gradient_norm=self.max_gradient_norm)

    def window(self, problem: Problem) -> Window:
        """An episode, with one z."""
        return Window(1, problem.env.horizon)

    def update_steps(self, problem: Problem) -> int:
        """A trial in each task."""
        return self.num_tasks * problem.trial_steps

    def begin(self, meta: PEARLParams, key: Key[Array, ""]) -> AgentState:
        """Enter a task with the prior, and with a z drawn from it."""
        zero = ExactSum.zero(self.latent_size)
        return AgentState(Posterior(zero, zero, jnp.zeros(self.latent_size)).drawn(key), None)

    def act(
        self, meta: PEARLParams, agent: AgentState, timestep: TimeStep, key: Key[Array, ""], *, explore: bool
    ) -> tuple[PyTree[Array], None, Any]:
        """Sample from π given the z that is held; if not `explore`, its mean or most probable action at the mean z."""
        believed: Posterior = agent.adapted
        encoded = meta.observation_space.encode(timestep.observation)
        latent = believed.latent if explore else believed.moments[0]
        policy = meta.network.policy(meta.read(encoded), latent, meta.observation_space.legal(encoded))
        return meta.action_space.from_policy(policy.sample(key) if explore else policy.mode()), None, None

    def adapt(self, meta: PEARLParams, agent: AgentState, trajectory: Transition, key: Key[Array, ""]) -> AgentState:
        """Multiply the factors of an episode, leaves `[time, env, ...]`, into the posterior; draw another z from it."""
        believed: Posterior = agent.adapted
        window = jax.tree.map(lambda x: jax.lax.collapse(x, 0, 2), trajectory)
        step, reward = meta.told(meta.experienced(window))
        factors = meta.network.context(*in_one_order(beside(step, reward[:, None]), window.valid))
        precision, weighted = believed.precision.add(factors.precision), believed.weighted.add(factors.weighted)
        return AgentState(replace(believed, precision=precision, weighted=weighted).drawn(key), agent.memory)

    def posteriors(
        self, meta: PEARLParams, trajectory: Transition
    ) -> tuple[Float[Array, "times latent_size"], Float[Array, "times latent_size"]]:
        """Mean and variance of z before the first step of a trial, leaves `[time, 1, ...]`, and after each.

        Those that are held after an episode, up to rounding; in acting, there are none within one.
        """
        window = jax.tree.map(lambda x: x[:, 0], trajectory)
        step, reward = meta.told(meta.experienced(window))
        factors = meta.network.context(beside(step, reward[:, None]), window.valid)
        sums = [jnp.pad(jnp.cumsum(x, 0), ((1, 0), (0, 0))) for x in (factors.precision, factors.weighted)]
        return moments_of(*sums)

    def _turn(self, step: Int[Array, ""]) -> Int[Array, " task"]:
        """Which training tasks an update enters: all of them, one after the other."""
        total = self.num_train_tasks
        return (step % total * self.num_tasks + jnp.arange(self.num_tasks, dtype=jnp.int32)) % total

    def collect(self, problem: Problem, state: TrainState) -> Experience:
        """Go through a trial in the tasks whose turn it is; `extra` is which they are, `[task]`."""
        turn = self._turn(state.step)
        keys = jax.random.split(fold_in_name(state.key, "training tasks"), self.num_train_tasks)[turn]
        update_key = jax.random.fold_in(fold_in_name(state.key, "update"), state.step)
        turn, keys, trial_keys = parallel.local((turn, keys, jax.random.split(update_key, self.num_tasks)))
        tasks = jax.vmap(problem.train.sample)(keys)
        trial = functools.partial(self.training_trial, problem, state.meta)
        return Experience(tasks, jax.vmap(trial, out_axes=1)(tasks, trial_keys), extra=turn)

    def learn(self, problem: Problem, state: TrainState, experience: Experience) -> tuple[TrainState, Metrics]:
        """Put trials into their tasks' buffers, then take gradient steps on what is drawn from those.

        Experience from elsewhere has to say which training tasks it is of: `extra`, `[task]`.

        Raises:
            UseError: if it does not.
        """
        if experience.extra is None:
            raise UseError(
                "PEARL.learn: expected Experience.extra, [task]: of which training task each trial is; found none"
            )
        memory: PEARLMemory = state.opt_state
        trajectory = jax.tree.map(lambda x: jnp.swapaxes(x.squeeze(2), 0, 1), experience.trajectory)
        meta: PEARLParams = state.meta
        steps, valid, turn = parallel.gather((meta.experienced(trajectory), trajectory.valid, experience.extra))
        buffers = memory.buffers.add(turn, steps, valid)
        meta = meta.take_in(trajectory)

        def one_step(carry: tuple[Any, Any, Any], key: Key[Array, ""]) -> tuple[tuple[Any, Any, Any], Metrics]:
            network, targets, optimizer = carry
            loss = functools.partial(self._loss, problem, meta, targets, self._batch(problem, buffers, key))
            gradient, metrics = jax.grad(loss, has_aux=True)(network)
            gradient = parallel.mean(gradient)
            with jax.numpy_dtype_promotion("standard"):  # optax mixes its integer counter with floats
                updates, optimizer = self._optimizer().update(gradient, optimizer, network)
            network = eqx.apply_updates(network, updates)
            targets = sac.polyak(targets, network.critics, self.target_rate)
            return (network, targets, optimizer), {**metrics, "gradient_norm": optax.tree.norm(gradient)}

        key = jax.random.fold_in(fold_in_name(state.key, "gradient steps"), state.step)
        learned = meta.network, memory.targets, memory.optimizer
        learned, metrics = jax.lax.scan(one_step, learned, jax.random.split(key, self.gradient_steps))
        network, targets, optimizer = learned
        earned = jnp.sum(trajectory.reward.reshape(-1, problem.episodes, problem.env.horizon), 2)
        returns = {"return": jnp.mean(earned[:, -1]), "return_0": jnp.mean(earned[:, 0])}
        metrics = parallel.mean({**returns, **jax.tree.map(jnp.mean, metrics)})
        memory = PEARLMemory(optimizer, targets, buffers)
        return replace(state, meta=replace(meta, network=network), opt_state=memory, step=state.step + 1), metrics

    def _batch(self, problem: Problem, buffers: TaskBuffers, key: Key[Array, ""]) -> Batch:
        """This device's share of what a gradient step learns from."""
        task_key, step_key = jax.random.split(key)
        tasks = buffers.draw_tasks(task_key, self.batch_tasks)
        most = min(self.context_size, problem.trial_steps)
        fewest = min(problem.env.horizon, most)

        def one_task(task: Int[Array, ""], key: Key[Array, ""]) -> Batch:
            keys = jax.random.split(key, 4)
            context, there = buffers.draw_beginning(task, keys[0], most, self.recent_trials)
            there &= jnp.arange(most) < jax.random.randint(keys[1], (), fewest, most + 1)
            return Batch(buffers.draw(task, keys[2], self.batch_size), context, there, keys[3])

        return jax.vmap(one_task)(*parallel.local((tasks, jax.random.split(step_key, self.batch_tasks))))

    def _loss(
        self, problem: Problem, meta: PEARLParams, targets: TwinCritics, batch: Batch, network: PEARLNetwork
    ) -> tuple[Float[Array, ""], Metrics]:
        """Mean over tasks of all that is minimised, and its parts."""
        model = replace(meta, network=network)
        losses = jax.vmap(functools.partial(self._task_losses, problem, model, targets))(batch)
        losses = {name: jnp.mean(x) for name, x in losses.items()}
        # Critics whose values are divided are wrong by so much less: β weighs against what the errors are undivided.
        undivided = 1.0 if network.rewards is not None else self._worth(problem) ** 2
        weight = 1 / (batch.there.shape[1] * undivided)
        total = losses["critic_loss"] + losses["policy_loss"] + losses["temperature_loss"]
        total = total + weight * (losses.get("reward_loss", 0.0) + self.kl_cost * losses["kl"])
        shown = {name: x for name, x in losses.items() if name != "temperature_loss"}
        return total, {**shown, "temperature": jnp.exp(network.log_temperature)}

    def _task_losses(self, problem: Problem, model: PEARLParams, targets: TwinCritics, batch: Batch) -> Metrics:
        """The same of one task, part by part; leaves of `batch` have no task axis."""
        latent_key, after_key, policy_key = jax.random.split(batch.key, 3)
        network, steps, stop = model.network, batch.steps, jax.lax.stop_gradient
        step, reward = model.told(batch.context)
        mean, variance = network.context(beside(step, reward[:, None]), batch.there).product()
        latent = mean + jnp.sqrt(variance) * jax.random.normal(latent_key, mean.shape)
        losses = {"kl": kl_from_prior(mean, variance)}
        taught = latent
        if network.rewards is not None:
            log_probs = network.rewards.log_prob(step, latent, reward)
            losses["reward_loss"] = -jnp.sum(jnp.where(batch.there, log_probs, 0.0))
            taught = stop(latent)

        temperature = jnp.exp(network.log_temperature)
        before, after = model.read(steps.before), stop(model.read(steps.after))
        units = model.paid.units(steps.reward) / self._worth(problem)
        next_value, _ = self._value(model, targets, after, steps.after, stop(latent), temperature, after_key)
        goal = sac.soft_targets(units, next_value, steps.terminated, self.discount)
        losses["critic_loss"] = jnp.mean(sac.twin_critic_loss(network.critics(before, taught, steps.action), goal))

        held = stop(network.critics)
        value, entropy = self._value(
            model, held, stop(before), steps.before, stop(latent), stop(temperature), policy_key
        )
        losses["policy_loss"], losses["entropy"] = -jnp.mean(value), jnp.mean(entropy)
        legal = model.observation_space.legal(steps.before)
        wanted = sac.target_entropy(model.action_space, self.entropy_share, legal)
        losses["temperature_loss"] = jnp.mean(sac.temperature_loss(network.log_temperature, entropy, wanted))
        return losses

    def _value(
        self,
        model: PEARLParams,
        critics: TwinCritics,
        features: Float[Array, "step size"],
        encoded: Float[Array, "step encoded_size"],
        latent: Float[Array, " latent_size"],
        temperature: Float[Array, ""],
        key: Key[Array, ""],
    ) -> tuple[Float[Array, " step"], Float[Array, " step"]]:
        """V(s, z) of the policy by `critics`, and its entropy; of continuous actions, estimates from one draw."""
        policy = model.network.policy(features, latent, model.observation_space.legal(encoded))
        if isinstance(policy, Categorical | MultiCategorical):
            qualities = critics.of_all(features, latent)
            return sac.soft_value_of_all(qualities, policy.log_probs(), temperature), policy.entropy()
        assert isinstance(policy, SquashedNormal)
        action, log_prob = policy.draw(key)
        return sac.soft_value(critics(features, latent, action), log_prob, temperature), -log_prob

    def _worth(self, problem: Problem) -> Float[Array, ""]:
        """Σ γ^t over an episode: what values are divided by."""
        return jnp.sum(self.discount ** jnp.arange(problem.env.horizon, dtype=jnp.float32))
