"""PPO trained once for all tasks, without memory: what meta-learning has to beat.

Schulman et al. 2017, "Proximal policy optimization algorithms" (arXiv 1707.06347), equation 7, on the steps of many
tasks at once: the best policy *on average over tasks*, without a memory to tell them apart. With `fine_tuning_rate` it
goes on learning in a new task, as `PPO` does from nothing. On the task-informed view of a problem
(`adaptax.problems.informed`) it is the upper reference.

Differences from the paper: those of `ppo`; where episodes have one length, rewards may be compared with what the
untrained policy earns (`normalize_rewards`).
"""

import dataclasses
import functools
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key, PyTree

from adaptax.algorithms.standard_rl import actor_critic
from adaptax.algorithms.standard_rl.actor_critic import ActorCritic, ActorCriticState, Spaces
from adaptax.algorithms.standard_rl.ppo import epochs, improve, normalized
from adaptax.algorithms.standard_rl.settings import MultiTaskPPOSettings
from adaptax.core import parallel
from adaptax.core.experience import Experience
from adaptax.core.meta_learner import MetaLearner
from adaptax.core.problem import Problem
from adaptax.core.rollout import rollout, start
from adaptax.core.splits import fold_in_name
from adaptax.core.streams import stream, trial_returns
from adaptax.core.types import AgentState, Metrics, Task, TimeStep, TrainState, Transition, Window, replace
from adaptax.optimization import minibatches as optim
from adaptax.optimization import observations
from adaptax.optimization.losses import masked_mean
from adaptax.optimization.moments import Moments, no_moments


class MultiTaskParams(eqx.Module):
    """θ.

    Attributes:
        network: Policy and value network.
        returns: Moments of the training tasks' returns.
        observed: Moments of the training's observations, entry by entry; None: they are read as they are.
        center: What rewards are compared with, the mean before the first update; None: they are taken as they are.
    """

    network: ActorCritic
    returns: Moments
    observed: Moments | None = None
    center: Float[Array, ""] | None = None

    def learner(self, opt_state: PyTree[Array]) -> ActorCriticState:
        """What reads, acts and learns."""
        return ActorCriticState(self.network, opt_state, self.returns, self.center, self.observed)


@dataclasses.dataclass(frozen=True)
class MultiTaskPPO(MultiTaskPPOSettings, MetaLearner):
    """PPO trained once for all tasks, without memory; see the module and `MultiTaskPPOSettings`."""

    fills_slots: ClassVar[bool] = True

    def init(self, problem: Problem, key: Key[Array, ""]) -> TrainState:
        """Draw networks, and look at what is seen and earned, where that is normalised."""
        spaces = Spaces.of(problem)
        network = actor_critic.build(self, spaces, key)
        meta = MultiTaskParams(network, no_moments())
        meta = self._first_look(problem, meta, fold_in_name(key, "first look"))
        return TrainState(meta, self._optimizer().init(network), jnp.asarray(0), key)

    def _first_look(self, problem: Problem, meta: MultiTaskParams, key: Key[Array, ""]) -> MultiTaskParams:
        """Take in what the untrained policy sees and earns in a few tasks."""
        space = problem.env.observation_space
        meta = replace(meta, observed=observations.unseen(space, normalize=self.normalize_observations))
        centers = self.normalize_rewards and not problem.env.ends_early
        if meta.observed is None and not centers:
            return meta
        looked = observations.look(problem, key, functools.partial(self.training_trial, problem, meta))
        center = masked_mean(looked.reward, looked.valid) if centers else None
        return replace(meta, observed=observations.take_in(meta.observed, space, looked), center=center)

    def _optimizer(self) -> optax.GradientTransformation:
        steps = self.num_updates * self.num_epochs * self.num_minibatches
        return optim.adam(self.learning_rate, steps, max_gradient_norm=self.max_gradient_norm)

    @property
    def _fine_tunes(self) -> bool:
        """Whether it goes on learning in a task; with a rate that is swept it does, if at 0 now and then."""
        return not isinstance(self.fine_tuning_rate, int | float) or self.fine_tuning_rate > 0

    def _fine_tuning(self) -> optax.GradientTransformation:
        return actor_critic.adam(self, self.fine_tuning_rate)

    def update_steps(self, problem: Problem) -> int:
        """`streams` episodes in each task; where they end early, as many as go into the same number of steps."""
        return self.num_tasks * self.streams * problem.env.horizon

    def learn(self, problem: Problem, state: TrainState, experience: Experience) -> tuple[TrainState, Metrics]:
        """Do PPO on the episodes of all tasks."""
        meta: MultiTaskParams = state.meta
        learner = meta.learner(state.opt_state)
        collected = jax.tree.map(lambda x: jnp.swapaxes(x, 1, 2), experience.trajectory)  # tasks last
        trajectory = learner.read_all(collected)

        batch = actor_critic.make_batch(self, learner, trajectory, discount=self.discount, gae_lambda=self.gae_lambda)
        returns = actor_critic.observe(learner, batch)
        learner, metrics = epochs(self, self._optimizer(), learner, returns, normalized(batch), 2)
        metrics = parallel.mean({"return": jnp.mean(trial_returns(trajectory)), **metrics})
        seen = observations.take_in(meta.observed, learner.space, collected)
        meta = MultiTaskParams(learner.network, learner.returns, seen, meta.center)
        return replace(state, meta=meta, opt_state=learner.opt_state, step=state.step + 1), metrics

    def training_trial(self, problem: Problem, meta: MultiTaskParams, task: Task, key: Key[Array, ""]) -> Transition:
        """`streams` episodes in one task, side by side, leaves `[time, env, ...]`.

        Where they end early, others follow, until as many steps are taken as the first may have lasted.
        """
        if problem.streams:
            one_episode = replace(problem, episodes=1, training_steps=None, optimum=None)
            return stream(self, one_episode, meta, task, key, num_envs=self.streams)[1]
        start_key, trial_key = jax.random.split(key)
        state = start(self, problem, meta, task, start_key, self.streams)
        return rollout(self, problem, meta, task, state, trial_key, clock=0, steps=problem.env.horizon)[1]

    def window(self, problem: Problem) -> Window:
        """Whole episodes, if it goes on learning; else the whole trial."""
        if self._fine_tunes:
            return actor_critic.window_of(self, problem)
        return Window(1, problem.trial_steps)

    def begin(self, meta: MultiTaskParams, key: Key[Array, ""]) -> AgentState:
        """Enter a task with the policy that is best on average."""
        opt_state = self._fine_tuning().init(meta.network) if self._fine_tunes else None
        return AgentState(meta.learner(opt_state), None)

    def act(
        self, meta: MultiTaskParams, agent: AgentState, timestep: TimeStep, key: Key[Array, ""], *, explore: bool
    ) -> tuple[PyTree[Array], None, Any]:
        """Sample from π, or take its mode."""
        action, aux = actor_critic.act(agent.adapted, timestep, key, explore=explore)
        return action, None, aux

    def adapt(
        self, meta: MultiTaskParams, agent: AgentState, trajectory: Transition, key: Key[Array, ""]
    ) -> AgentState:
        """Go on learning, if asked to; observations are read as training has left it."""
        if not self._fine_tunes:
            return agent
        learner: ActorCriticState = agent.adapted
        window = learner.read_all(trajectory)
        return AgentState(improve(self, self._fine_tuning(), learner, window, key), agent.memory)
