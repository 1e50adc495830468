"""Learning to explore via meta-policy gradient: a policy that collects what another learner learns from.

Xu, Liu, Zhao & Peng 2018, "Learning to explore via meta-policy gradient" (arXiv 1803.05044).

The meta-policy π_e (θ) explores a task for K episodes; a base learner φ learns from these data D alone; what that is
worth is the meta-policy's only reward:

    R(D) = return(φ after D) − return(φ before),    ∇J(θ) = E_{D ~ π_e}[ R(D) ∇ log P(D | π_e) ]

So exploring is paid for what it teaches and not for what it earns. In a new task, the frozen meta-policy explores, the
base learner learns, and then the base learner acts, by the best actions that it knows.

Differences from the paper:
    - The meta-policy is trained over a family of tasks instead of along one task's training, and may have a memory of
      the exploration (that of `adaptax.algorithms.memory.rl2`).
    - Base learners are Q-learning on a table, and REINFORCE or an actor-critic with importance weights, since the data
      are another policy's, instead of DDPG. They learn from the exploration several times.
    - R(D) is compared with the mean of other explorations of the same task, in units of its deviation over all of them.
      With `num_epochs` = 1 the step is REINFORCE's; more passes use PPO's clipping.
"""

import dataclasses
import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Int, Key, PyTree

from adaptax.algorithms.memory import rl2
from adaptax.algorithms.memory.rl2 import RL2
from adaptax.algorithms.memory.settings import MetaPolicyGradientSettings
from adaptax.algorithms.standard_rl.a2c import A2C
from adaptax.algorithms.standard_rl.reinforce import Reinforce
from adaptax.algorithms.standard_rl.temporal_difference import QLearning
from adaptax.core import parallel
from adaptax.core.composite_spaces import Encoded
from adaptax.core.experience import Experience, sample_tasks
from adaptax.core.meta_learner import MetaLearner
from adaptax.core.problem import Problem
from adaptax.core.rollout import rollout, start
from adaptax.core.types import AgentState, Metrics, Task, TimeStep, TrainState, Transition, Window, replace
from adaptax.optimization import minibatches, observations
from adaptax.optimization.losses import clipped_surrogate, masked_mean


class MetaPolicyParams(eqx.Module):
    """θ, and what the base learner is told.

    Attributes:
        explorer: The meta-policy. It has the moments of observations, if those are normalised: the base learner reads
            them as it does.
        base: What the base learner must know of the problem.
    """

    explorer: rl2.RL2Params
    base: PyTree[Array]

    def read(self, timestep: TimeStep) -> TimeStep:
        """What the base learner sees."""
        observed, space = self.explorer.observed, self.explorer.observation_space
        return replace(timestep, observation=observations.read(observed, space, timestep.observation))

    def read_all(self, trajectory: Transition) -> Transition:
        """What the base learner learns from."""
        return observations.read_all(self.explorer.observed, self.explorer.observation_space, trajectory)


class MetaPolicyAdapted(eqx.Module):
    """φ.

    Attributes:
        base: What the base learner has learned.
        explored: Whether exploration is over.
    """

    base: PyTree[Array]
    explored: Bool[Array, ""]


@dataclasses.dataclass(frozen=True)
class MetaPolicyGradient(MetaPolicyGradientSettings, MetaLearner):
    """Learning to explore via meta-policy gradient; see the module and `MetaPolicyGradientSettings`."""

    @property
    def explorer_network(self) -> RL2:
        """The meta-policy: RL²'s networks."""
        return RL2(
            memory=self.memory,
            memory_size=self.memory_size,
            memory_layers=self.memory_layers,
            memory_heads=self.memory_heads,
            memory_window=self.memory_window,
            initial_std=self.initial_std,
            critic_size=1,
            normalize_observations=self.normalize_observations,
        )

    @property
    def learner(self) -> QLearning | Reinforce | A2C:
        """The base learner."""
        if self.base == "q-learning":
            return QLearning(learning_rate=self.base_learning_rate, discount=self.base_discount)
        shared: dict[str, Any] = {
            "hidden_size": self.base_size,
            "initial_std": self.base_std,
            "streams": 1,
            "discount": self.base_discount,
            "learning_rate": self.base_learning_rate,
            "entropy_cost": self.base_entropy_cost,
            "max_ratio": self.max_ratio,
            "time_limits": "end",
        }
        return A2C(**shared) if self.base == "a2c" else Reinforce(**shared, baseline=self.base_baseline)

    def _optimizer(self) -> optax.GradientTransformation:
        steps = self.num_updates * self.num_epochs
        return minibatches.adam(self.learning_rate, steps, max_gradient_norm=self.max_gradient_norm)

    def init(self, problem: Problem, key: Key[Array, ""]) -> TrainState:
        """Build the meta-policy."""
        trial = replace(problem, episodes=self.exploration_episodes)
        explorer = self.explorer_network.init(trial, key).meta
        opt_state = self._optimizer().init(explorer.network)
        base: Any = self.learner.describe(problem)
        if explorer.observed is not None:  # no table then
            base = replace(base, observation=Encoded(base.observation))
        return TrainState(MetaPolicyParams(explorer, base), opt_state, jnp.asarray(0), key)

    def window(self, problem: Problem) -> Window:
        """K episodes, one after the other: the meta-policy may remember the first in the second."""
        return Window(1, self.exploration_episodes * problem.env.horizon)

    def update_steps(self, problem: Problem) -> int:
        """K episodes of exploration, and one each before and after learning, in every replica of every task."""
        return self.num_tasks * self.replicas * (self.exploration_episodes + 2) * problem.env.horizon

    def begin(self, meta: MetaPolicyParams, key: Key[Array, ""]) -> AgentState:
        """Enter a task: a base learner that knows nothing, an empty memory."""
        base = self.learner.begin(meta.base, key)
        memory = self.explorer_network.begin(meta.explorer, key).memory
        return AgentState(MetaPolicyAdapted(base.adapted, jnp.asarray(False)), (memory, base.memory))

    def act(
        self, meta: MetaPolicyParams, agent: AgentState, timestep: TimeStep, key: Key[Array, ""], *, explore: bool
    ) -> tuple[PyTree[Array], PyTree[Array], Any]:
        """Explore as the meta-policy does; once that is over, and if not `explore`, do the best that was learned."""
        memory, base_memory = agent.memory
        base = AgentState(agent.adapted.base, base_memory)
        known, base_memory, _ = self.learner.act(meta.base, base, meta.read(timestep), key, explore=False)
        if not explore:
            return known, (memory, base_memory), {"log_prob": jnp.zeros(())}
        action, memory, log_prob = self._explore(meta, memory, base, timestep, key)
        over = agent.adapted.explored
        action = jax.tree.map(lambda best, other: jnp.where(over, best, other), known, action)
        return action, (memory, base_memory), {"log_prob": log_prob}

    def _explore(
        self, meta: MetaPolicyParams, memory: PyTree[Array], base: AgentState, timestep: TimeStep, key: Key[Array, ""]
    ) -> tuple[PyTree[Array], PyTree[Array], Array]:
        """An exploring action, the memory after it, and the action's log-probability."""
        if self.explorer == "base":
            action, _, aux = self.learner.act(meta.base, base, meta.read(timestep), key, explore=True)
            return action, memory, jnp.zeros(()) if aux is None else aux["log_prob"]
        agent = AgentState(None, memory)
        action, memory, aux = self.explorer_network.act(meta.explorer, agent, timestep, key, explore=True)
        return action, memory, aux["log_prob"]

    def adapt(
        self, meta: MetaPolicyParams, agent: AgentState, trajectory: Transition, key: Key[Array, ""]
    ) -> AgentState:
        """The base learner learns from the exploration, several times; what comes after it is not learned from."""
        learner, window = AgentState(agent.adapted.base, None), meta.read_all(trajectory)

        def once(learner: AgentState, key: Key[Array, ""]) -> tuple[AgentState, None]:
            return self.learner.adapt(meta.base, learner, window, key), None

        learned, _ = jax.lax.scan(once, learner, jax.random.split(key, self.base_steps))
        over = agent.adapted.explored
        base = jax.tree.map(lambda new, old: jnp.where(over, old, new), learned.adapted, agent.adapted.base)
        return AgentState(MetaPolicyAdapted(base, jnp.asarray(True)), agent.memory)

    def learn(self, problem: Problem, state: TrainState, experience: Experience) -> tuple[TrainState, Metrics]:
        """Make more likely what has taught base learners more than other explorations of the same task.

        A base learner that explores by itself has no meta-policy, so nothing is learned.
        """
        meta: MetaPolicyParams = state.meta
        before, after = experience.extra["before"], experience.extra["after"]
        trajectory = jax.tree.map(lambda x: jax.lax.collapse(x, 1, 3), experience.trajectory)
        space = meta.explorer.observation_space
        seen = replace(meta.explorer, observed=observations.take_in(meta.explorer.observed, space, trajectory))
        if self.explorer == "base":
            report = self._report(trajectory, before, after)
            meta = MetaPolicyParams(seen, meta.base)
            return replace(state, meta=meta, step=state.step + 1), parallel.mean(report)
        gain = (after - before).reshape(-1, self.replicas)
        if problem.env.on_host:  # where a simulator was lost, an exploration has gained what the others have
            happened = jnp.any(trajectory.valid, 0).reshape(gain.shape)
            others = jnp.sum(jnp.where(happened, gain, 0.0), 1) / jnp.maximum(jnp.sum(happened, 1), 1)
            gain = jnp.where(happened, gain, others[:, None])
        others = (jnp.sum(gain, 1, keepdims=True) - gain) / (self.replicas - 1)
        advantage = gain - others
        spread = jnp.sqrt(parallel.mean(jnp.mean(advantage**2)))
        advantage = (advantage / jnp.maximum(spread, 1e-8)).ravel()
        log_prob = jnp.where(trajectory.valid, trajectory.aux["log_prob"], 0.0)
        trajectory = replace(trajectory, aux=None, next_observation=None)

        entropy_cost = self.entropy_cost * jnp.maximum(1 - state.step / self.num_updates, 0.0)
        network, opt_state, metrics = minibatches.minibatch_epochs(
            lambda network, batch: self._loss(meta, entropy_cost, network, batch),
            self._optimizer(),
            meta.explorer.network,
            state.opt_state,
            (trajectory, log_prob, advantage),
            (1, 1, 0),
            num_epochs=self.num_epochs,
            num_minibatches=1,
        )
        meta = MetaPolicyParams(replace(seen, network=network), meta.base)
        metrics = parallel.mean({**self._report(trajectory, before, after), **metrics})
        return replace(state, meta=meta, opt_state=opt_state, step=state.step + 1), metrics

    def collect(self, problem: Problem, state: TrainState) -> Experience:
        """Explorations of every task, side by side; and the base learners' returns before and after, task by task."""
        tasks, keys = sample_tasks(problem, state, self.num_tasks, self.num_minibatches)
        repeated = jax.tree.map(lambda x: jnp.repeat(x, self.replicas, 0), tasks)
        trial_keys = jax.vmap(lambda key: jax.random.split(key, self.replicas))(keys[:, 1]).reshape(-1)
        one = functools.partial(self._trial, problem, state.meta)
        explored, (before, tested), (after, tested_after) = jax.vmap(one, out_axes=(1, 0, 0))(repeated, trial_keys)
        explored = jax.tree.map(lambda x: x.reshape(len(x), len(keys), self.replicas, *x.shape[2:]), explored)
        tests = jnp.sum(tested + tested_after, dtype=jnp.int32)
        return Experience(tasks, explored, extra={"before": before, "after": after, "test_steps": tests})

    def steps_taken(self, experience: Experience) -> Int[Array, ""]:
        """Those of explorations, and of the episodes before and after learning from them."""
        return super().steps_taken(experience) + experience.extra["test_steps"]

    def _trial(
        self, problem: Problem, meta: MetaPolicyParams, task: Task, key: Key[Array, ""]
    ) -> tuple[Transition, tuple[Array, Array], tuple[Array, Array]]:
        """One exploration, leaves `[time, ...]`; return and steps of one episode before and after learning from it."""
        start_key, explore_key, adapt_key, test_key = jax.random.split(key, 4)
        fresh = start(self, problem, meta, task, start_key)
        steps = self.window(problem).steps
        state, explored = rollout(self, problem, meta, task, fresh, explore_key, clock=0, steps=steps)
        learned = self.adapt(meta, AgentState(state.adapted, state.memory), explored, adapt_key)

        def episode(adapted: MetaPolicyAdapted) -> tuple[tuple[Array, Array], Array | None]:
            state = replace(fresh, adapted=adapted)
            steps = problem.env.horizon
            trajectory = rollout(self, problem, meta, task, state, test_key, clock=0, steps=steps, explore=False)[1]
            earned = jnp.sum(trajectory.reward), jnp.sum(trajectory.valid, dtype=jnp.int32)
            return earned, trajectory.lost

        (before, lost_before), (after, lost_after) = episode(fresh.adapted), episode(learned.adapted)
        if explored.lost is not None and lost_before is not None and lost_after is not None:
            explored = replace(explored, lost=explored.lost | jnp.any(lost_before) | jnp.any(lost_after))
        return jax.tree.map(lambda x: x[:, 0], explored), before, after

    def _loss(self, meta: MetaPolicyParams, entropy_cost: Array, network: Any, minibatch: Any) -> tuple[Array, Metrics]:
        """Minus the surrogate of E[R(D)], and the entropy bonus."""
        trajectory, old_log_prob, advantage = minibatch
        _, policy = self.explorer_network.recompute(replace(meta.explorer, network=network), trajectory)
        action = network.policy.space.policy_action(trajectory.action)
        log_prob = jnp.where(trajectory.valid, policy.log_prob(action), 0.0)
        advantage = jnp.broadcast_to(advantage[None], log_prob.shape)
        gain = masked_mean(clipped_surrogate(log_prob, old_log_prob, advantage, self.clip), trajectory.valid)
        entropy = masked_mean(policy.entropy(), trajectory.valid)
        return -gain - entropy_cost * entropy, {"entropy": entropy, "policy_gain": gain}

    def _report(self, trajectory: Transition, before: Array, after: Array) -> Metrics:
        """Returns of one episode: after learning, before it, and while exploring."""
        explored = jnp.mean(jnp.sum(trajectory.reward, 0)) / self.exploration_episodes
        return {"return": jnp.mean(after), "return_0": jnp.mean(before), "return_explored": explored}
