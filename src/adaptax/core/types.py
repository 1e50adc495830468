"""The shapes of data that flow through adaptax.

Every type here is a pytree with array leaves, written for *one* environment of *one* task. `jax.vmap` adds an
environment axis, then a task axis; a scan adds time. So a trajectory is a `Transition` whose leaves have a
leading time axis, and nothing else changes.
"""

import dataclasses
from typing import Any, TypeAlias

import equinox as eqx
import jax
from jaxtyping import Array, Bool, Float, Int, Key, PyTree, Shaped

Task: TypeAlias = PyTree[Array]
"""What differs between two tasks of a family, and nothing else."""

Metrics: TypeAlias = dict[str, Array]
"""Scalars that an update reports, by name."""

ENV_STEPS = "env_steps"
"""Metric of an update where episodes end early: environment steps that were taken, by one seed."""

SUCCESS = "success"
"""Metric of an update where environments say so: share of the training's episodes that ended in success."""

TRIALS_LOST = "trials_lost"
"""Metric of an update with simulators that can be lost: trials that did not happen, as theirs was."""


def is_key(x: Any) -> bool:
    """Whether an array, or its shape and dtype, is one of random keys."""
    return bool(jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key))


def key_data(x: Any) -> Any:
    """An array as NumPy, files and other processes can hold it: keys as `jax.random.key_data`, all else as it is."""
    return jax.random.key_data(x) if is_key(x) else x


def shape_of_key_data(x: Any) -> Any:
    """Shape and dtype of what `key_data` returns, from an array or its shape and dtype."""
    return jax.eval_shape(jax.random.key_data, x) if is_key(x) else x


def wrap_key_data(data: Array, like: Any) -> Array:
    """The array that `key_data` was given; `like` says by its dtype whether it was one of keys."""
    return jax.random.wrap_key_data(data) if is_key(like) else data


class TimeStep(eqx.Module):
    """What an agent sees before it acts, the inputs of RL² (Duan et al. 2016, section 2.2) included.

    Attributes:
        observation: The environment's observation o_t.
        action: The previous action a_{t-1}, as it was done; the action space's `null()` at the start of a trial.
        reward: The previous reward r_{t-1}; 0 at the start of a trial. Both carry over from one episode of a
            trial to the next.
        first: Whether this is the first step of an episode.
    """

    observation: PyTree[Array]
    action: PyTree[Array]
    reward: Float[Array, "*batch"]
    first: Bool[Array, "*batch"]


class Transition(eqx.Module):
    """One step of experience.

    Attributes:
        timestep: What the agent saw.
        action: What its policy chose. What is done is that within the action space's bounds (`Box.clip`), and the next
            step's `timestep.action` says it; the probability of an action is that of what was chosen.
        reward: What it got; 0 where not `valid`.
        terminated: The environment ended the episode in this step: nothing comes after it.
        truncated: The time limit ended the episode in this step: the episode would have gone on from
            `next_observation`. Never true together with `terminated`.
        next_observation: Where the step led, before any reset.
        aux: What the algorithm's `act` put aside for learning (log-probabilities, say).
        valid: False after an episode has terminated until the next one begins. Such a step never happened:
            it keeps shapes static, has reward 0, leaves memory as it was, and must not enter a loss.
        clock: Where in its trial the step is, 0 in the first one (`Problem.next_clock`), if trials follow each other
            without idle steps (`adaptax.core.streams`). None where all environments keep step: the place along the
            axis of time says it.
        lost: Whether the simulator was lost here or before; the whole trial did not happen then. None: it cannot be.
        success: Whether what the task asks for was so after the step; False where not `valid`. None: the environment
            does not say.
    """

    timestep: TimeStep
    action: PyTree[Array]
    reward: Float[Array, "*batch"]
    terminated: Bool[Array, "*batch"]
    truncated: Bool[Array, "*batch"]
    next_observation: PyTree[Array]
    aux: PyTree[Array]
    valid: Bool[Array, "*batch"]
    clock: Int[Array, "*batch"] | None = None
    lost: Bool[Array, "*batch"] | None = None
    success: Bool[Array, "*batch"] | None = None


class AgentState(eqx.Module):
    """The inner learner's state, at two speeds.

    Attributes:
        adapted: φ, changed by `adapt` between windows of experience; one per task, shared by its environments.
        memory: h, changed by `act` at every step; one per environment.
    """

    adapted: PyTree[Array]
    memory: PyTree[Array]


class TrainState(eqx.Module):
    """The outer learner's state: everything that decides the future of a training run.

    Attributes:
        meta: θ, what `begin`, `act` and `adapt` need. Evaluation and deployment need nothing else.
        opt_state: The outer optimiser's state.
        step: Number of updates done.
        key: The run's root key; randomness is `fold_in` of purpose and step, so the key itself never changes.
    """

    meta: PyTree[Array]
    opt_state: PyTree[Array]
    step: Shaped[Array, "*seeds"]
    key: Key[Array, "*seeds"]


@dataclasses.dataclass(frozen=True)
class Window:
    """The experience that one call of `adapt` consumes.

    Attributes:
        num_envs: Number of environments that run in parallel on one task.
        steps: Steps in each of them.
    """

    num_envs: int
    steps: int


def replace(module: Any, **changes: Any) -> Any:
    """Return `module` (a dataclass, or an Equinox module without an `__init__` of its own) with fields changed."""
    return dataclasses.replace(module, **changes)
