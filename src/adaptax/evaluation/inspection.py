"""What an agent's memory knows of the task that it is in, and after how many episodes.

The agent lives one trial in each of many tasks. At its start and after episodes its memory is read as one vector, with
the last reward taken in. Then (`adaptax.evaluation.linear_probes`)

- the task's features are **decoded** from it, linearly: fitted on training tasks, scored by R² on held-out tasks. Where
  the family is finite, the same regression on one-hot vectors names the task;
- **distances** between tasks are compared with those between memories;
- **principal components** of all memories together are there to look at.

Before the first episode there is nothing to decode, and R² is 0 up to the luck of the tasks. A decoder is told nothing
but the memory, so none, linear or not, has a higher R² than the mean of the posterior, but for noise. A low R² is no
proof of ignorance: what is there may not be linear, and what does not matter for acting need not be remembered.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from adaptax.core.algorithm import Algorithm
from adaptax.core.errors import ConfigError
from adaptax.core.problem import Problem, task_features
from adaptax.core.rollout import Life, rollout, start
from adaptax.core.types import AgentState, Task
from adaptax.evaluation.evaluator import CHUNK, learns_from_windows, sample_tasks
from adaptax.evaluation.linear_probes import (
    FLAT,
    Curve,
    curve_of,
    draws,
    fit_decoder,
    principal_components,
    r_squared,
    similarity_of,
)

MOST_RECORDED = 20
"""So many times a memory is read in a trial, at most, besides the start."""
MOST_FEATURES = 24
"""Families with more features are reported leaf by leaf of their tasks."""
MOST_COMPARED = 500
"""Held-out tasks that are compared in pairs."""


@dataclasses.dataclass(frozen=True)
class Features:
    """Tasks as numbers; what is the same in all of them is left out.

    Attributes:
        names: Of the features, such as `probabilities[3]`.
        leaves: Leaf of the task that each is from, such as `probabilities`.
        train: Of the training tasks, `[task, feature]`.
        test: Of the held-out tasks.
    """

    names: list[str]
    leaves: list[str]
    train: np.ndarray
    test: np.ndarray

    def parts(self) -> dict[str, list[int]]:
        """The columns to report apart: each feature, or each leaf if they are many."""
        keys = self.names if len(self.names) <= MOST_FEATURES else self.leaves
        return {key: [i for i, other in enumerate(keys) if other == key] for key in dict.fromkeys(keys)}


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes:
        episodes: After how many episodes memories were read, the first 0.
        pooled: R² of all features together, 1 − Σ squared errors / Σ squares about the mean: each feature counts by its
            variance.
        parts: R² by feature, or by leaf of the task where features are many.
        accuracy: Share of held-out tasks that are named rightly; None unless the family is finite and they occur in
            training.
        chance: The same share for always naming the task that was the most frequent in training.
        similarity: Rank correlation between distances of tasks, in deviations of their features, and distances of
            memories. It says little where features are names rather than amounts.
        points: The memories' first two principal components, `[episode, task, 2]`.
        explained: Share of their variance that each of the two holds.
        shown: Name of what colours the points: the feature that is decoded best at the end, or "task".
        colours: Its value in each held-out task; in a finite family the number of the task's label.
        labels: What the tasks of a finite family are called; None in others.
        memory_size: Length of a memory.
    """

    episodes: tuple[int, ...]
    pooled: Curve
    parts: Mapping[str, Curve]
    accuracy: Curve | None
    chance: float | None
    similarity: Curve
    points: np.ndarray
    explained: tuple[float, float]
    shown: str
    colours: np.ndarray
    labels: tuple[str, ...] | None
    memory_size: int

    def to_json(self) -> dict[str, Any]:
        """As `adaptax inspect --json` prints it, without the points."""
        return {
            "episodes": list(self.episodes),
            "r2": {"pooled": self.pooled.to_json(), **{name: curve.to_json() for name, curve in self.parts.items()}},
            "accuracy": None if self.accuracy is None else {**self.accuracy.to_json(), "chance": self.chance},
            "distance_correlation": self.similarity.to_json(),
            "principal_components": {"explained": list(self.explained), "coloured_by": self.shown},
            "memory_size": self.memory_size,
        }


def recorded_episodes(total: int) -> tuple[int, ...]:
    """After how many of `total` episodes to read the memory: all, or up to `MOST_RECORDED` that get sparser."""
    if total <= MOST_RECORDED:
        return tuple(range(total + 1))
    return (0, *np.unique(np.round(np.geomspace(1, total, MOST_RECORDED)).astype(int)).tolist())


def memory_vector(memory: PyTree[Array]) -> Float[Array, " size"]:
    """The floats of a memory as one vector; counters and keys in it are no representation."""
    floats = [x.ravel() for x in jax.tree.leaves(memory) if jnp.issubdtype(x.dtype, jnp.floating)]
    return jnp.concatenate([jnp.zeros(0), *(x.astype(jnp.float32) for x in floats)])


def check_remembers(algorithm: Algorithm, problem: Problem, meta: PyTree[Array]) -> None:
    """Check that the agent's knowledge of a task is in its memory, and that the memory is made of floats.

    Raises:
        ConfigError: if it is not; says which agents have one.
    """
    if learns_from_windows(algorithm, problem):
        found = "learns by changing parameters between windows of experience, not by remembering"
    elif not jax.eval_shape(lambda key: memory_vector(algorithm.begin(meta, key).memory), jax.random.key(0)).size:
        found = "has no memory of floating-point numbers"
    else:
        return
    raise ConfigError(
        "inspect: expected an agent that learns by remembering, as rl2 with --memory lstm, gru or symmetric; found "
        f"{type(algorithm).__name__}, which {found}. `adaptax evaluate` shows how its return changes with experience"
    )


def states_of_life(
    algorithm: Algorithm,
    problem: Problem,
    meta: PyTree[Array],
    task: Task,
    key: Key[Array, ""],
    *,
    episodes: tuple[int, ...],
    explore: bool,
) -> Float[Array, "episode size"]:
    """Live a trial and read the memory after `episodes` of it (the first 0, the last all).

    To take in an episode's last reward, the agent is asked for its next action. The action is thrown away, and the life
    goes on with the memory as it was.
    """
    start_key, live_key, ask_key = jax.random.split(key, 3)

    def known(life: Life) -> Float[Array, " size"]:
        memory, timestep = jax.tree.map(lambda x: x[0], (life.memory, life.timestep))
        return memory_vector(
            algorithm.act(meta, AgentState(life.adapted, memory), timestep, ask_key, explore=explore)[1]
        )

    def one_episode(carry: tuple[Life, Array], now: tuple[Array, Array]) -> tuple[tuple[Life, Array], None]:
        (life, states), (index, place) = carry, now
        steps = problem.env.horizon
        life, _ = rollout(
            algorithm, problem, meta, task, life, jax.random.fold_in(live_key, index),
            clock=index * steps, steps=steps, explore=explore,
        )  # fmt: skip
        return (life, jax.lax.dynamic_update_index_in_dim(states, known(life), place, 0)), None

    life = start(algorithm, problem, meta, task, start_key)
    first = known(life)
    states = jnp.zeros((len(episodes), first.size)).at[0].set(first)
    # What is not to be kept is written where the next one that is will overwrite it.
    indices = np.arange(problem.episodes, dtype=np.int32)
    places = np.searchsorted(episodes, indices + 1).astype(np.int32)
    return jax.lax.scan(one_episode, (life, states), (jnp.asarray(indices), jnp.asarray(places)))[0][1]


def record(
    algorithm: Algorithm,
    problem: Problem,
    meta: PyTree[Array],
    tasks: Task,
    keys: Key[Array, " task"],
    *,
    episodes: tuple[int, ...],
    explore: bool = False,
    on_progress: Callable[[int], None] = lambda done: None,
) -> np.ndarray:
    """Read the memory in all `tasks` (leaves `[task, ...]`); return `[episode, task, size]`."""

    @jax.jit
    def live(meta: PyTree[Array], tasks: Task, keys: Key[Array, " task"]) -> Float[Array, "episode task size"]:
        one = lambda task, key: states_of_life(  # noqa: E731
            algorithm, problem, meta, task, key, episodes=episodes, explore=explore
        )
        return jax.vmap(one, out_axes=1)(tasks, keys)

    num_tasks, parts = len(keys), []
    chunk = min(CHUNK, num_tasks)
    for begin in range(0, num_tasks, chunk):
        # The last chunk is filled up with repetitions, so that one compiled program serves all.
        indices = np.arange(begin, begin + chunk) % num_tasks
        use = min(chunk, num_tasks - begin)
        parts.append(np.asarray(live(meta, jax.tree.map(lambda x: x[indices], tasks), keys[indices]))[:, :use])  # noqa: B023
        on_progress(begin + use)
    return np.concatenate(parts, 1)


def features_of(train: Task, test: Task) -> Features:
    """Features of training and held-out tasks, leaves `[task, ...]`, without what is the same in all of them."""
    names, leaves = [], []
    for path, leaf in jax.tree_util.tree_flatten_with_path(train)[0]:
        stem = jax.tree_util.keystr(path, simple=True, separator=".") or "task"
        for index in np.ndindex(leaf.shape[1:]):
            leaves.append(stem)
            names.append(stem + (f"[{','.join(map(str, index))}]" if index else ""))
    columns = [np.asarray(jax.vmap(task_features)(tasks)) for tasks in (train, test)]
    # Without the marks of the splits: in a finite family, tasks of two splits are to be equal.
    columns = [(x.view(np.int32) & ~3).view(np.float32).astype(np.float64) for x in columns]
    varies = [i for i in range(len(names)) if all(np.ptp(x[:, i]) > FLAT * np.abs(x[:, i]).max() for x in columns)]
    return Features([names[i] for i in varies], [leaves[i] for i in varies], *(x[:, varies] for x in columns))


@dataclasses.dataclass(frozen=True)
class Names:
    """What the tasks of a finite family are called.

    Attributes:
        labels: By number: the task's features as text.
        train: Number of each training task, `[task]`.
        test: Number of each held-out task.
    """

    labels: tuple[str, ...]
    train: np.ndarray
    test: np.ndarray


def names_of(features: Features) -> Names:
    """Number the different tasks that there are."""
    different, numbers = np.unique(np.concatenate([features.train, features.test]), axis=0, return_inverse=True)
    labels = tuple(", ".join(f"{x:.4g}" for x in row) for row in different)
    train, test = np.split(numbers.ravel(), [len(features.train)])
    return Names(labels, train, test)


def accuracy_of(names: Names, train: np.ndarray, test: np.ndarray) -> tuple[Curve, float] | None:
    """How often held-out tasks are named rightly from memories `[episode, task, size]`, and by chance.

    None if no held-out task occurs in training: its name cannot be known.
    """
    if not np.isin(names.test, names.train).any():
        return None
    counts = draws(len(names.test))
    one_hot = np.eye(len(names.labels))[names.train]
    named = [np.argmax(fit_decoder(x, one_hot, shared=True)(y), 1) for x, y in zip(train, test, strict=True)]
    figures = [(guess == names.test) @ counts / len(names.test) for guess in named]
    usual = np.argmax(np.bincount(names.train))
    return curve_of(np.stack(figures)), float(np.mean(names.test == usual))


def inspect_memory(
    algorithm: Algorithm,
    problem: Problem,
    meta: PyTree[Array],
    *,
    num_tasks: int,
    seed: int = 0,
    explore: bool = False,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Inspection:
    """Find out what the memory of `algorithm` with meta-parameters `meta` knows of the task.

    Args:
        algorithm: The agent.
        problem: Whose tasks.
        meta: θ, of one training seed.
        num_tasks: Number of held-out tasks, the ones that `evaluate` has with this number and seed, and of training
            tasks to fit decoders on.
        seed: Decides the tasks and all randomness.
        explore: Whether to act as in training instead of by the best action known.
        on_progress: Called with the number of trials lived so far, 2 × `num_tasks` in the end.

    Raises:
        ConfigError: if the agent has no memory to look into, or all tasks are alike.
    """
    check_remembers(algorithm, problem, meta)
    task_key, life_key = jax.random.split(jax.random.key(seed))
    test = sample_tasks(problem.test, num_tasks, task_key)
    train = sample_tasks(problem.train, num_tasks, jax.random.fold_in(task_key, 1))
    features = features_of(train, test)
    if not features.names:
        raise ConfigError(
            "inspect: expected tasks that differ from each other; found that all tasks of this run are alike"
        )
    both = jax.tree.map(lambda x, y: jnp.concatenate([x, y]), train, test)
    episodes = recorded_episodes(problem.episodes)
    keys = jax.random.split(life_key, 2 * num_tasks)
    states = record(algorithm, problem, meta, both, keys, episodes=episodes, explore=explore, on_progress=on_progress)
    names = None if problem.test.finite is None else names_of(features)
    return analyse(episodes, features, names, *np.split(states, 2, 1))


def analyse(
    episodes: tuple[int, ...], features: Features, names: Names | None, train: np.ndarray, test: np.ndarray
) -> Inspection:
    """Inspect memories `[episode, task, size]` of training and held-out tasks, whose features are known."""
    parts, counts = features.parts(), draws(test.shape[1])
    columns = [list(range(len(features.names))), *parts.values()]
    figures, each = [], np.zeros(0)
    for x, y in zip(train, test, strict=True):
        decoded = fit_decoder(x, features.train)(y)
        figures.append(r_squared(features.test, decoded, counts, columns))
        each = r_squared(features.test, decoded, counts[:, :1], [[i] for i in columns[0]])[:, 0]
    pooled, *curves = (curve_of(part) for part in np.stack(figures, 1))
    best = int(np.argmax(each))

    accuracy, chance = (None if names is None else accuracy_of(names, train, test)) or (None, None)
    points, explained = principal_components(test)
    return Inspection(
        episodes=episodes,
        pooled=pooled,
        parts=dict(zip(parts, curves, strict=True)),
        accuracy=accuracy,
        chance=chance,
        similarity=similarity_of(features.test[:MOST_COMPARED] / features.test.std(0), test[:, :MOST_COMPARED]),
        points=points,
        explained=(explained[0], explained[1]),
        shown=features.names[best] if names is None else "task",
        colours=features.test[:, best] if names is None else names.test,
        labels=None if names is None else names.labels,
        memory_size=test.shape[-1],
    )
