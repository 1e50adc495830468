"""`python -m tests.claims memory`: that RL² remembers what it must, forgets what it must, and learns from what it saw.

recompute  what the learner computes for a trial is what acting has computed (trap E9)
trial      memory, previous action and reward are fresh when a trial begins, and kept from episode to episode (E8, E12)
cue        a task that only memory over episodes solves: by hand, exactly
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from adaptax import problems as envs
from adaptax.algorithms import RL2, Random
from adaptax.core.algorithm import FromScratch
from adaptax.core.problem import Problem
from adaptax.core.rollout import collect, rollout, start
from adaptax.core.types import AgentState, TimeStep, replace
from adaptax.problems.cues import CueTask, cue
from adaptax.registry.registry import NATIVE_PROBLEMS, build
from tests.claims.checks import Check, at_least, at_most
from tests.claims.enumeration import jit

CELLS = ("lstm", "gru", "symmetric")
NUM_TASKS = 4
SMALL: dict[str, Any] = {"memory_size": 6, "critic_size": 4, "num_tasks": NUM_TASKS, "num_minibatches": 2}
WHERE: dict[str, Any] = {
    "bandit": functools.partial(envs.bernoulli_bandit, num_arms=3, num_pulls=12),
    "tabular-mdp": functools.partial(envs.tabular_mdp, num_states=3, num_actions=2, horizon=4, num_episodes=3),
    "cart-pole": functools.partial(envs.cart_pole, num_episodes=2, horizon=30, variation=0.5),
}
"""Without observations, with several episodes, and with episodes that end early."""


def random_meta(algorithm: RL2, problem: Problem, key: Key[Array, ""]) -> Any:
    """θ with weights of order one: fresh networks hardly react to their inputs."""
    meta = algorithm.init(problem, key).meta
    leaves, structure = jax.tree.flatten(meta.network)
    keys = jax.random.split(jax.random.fold_in(key, 1), len(leaves))
    noisy = [x + 0.5 * jax.random.normal(k, x.shape) for x, k in zip(leaves, keys, strict=True)]
    return replace(meta, network=jax.tree.unflatten(structure, noisy))


def recomputation_gap(algorithm: RL2, problem: Problem, key: Key[Array, ""]) -> Float[Array, ""]:
    """Largest difference between what was put aside while acting and what the learner computes again."""
    meta_key, task_key, trial_key = jax.random.split(key, 3)
    meta = random_meta(algorithm, problem, meta_key)
    tasks = jax.vmap(problem.train.sample)(jax.random.split(task_key, NUM_TASKS))
    trajectory = collect(algorithm, problem, meta, tasks, jax.random.split(trial_key, NUM_TASKS))
    trajectory = jax.tree.map(lambda x: x.squeeze(2), trajectory)
    hidden, policy = algorithm.recompute(meta, trajectory)
    log_prob = policy.log_prob(meta.network.policy.space.policy_action(trajectory.action))
    gaps = jnp.abs(hidden - trajectory.aux["hidden"]).max(-1), jnp.abs(log_prob - trajectory.aux["log_prob"])
    return jnp.max(jnp.stack([jnp.max(jnp.where(trajectory.valid, gap, 0.0)) for gap in gaps]))


def check_recomputation(n: int, key: Key[Array, ""]) -> Iterator[Check]:
    """Acting and learning agree."""
    for cell in CELLS:
        for name, make in WHERE.items():
            if cell == "symmetric" and name == "cart-pole":  # its states are not discrete
                continue
            algorithm, problem = RL2(**{**SMALL, "memory": cell}), make()
            gap = jit(lambda key, a=algorithm, p=problem: recomputation_gap(a, p, key))
            gaps = [float(gap(jax.random.fold_in(key, index))) for index in range(n)]
            yield at_most(f"{cell} on {name}: recomputed against acted", max(gaps), 1e-5, f"{n} random networks")


def boundary(algorithm: RL2, problem: Problem, key: Key[Array, ""]) -> tuple[Array, Array, Array]:
    """Entries of memory that differ from a fresh one at the start, and after an episode; those that an end changes."""
    meta = random_meta(algorithm, problem, key)
    task = problem.train.sample(jax.random.fold_in(key, 2))
    fresh = algorithm.begin(meta, key).memory
    trial = start(algorithm, problem, meta, task, key)
    steps = problem.env.horizon
    after, _ = rollout(algorithm, problem, meta, task, trial, key, clock=0, steps=steps)
    # The same last step where the episode goes on: its end must not touch the memory.
    on, _ = rollout(
        algorithm,
        WHERE["tabular-mdp"](horizon=steps + 1),
        meta,
        task,
        trial,
        key,
        clock=0,
        steps=steps,
    )
    differ = lambda a, b: jnp.sum(  # noqa: E731
        jnp.stack([jnp.sum(x != y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)])
    )
    one = lambda memory: jax.tree.map(lambda x: x[0], memory)  # noqa: E731
    return differ(one(trial.memory), fresh), differ(one(after.memory), fresh), differ(after.memory, on.memory)


def check_boundaries(n: int, key: Key[Array, ""]) -> Iterator[Check]:
    """Fresh for a trial, kept over episodes."""
    problem = WHERE["tabular-mdp"]()
    stale, kept, touched = 0, True, 0
    for cell in CELLS:
        found = jit(lambda key, cell=cell: boundary(RL2(**{**SMALL, "memory": cell}), problem, key))
        for index in range(n):
            at_start, after, changed = found(jax.random.fold_in(key, index))
            stale, kept, touched = stale + int(at_start), kept and bool(after), touched + int(changed)
    note = f"{', '.join(CELLS)}; {n} networks each"
    yield at_most("entries of memory that are not fresh when a trial begins", stale, 0, note)
    yield at_least("whether an episode leaves something in it", int(kept), 1)
    yield at_most("entries that the end of an episode changes", touched, 0, "bitwise")


def check_first_inputs(key: Key[Array, ""]) -> Iterator[Check]:
    """Nothing of an earlier trial comes with the first observation of the next, and all of an earlier episode does."""
    wrong, lost = 0, 0
    for entry in NATIVE_PROBLEMS.values():
        problem, agent = build(entry, entry.settings() if entry.settings else None), Random()
        task = problem.train.sample(key)
        meta, horizon = agent.describe(problem), problem.env.horizon
        trial = start(agent, problem, meta, task, key)
        first: TimeStep = jax.tree.map(lambda x: x[0], trial.timestep)
        wrong += int(jnp.sum(problem.env.action_space.encode(first.action) != 0)) + int(first.reward != 0)
        wrong += int(~first.first)
        go = jit(
            lambda trial, key, p=problem, t=task, m=meta, a=agent, h=horizon: rollout(
                a, p, m, t, trial, key, clock=0, steps=h
            )
        )
        after, trajectory = go(trial, key)
        last = int(np.flatnonzero(np.asarray(trajectory.valid)[:, 0])[-1])
        lost += int(jnp.any(after.timestep.action[0] != trajectory.action[last, 0]))
        lost += int(after.timestep.reward[0] != trajectory.reward[last, 0]) + int(~after.timestep.first[0])
    note = f"on all {len(NATIVE_PROBLEMS)} problems"
    yield at_most("previous actions and rewards at the start of a trial that are not 0", wrong, 0, note)
    yield at_most("  and at the start of the next episode that are not the last ones", lost, 0, note)


@dataclasses.dataclass(frozen=True)
class Remember(FromScratch):
    """Answers with the last cue seen, with 0 before the first; forgets at episode starts if `forgetful`.

    Attributes:
        num_cues: How many cues there are.
        forgetful: Whether memory is reset with each episode, as it must not be.
    """

    num_cues: int
    forgetful: bool = False

    def describe(self, problem: Problem) -> None:
        """Nothing."""

    def begin(self, meta: PyTree[Array], key: Key[Array, ""]) -> AgentState:
        """No cue yet."""
        return AgentState(None, jnp.asarray(0, jnp.int32))

    def act(
        self, meta: PyTree[Array], agent: AgentState, timestep: TimeStep, key: Key[Array, ""], *, explore: bool
    ) -> tuple[PyTree[Array], PyTree[Array], Any]:
        """Answer, or take down the cue."""
        seen = timestep.observation < self.num_cues
        remembered = jnp.where(timestep.first & self.forgetful, 0, agent.memory)
        return jnp.where(seen, 0, remembered), jnp.where(seen, timestep.observation, remembered), None


def cue_returns(agent: Any, num_cues: int, num_episodes: int) -> Float[np.ndarray, "cue episode"]:
    """Return of every episode `[cue, episode]`, one trial for each cue."""
    problem = cue(num_cues, num_episodes)
    keys = jax.random.split(jax.random.key(0), num_cues)
    tasks = CueTask(jnp.arange(num_cues, dtype=jnp.int32))
    rewards = np.asarray(collect(agent, problem, None, tasks, keys).reward)[..., 0]
    return rewards.reshape(num_episodes, 2, num_cues).sum(1).T


def check_cue() -> Iterator[Check]:
    """Memory over episodes attains the optimum; memory of one episode is exactly chance."""
    for num_cues in (2, 5):
        optimum = np.asarray(cue(num_cues, 3).optimum)
        kept = cue_returns(Remember(num_cues), num_cues, 3).mean(0)
        forgotten = cue_returns(Remember(num_cues, forgetful=True), num_cues, 3).mean(0)
        gap = np.abs(kept - optimum).max()
        yield at_most(f"{num_cues} cues: memory over episodes below the optimum", gap, 1e-6)
        yield at_most("  memory of one episode away from chance", np.abs(forgotten - 1 / num_cues).max(), 1e-6)


def run(seed: int, n: int) -> Iterator[Check]:
    """Remember.

    Args:
        seed: Decides networks and tasks.
        n: Networks of random weights of each kind.
    """
    key = jax.random.key(seed)
    yield from check_recomputation(n, key)
    yield from check_boundaries(n, key)
    yield from check_first_inputs(key)
    yield from check_cue()
