"""A trained agent in use: load it, let it act in an environment of your own, step by step.

Nothing of training is needed here, and no environment of adaptax: whoever calls it holds the environment.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, PyTree

from adaptax.core.algorithm import leaf_that_is_not_finite
from adaptax.core.arguments import counted, flag, in_words, instance, seed_number
from adaptax.core.errors import DivergenceError, UseError
from adaptax.core.notebook import html_table
from adaptax.core.precision import in_single_precision
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import AgentState, Transition, replace
from adaptax.deployment import checks
from adaptax.deployment.programs import ADAPTING, Parts, act_program, adapt_program, outcome, packed
from adaptax.deployment.windows import padded, timestep_of, transition_of, windows
from adaptax.runs.load import Which, load_agent


class Agent:
    """One agent in one task. It adapts as it acts; `begin` makes it forget the task.

    Calls come in turn: `act`, `observe`, `act`, `observe`, … A call that is refused, or whose outcome is not finite,
    has changed nothing: the agent goes on as if it had not been made.

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
            UseError: if that is no agent, one that holds several trainings, or one whose windows do not fill a trial;
                if the seed is none.
            DivergenceError: if a leaf of θ is NaN or infinite.
        """
        instance("Agent(trained)", trained, TrainedAgent, "What a run has trained: Agent.load(directory)")
        if trained.num_seeds != 1:
            raise UseError(
                f"Agent: expected one training, found {trained.num_seeds}; choose one by `trained.of_seed(index)`"
            )
        if bad := leaf_that_is_not_finite(trained.meta):
            raise DivergenceError(
                f"Agent(trained): leaf {bad} of θ is NaN or infinite, expected finite numbers; use another checkpoint"
            )
        algorithm, problem = trained.algorithm, trained.problem
        self.algorithm, self._meta = algorithm, trained.meta
        self._env, self._who = problem.env, type(algorithm).__name__
        self._title, self._kind, self._size = trained.title, trained.kind, trained.num_parameters
        self._sees, self._does = problem.env.observation_space, problem.env.action_space
        self._window = algorithm.window(problem) if trained.learns_from_windows else None
        self._seed = seed_number("Agent(seed)", seed)
        self._root = jax.random.key_data(jax.random.key(self._seed))
        self._theta = jax.device_put(jax.tree.leaves(trained.meta))
        self._tasks = 0
        self.begin()
        self._act = act_program(algorithm, problem.env, self._parts, with_aux=self._window is not None)
        self._adapt = adapt_program(algorithm, self._parts)

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
            CheckpointError: if there is no finished run, it is damaged, or its parameters are not finite.
            UseError: if an argument is of the wrong kind, or the run has not so many trainings.
        """
        if not isinstance(directory, str | Path):
            raise UseError(f"Agent.load(directory): expected a path, found {in_words(directory)}; nothing was done")
        seed = seed_number("Agent.load(seed)", seed)
        agent = load_agent(Path(directory), checkpoint=checkpoint, problem=problem, algorithm=algorithm)
        return cls(agent.of_seed(training_seed), seed=seed)

    @in_single_precision
    def begin(self) -> None:
        """Enter a new task: fresh memory, no previous action or reward, nothing learned."""
        with self._all_or_nothing():
            self._tasks += 1
            self._steps = self._length = self.adaptations = 0
            self._arrived = True
            self._episode: list[Transition] = []
            self._episodes: list[Transition] = []
            key = jax.random.fold_in(jax.random.wrap_key_data(self._root), self._tasks)
            agent = self.algorithm.begin(self.meta, key)
            self._adapted, adapted = jax.tree.flatten(agent.adapted)
            self._memory, memory = jax.tree.flatten(agent.memory)
            self._parts = Parts(jax.tree.structure(self.meta), adapted, memory)
            self._action: Any = self._does.null()
            self._reward, self._first = 0.0, True
            self._acted: tuple[Any, Any, Any] | None = None

    @property
    def meta(self) -> PyTree[Array]:
        """θ."""
        return self._meta

    @property
    def _agent(self) -> AgentState:
        """What it knows of the task, put together."""
        return self._parts.together(self._theta, self._adapted, self._memory)[1]

    def __repr__(self) -> str:
        learned = f", {counted(self.adaptations, 'adaptation')}" if self._window is not None else ""
        return (
            f"Agent({self._title}: sees {self._sees}, does {self._does}; "
            f"task {self._tasks}: {counted(self._steps, 'step')}{learned})"
        )

    def _repr_html_(self) -> str:
        rows = [
            ("kind", self._kind),
            ("numbers in θ", f"{self._size:,}"),
            ("sees", str(self._sees)),
            ("does", str(self._does)),
            ("episodes", f"of at most {counted(self._env.horizon, 'step')}"),
            ("this task", f"number {self._tasks}: {counted(self._steps, 'step')}"),
        ]
        if self._window is not None:
            rows.append(("learned", f"from {counted(self.adaptations, 'window')} of this task"))
        return html_table(f"Agent: {self._title}", (), [row for row in rows if row[1]])

    @contextlib.contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """What is raised in here leaves the agent as it was; lists of it are replaced, never changed."""
        before = vars(self).copy()
        try:
            yield
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    @in_single_precision
    def act(self, observation: Any, *, explore: bool | None = None) -> np.ndarray:
        """Return the action for `observation`, one of the action space.

        Args:
            observation: What is seen: an array, a number or a nested list; `[]` where there is nothing to see.
            explore: Whether to act as in training, or by the best action known. By default an agent that learns from
                windows explores, because that is what it learns from; pass False when it has learned enough.

        Raises:
            UseError: if the observation is none of the space's, or nobody has told what the last action brought.
            DivergenceError: if the action, or what the agent knows, would not be finite.
        """
        explore = self._window is not None if explore is None else flag("act(explore)", explore)
        seen = checks.observation("act(observation)", self._sees, observation)
        if self._acted is not None:
            raise UseError(
                f"act(): expected observe() after the last act(), found a second act(). {checks.UNCHANGED}; tell what "
                "the action has brought, or begin() a new task"
            )
        with self._all_or_nothing():
            if not self._arrived:
                self._arrive("act()", seen, episode_over=False)
            new = packed(seen, self._reward, self._first, self._tasks, self._steps)
            found, memory, aux = self._act(
                self._theta, self._adapted, self._memory, self._action, self._root, new, explore=explore
            )
            action, sound = outcome(self._does, found)
            done = checks.action(self._who, self._does, action)
            if not sound:
                raise checks.became_infinite("act()", self._who)
            timestep = None if self._window is None else timestep_of(seen, self._action, self._reward, self._first)
            # What was chosen is learned from, what is done is remembered: as in rollouts.
            self._acted, self._action, self._memory = (timestep, action, aux), done, memory
            self._steps += 1
        return done

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
            UseError: if the reward is not a finite number, there was no action since the last reward, an episode is
                longer than the agent was trained for, or the last observation is missing or none of the space's.
            DivergenceError: if what the agent learns would not be finite.
        """
        reward = checks.reward("observe(reward)", reward)
        episode_over = flag("observe(episode_over)", episode_over)
        terminated = None if terminated is None else flag("observe(terminated)", terminated)
        if terminated and not episode_over:
            raise UseError(
                "observe(terminated): expected episode_over=True beside terminated=True, found False. "
                f"{checks.UNCHANGED}; pass episode_over=True whenever an episode ends"
            )
        seen = None if observation is None else checks.observation("observe(observation)", self._sees, observation)
        if self._acted is None:
            raise UseError(
                f"observe(): expected an act() that has brought this, found none since the last observe() or begin(). "
                f"{checks.UNCHANGED}; call act() before each observe()"
            )
        with self._all_or_nothing():
            if self._window is not None:
                self._record(reward, episode_over, terminated, seen)
            self._reward, self._first, self._acted = reward, episode_over, None

    def _record(self, reward: float, episode_over: bool, terminated: bool | None, seen: np.ndarray | None) -> None:
        """Book a step; learn from it at once if it is known where it led."""
        length, horizon = self._length + 1, self._env.horizon
        if length > horizon:
            raise UseError(
                f"observe(): this episode has {length} steps, but the agent was trained for at most {horizon}; "
                "say episode_over=True by then. This step was not recorded"
            )
        ended = episode_over and (length < horizon if terminated is None else terminated)
        cut = episode_over and not ended
        if cut and seen is None and self.algorithm.needs_last_observation:
            raise UseError(
                f"observe(): a time limit has ended this episode after {length} steps, and {self._who} estimates what "
                "would have come after it; pass observation=, what is seen after the last step, or terminated=True if "
                "nothing comes after it. This step was not recorded"
            )
        assert self._acted is not None
        step = transition_of(*self._acted, reward, ended, cut)
        self._episode = [*self._episode, step]
        self._length, self._arrived = 0 if episode_over else length, False
        if seen is not None:
            self._arrive("observe()", seen, episode_over=episode_over)
        elif episode_over:
            self._arrive("observe()", step.next_observation, episode_over=True)

    def _arrive(self, where: str, seen: np.ndarray, *, episode_over: bool) -> None:
        """Book where the last step led; learn if a window is full."""
        assert self._window is not None
        self._arrived = True
        self._episode = [*self._episode[:-1], replace(self._episode[-1], next_observation=seen)]
        steps = self._window.steps
        if self._window.num_envs == 1:
            if episode_over or len(self._episode) == steps:
                self._learn(where, [padded(self._episode, steps)])
                self._episode = []
        elif episode_over:
            self._episodes = [*self._episodes, padded(self._episode, -(-self._env.horizon // steps) * steps)]
            self._episode = []
            if len(self._episodes) == self._window.num_envs:
                self._learn(where, self._episodes)
                self._episodes = []

    def _learn(self, where: str, envs: list[Transition]) -> None:
        """Adapt to consecutive windows of some environments' experience, each with leaves `[time, ...]`."""
        assert self._window is not None
        for window in windows(envs, self._window.steps):
            numbers = np.uint32(self._tasks), np.uint32(ADAPTING + self.adaptations)
            learned = self._adapt(self._theta, self._adapted, self._memory, window, self._root, *numbers)
            checks.learned(where, self._who, [*learned[0], *learned[1]])
            self._adapted, self._memory = learned
            self.adaptations += 1
