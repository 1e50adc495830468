"""An environment that breaks its contract in one task, at one step, in a way of one's choice; and a cheap learner."""

import dataclasses
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Key, PyTree

from adaptax.core.algorithm import Algorithm
from adaptax.core.problem import Environment, Problem, Step, TaskDistribution, make_problem
from adaptax.core.rollout import collect
from adaptax.core.spaces import Box, Discrete, Space
from adaptax.core.splits import fold_in_name
from adaptax.core.types import AgentState, Metrics, Task, TimeStep, TrainState, replace
from adaptax.networks.distributions import Categorical
from adaptax.optimization import minibatches

SPACES: dict[str, Space] = {"any": Box((3,)), "bounded": Box((3,), -1.0, 1.0), "discrete": Discrete(5)}
ENTRY = 1
"""Which entry of an observation is wrong."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """A way to break the contract.

    Attributes:
        field: "observation", "reward" or "terminated"; "mark": nothing is wrong, but observations say so.
        value: What is shown or paid; a string if it is wrong while the program is traced already.
        space: What observations are (`SPACES`).
    """

    field: str
    value: float | str
    space: str = "any"


NONE = Fault("", 0.0)
MARK = Fault("mark", 2.0)
"""Legal: shows the agent which task it is in."""
FAULTS: dict[str, Fault] = {
    "observation NaN": Fault("observation", math.nan),
    "observation +Inf": Fault("observation", math.inf),
    "observation -Inf": Fault("observation", -math.inf),
    "observation 1e30": Fault("observation", 1e30),
    "observation NaN in a bounded box": Fault("observation", math.nan, "bounded"),
    "observation above its box": Fault("observation", 1.25, "bounded"),
    "observation below its box": Fault("observation", -1.25, "bounded"),
    "observation -1": Fault("observation", -1, "discrete"),
    "observation = num": Fault("observation", 5, "discrete"),
    "reward NaN": Fault("reward", math.nan),
    "reward +Inf": Fault("reward", math.inf),
    "reward -Inf": Fault("reward", -math.inf),
    "reward 1e30": Fault("reward", 1e30),
}
"""Found when it happens."""
TRACED: dict[str, Fault] = {
    "observation of a wrong shape": Fault("observation", "shape"),
    "observation of a wrong type": Fault("observation", "dtype"),
    "no observation": Fault("observation", "none"),
    "reward of a wrong shape": Fault("reward", "shape"),
    "reward of a wrong type": Fault("reward", "dtype"),
    "no `terminated`": Fault("terminated", "none"),
}
"""Found before anything runs."""


class Mark(eqx.Module):
    """Which task it is.

    Attributes:
        number: From 0 to 1.
        broken: Whether the fault is in this one.
    """

    number: Float[Array, ""]
    broken: Bool[Array, ""]


class Faulty(Environment):
    """Harmless numbers, but for one. It breaks at step `at` of each episode; 0 is the reset.

    Attributes:
        fault: What happens.
        at: When.
    """

    fault: Fault = eqx.field(static=True)
    at: int = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    ends_early: bool = eqx.field(static=True)
    action_space: Space = eqx.field(static=True)
    observation_space: Space = eqx.field(static=True)

    def reset(self, task: Mark, key: Key[Array, ""]) -> tuple[Array, PyTree[Array]]:
        """Begin an episode."""
        time = jnp.zeros((), jnp.int32)
        return time, self._shown(task, time, key)

    def step(self, state: Array, action: PyTree[Array], task: Mark, key: Key[Array, ""]) -> Step:
        """Pay the task's number, more or less."""
        time, key = state + 1, jax.random.fold_in(key, 1)
        reward: Any = task.number + 0.1 * jax.random.normal(key)
        if self.fault.field == "reward":
            value: Any = self.fault.value
            if isinstance(value, str):
                reward = {"shape": reward[None], "dtype": time}[value]
            else:
                reward = jnp.where(task.broken & (time == self.at), value, reward)
        terminated: Any = None if self.fault.field == "terminated" else time >= self.horizon
        return Step(time, self._shown(task, time, key), reward, terminated)

    def _shown(self, task: Mark, time: Array, key: Key[Array, ""]) -> Any:
        space = self.observation_space
        shown = jax.random.uniform(key, (3,), minval=-1.0) if isinstance(space, Box) else space.sample(key)
        if self.fault.field == "mark":
            mark: Any = self.fault.value
            return jnp.where(task.broken, mark, shown)
        if self.fault.field != "observation":
            return shown
        if isinstance(self.fault.value, str):
            wrong = {"shape": jnp.zeros(4), "dtype": jnp.zeros(3, jnp.int32), "none": None}
            return wrong[self.fault.value]
        now = task.broken & (time == self.at)
        if isinstance(space, Discrete):
            return jnp.where(now, jnp.asarray(self.fault.value, shown.dtype), shown)
        value: Any = self.fault.value
        return jnp.where(now & (jnp.arange(3) == ENTRY), value, shown)


class Marks(TaskDistribution):
    """Numbers from 0 to 1; the tasks below `threshold` are broken.

    Attributes:
        threshold: A share of the tasks.
    """

    threshold: float = eqx.field(static=True)
    split: str = eqx.field(static=True)
    finite: int | None = eqx.field(static=True, default=None)

    def draw(self, key: Key[Array, ""]) -> Mark:
        """Draw a number."""
        number = jax.random.uniform(key)
        return Mark(number, number < self.threshold)

    def oracle(self, task: Task) -> Float[Array, ""]:
        """Unknown."""
        return jnp.asarray(jnp.nan)


def faulty(
    fault: Fault = NONE,
    at: int = 0,
    *,
    horizon: int = 1000,
    episodes: int = 1,
    threshold: float = 0.0,
    actions: Space = Discrete(3),  # noqa: B008 - a value
    ends_early: bool = False,
) -> Problem:
    """A problem that breaks in all tasks below the threshold."""
    env: Any = Faulty(fault, at, horizon, ends_early, actions, SPACES[fault.space])  # type: ignore[arg-type]
    return make_problem(env, lambda split: Marks(split=split, threshold=threshold), episodes)


@dataclasses.dataclass(frozen=True)
class Averager(Algorithm):
    """Learns the mean reward, in steps; acts at random, and in marked tasks as it is told.

    Attributes:
        num_tasks: Tasks in each update.
        bad: An action; a string if it is wrong while the program is traced already, or "logits" for a policy that is
            NaN; None: never.
        at: The step of the trial at which it is put out, counted from 1.
    """

    num_tasks: int = 16
    bad: float | str | None = None
    at: int = 0

    def init(self, problem: Problem, key: Key[Array, ""]) -> TrainState:
        """Know nothing."""
        return TrainState((jnp.zeros(()), problem.env.action_space.null()), None, jnp.zeros((), jnp.int32), key)

    def update(self, problem: Problem, state: TrainState) -> tuple[TrainState, Metrics]:
        """Go towards the mean reward."""
        keys = jax.random.split(jax.random.fold_in(fold_in_name(state.key, "update"), state.step), (self.num_tasks, 2))
        tasks = jax.vmap(problem.train.sample)(keys[:, 0])
        reward = jnp.mean(collect(self, problem, state.meta, tasks, keys[:, 1]).reward)
        mean, action = state.meta
        return replace(state, meta=(mean + 0.1 * (reward - mean), action), step=state.step + 1), {"return": reward}

    def begin(self, meta: PyTree[Array], key: Key[Array, ""]) -> AgentState:
        """Count steps."""
        return AgentState(None, jnp.zeros((), jnp.int32))

    def act(
        self, meta: PyTree[Array], agent: AgentState, timestep: TimeStep, key: Key[Array, ""], *, explore: bool
    ) -> tuple[PyTree[Array], PyTree[Array], Any]:
        """Draw an action; a bad one at step `at`."""
        null = meta[1]
        now = (timestep.observation[0] > 1.5) & (agent.memory + 1 == self.at) if self.bad is not None else False
        if jnp.issubdtype(null.dtype, jnp.integer):
            policy = Categorical(jnp.where(now & (self.bad == "logits"), jnp.nan, jnp.zeros(3)))
            action: Any = policy.sample(key) if explore else policy.mode()
        else:
            action = jax.random.normal(key, null.shape)
        if isinstance(self.bad, str) and self.bad != "logits":
            action = {"shape": jnp.stack([action, action]), "dtype": action > 0, "none": None}[self.bad]
        elif isinstance(self.bad, float | int):
            action = jnp.where(now, jnp.asarray(self.bad, null.dtype), action)
        return action, agent.memory + 1, None


class Bump(eqx.Module):
    """What `Descent` learns, and when it stumbles.

    Attributes:
        weights: θ, in two leaves.
        at: The update in which it happens, counted from 0.
        kind: What happens, index of `STUMBLES`.
    """

    weights: dict[str, Array]
    at: Array
    kind: Array


STUMBLES = ("loss NaN", "loss +Inf", "loss -Inf", "gradient NaN where the loss is 0", "gradient 1e30")


@dataclasses.dataclass(frozen=True)
class Descent(Algorithm):
    """Adam on a quadratic function, through the outer step that algorithms share; stumbles in one update."""

    def init(self, problem: Problem, key: Key[Array, ""]) -> TrainState:
        """Start away from the minimum."""
        weights = {"a": jax.random.normal(key, (3,)), "b": jax.random.normal(jax.random.fold_in(key, 1), (2,))}
        zero = jnp.zeros((), jnp.int32)
        return TrainState(Bump(weights, zero - 1, zero), self._optimizer().init(weights), zero, key)

    def _optimizer(self) -> optax.GradientTransformation:
        return optax.adam(0.01)  # without clipping, which spreads NaN from one leaf to all

    def update(self, problem: Problem, state: TrainState) -> tuple[TrainState, Metrics]:
        """One step; only the gradient of `b` is touched where the gradient is."""
        meta: Bump = state.meta
        now = state.step == meta.at

        def loss(weights: dict[str, Array], batch: tuple[Array]) -> tuple[Array, Metrics]:
            value = jnp.sum(weights["a"] ** 2) + jnp.sum(weights["b"] ** 2) + jnp.mean(batch[0])
            # √x at 0: the function is 0 and its derivative infinite, times 0.
            root = 0.0 * jnp.sum(jnp.sqrt(jnp.where(now & (meta.kind == 3), weights["b"] * 0.0, 1.0)))
            steep = jnp.sum(jnp.where(now & (meta.kind == 4), weights["b"] - jax.lax.stop_gradient(weights["b"]), 0.0))
            value = value + root + 1e30 * steep
            for kind, factor in enumerate((jnp.nan, jnp.inf, -jnp.inf)):
                value = value * jnp.where(now & (meta.kind == kind), factor, 1.0)
            return value, {"loss": value}

        noise = jax.random.normal(jax.random.fold_in(state.key, state.step), (4,))
        weights, opt_state, metrics = minibatches.minibatch_epochs(
            loss, self._optimizer(), meta.weights, state.opt_state, (noise,), (0,), num_epochs=1, num_minibatches=1
        )
        new = replace(state, meta=replace(meta, weights=weights), opt_state=opt_state, step=state.step + 1)
        return new, {"return": -metrics["loss"], **metrics}

    def begin(self, meta: PyTree[Array], key: Key[Array, ""]) -> AgentState:
        """Never called: no episode is run."""
        raise NotImplementedError

    def act(
        self, meta: PyTree[Array], agent: AgentState, timestep: TimeStep, key: Key[Array, ""], *, explore: bool
    ) -> tuple[PyTree[Array], PyTree[Array], Any]:
        """Never called: no episode is run."""
        raise NotImplementedError
