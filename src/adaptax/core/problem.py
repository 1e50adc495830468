"""What an environment, a family of tasks and a problem are."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from adaptax.core.errors import UseError
from adaptax.core.spaces import Space
from adaptax.core.splits import SHIFTED, SPLITS, draw_in_split, fold_in_name
from adaptax.core.types import Task, is_key


class Step(eqx.Module):
    """What one step of an environment returns.

    Attributes:
        state: The environment's next state.
        observation: What the agent sees of it.
        reward: Reward of the step.
        terminated: Whether the episode is over by the environment's own rules. A time limit is not:
            the rollout counts steps and truncates at `horizon`.
        truncated: Whether a time limit of the environment's own has cut the episode off before; None: it has none.
        lost: Whether the simulator was lost in this step or before, so that the trial did not happen; None: it cannot
            be.
        success: Whether what the task asks for is so after this step; None: the environment does not say. Evaluations
            count it; nothing learns from it.
    """

    state: PyTree[Array]
    observation: PyTree[Array]
    reward: Float[Array, ""]
    terminated: Bool[Array, ""]
    truncated: Bool[Array, ""] | None = None
    lost: Bool[Array, ""] | None = None
    success: Bool[Array, ""] | None = None


class Environment(eqx.Module):
    """One environment of one task: no batch, no automatic reset, no time limit of its own.

    All fields are static, so that an environment is a leafless pytree and may be an argument of `jax.jit`.

    Attributes:
        observation_space: What `reset` and `step` show.
        action_space: What `step` takes.
        horizon: Number of steps after which the rollout truncates an episode.
        ends_early: Whether an episode can terminate before the horizon. Where it cannot, the rollout saves
            the work of masking.
    """

    observation_space: eqx.AbstractVar[Space]
    action_space: eqx.AbstractVar[Space]
    horizon: eqx.AbstractVar[int]
    ends_early: eqx.AbstractVar[bool]

    @property
    def dear_reset(self) -> bool:
        """Whether `reset` costs much more than `step`. Where it does not, it may be computed at every step."""
        return False

    @property
    def on_host(self) -> bool:
        """Whether it is simulated on the host (`adaptax.core.host_program`), and not within compiled programs."""
        return False

    @property
    def losses(self) -> tuple[int, str]:
        """How many episodes were lost so far, since their simulators were, and what is known of the last."""
        return 0, ""

    def simulate_with(self, workers: int | None, step_timeout: float | None) -> None:
        """Have it simulated by so many processes, each with so many seconds for a step; None: as before.

        What it does is the same. To be said before anything is simulated.

        Raises:
            UseError: if no processes simulate it.
        """
        raise UseError("it runs within compiled programs")

    @abc.abstractmethod
    def reset(self, task: Task, key: Key[Array, ""]) -> tuple[PyTree[Array], PyTree[Array]]:
        """Begin an episode; return the state and the first observation."""

    @abc.abstractmethod
    def step(self, state: PyTree[Array], action: PyTree[Array], task: Task, key: Key[Array, ""]) -> Step:
        """Do one action."""


class Wrapper(Environment):
    """An environment around another one: what is said of how that is simulated holds for both.

    Attributes:
        env: The environment within.
    """

    env: eqx.AbstractVar[Environment]

    @property
    def dear_reset(self) -> bool:
        """As that of the environment within."""
        return self.env.dear_reset

    @property
    def on_host(self) -> bool:
        """As that of the environment within."""
        return self.env.on_host

    @property
    def losses(self) -> tuple[int, str]:
        """As that of the environment within."""
        return self.env.losses

    def simulate_with(self, workers: int | None, step_timeout: float | None) -> None:
        """As that of the environment within."""
        self.env.simulate_with(workers, step_timeout)


FAR = 10.0
"""Deviations from the mean at which networks see what is infinite."""
LARGEST = 1e18
"""The square of anything beyond overflows float32."""


def task_features(task: Task) -> Float[Array, " features"]:
    """A task as one vector of float32, without its keys; integers are cast, though they may be names of something.

    Real and imaginary parts are two numbers. What is infinite or NaN in the task is so here: see `standardized`.
    """
    numbers = [part.ravel().astype(jnp.float32) for x in jax.tree.leaves(task) if not is_key(x) for part in parts_of(x)]
    return jnp.concatenate([jnp.zeros(0, jnp.float32), *numbers])


def parts_of(x: Any) -> list[Any]:
    """An array of numbers as real ones."""
    return [x.real, x.imag] if jnp.issubdtype(x.dtype, jnp.complexfloating) else [x]


def known_features(tasks: Task) -> Float[Array, "task features"]:
    """Features of tasks, leaves `[task, ...]`, to take means and deviations of.

    What no mean can be taken of, since it is infinite, NaN or too large to be squared, is the mean of the others.
    """
    features = jax.vmap(task_features)(tasks)
    known = jnp.abs(features) < LARGEST
    count = jnp.maximum(jnp.sum(known, 0, keepdims=True, dtype=jnp.float32), 1.0)
    mean = jnp.sum(jnp.where(known, features / count, 0.0), 0, keepdims=True)
    return jnp.where(known, features, mean)


def standardized(
    features: Float[Array, "*batch features"], mean: Float[Array, "*features"], std: Float[Array, "*features"]
) -> Float[Array, "*batch features"]:
    """Features of tasks as networks read them: in deviations from the mean.

    Where one is infinite or too large it is `FAR` deviations away, and 0 where it is NaN, so that "no limit" is
    something that a network can read, and no NaN gets into it.
    """
    away = jnp.where(jnp.isnan(features), 0.0, FAR * jnp.sign(features))
    return jnp.where(jnp.abs(features) < LARGEST, (features - mean) / std, away)


class TaskDistribution(eqx.Module):
    """A family of tasks, restricted to one split.

    Attributes:
        split: "train", "validation", "test" or "shifted".
        finite: Number of distinct tasks where the family is a small finite set, which leaves nothing to hold
            out (the same tasks serve all splits); None otherwise.
    """

    split: eqx.AbstractVar[str]
    finite: eqx.AbstractVar[int | None]

    @abc.abstractmethod
    def draw(self, key: Key[Array, ""]) -> Task:
        """Draw a task from the family, without regard to the split."""

    @abc.abstractmethod
    def oracle(self, task: Task) -> Float[Array, ""]:
        """Expected return of one episode of the best policy that *knows* the task; NaN if unknown."""

    def every(self) -> Task | None:
        """All tasks of this split, leaves `[task, ...]`, where they can be listed and nothing else is drawn by chance.

        An evaluation that asks for as many, or more, meets each once. None: tasks are drawn.
        """
        return None

    def sample(self, key: Key[Array, ""]) -> Task:
        """Draw a task of this split: bit for bit one that `draw` returns, and that no other split has.

        Every split folds its own name into the key, so that equal keys do not make tasks that are alike.
        """
        key = fold_in_name(key, f"tasks of {self.split}")
        return self.draw(key) if self.finite is not None else draw_in_split(self.draw, self.split, key)


def _check_mask(env: Environment) -> None:
    """Refuse a mask that is not one of the environment's actions: it would be misread, or be no mask at all."""
    seen, acts = getattr(env, "observation_space", None), getattr(env, "action_space", None)
    if not isinstance(seen, Space) or not isinstance(acts, Space) or seen.mask_place is None:
        return  # what is no space is for `adaptax check-env` to name
    size = seen.mask_place.stop - seen.mask_place.start
    if not acts.integers or size != acts.encoded_size:
        wanted = f"a mask of {acts.encoded_size} actions" if acts.integers else "no mask, as actions are continuous"
        raise UseError(f"{type(env).__name__}.observation_space: expected {wanted} ({acts!r}); found one of {size}")


class Problem(eqx.Module):
    """An environment, its families of tasks, and the length of a trial.

    Attributes:
        env: The environment.
        train: Tasks to learn to learn from.
        validation: Tasks to choose hyper-parameters by.
        test: Tasks that only the final evaluation sees.
        episodes: Number of episodes in a trial, that is, with one task.
        optimum: Expected return of each episode, `[episodes]`, of a *Bayes-optimal* agent that starts from
            the family's prior, where it is known; no agent can be better on average over the trial. Static, as a tuple.
        shifted: Tasks of the same type and shapes from another distribution than all the others, to measure how far
            what was learned carries; of the split "shifted", and with an oracle of its own. None if there is none.
        shift: In what way they differ, in one line; empty if there are none.
        training_steps: A training trial has so many steps, however many episodes that are, and the next one begins
            when one is over. Only where episodes end early; None: it has `episodes` episodes. An evaluation is by
            episodes in any case.
    """

    env: Environment
    train: TaskDistribution
    validation: TaskDistribution
    test: TaskDistribution
    episodes: int = eqx.field(static=True)
    optimum: tuple[float, ...] | None = eqx.field(static=True, default=None)
    shifted: TaskDistribution | None = None
    shift: str = eqx.field(static=True, default="")
    training_steps: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if self.episodes < 1:
            raise UseError(f"Problem.episodes: expected at least 1 episode in a trial, got {self.episodes}")
        _check_mask(self.env)
        for name in SPLITS:
            if getattr(self, name).split != name:
                raise UseError(
                    f"Problem.{name}: expected a distribution with split={name!r}, got "
                    f"split={getattr(self, name).split!r}"
                )
        if self.shifted is not None and self.shifted.split not in (SHIFTED, "test"):
            raise UseError(
                f"Problem.shifted: expected a distribution with split={SHIFTED!r}, since nobody trains on it, got "
                f"split={self.shifted.split!r}"
            )
        if (self.shifted is None) != (not self.shift):
            raise UseError(
                "Problem.shift: expected a line that says how `shifted` differs, and nothing if it is None; got "
                f"shift={self.shift!r} and shifted={self.shifted!r}"
            )
        if self.training_steps is not None and not (self.env.ends_early and self.training_steps >= 1):
            raise UseError(
                "Problem.training_steps: expected at least 1 step, and only where episodes end early (elsewhere "
                f"`episodes` says how many there are); got {self.training_steps} with ends_early={self.env.ends_early}"
            )

    @property
    def streams(self) -> bool:
        """Whether training's trials follow each other without idle steps: episodes end early, and steps are cheap.

        A simulator on the host is idle where nothing happens; its environments keep step.
        """
        return self.env.ends_early and not self.env.on_host

    @property
    def trial_steps(self) -> int:
        """Environment steps of a whole trial in one environment, if no episode ends early."""
        return self.episodes * self.env.horizon

    @property
    def stream_steps(self) -> int:
        """Steps in which one environment goes through at least one training trial."""
        return self.training_steps or self.trial_steps

    def next_clock(self, clock: Int[Array, "*batch"], terminated: Bool[Array, "*batch"]) -> Int[Array, "*batch"]:
        """Where a training trial stands after a step at `clock`; 0: it is over.

        In a trial of so many episodes, one that has ended early counts as if it had lasted to its horizon: `clock` is
        the number of steps that can no longer come, and what is left of the trial is at most the rest.
        """
        if self.training_steps is None:
            horizon = self.env.horizon
            clock = jnp.where(terminated, clock - clock % horizon + horizon - 1, clock)
        return (clock + 1) % self.stream_steps


def make_problem(
    env: Environment,
    family: Any,
    episodes: int,
    optimum: tuple[float, ...] | None = None,
    shifted: TaskDistribution | None = None,
    shift: str = "",
    training_steps: int | None = None,
) -> Problem:
    """Build a problem from `family`, a function that takes `split=` and returns a `TaskDistribution`."""
    splits = family(split="train"), family(split="validation"), family(split="test")
    return Problem(env, *splits, episodes, optimum, shifted, shift, training_steps)
