"""A trained agent in use: load it, let it act in an environment of your own, step by step.

Nothing of training is needed here, and no environment of adaptax: whoever calls it holds the environment.
"""

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
from adaptax.core.types import AgentState
from adaptax.deployment import checks, pretrained
from adaptax.deployment.batch import Batch
from adaptax.deployment.predict import predict
from adaptax.deployment.programs import Programs
from adaptax.deployment.session_bytes import from_bytes, to_bytes
from adaptax.deployment.sessions import Sessions
from adaptax.runs.load import Which, load_agent

_ONE = np.array([0])


def _rebuilt(trained: TrainedAgent, seed: int, safe: Any, margin: Any, draws: int, data: bytes) -> "Agent":
    """An agent, as Python's own copies begin it."""
    agent = Agent(trained, seed=seed, safe_action=safe, margin=margin)
    agent._draws = draws
    agent.load_state(data)
    return agent


class Agent:
    """One agent in one task: one session. It adapts as it acts; `begin` makes it forget the task.

    Calls come in turn: `act`, `observe`, `act`, `observe`, … A call that is refused, or whose outcome is not finite,
    has changed nothing: the agent goes on as if it had not been made. Calls from two threads at once are refused too:
    give each an agent of its own (`copy.deepcopy`), or use `sessions`.

    An agent with a memory adapts at every step. One that learns from windows (MAML and its family, learners from
    scratch) collects experience until it has one, then adapts: with one environment, as soon as the window is full or
    the episode over; with several, when there is an episode for each, to consecutive pieces of them. Its environments
    follow one another, so that later pieces were collected before it learned from earlier ones.
    """

    @in_single_precision
    def __init__(self, trained: TrainedAgent, *, seed: int = 0, safe_action: Any = None, margin: float | None = None):
        """Enter a first task.

        Args:
            trained: The agent, of one training seed.
            seed: Decides the agent's own randomness.
            safe_action: What `act` returns where it would raise: what it is shown is no observation, or its action
                none. By default it raises. The step is then not learned from.
            margin: For an agent that learns from windows: which part of the mean reward that it had before it adapted
                it may lose. If a window shows that it has lost more, and more than by chance, it is again what it was
                before it adapted to this task, and frozen until `begin` (`taken_back` counts). Rewards far from all
                others are cut before it learns from them; a step that would not be finite is left out and counted.
                None: adaptation is not bounded.

        Raises:
            UseError: if that is no agent, one that holds several trainings, or one whose windows do not fill a trial;
                if the seed is none, or the safe action is.
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
        self._seed = seed_number("Agent(seed)", seed)
        safe = None
        if safe_action is not None:
            safe = checks.safe_action("Agent(safe_action)", trained.problem.env.action_space, safe_action)
        margin = None if margin is None else checks.fraction("Agent(margin)", margin)
        self._batch, self._draws = Batch(Programs(trained), 1, 1, self._seed, safe, margin), 0

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
        safe_action: Any = None,
        margin: float | None = None,
    ) -> "Agent":
        """The agent that a run has trained.

        Args:
            directory: What `adaptax train` printed.
            seed: Decides the agent's own randomness.
            training_seed: Which of the trainings, if the run had several (`--seeds`).
            checkpoint: The best by validation tasks, the last, or ("auto") the best if the run was to select by them.
            problem: The run's problem, if it is your own (MODULE:NAME): nothing is imported that you do not name.
            algorithm: The run's algorithm, if it is your own.
            safe_action: What `act` returns where it would raise; by default it raises.
            margin: How much the agent may lose by adapting; see `Agent`.

        Raises:
            CheckpointError: if there is no finished run, it is damaged, or its parameters are not finite.
            UseError: if an argument is of the wrong kind, or the run has not so many trainings.
        """
        if not isinstance(directory, str | Path):
            raise UseError(f"Agent.load(directory): expected a path, found {in_words(directory)}; nothing was done")
        seed = seed_number("Agent.load(seed)", seed)
        agent = load_agent(Path(directory), checkpoint=checkpoint, problem=problem, algorithm=algorithm)
        return cls(agent.of_seed(training_seed), seed=seed, safe_action=safe_action, margin=margin)

    @classmethod
    def pretrained(cls, name: str, *, seed: int = 0, safe_action: Any = None, margin: float | None = None) -> "Agent":
        """One of the small agents that ship with the package: "bandit", "grid-navigation" or "point-robot".

        Args:
            name: Which: it is called by the problem that it was trained on, with that problem's usual settings (the
                point robot's episodes have 30 steps).
            seed: Decides the agent's own randomness.
            safe_action: What `act` returns where it would raise; by default it raises.
            margin: How much the agent may lose by adapting; see `Agent`.

        Raises:
            UseError: if there is none of that name, or another argument is of the wrong kind.
        """
        return cls.load(pretrained.directory_of(name), seed=seed, safe_action=safe_action, margin=margin)

    @in_single_precision
    def begin(self) -> None:
        """Enter a new task: fresh memory, no previous action or reward, nothing learned, not frozen."""
        with self._batch.turn("begin()"):
            self._batch.begin(_ONE)

    @in_single_precision
    def act(self, observation: Any, *, explore: bool | None = None) -> np.ndarray:
        """Return the action for `observation`, one of the action space.

        Args:
            observation: What is seen: an array, a number or a nested list; `[]` where there is nothing to see.
            explore: Whether to act as in training, or by the best action known. By default an agent that learns from
                windows explores, because that is what it learns from; pass False when it has learned enough.

        Raises:
            UseError: if the observation is none of the space's, it allows no action, or nobody has told what the last
                action brought.
            DivergenceError: if the action, or what the agent knows, would not be finite.
        """
        explore = None if explore is None else flag("act(explore)", explore)
        space, errors = self._env.observation_space, {}
        with self._batch.turn("act()"):
            try:
                seen = checks.observation("act(observation)", space, observation)
            except UseError as error:
                seen, errors[0] = np.zeros(space.shape, np.int32 if space.integers else np.float32), error
            return self._batch.act(_ONE, seen[None], errors, explore)[0]

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
        over = np.array([flag("observe(episode_over)", episode_over)])
        ended = None if terminated is None else np.array([flag("observe(terminated)", terminated)])
        checks.ends(ended, over)
        space = self._env.observation_space
        seen = None if observation is None else checks.observation("observe(observation)", space, observation)[None]
        with self._batch.turn("observe()"):
            self._batch.observe(_ONE, np.asarray([reward], np.float32), over, ended, seen)

    @in_single_precision
    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
        *,
        reward: Any = None,
    ) -> tuple[np.ndarray, Any]:
        """Return actions and what is remembered after them, as Stable-Baselines3's `predict`; the agent stays as it is.

        An agent with a memory begins a new task where `state` is None, learns from what it is passed, and all that it
        has learned is in the state that it returns. What `act` and `observe` have taught it is not used. An agent that
        learns from windows acts by what it has adapted to in this task so far, learns nothing here, and its state is
        None unless it has a memory, too.

        Args:
            observation: One observation, or `[env, ...]` of several environments, each in a task of its own.
            state: What the last call returned; None: new tasks.
            episode_start: Where an episode begins, for all or `[env]`. Memory is kept then: it is of the task, and an
                episode is part of it. By default, where a task begins.
            deterministic: Whether to act by the best action known.
            reward: What the last actions brought, one or `[env]`. An agent with a memory must hear of it wherever it is
                passed a state. (Stable-Baselines3 has no such argument, as its policies do not learn while they act.)

        Returns:
            An action, or `[env, ...]`, and the state, a tuple of arrays. The first environment's randomness is that of
            an agent of this seed, the k-th one's that of `seed` + k.

        Raises:
            UseError: if an argument is none that it takes, or the reward is missing.
            DivergenceError: if an action, or what is remembered, would not be finite.
        """
        draw = 0 if deterministic or state is not None else self._draws
        found = predict(
            self._batch, observation, state, episode_start, deterministic, reward, seed=self._seed, draw=draw
        )
        self._draws += state is None and not deterministic  # or noise without a state would always be the same
        return found

    @in_single_precision
    def sessions(self, num: int, *, seed: int | None = None) -> Sessions:
        """Many sessions of this agent side by side, each in a task of its own; see `Sessions`.

        Args:
            num: How many.
            seed: The first one's; the k-th has this one and k more. By default this agent's.

        Raises:
            UseError: if the number or the seed is none.
        """
        seed = self._seed if seed is None else seed
        return Sessions(self._batch.programs, num, seed=seed, safe=self._batch.safe, margin=self._batch.margin)

    def reset(self, *, seed: int | None = None) -> None:
        """Enter a new task, as `begin`; with a seed, the first task of a new agent with that seed.

        Not at the beginning of every episode: what the agent has learned of the task would be lost. That an episode is
        over, `observe(episode_over=True)` says.

        Raises:
            UseError: if the seed is none.
        """
        if seed is None:
            return self.begin()
        self._seed = seed_number("reset(seed)", seed)
        with self._batch.turn("reset()"):
            self._batch.state = Batch(self._batch.programs, 1, 1, self._seed).state
        self._draws = 0
        return None

    def freeze(self) -> None:
        """Stop adapting until the next `begin`: act with what is known now.

        A memory, and the last action and reward that it heard of, stay as they are; windows are neither collected nor
        learned from, and the default is not to explore.
        """
        with self._batch.turn("freeze()"):
            self._batch.freeze(_ONE)

    def rollback(self) -> None:
        """Undo the last adaptation, of which one is kept.

        For an agent that learns from windows: as if it had not learned from the last one. For an agent with a memory,
        which adapts at every step: as if its last step had not been.

        Raises:
            UseError: if there is none to undo.
        """
        with self._batch.turn("rollback()"):
            self._batch.rollback(0)

    @property
    def frozen(self) -> bool:
        """Whether it has stopped adapting."""
        return bool(self._batch.state.frozen[0])

    @in_single_precision
    def save_state(self) -> bytes:
        """All that decides what the agent will do in this task and after it, as bytes, but θ.

        They are versioned and sealed by a checksum, and say of which agent they are; nothing in them can be executed.
        """
        with self._batch.turn("save_state()"):
            return to_bytes(self._batch.programs, self._batch.session(0))

    @in_single_precision
    def load_state(self, data: bytes) -> None:
        """Go on where a session was saved, to the last bit.

        Args:
            data: What `save_state` of this agent returned, here or in another process; or a session of `Sessions`.

        Raises:
            CheckpointError: if these are no bytes of a session, they are damaged, or of another agent or version.
        """
        with self._batch.turn("load_state()"):
            session = from_bytes(self._batch.programs, data, self._batch.session(0))
            self._batch.set_session(0, session)

    def __deepcopy__(self, memo: Any) -> "Agent":
        new = object.__new__(type(self))
        vars(new).update(vars(self), _batch=self._batch.copy())
        return new

    __copy__ = lambda self: self.__deepcopy__(None)  # noqa: E731

    def __reduce__(self) -> Any:
        batch = self._batch
        return _rebuilt, (batch.programs.trained, self._seed, batch.safe, batch.margin, self._draws, self.save_state())

    @property
    def algorithm(self) -> Any:
        """How it acts."""
        return self._batch.programs.trained.algorithm

    @property
    def meta(self) -> PyTree[Array]:
        """θ."""
        return self._batch.programs.trained.meta

    @property
    def observation_space(self) -> Any:
        """What it is shown: a space of `adaptax.core.spaces`."""
        return self._env.observation_space

    @property
    def adaptations(self) -> int:
        """How many windows it has learned from in this task."""
        return int(self._batch.state.adaptations[0])

    @property
    def taken_back(self) -> int:
        """How many adaptations were undone in this task, by `rollback` or beyond the margin."""
        return int(self._batch.state.taken_back[0])

    @property
    def refused(self) -> str:
        """Why the last safe action was done, in a line; empty: none was."""
        return self._batch.refused

    @property
    def _env(self) -> Any:
        return self._batch.programs.env

    @property
    def _agent(self) -> AgentState:
        """What it knows of the task, put together."""
        programs, state = self._batch.programs, self._batch.state
        known = [jax.tree.map(lambda x: x[0], leaves[0]) for leaves in (state.adapted, state.memory)]
        return programs.parts.together(programs.theta, *known)[1]

    def __repr__(self) -> str:
        env, state = self._env, self._batch.state
        learned = f", {counted(self.adaptations, 'adaptation')}" if state.notes else ""
        return (
            f"Agent({self._batch.programs.trained.title}: sees {env.observation_space}, does {env.action_space}; "
            f"task {state.tasks[0]}: {counted(int(state.steps[0]), 'step')}{learned})"
        )

    def _repr_html_(self) -> str:
        env, state, trained = self._env, self._batch.state, self._batch.programs.trained
        rows = [
            ("kind", trained.kind),
            ("numbers in θ", f"{trained.num_parameters:,}"),
            ("sees", str(env.observation_space)),
            ("does", str(env.action_space)),
            ("episodes", f"of at most {counted(env.horizon, 'step')}"),
            ("this task", f"number {state.tasks[0]}: {counted(int(state.steps[0]), 'step')}"),
        ]
        if state.notes:
            rows.append(("learned", f"from {counted(self.adaptations, 'window')} of this task"))
        return html_table(f"Agent: {trained.title}", (), [row for row in rows if row[1]])
