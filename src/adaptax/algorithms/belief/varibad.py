"""VariBAD: Bayes-adaptive deep RL with a learned belief about the task.

Zintgraf et al. 2020 (arXiv 1910.08348); the bonuses of HyperX, Zintgraf et al. 2021 (arXiv 2010.01062).

A task is described by a latent variable m with prior N(0, I). An encoder q_φ(m | τ_:t), a recurrent network, holds the
belief after t steps; decoders p_θ predict from m what the *whole* trial of H steps brings, past and future. Both ascend

    ELBO_t = E_{m ~ q(m | τ_:t)} [ Σ_{i<H} log p_θ(r_i | s_i, a_i, s_{i+1}, m) ] − β KL( q(m | τ_:t) ‖ q(m | τ_:t−1) ),

on average over all t and over trials in a buffer, with q(m | τ_:0) = N(0, I). The policy π(a | s, μ_t, σ_t) reads state
and belief, the *hyper-state*, and maximises the return of the whole trial. It is RL² whose memory is a belief that was
learned by decoding: what a policy gradient would have to find out about the task through returns, the decoders tell.

HyperX pays, in training, for hyper-states that are new, and for steps that the decoder expected otherwise.

Differences from the paper:
    - All of RL²'s PPO over whole trials (`rl2`): λ, γ = 1, rewards in deviations, a critic that is told the task in
      training (`informed_critic`), learning rates that fall to 0.
    - The belief before the first step *is* the prior; the paper's encoder has to learn that from the KL divergence.
    - The policy's update comes first, with the beliefs that it acted on, then the encoder's: no belief is stale in
      PPO's passes. With `rl_gradient` beliefs are recomputed in each.
    - Steps may be decoded of a yoked trial, in which actions know nothing of the task (`decoded_trial`): what is
      decoded is a probability then, whatever the policy does. As in the paper, it is one given that a step is done.
    - The sum of the ELBO is divided by H, so that trials of any length train alike.
    - What is decoded may be the task itself (Humplik et al. 2019, arXiv 1905.06424).
"""

import dataclasses
import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key, PyTree

from adaptax.algorithms.belief.elbo import (
    Kept,
    VariBADParams,
    bare,
    learned_part,
    negative_elbo,
    steps_of,
    with_learned,
)
from adaptax.algorithms.belief.hyperx import Novelty
from adaptax.algorithms.belief.settings import VariBADSettings
from adaptax.algorithms.belief.yoked import yoked_trials
from adaptax.algorithms.memory.recurrent_agent import RL2Params
from adaptax.algorithms.memory.rl2 import RL2
from adaptax.core import parallel
from adaptax.core.errors import UseError
from adaptax.core.experience import Experience, sample_tasks
from adaptax.core.problem import Problem, standardized, task_features
from adaptax.core.replay_buffer import TrialBuffer
from adaptax.core.splits import fold_in_name
from adaptax.core.types import Metrics, TrainState, Transition, replace
from adaptax.networks import MemorySizes
from adaptax.networks.decoders import Decoder, DecoderSizes, RewardTable, Steps, make_decoder
from adaptax.networks.distributions import Distribution
from adaptax.networks.memory.belief import BeliefMemory, gaussian
from adaptax.optimization import minibatches

DECODES_GOALS = [(decodes, "next-state", "bernoulli") for decodes in ("rewards", "transitions")]
"""Settings with which there is a probability of a reward for each state."""


class OuterState(eqx.Module):
    """What decides how training goes on.

    Attributes:
        policy: State of the policy's optimiser.
        elbo: State of the encoder's and the decoders' optimiser.
        buffer: Past trials.
        novelty: What HyperX knows of where the agent has been; None if that is not paid.
    """

    policy: PyTree[Array]
    elbo: PyTree[Array]
    buffer: TrialBuffer
    novelty: Novelty | None


def paid(bonus: Any) -> bool:
    """Whether a bonus is paid at all; one that is swept is, if at 0 now and then."""
    return not isinstance(bonus, int | float) or bonus > 0


@dataclasses.dataclass(frozen=True)
class VariBAD(VariBADSettings, RL2):
    """VariBAD with PPO; see the module and `VariBADSettings`."""

    def init(self, problem: Problem, key: Key[Array, ""]) -> TrainState:
        """Build RL² with a belief for a memory, decoders, and an empty buffer.

        Raises:
            UseError: if actions of other trials are to be done where some are not legal.
        """
        if self.decoded_trial == "yoked" and problem.env.observation_space.mask_place is not None:
            raise UseError(
                "VariBAD(decoded_trial='yoked'): expected actions that may be done whatever is observed; found "
                "masks of legal ones. Try --decoded-trial own"
            )
        state = super().init(problem, key)
        known = {field.name: getattr(state.meta, field.name) for field in dataclasses.fields(state.meta)}
        meta = VariBADParams(**known, decoder=self._decoder(problem, state.meta, fold_in_name(key, "decoder")))
        state = replace(state, meta=meta)
        kept = jax.eval_shape(lambda: jax.tree.map(lambda x: x[0], self._keep(meta, self.collect(problem, state))))
        size = meta.network.memory.size
        novelty = Novelty.unseen(size, fold_in_name(key, "novelty")) if paid(self.novelty_bonus) else None
        elbo = self._elbo_optimizer().init(learned_part(meta))
        return replace(
            state, opt_state=OuterState(state.opt_state, elbo, TrialBuffer.empty(self.buffer_size, kept), novelty)
        )

    def _memory(self, sizes: MemorySizes, key: Key[Array, ""]) -> BeliefMemory:
        encoder = super()._memory(sizes, key)
        return BeliefMemory(encoder, self.latent_size, sizes.observation.encoded_size, fold_in_name(key, "belief"))

    def _decoder(self, problem: Problem, meta: RL2Params, key: Key[Array, ""]) -> Decoder:
        spaces = problem.env.observation_space, problem.env.action_space
        sizes = DecoderSizes(*spaces, self.latent_size, meta.task.mean.size, self.decoder_size)
        return make_decoder(self.decodes, self.reward_decoder, self.reward_likelihood, sizes, key)

    def _elbo_optimizer(self) -> optax.GradientTransformation:
        steps = max(self.num_updates * self.elbo_updates, 1)
        return minibatches.adam(self.elbo_learning_rate, steps, max_gradient_norm=self.max_gradient_norm)

    def update_steps(self, problem: Problem) -> int:
        """Those of RL²; yoked trials have as many."""
        return super().update_steps(problem) * (2 if self.decoded_trial == "yoked" else 1)

    def steps_taken(self, experience: Experience) -> Array:
        """Those of the trials, and of the yoked ones."""
        yoked = (experience.extra or (None, None))[1]
        return super().steps_taken(experience) + (0 if yoked is None else jnp.sum(yoked.valid, dtype=jnp.int32))

    def collect(self, problem: Problem, state: TrainState) -> Experience:
        """Go through trials as RL² does; `extra` is what that keeps of trials that are cut off, and yoked trials."""
        experience = super().collect(problem, state)
        yoked = None
        if self.decoded_trial == "yoked":
            keys = sample_tasks(problem, state, self.num_tasks, self.num_minibatches)[1]
            keys = jax.vmap(lambda key: fold_in_name(key, "yoked"))(keys[:, 1])
            actions = jax.tree.map(lambda x: x.squeeze(2), experience.trajectory.action)
            yoked = yoked_trials(problem, experience.tasks, actions, keys, self.num_minibatches)
        return replace(experience, extra=(experience.extra, yoked))

    def kept(self, aux: PyTree[Array]) -> PyTree[Array]:
        """The hyper-states that the policy acted on: PPO's passes do not change the encoder, unless it is asked to."""
        return None if self.rl_gradient else aux["hidden"]

    def recompute(self, meta: RL2Params, trajectory: Transition) -> tuple[Array, Distribution]:
        """Hyper-states of whole trials and the policy there."""
        hidden = self.recall(meta, trajectory) if trajectory.aux is None else trajectory.aux
        return hidden, meta.distribution(hidden, trajectory.timestep)

    def learn(self, problem: Problem, state: TrainState, experience: Experience) -> tuple[TrainState, Metrics]:
        """Do PPO on hyper-states; then put the trials into the buffer, and ascend the ELBO on trials from it."""
        outer: OuterState = state.opt_state
        kept = self._keep(state.meta, experience)
        after = (experience.extra or (None, None))[0]
        bonus, novelty = self._bonus(problem, state, experience.trajectory)
        improved, metrics = self.improve(
            problem, replace(state, opt_state=outer.policy), replace(experience, extra=after), bonus
        )
        buffer = outer.buffer.add(parallel.gather(kept, groups=self.num_minibatches))
        key = jax.random.fold_in(fold_in_name(state.key, "elbo"), state.step)
        meta, elbo, decoding = self._decode(problem, improved.meta, outer.elbo, buffer, key)
        if bonus is not None:
            metrics = {**metrics, "bonus": parallel.mean(jnp.mean(jnp.sum(bonus, 0)))}
        opt_state = OuterState(improved.opt_state, elbo, buffer, novelty)
        return replace(improved, meta=meta, opt_state=opt_state), {**metrics, **parallel.mean(decoding)}

    def _keep(self, meta: RL2Params, experience: Experience) -> Kept:
        """What the buffer keeps of an update's trials."""
        trajectory = jax.tree.map(lambda x: x.squeeze(2), experience.trajectory)
        decoded = (experience.extra or (None, None))[1]
        if self.decoded_trial == "yoked":
            decoded = bare(trajectory if decoded is None else decoded)
            decoded = replace(decoded, timestep=replace(decoded.timestep, action=None, reward=None, first=None))
        features = standardized(jax.vmap(task_features)(experience.tasks), meta.task.mean[None], meta.task.std[None])
        own, asked = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), (bare(trajectory), decoded))
        return Kept(own, asked, features)

    def _decode(
        self, problem: Problem, meta: VariBADParams, opt_state: PyTree[Array], buffer: TrialBuffer, key: Key[Array, ""]
    ) -> tuple[VariBADParams, PyTree[Array], Metrics]:
        """Ascend the ELBO on trials drawn from the buffer."""
        if not self.elbo_updates:
            return meta, opt_state, {}
        number = self.elbo_updates * self.elbo_batch
        drawn = buffer.places(fold_in_name(key, "trials"), number), jax.random.split(key, number)
        if self.elbo_batch % parallel.num_devices() == 0:  # otherwise all devices do the same
            drawn = parallel.local(drawn, self.elbo_updates)
        learned, opt_state, metrics = minibatches.minibatch_epochs(
            functools.partial(self._elbo_loss, problem, meta),
            self._elbo_optimizer(),
            learned_part(meta),
            opt_state,
            (buffer.at(drawn[0]), drawn[1]),
            (0, 0),
            num_epochs=1,
            num_minibatches=self.elbo_updates,
        )
        return with_learned(meta, learned), opt_state, {name: metrics[name] for name in ("log_likelihood", "kl")}

    def _elbo_loss(self, problem: Problem, meta: VariBADParams, learned: Any, batch: Any) -> tuple[Array, Metrics]:
        """−ELBO of trials, leaves `[trial, time, ...]`, over H."""
        (kept, keys), meta = batch, with_learned(meta, learned)
        decoded = kept.trajectory if kept.decoded is None else kept.decoded
        trajectory, decoded = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), (kept.trajectory, decoded))
        valid = trajectory.valid
        if not problem.env.ends_early or trajectory.clock is not None:
            trajectory = replace(trajectory, valid=None)
        belief = meta.belief(self.recall(meta, trajectory))
        first = jnp.arange(len(belief))[:, None] == 0
        starts = jnp.broadcast_to(first, valid.shape) if trajectory.clock is None else trajectory.clock == 0
        decoded = self._steps(meta, decoded)
        return negative_elbo(self, meta.decoder, belief, starts, valid, decoded, kept.features, keys)

    def _steps(self, meta: RL2Params, trajectory: Transition) -> Steps:
        return steps_of(meta, trajectory, self.reward_likelihood)

    def _bonus(
        self, problem: Problem, state: TrainState, trajectory: Transition
    ) -> tuple[Float[Array, "time task"] | None, Novelty | None]:
        """HyperX's rewards `[time, task]`, and what is known of where the agent has been."""
        novelty: Novelty | None = state.opt_state.novelty
        if not paid(self.novelty_bonus) and not paid(self.surprise_bonus):
            return None, novelty
        trajectory = jax.tree.map(lambda x: x.squeeze(2), trajectory)
        hidden, total = trajectory.aux["hidden"], jnp.zeros_like(trajectory.reward)
        if novelty is not None:
            happened = trajectory.valid[1:] if trajectory.clock is None else trajectory.clock[1:] != 0
            reached = jnp.where(happened, novelty.bonus(hidden[1:]), 0.0)
            total = total.at[:-1].add(self.novelty_bonus * reached)
            valid = trajectory.valid if problem.env.ends_early else None
            novelty = novelty.learn(hidden, valid, num_minibatches=self.num_minibatches)
        if paid(self.surprise_bonus):
            mean = gaussian(state.meta.belief(hidden)).mean
            one_by_one = jax.tree.map(
                lambda x: x.reshape(1, -1, *x.shape[2:]), (mean, self._steps(state.meta, trajectory))
            )
            nats = -state.meta.decoder.log_likelihood(*one_by_one, jnp.zeros((mean.shape[0] * mean.shape[1], 0)))
            total = total + self.surprise_bonus * nats.reshape(total.shape)
        fading = jnp.maximum(1 - state.step / (self.bonus_share * self.num_updates), 0.0)
        return jnp.where(trajectory.valid, fading * total, 0.0), novelty

    @property
    def decodes_goals(self) -> bool:
        """Whether `goal_probabilities` has an answer."""
        return (self.decodes, self.reward_decoder, self.reward_likelihood) in DECODES_GOALS

    def beliefs(self, meta: VariBADParams, trajectory: Transition) -> Float[Array, "time *batch numbers"]:
        """What was believed before each step, as it was acted on."""
        return meta.belief(trajectory.aux["hidden"])

    def goal_probabilities(
        self, meta: VariBADParams, belief: Float[Array, "*batch numbers"], key: Key[Array, ""], num_samples: int = 64
    ) -> Float[Array, "*batch states"]:
        """E_{m ~ q} p(r > 0 | m, s') for each state s' that a step may lead to, by `num_samples` draws of m.

        Of N draws that are each sure of one of K states, the mean is (K − 1) / 2N nats from what it estimates.

        Raises:
            UseError: if rewards are not decoded so.
        """
        if not self.decodes_goals:
            raise UseError(
                "goal_probabilities: expected an agent with --reward-decoder next-state --reward-likelihood bernoulli; "
                f"found {self.reward_decoder} and {self.reward_likelihood}"
            )
        q, rewards = gaussian(belief), meta.decoder.rewards
        assert isinstance(rewards, RewardTable)
        noise = jax.random.normal(key, (num_samples, *q.mean.shape))
        latent = q.mean[None] + jnp.exp(q.log_std)[None] * noise
        return jnp.mean(jax.nn.sigmoid(rewards.table(latent)), 0)
