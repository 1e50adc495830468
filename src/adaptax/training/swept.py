"""Several settings of one algorithm in one program: what is swept is an argument of it, a part of θ.

A number among the settings that only enters arithmetic need not be a constant of the compiled program. `Swept` reads it
from θ, so that `jax.vmap` over θ trains with many values at once, and so does whatever takes an algorithm: the loop,
and the one evaluator. A *cell* is one choice of the values, with all of its seeds; a *row* is one of its seeds.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Key, PyTree

from adaptax.core.algorithm import first_state
from adaptax.core.errors import AdaptaxError
from adaptax.core.experience import Experience
from adaptax.core.meta_learner import MetaLearner
from adaptax.core.problem import Problem
from adaptax.core.rollout import evaluate_trial, num_evaluations, num_windows
from adaptax.core.settings import kind_of
from adaptax.core.types import (
    AgentState,
    Metrics,
    TimeStep,
    TrainState,
    Transition,
    Window,
    is_key,
    key_data,
    replace,
    wrap_key_data,
)
from adaptax.training import loop

SOUND = "sound"
"""Told of each update beside its metrics: which rows took it, `[update, row]`."""
ROWS = "rows"
"""Axis of the devices; not `parallel.AXIS`, since rows have nothing to average."""
SIDE_BY_SIDE = 1
"""Rows that a device of the processor trains side by side.

An update of RL² on bandits takes .68 s of a core by itself, .72 s with two and .77 s with four side by side, since what
they hold leaves the caches; and .77 s where two devices share its tasks. Other devices train all rows at once.
"""


class SweptParams(eqx.Module):
    """θ of a swept algorithm.

    Attributes:
        values: What is swept, by the settings' names.
        meta: θ of the algorithm with these values.
    """

    values: dict[str, Float[Array, "*rows"]]
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
    swept: Swept, problem: Problem, root: Key[Array, ""], values: Mapping[str, Float[Array, " cell"]], num_seeds: int
) -> TrainState:
    """The states of all cells before the first update, leaves `[row, ...]`, each as it is alone with that key.

    Rows are the seeds of the first cell, then those of the second, and so on.

    Args:
        swept: The algorithm.
        problem: Where.
        root: The key, the same for all cells: they differ in what is swept alone.
        values: What is swept, by name.
        num_seeds: Seeds of each cell.
    """
    num_cells = len(next(iter(values.values())))
    keys = jax.random.split(root, num_seeds) if num_seeds > 1 else root[None]
    index = jnp.arange(num_cells * num_seeds)
    rows = {name: x[index // num_seeds] for name, x in values.items()}

    def first(row: tuple[Mapping[str, Array], Key[Array, ""]]) -> TrainState:
        one, key = row
        return _with_values(first_state(swept.at(one), problem, key), one)

    states: TrainState = jax.lax.map(first, (rows, keys[index % num_seeds]))
    return states


def _with_values(state: TrainState, values: Mapping[str, Array]) -> TrainState:
    return replace(state, meta=SweptParams(dict(values), state.meta))


def joined(states: Sequence[TrainState], values: Mapping[str, Float[Array, " cell"]], num_seeds: int) -> TrainState:
    """States of cells, as each is alone with its seeds, as rows of the swept algorithm."""
    rows = [state if num_seeds > 1 else jax.tree.map(lambda x: x[None], state) for state in states]
    full = {name: jnp.repeat(x, num_seeds) for name, x in values.items()}
    return _with_values(jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *rows), full)


def on_host(states: TrainState) -> TrainState:
    """States as this process holds them, on no device in particular, to be taken apart."""
    found = jax.device_get(jax.tree.map(key_data, states))
    return jax.tree.map(lambda x, like: wrap_key_data(jnp.asarray(x), like) if is_key(like) else x, found, states)


def cell_of(states: TrainState, index: int, num_seeds: int) -> TrainState:
    """The state of one cell, of the algorithm itself, with an axis of seeds if there are several."""
    begin = index * num_seeds
    rows = slice(begin, begin + num_seeds) if num_seeds > 1 else begin
    one = jax.tree.map(lambda x: jnp.asarray(x[rows]), states)
    return replace(one, meta=one.meta.meta)


def padded(states: TrainState, devices: int) -> TrainState:
    """States with copies of the first rows, so that all devices have as many."""
    rows = len(jax.tree.leaves(states)[0])
    index = np.arange(-(-rows // devices) * devices) % rows
    return jax.tree.map(lambda x: x[index], states)


def lower(swept: Swept, problem: Problem, states: Any, devices: int = 1) -> jax.stages.Lowered:
    """The program that `loop.train` runs for all rows at once, to be compiled for states or their shapes.

    Rows are spread over the devices, and each is trained by one device: so none waits for another between two chunks.
    An update of a row is taken if all of that row is finite, whatever becomes of the others: `SOUND` says so. One that
    is not taken is not taken either when it is tried again, so that the row stays where it was.

    Args:
        swept: The algorithm.
        problem: Where.
        states: The rows, as many for each device.
        devices: Devices of this process.
    """

    def update(states: TrainState) -> tuple[TrainState, Any]:
        at_once = SIDE_BY_SIDE if jax.default_backend() == "cpu" else None
        rows = len(jax.tree.leaves(states)[0])
        if at_once is None or at_once >= rows:
            return jax.vmap(one)(states)
        if at_once == 1:
            return jax.lax.map(one, states)
        return jax.lax.map(one, states, batch_size=at_once)

    def one(state: TrainState) -> tuple[TrainState, Any]:
        new, (metrics, finite) = loop.sound_update(swept, problem, state)
        return new, ({**metrics, SOUND: jnp.all(jnp.stack(jax.tree.leaves(finite)))}, {})

    mesh = Mesh(np.array(jax.local_devices()[:devices]), (ROWS,))
    rows, all_ = PartitionSpec(ROWS), PartitionSpec()
    specs = (rows, all_), (rows, PartitionSpec(None, ROWS))
    run: Any = loop.chunk_of(update, loop.CHUNK, 1)
    run = jax.shard_map(run, mesh=mesh, in_specs=specs[0], out_specs=specs[1], check_vma=False)
    places = tuple(tuple(NamedSharding(mesh, spec) for spec in group) for group in specs)
    program = jax.jit(run, in_shardings=places[0], out_shardings=places[1], donate_argnums=0)
    return program.lower(states, jax.ShapeDtypeStruct((), jnp.int32))


def metrics_of(metrics: Mapping[str, np.ndarray], index: int, num_seeds: int) -> tuple[dict[str, np.ndarray], int]:
    """Metrics of one cell, `[update, seed]`, and how many updates it took before one was not finite.

    Args:
        metrics: What `loop.train` tells of a chunk of the program of `lower`, `[update, row]` by name.
        index: Which cell.
        num_seeds: Rows of each.
    """
    rows = slice(index * num_seeds, (index + 1) * num_seeds)
    sound = np.asarray(metrics[SOUND].astype(bool)[:, rows].all(1))
    taken = len(sound) if sound.all() else int(np.argmin(sound))
    return {name: x[:, rows] for name, x in metrics.items() if name != SOUND}, taken


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
        state = _with_values(first_state(swept.at(values), problem, root), values)
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
