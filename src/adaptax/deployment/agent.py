"""A trained agent in use: load it, let it act in an environment of your own, step by step.

Nothing of training is needed here, and no environment of adaptax: whoever calls it holds the environment.
"""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from adaptax.core.precision import in_single_precision
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import TimeStep, Transition, replace
from adaptax.runs.load import Which, load_agent


class Agent:
    """One agent in one task. It adapts as it acts; `begin` makes it forget the task.

    An agent with a memory adapts at every step. One that learns from windows (MAML and its family, learners from
    scratch) collects experience until it has one, then adapts: with one environment, as soon as the window is full or
    the episode over; with several, when there is an episode for each, to consecutive pieces of them. Its environments
    follow one another, so that later pieces were collected before it learned from earlier ones.

    Attributes:
        algorithm: How it acts.
        meta: θ.
        adaptations: How many windows it has learned from in this task.
    """

    @in_single_precision
    def __init__(self, trained: TrainedAgent, *, seed: int = 0):
        """Enter a first task.

        Args:
            trained: The agent, of one training seed.
            seed: Decides the agent's own randomness.

        Raises:
            ValueError: if the agent holds several trainings.
        """
        if trained.num_seeds != 1:
            raise ValueError(
                f"Agent: expected one training, found {trained.num_seeds}; choose one by `trained.of_seed(index)`"
            )
        algorithm, problem = trained.algorithm, trained.problem
        self.algorithm, self.meta = algorithm, trained.meta
        self._space, self._horizon = problem.env.action_space, problem.env.horizon
        self._window = algorithm.window(problem) if trained.learns_from_windows else None
        self._act = jax.jit(algorithm.act, static_argnames="explore")
        self._adapt = jax.jit(algorithm.adapt)
        self._looks_ahead = algorithm.needs_last_observation
        self._key = jax.random.key(seed)
        self._tasks = 0
        self.begin()

    @classmethod
    @in_single_precision
    def load(
        cls,
        directory: str | Path,
        *,
        seed: int = 0,
        training_seed: int = 0,
        checkpoint: Which = "auto",
        problem: str | None = None,
        algorithm: str | None = None,
    ) -> "Agent":
        """The agent that a run has trained.

        Args:
            directory: What `adaptax train` printed.
            seed: Decides the agent's own randomness.
            training_seed: Which of the trainings, if the run had several (`--seeds`).
            checkpoint: The best by validation tasks, the last, or ("auto") the best if the run was to select by them.
            problem: The run's problem, if it is your own (MODULE:NAME): nothing is imported that you do not name.
            algorithm: The run's algorithm, if it is your own.

        Raises:
            CheckpointError: if there is no finished run, or it is damaged.
            IndexError: if the run has not so many trainings.
        """
        agent = load_agent(Path(directory), checkpoint=checkpoint, problem=problem, algorithm=algorithm)
        return cls(agent.of_seed(training_seed), seed=seed)

    @in_single_precision
    def begin(self) -> None:
        """Enter a new task: fresh memory, no previous action or reward, nothing learned."""
        self._tasks += 1
        self._steps = self._length = self.adaptations = 0
        self._arrived = True
        self._episode: list[Transition] = []
        self._episodes: list[Transition] = []
        self._agent = self.algorithm.begin(self.meta, jax.random.fold_in(self._key, self._tasks))
        self._action, self._reward, self._first = self._space.null(), 0.0, True

    @in_single_precision
    def act(self, observation: Any, *, explore: bool | None = None) -> np.ndarray:
        """Return the action for `observation` (an array or nested list; `[]` where there is nothing to see).

        Args:
            observation: What is seen.
            explore: Whether to act as in training, or by the best action known. By default an agent that learns from
                windows explores, because that is what it learns from; pass False when it has learned enough.
        """
        if explore is None:
            explore = self._window is not None
        step_key = jax.random.fold_in(jax.random.fold_in(self._key, self._tasks), self._steps)
        observation = _as_arrays(observation)
        if not self._arrived:
            self._arrive(observation, episode_over=False)
        timestep = TimeStep(observation, self._action, jnp.float32(self._reward), jnp.asarray(self._first))
        self._action, memory, aux = self._act(self.meta, self._agent, timestep, step_key, explore=explore)
        self._agent = eqx.tree_at(lambda a: a.memory, self._agent, memory, is_leaf=lambda x: x is None)
        self._acted = timestep, self._action, aux
        self._steps += 1
        return np.asarray(self._action)

    @in_single_precision
    def observe(
        self,
        reward: float,
        *,
        episode_over: bool = False,
        terminated: bool | None = None,
        observation: Any = None,
    ) -> None:
        """Tell what the last action brought, and whether the episode is over (the task goes on).

        Args:
            reward: The reward.
            episode_over: Whether this step was the episode's last.
            terminated: Whether the environment ended it, rather than a time limit; by default, if it is shorter than
                the horizon. Matters only to agents that learn from windows.
            observation: What is seen after the step. While an episode goes on the next `act` tells; learners from
                scratch must hear of it here if a time limit ends the episode, since they estimate what it cuts off.

        Raises:
            ValueError: if the reward is not a finite number, an episode is longer than the agent was trained for, or
                the last observation is missing.
        """
        if not np.isfinite(reward):
            raise ValueError(
                f"observe(reward): expected a finite number, got {reward!r}; the agent's memory is unchanged"
            )
        if self._window is not None:
            self._record(reward, episode_over, terminated, observation)
        self._reward, self._first = float(reward), episode_over

    def _record(self, reward: float, episode_over: bool, terminated: bool | None, observation: Any) -> None:
        """Book a step; learn from it at once if it is known where it led."""
        length = self._length + 1
        if length > self._horizon:
            raise ValueError(
                f"observe(): this episode has {length} steps, but the agent was trained for at most {self._horizon}; "
                "say episode_over=True by then. This step was not recorded"
            )
        ended = episode_over and (length < self._horizon if terminated is None else terminated)
        cut = episode_over and not ended
        if cut and observation is None and self._looks_ahead:
            raise ValueError(
                f"observe(): a time limit has ended this episode after {length} steps, and "
                f"{type(self.algorithm).__name__} estimates what would have come after it; pass observation=, what is "
                "seen after the last step, or terminated=True if nothing comes after it. This step was not recorded"
            )
        timestep, action, aux = self._acted
        flags, yes = (jnp.asarray(ended), jnp.asarray(cut)), jnp.asarray(True)
        self._episode.append(Transition(timestep, action, jnp.float32(reward), *flags, timestep.observation, aux, yes))
        self._length, self._arrived = 0 if episode_over else length, False
        if observation is not None:
            self._arrive(_as_arrays(observation), episode_over=episode_over)
        elif episode_over:
            self._arrive(timestep.observation, episode_over=True)

    def _arrive(self, observation: Any, *, episode_over: bool) -> None:
        """Book where the last step led; learn if a window is full."""
        assert self._window is not None
        self._arrived = True
        self._episode[-1] = replace(self._episode[-1], next_observation=observation)
        steps = self._window.steps
        if self._window.num_envs == 1:
            if episode_over or len(self._episode) == steps:
                self._learn([_padded(self._episode, steps)])
                self._episode = []
        elif episode_over:
            self._episodes.append(_padded(self._episode, -(-self._horizon // steps) * steps))
            self._episode = []
            if len(self._episodes) == self._window.num_envs:
                self._learn(self._episodes)
                self._episodes = []

    def _learn(self, envs: list[Transition]) -> None:
        """Adapt to consecutive windows of some environments' experience, each with leaves `[time, ...]`."""
        assert self._window is not None
        steps = self._window.steps
        trajectory = jax.tree.map(lambda *x: jnp.stack(x, 1), *envs)
        for begin in range(0, trajectory.reward.shape[0], steps):
            window = jax.tree.map(lambda x, begin=begin: x[begin : begin + steps], trajectory)
            key = jax.random.fold_in(jax.random.fold_in(self._key, self._tasks), 2**31 + self.adaptations)
            self._agent = self._adapt(self.meta, self._agent, window, key)
            self.adaptations += 1


def _padded(episode: list[Transition], length: int) -> Transition:
    """One episode with leaves `[time, ...]`; after its end nothing happens."""
    idle = replace(
        episode[-1],
        reward=jnp.float32(0),
        terminated=jnp.asarray(False),
        truncated=jnp.asarray(False),
        valid=jnp.asarray(False),
    )
    return jax.tree.map(lambda *x: jnp.stack(x), *episode, *[idle] * (length - len(episode)))


def _as_arrays(observation: Any) -> Any:
    """An observation as arrays; lists are arrays too."""

    def as_array(x: Any) -> jax.Array:
        return jnp.asarray(x, jnp.int32 if np.issubdtype(np.asarray(x).dtype, np.integer) else jnp.float32)

    return jax.tree.map(as_array, observation, is_leaf=lambda x: isinstance(x, list))
