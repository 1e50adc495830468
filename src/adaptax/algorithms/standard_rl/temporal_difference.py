"""Tabular learners of action values, from nothing on every task.

Q-learning (Watkins & Dayan 1992, "Q-learning"):

    Q(s, a) ← Q(s, a) + α (r + γ max_a' Q(s', a') − Q(s, a))

SARSA (Rummery & Niranjan 1994; Sutton & Barto 2018, section 6.4), with the action a' that is taken next:

    Q(s, a) ← Q(s, a) + α (r + γ Q(s', a') − Q(s, a))

Actions are ε-greedy; ε falls linearly over episodes. `adapt` learns from every step as it happens, and from any other
window of experience too: environment after environment, step after step (of whole episodes, if there are several).

Differences from the papers:
    - With `knows_time`, there is a table for every step of an episode: tasks of a fixed length have optimal policies
      that depend on the time left, and only then does learning converge to them.
    - SARSA learns from a step when the next action is known. A time limit leaves none: there it takes the expectation
      over ε-greedy actions (van Seijen et al. 2009), or nothing with `knows_time`.
"""

import abc
import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from adaptax.algorithms.classical.bandit_agents import random_best
from adaptax.algorithms.standard_rl.settings import QLearningSettings, SARSASettings, TemporalDifferenceSettings
from adaptax.core.algorithm import FromScratch
from adaptax.core.errors import UseError
from adaptax.core.problem import Problem
from adaptax.core.spaces import Box, Discrete
from adaptax.core.types import AgentState, TimeStep, Transition, Window


class TableSizes(eqx.Module):
    """What a tabular learner is told of a problem.

    Attributes:
        times: H if there are values for every step of an episode, else 1.
        states: S; 1 where there is nothing to see.
        actions: A.
    """

    times: int = eqx.field(static=True)
    states: int = eqx.field(static=True)
    actions: int = eqx.field(static=True)


class Step(eqx.Module):
    """A step to learn from.

    Attributes:
        index: Time, state and action.
        reward: What it brought.
        waiting: Whether it happened, and was not learned from.
    """

    index: Int[Array, "3"]
    reward: Float[Array, ""]
    waiting: Bool[Array, ""]


class Table(eqx.Module):
    """What was learned.

    Attributes:
        quality: Q, by time, state and action.
        visits: How often each was learned from.
        episodes: Episodes over.
        clock: Steps since this episode began.
        pending: SARSA's last step.
    """

    quality: Float[Array, "times states actions"]
    visits: Int[Array, "times states actions"]
    episodes: Int[Array, ""]
    clock: Int[Array, ""]
    pending: Step


def state_index(timestep_observation: Array) -> Int[Array, "..."]:
    """The state's row in the table; 0 where there is nothing to see."""
    if timestep_observation.dtype == jnp.int32:
        return timestep_observation
    return jnp.zeros(timestep_observation.shape[:-1], jnp.int32)


@dataclasses.dataclass(frozen=True)
class TemporalDifference(TemporalDifferenceSettings, FromScratch):
    """A table of action values, ε-greedy actions; a final class says what a step teaches."""

    @abc.abstractmethod
    def learn(self, table: Table, step: Step, transition: Transition, ended: Bool[Array, ""]) -> Table:
        """Learn from one step, if it is `waiting` to be learned from; `ended`: nothing comes after it."""

    def describe(self, problem: Problem) -> TableSizes:
        """The table's sizes.

        Raises:
            UseError: if states or actions cannot be counted.
        """
        states, actions = problem.env.observation_space, problem.env.action_space
        nothing = isinstance(states, Box) and states.encoded_size == 0
        if not (isinstance(states, Discrete) or nothing) or not isinstance(actions, Discrete):
            raise UseError(
                f"{type(self).__name__}: expected Discrete spaces of observations and actions, got {states!r} and "
                f"{actions!r}"
            )
        num_states = states.num if isinstance(states, Discrete) else 1
        return TableSizes(problem.env.horizon if self.knows_time else 1, num_states, actions.num)

    def window(self, problem: Problem) -> Window:
        """One step."""
        return Window(num_envs=1, steps=1)

    def begin(self, meta: TableSizes, key: Key[Array, ""]) -> AgentState:
        """Know nothing."""
        shape, zero = (meta.times, meta.states, meta.actions), jnp.asarray(0, jnp.int32)
        pending = Step(jnp.zeros(3, jnp.int32), jnp.zeros(()), jnp.asarray(False))
        quality = jnp.full(shape, self.initial_value, jnp.float32)
        return AgentState(Table(quality, jnp.zeros(shape, jnp.int32), zero, zero, pending), zero)

    def epsilon_after(self, episodes: Int[Array, ""]) -> Float[Array, ""]:
        """ε after a number of episodes."""
        share = jnp.minimum(episodes / self.epsilon_episodes, 1.0)
        return self.epsilon + (self.final_epsilon - self.epsilon) * share

    def act(
        self, meta: TableSizes, agent: AgentState, timestep: TimeStep, key: Key[Array, ""], *, explore: bool
    ) -> tuple[Int[Array, ""], Int[Array, ""], None]:
        """The best action known; with probability ε, if exploring, any."""
        explore_key, random_key, tie_key = jax.random.split(key, 3)
        clock = jnp.where(timestep.first, 0, agent.memory + 1)
        table: Table = agent.adapted
        quality = table.quality[jnp.minimum(clock, meta.times - 1), state_index(timestep.observation)]
        if not explore:
            return jnp.argmax(quality).astype(jnp.int32), clock, None
        anything = jax.random.randint(random_key, (), 0, meta.actions)
        curious = jax.random.uniform(explore_key) < self.epsilon_after(table.episodes)
        return jnp.where(curious, anything, random_best(quality, tie_key)), clock, None

    def adapt(self, meta: TableSizes, agent: AgentState, trajectory: Transition, key: Key[Array, ""]) -> AgentState:
        """Learn from steps `[time, env]`, environment after environment."""
        in_order = jax.tree.map(lambda x: jax.lax.collapse(jnp.swapaxes(x, 0, 1), 0, 2), trajectory)

        learned, _ = jax.lax.scan(lambda table, step: (self._take_in(table, step), None), agent.adapted, in_order)
        return AgentState(learned, agent.memory)

    def _take_in(self, table: Table, transition: Transition) -> Table:
        """Learn from a step, if it happened, and keep count of time."""
        happened = transition.valid
        time = jnp.minimum(table.clock, table.quality.shape[0] - 1)
        index = jnp.stack([time, state_index(transition.timestep.observation), transition.action])
        over = transition.terminated | transition.truncated
        ended = over if self.knows_time else transition.terminated
        table = self.learn(table, Step(index, transition.reward, happened), transition, ended)
        clock = jnp.where(over, 0, table.clock + happened.astype(jnp.int32))
        return Table(table.quality, table.visits, table.episodes + over.astype(jnp.int32), clock, table.pending)

    def after(self, table: Table, index: Int[Array, "3"], transition: Transition) -> Float[Array, " actions"]:
        """Q of all actions in the state that a step has led to."""
        time = jnp.minimum(index[0] + 1, table.quality.shape[0] - 1)
        return table.quality[time, state_index(transition.next_observation)]

    def towards(
        self, table: Table, step: Step, value: Float[Array, ""], ended: Bool[Array, ""], happens: Bool[Array, ""]
    ) -> Table:
        """Q ← Q + α (r + γ value − Q) at a step, if it `happens`."""
        t, s, a = step.index
        visits = table.visits[t, s, a] + 1
        rate = self.learning_rate / visits.astype(jnp.float32) ** self.rate_decay
        target = step.reward + self.discount * jnp.where(ended, 0.0, value)
        error = jnp.where(happens, target - table.quality[t, s, a], 0.0)
        return Table(
            table.quality.at[t, s, a].add(rate * error),
            table.visits.at[t, s, a].add(happens.astype(jnp.int32)),
            table.episodes,
            table.clock,
            table.pending,
        )


@dataclasses.dataclass(frozen=True)
class QLearning(QLearningSettings, TemporalDifference):
    """Q-learning on a table; see the module and `QLearningSettings`."""

    def learn(self, table: Table, step: Step, transition: Transition, ended: Bool[Array, ""]) -> Table:
        """Towards the best that can come after."""
        return self.towards(table, step, jnp.max(self.after(table, step.index, transition)), ended, step.waiting)


@dataclasses.dataclass(frozen=True)
class SARSA(SARSASettings, TemporalDifference):
    """SARSA on a table; see the module and `SARSASettings`."""

    def learn(self, table: Table, step: Step, transition: Transition, ended: Bool[Array, ""]) -> Table:
        """The step before, towards the action of this one; this one too, if no action will come after it."""
        t, s, a = step.index
        pending = table.pending.waiting & step.waiting
        table = self.towards(table, table.pending, table.quality[t, s, a], jnp.asarray(False), pending)
        over = transition.terminated | transition.truncated
        after, epsilon = self.after(table, step.index, transition), self.epsilon_after(table.episodes)
        expected = (1 - epsilon) * jnp.max(after) + epsilon * jnp.mean(after)
        table = self.towards(table, step, expected, ended, over)
        newest = Step(step.index, step.reward, ~over)
        newest = jax.tree.map(lambda new, old: jnp.where(step.waiting, new, old), newest, table.pending)
        return Table(table.quality, table.visits, table.episodes, table.clock, newest)
