"""What an agent's memory knows of the task that it is in, and after how many episodes.

The agent goes through one trial in each of many tasks. At its start and after episodes its memory is read as one
vector, with the last reward taken in. Then (`adaptax.evaluation.linear_probes`)

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

from adaptax.core.errors import ConfigError
from adaptax.core.problem import parts_of, task_features
from adaptax.core.splits import fold_in_name
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import Task, is_key
from adaptax.evaluation.encounters import evaluation_key, sample_tasks
from adaptax.evaluation.linear_probes import (
    FLAT,
    ProbeCurve,
    fit_decoder,
    principal_components,
    probe_curve,
    r_squared,
    similarity_of,
    task_counts,
)
from adaptax.evaluation.memory_recording import check_remembers, record_memories, recorded_episodes

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
    pooled: ProbeCurve
    parts: Mapping[str, ProbeCurve]
    accuracy: ProbeCurve | None
    chance: float | None
    similarity: ProbeCurve
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


def features_of(train: Task, test: Task) -> Features:
    """Features of training and held-out tasks, leaves `[task, ...]`, without what is the same in all of them.

    What is infinite or NaN in a task is left out too: no line can be fitted to it.
    """
    names, leaves = [], []
    for path, leaf in jax.tree_util.tree_flatten_with_path(train)[0]:
        if is_key(leaf):
            continue
        stem = jax.tree_util.keystr(path, simple=True, separator=".") or "task"
        for part in (".real", ".imag") if len(parts_of(leaf)) > 1 else ("",):
            for index in np.ndindex(leaf.shape[1:]):
                leaves.append(stem)
                names.append(stem + part + (f"[{','.join(map(str, index))}]" if index else ""))
    columns = [np.asarray(jax.vmap(task_features)(tasks), np.float64) for tasks in (train, test)]
    finite = [i for i in range(len(names)) if all(np.isfinite(x[:, i]).all() for x in columns)]
    varies = [i for i in finite if all(np.ptp(x[:, i]) > FLAT * np.abs(x[:, i]).max() for x in columns)]
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


def accuracy_of(names: Names, train: np.ndarray, test: np.ndarray) -> tuple[ProbeCurve, float] | None:
    """How often held-out tasks are named rightly from memories `[episode, task, size]`, and by chance.

    None if no held-out task occurs in training: its name cannot be known.
    """
    if not np.isin(names.test, names.train).any():
        return None
    counts = task_counts(len(names.test))
    one_hot = np.eye(len(names.labels))[names.train]
    named = [np.argmax(fit_decoder(x, one_hot, shared=True)(y), 1) for x, y in zip(train, test, strict=True)]
    figures = [(guess == names.test) @ counts / len(names.test) for guess in named]
    usual = np.argmax(np.bincount(names.train))
    return probe_curve(np.stack(figures)), float(np.mean(names.test == usual))


def inspect_memory(
    agent: TrainedAgent,
    *,
    num_tasks: int,
    seed: int = 0,
    explore: bool = False,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Inspection:
    """Find out what an agent's memory knows of the task.

    Args:
        agent: The agent, of one training seed.
        num_tasks: Number of held-out tasks, the ones that `evaluate` has with this number and seed, and of training
            tasks to fit decoders on.
        seed: Decides the tasks and all randomness.
        explore: Whether to act as in training instead of by the best action known.
        on_progress: Called with the number of trials run so far, 2 × `num_tasks` in the end.

    Raises:
        ConfigError: if the agent has no memory to look into, or all tasks are alike.
    """
    check_remembers(agent)
    problem = agent.problem
    task_key, life_key = jax.random.split(evaluation_key(seed))
    test = sample_tasks(problem.test, num_tasks, task_key)
    train = sample_tasks(problem.train, num_tasks, fold_in_name(task_key, "to fit on"))
    features = features_of(train, test)
    if not features.names:
        raise ConfigError(
            "inspect: expected tasks that differ from each other; found that all tasks of this run are alike"
        )
    both = jax.tree.map(lambda x, y: jnp.concatenate([x, y]), train, test)
    episodes = recorded_episodes(problem.episodes)
    keys = jax.random.split(life_key, 2 * num_tasks)
    states = record_memories(agent, both, keys, episodes=episodes, explore=explore, on_progress=on_progress)
    names = None if problem.test.finite is None else names_of(features)
    return analyse(episodes, features, names, *np.split(states, 2, 1))


def analyse(
    episodes: tuple[int, ...], features: Features, names: Names | None, train: np.ndarray, test: np.ndarray
) -> Inspection:
    """Inspect memories `[episode, task, size]` of training and held-out tasks, whose features are known."""
    parts, counts = features.parts(), task_counts(test.shape[1])
    columns = [list(range(len(features.names))), *parts.values()]
    figures, each = [], np.zeros(0)
    for x, y in zip(train, test, strict=True):
        decoded = fit_decoder(x, features.train)(y)
        figures.append(r_squared(features.test, decoded, counts, columns))
        each = r_squared(features.test, decoded, counts[:, :1], [[i] for i in columns[0]])[:, 0]
    pooled, *curves = (probe_curve(part) for part in np.stack(figures, 1))
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
