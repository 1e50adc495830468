"""Several settings of one algorithm in one program: what is swept is an argument of it, a part of θ.

A number among the settings that only enters arithmetic need not be a constant of the compiled program. `Swept` reads it
from θ, so that `jax.vmap` over θ trains with many values at once, and so does whatever takes an algorithm: the loop,
and the one evaluator. A *cell* is one choice of the values, with all of its seeds.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from adaptax.core.algorithm import first_state
from adaptax.core.errors import AdaptaxError
from adaptax.core.experience import Experience
from adaptax.core.meta_learner import MetaLearner
from adaptax.core.problem import Problem
from adaptax.core.rollout import evaluate_trial, num_evaluations, num_windows
from adaptax.core.settings import kind_of
from adaptax.core.types import AgentState, Metrics, TimeStep, TrainState, Transition, Window, replace
from adaptax.training import loop

SOUND = "sound"
"""Told of each update beside its metrics: which cells took it, `[update, cell]`."""


class SweptParams(eqx.Module):
    """θ of a swept algorithm.

    Attributes:
        values: What is swept, by the settings' names.
        meta: θ of the algorithm with these values.
    """

    values: dict[str, Float[Array, "*cells"]]
    meta: PyTree[Array]


@dataclasses.dataclass(frozen=True)
class Swept(MetaLearner):
    """An algorithm some of whose settings stand in θ.

    Attributes:
        algorithm: The algorithm; what it says of those settings does not count.
    """

    algorithm: Any

    def at(self, values: Mapping[str, Any]) -> Any:
        """The algorithm with these values, which may be traced."""
        return dataclasses.replace(self.algorithm, **values)

    def init(self, problem: Problem, key: Key[Array, ""]) -> TrainState:
        """There is none: values are given to `first_states`."""
        raise NotImplementedError

    def learn(self, problem: Problem, state: TrainState, experience: Experience) -> tuple[TrainState, Metrics]:
        """As the algorithm does with the values in θ, which stay."""
        values, inner = state.meta.values, replace(state, meta=state.meta.meta)
        new, metrics = self.at(values).learn(problem, inner, experience)
        return replace(new, meta=SweptParams(values, new.meta)), metrics

    def update(self, problem: Problem, state: TrainState) -> tuple[TrainState, Metrics]:
        """As the algorithm does with the values in θ, which stay."""
        values, inner = state.meta.values, replace(state, meta=state.meta.meta)
        new, metrics = self.at(values).update(problem, inner)
        return replace(new, meta=SweptParams(values, new.meta)), metrics

    def begin(self, meta: SweptParams, key: Key[Array, ""]) -> AgentState:
        """As the algorithm does."""
        found: AgentState = self.at(meta.values).begin(meta.meta, key)
        return found

    def act(
        self, meta: SweptParams, agent: AgentState, timestep: TimeStep, key: Key[Array, ""], *, explore: bool
    ) -> tuple[PyTree[Array], PyTree[Array], Any]:
        """As the algorithm does."""
        found: tuple[Any, Any, Any] = self.at(meta.values).act(meta.meta, agent, timestep, key, explore=explore)
        return found

    def adapt(self, meta: SweptParams, agent: AgentState, trajectory: Transition, key: Key[Array, ""]) -> AgentState:
        """As the algorithm does."""
        found: AgentState = self.at(meta.values).adapt(meta.meta, agent, trajectory, key)
        return found

    def window(self, problem: Problem) -> Window:
        """As the algorithm says; no number that is swept decides it."""
        found: Window = self.algorithm.window(problem)
        return found

    def update_steps(self, problem: Problem) -> int:
        """Environment steps of an update of one cell's one seed."""
        return int(self.algorithm.update_steps(problem))

    @property
    def num_updates(self) -> int:  # type: ignore[override]
        """As the algorithm says; so do the others."""
        return int(self.algorithm.num_updates)

    @property
    def num_tasks(self) -> int:  # type: ignore[override]
        """Tasks of an update."""
        return int(self.algorithm.num_tasks)

    @property
    def num_minibatches(self) -> int:  # type: ignore[override]
        """Parts that they are divided into."""
        return int(self.algorithm.num_minibatches)

    @property
    def replicas(self) -> int:  # type: ignore[override]
        """Trials of each task side by side."""
        return int(self.algorithm.replicas)

    @property
    def needs_last_observation(self) -> bool:  # type: ignore[override]
        """Whether `adapt` looks at what came after an episode's last step."""
        return bool(self.algorithm.needs_last_observation)

    @property
    def fills_slots(self) -> bool:  # type: ignore[override]
        """Whether another episode begins where one ends early."""
        return bool(getattr(self.algorithm, "fills_slots", False))


def first_states(
    swept: Swept, problem: Problem, root: Key[Array, ""], values: Mapping[str, Array], num_seeds: int
) -> TrainState:
    """The states of all cells before the first update, leaves `[cell, ...]`, each as it is alone with that key.

    Args:
        swept: The algorithm.
        problem: Where.
        root: The key, the same for all cells: they differ in what is swept alone.
        values: What is swept, `[cell]`, by name.
        num_seeds: Seeds of each cell; leaves are `[cell, seed, ...]` if there are several.
    """

    def first(one: Mapping[str, Array]) -> TrainState:
        return with_values(first_state(swept.at(one), problem, root, num_seeds), one, num_seeds)

    states: TrainState = jax.lax.map(first, dict(values))
    return states


def with_values(state: TrainState, values: Mapping[str, Any], num_seeds: int) -> TrainState:
    """The state of one cell, of the algorithm itself, as that of the swept one."""
    shape = (num_seeds,) if num_seeds > 1 else ()
    full = {name: jnp.broadcast_to(jnp.asarray(value, jnp.float32), shape) for name, value in values.items()}
    return replace(state, meta=SweptParams(full, state.meta))


def joined(states: Sequence[TrainState]) -> TrainState:
    """States of cells, each as it is alone, with a leading axis of cells."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


def cell_of(states: TrainState, index: int) -> TrainState:
    """The state of one cell, of the algorithm itself."""
    one = jax.tree.map(lambda x: x[index], states)
    return replace(one, meta=one.meta.meta)


def lower(swept: Swept, problem: Problem, states: Any, num_seeds: int, devices: int = 1) -> jax.stages.Lowered:
    """The program that `loop.train` runs for all cells at once, to be compiled for states or their shapes.

    An update of a cell is taken if all of that cell is finite, whatever becomes of the others: `SOUND` says so. One
    that is not taken is not taken either when it is tried again, so that the cell stays where it was.
    """

    def update(states: TrainState) -> tuple[TrainState, Any]:
        return jax.vmap(one)(states)

    def one(state: TrainState) -> tuple[TrainState, Any]:
        new, (metrics, finite) = loop.sound_update(swept, problem, state, num_seeds)
        return new, ({**metrics, SOUND: jnp.all(jnp.stack(jax.tree.leaves(finite)))}, {})

    run = jax.jit(loop.chunk_of(update, loop.CHUNK, devices), donate_argnums=0)
    return run.lower(states, jnp.asarray(1, jnp.int32))


def metrics_of(metrics: Mapping[str, np.ndarray], index: int, num_cells: int) -> tuple[dict[str, np.ndarray], int]:
    """Metrics of one cell, `[update, seed]`, and how many updates it took before one was not finite.

    Args:
        metrics: What `loop.train` tells of a chunk of the program of `lower`, `[update, cell × seed]` by name.
        index: Which cell.
        num_cells: Of how many.
    """
    sound = metrics[SOUND].astype(bool)[:, index]
    taken = len(sound) if sound.all() else int(np.argmin(sound))
    mine = {name: x.reshape(len(x), num_cells, -1)[:taken, index] for name, x in metrics.items() if name != SOUND}
    return mine, taken


def numbers_inside(algorithm: Any, problem: Problem, names: Collection[str]) -> list[str]:
    """Which settings are numbers that only enter arithmetic, so that programs can take them as arguments.

    Found out by tracing with a number in their place that is not known: an update, and a trial. Where Python wants to
    know it, to size an array or to choose a branch, it is not one. Nothing is computed.
    """
    fields = {field.name: field for field in dataclasses.fields(algorithm)}
    candidates = [
        name for name in names if kind_of(fields[name]) is float and isinstance(getattr(algorithm, name), (int, float))
    ]
    if not isinstance(algorithm, MetaLearner) or problem.env.on_host or not candidates:
        return []
    if _traces(algorithm, problem, candidates):
        return candidates
    return [name for name in candidates if len(candidates) > 1 and _traces(algorithm, problem, [name])]


def _traces(algorithm: Any, problem: Problem, names: Sequence[str]) -> bool:
    """Whether Python can do without knowing these numbers, all at once."""
    swept, number = Swept(algorithm), jax.ShapeDtypeStruct((), jnp.float32)

    def all_of_it(values: Mapping[str, Array]) -> Any:
        root = jax.random.key(0)
        state = with_values(first_state(swept.at(values), problem, root), values, 1)
        new, told = swept.update(problem, state)
        adapts = num_windows(swept, problem) > 1
        judged = adapts and num_evaluations(swept, problem) > 1
        task = problem.validation.sample(root)
        seen = evaluate_trial(swept, problem, new.meta, task, root, explore=adapts, with_evaluation=judged)
        return new, told, seen

    try:
        jax.eval_shape(all_of_it, dict.fromkeys(names, number))
    except (TypeError, ValueError, AdaptaxError, jax.errors.JAXTypeError):
        return False
    return True
