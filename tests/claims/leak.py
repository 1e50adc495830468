"""Claim `leak`: that what an agent does in a task depends on nothing of the other tasks, to the last bit.

Many tasks are run by one program. All but one are swapped: nothing of the one may change, of what it has learned,
of its memory, of what it did and got. An agent that peeps at the others is caught. And an evaluation changes no θ.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from adaptax import problems
from adaptax.algorithms import A2C, DQN, MAML, PPO, RL2, MetaSGD, QLearning, Reinforce
from adaptax.core.problem import Problem
from adaptax.core.rollout import num_windows, rollout, start
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import AgentState, Task, TimeStep
from adaptax.evaluation.evaluator import evaluate
from tests.claims.checks import Check, at_least, at_most
from tests.claims.enumeration import jit
from tests.claims.leaves import differing

NUM_TASKS = 8
AXIS = "together"
"""Axis of the tasks that are run together; only an agent that peeps asks for it."""
INSTANCES = 100

MDP = functools.partial(problems.tabular_mdp, num_states=3, num_actions=2, horizon=4, num_episodes=4)
ROBOT = functools.partial(problems.point_robot, num_episodes=4, horizon=5)
NETWORK: dict[str, Any] = {"hidden_size": 4, "num_layers": 1}


@dataclasses.dataclass(frozen=True)
class Peeping(RL2):
    """RL² that reads the others' rewards instead of its own: a leak, to show that it is found."""

    def act(
        self, meta: PyTree[Array], agent: AgentState, timestep: TimeStep, key: Key[Array, ""], *, explore: bool
    ) -> tuple[PyTree[Array], PyTree[Array], Any]:
        """Act on the mean reward of all tasks."""
        try:
            reward = jax.lax.pmean(timestep.reward, AXIS)
        except NameError:  # alone, as where `init` looks at rewards
            reward = timestep.reward
        seen = dataclasses.replace(timestep, reward=reward)
        return super().act(meta, agent, seen, key, explore=explore)


SMALL: dict[str, Any] = {"memory_size": 4, "critic_size": 4, "num_tasks": 8, "num_minibatches": 2}
AGENTS: dict[str, tuple[Any, Callable[[], Problem]]] = {
    "RL², LSTM": (RL2(**SMALL), MDP),
    "RL², symmetric memory": (RL2("symmetric", **SMALL), MDP),
    "MAML": (MAML(**NETWORK, num_tasks=4, trajectories=2), ROBOT),
    "Meta-SGD": (MetaSGD(**NETWORK, num_tasks=4, trajectories=2, outer="ppo"), MDP),
    "PPO from nothing": (PPO(**NETWORK, streams=2, num_minibatches=2, num_epochs=2), ROBOT),
    "A2C from nothing": (A2C(**NETWORK, streams=2, num_steps=2), ROBOT),
    "REINFORCE from nothing": (Reinforce(**NETWORK, streams=2), MDP),
    "Q-learning": (QLearning(), MDP),
    "DQN": (DQN(hidden_size=4, buffer_size=8, batch_size=4, learning_starts=2, train_every=2), MDP),
}
"""One of each way to learn within a task."""


def trial(algorithm: Any, problem: Problem, meta: PyTree[Array], task: Task, key: Key[Array, ""]) -> PyTree[Array]:
    """All that there is at the end of a trial: φ, memory, and what happened."""
    window = algorithm.window(problem)
    windows = num_windows(algorithm, problem)
    first = start(algorithm, problem, meta, task, key, window.num_envs)

    def one(trial: Any, index: Array) -> tuple[Any, Any]:
        step_key, adapt_key = jax.random.split(jax.random.fold_in(key, index))
        clock = index * window.steps
        trial, trajectory = rollout(algorithm, problem, meta, task, trial, step_key, clock=clock, steps=window.steps)
        agent = algorithm.adapt(meta, AgentState(trial.adapted, trial.memory), trajectory, adapt_key)
        return dataclasses.replace(trial, adapted=agent.adapted, memory=agent.memory), (
            trajectory.action,
            trajectory.reward,
        )

    last, happened = jax.lax.scan(one, first, jnp.arange(windows))
    return last.adapted, last.memory, happened


def count_leaks(algorithm: Any, problem: Problem, n: int, key: Key[Array, ""]) -> tuple[int, int]:
    """How often something of the task kept has changed, and how often nothing of the others has; of `n`."""
    together = jax.vmap(
        functools.partial(trial, algorithm, problem), in_axes=(None, 0, 0), axis_name=AXIS
    )  # an axis that has a name, so that there is something to peep through

    @jit
    def instance(key: Key[Array, ""]) -> tuple[Array, Array]:
        meta_key, one_key, other_key, kept_key = jax.random.split(key, 4)
        meta = algorithm.init(problem, meta_key).meta
        kept = jax.random.randint(kept_key, (), 0, NUM_TASKS)
        drawn = [jax.random.split(k, (2, NUM_TASKS)) for k in (one_key, other_key)]
        tasks = [jax.vmap(problem.train.sample)(keys[0]) for keys in drawn]
        put = lambda own, other: other.at[kept].set(own[kept])  # noqa: E731
        swapped = jax.tree.map(put, *tasks), put(drawn[0][1], drawn[1][1])
        # One after the other in one loop: the same compiled program twice, so that nothing may differ by a bit.
        both = jax.tree.map(lambda *x: jnp.stack(x), (tasks[0], drawn[0][1]), swapped)
        first, second = (
            jax.tree.map(lambda x, i=i: x[i], jax.lax.map(lambda now: together(meta, *now), both)) for i in (0, 1)
        )
        different = jax.tree.map(lambda a, b: (a != b).reshape(NUM_TASKS, -1).any(1), first, second)
        changed = functools.reduce(jnp.logical_or, jax.tree.leaves(different))
        return changed[kept], jnp.all(jnp.where(jnp.arange(NUM_TASKS) == kept, True, changed))

    found = [instance(jax.random.fold_in(key, index)) for index in range(n)]
    return sum(bool(kept) for kept, _ in found), sum(not bool(others) for _, others in found)


def check_isolation(n: int, key: Key[Array, ""], agents: dict[str, Any] = AGENTS) -> Iterator[Check]:
    """Every way of learning."""
    for name, (algorithm, make) in agents.items():
        leaks, dull = count_leaks(algorithm, make(), n, key)
        yield at_most(f"{name}: something of a task changes with the others", leaks, 0, f"of {n}, bitwise")
        yield at_most("  swapping them changes nothing in one of those swapped", dull, 0)
    leaks, _ = count_leaks(Peeping(**SMALL), MDP(), min(n, 10), key)
    yield at_least("an agent that peeps at the others: share of swaps in which it is caught", leaks / min(n, 10), 1)


def check_evaluation(key: Key[Array, ""]) -> Iterator[Check]:
    """θ is the same before and after."""
    changed = 0
    chosen = ("RL², LSTM", "MAML", "PPO from nothing")
    for name in chosen:
        algorithm, make = AGENTS[name]
        problem = make()
        meta = jit(lambda key, a=algorithm, p=problem: a.init(p, key).meta)(key)
        before = jax.tree.map(jnp.copy, meta)
        evaluate(TrainedAgent(algorithm, problem, meta), num_tasks=16)
        changed += differing(before, meta)
    yield at_most("leaves of θ that an evaluation changes", changed, 0, f"{', '.join(chosen)}; bitwise")


def run(seed: int, n: int) -> Iterator[Check]:
    """Swap tasks.

    Args:
        seed: Decides agents and tasks.
        n: From 50 on, other tasks are swapped 100 times; below, twice `n` times.
    """
    key = jax.random.key(seed)
    yield from check_isolation(min(2 * n, INSTANCES), key)
    yield from check_evaluation(key)
