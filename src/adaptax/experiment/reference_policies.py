"""A problem's reference policies, found where `adaptax reference` has left them, in the tasks of an evaluation.

Nothing that is wrong with them is an error of the evaluation: they are left out, and one line says why.
"""

import dataclasses
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from adaptax.core.errors import AdaptaxError, CheckpointError
from adaptax.core.settings import Settings
from adaptax.core.trained_agent import TrainedAgent
from adaptax.evaluation import evaluator
from adaptax.evaluation import reference_scores as names
from adaptax.evaluation.comparison import REFERENCE
from adaptax.evaluation.encounters import Encounters
from adaptax.evaluation.evaluator import Evaluation
from adaptax.evaluation.reference_scores import ReferenceScores
from adaptax.experiment.progress import OnMessage, Progress
from adaptax.experiment.surroundings import Surroundings
from adaptax.registry.presets import agent_for
from adaptax.registry.registry import ALGORITHMS, view
from adaptax.runs.checkpoints import updates_in
from adaptax.runs.load import read_agent
from adaptax.runs.recipe import UPDATES
from adaptax.runs.references import INFORMED, MEMORYLESS, command, place, read_policy, read_record

CALLED: Mapping[str, str] = {INFORMED: names.INFORMED, MEMORYLESS: names.MEMORYLESS}
CLOSE = 1e-3
"""Deviations by which a number of the tasks may be elsewhere: rounding is less, another family more."""


@dataclasses.dataclass(frozen=True)
class Policies:
    """Both policies of a problem.

    Attributes:
        name: The problem's name.
        settings: Its parameters.
        problem: The problem itself.
        directory: Where they are kept.
        agents: By part, each with the problem as it sees it.
        command: What trains them.
    """

    name: str
    settings: Settings
    problem: Any
    directory: Path
    agents: Mapping[str, TrainedAgent]
    command: str

    def number(self, others: Collection[str]) -> int:
        """How many agents they are beside others: random actions too, if those do not have them."""
        return len(self.agents) + (names.RANDOM not in others)

    def about(self) -> dict[str, dict[str, Any]]:
        """What is to be written down of them, by what they are called."""
        shown = ("algorithm", "updates")
        return {
            agent.name: {**{word: agent.about[word] for word in shown}, "training_seeds": agent.num_seeds}
            for agent in self.agents.values()
        }

    def measure(
        self,
        met: Encounters,
        *,
        seed: int,
        explore: bool = False,
        random: Evaluation | None = None,
        on_progress: Callable[[int, str], None] = lambda done, text: None,
    ) -> ReferenceScores:
        """Let both, and random actions if they did not yet, meet the tasks of an evaluation.

        Args:
            met: The tasks, and the randomness of each.
            seed: What decided them.
            explore: Whether to act as in training.
            random: What random actions earn there; None: it is not known yet.
            on_progress: Called with the number of trials done and who is at work.

        Raises:
            AdaptaxError: as `evaluator.evaluate`.
        """
        agents = list(self.agents.values())
        found = {} if random is None else {names.RANDOM: random}
        if random is None:
            known = agent_for(names.RANDOM, self.name, self.settings)
            agents.append(TrainedAgent.initial(known, self.problem, seed=seed, name=names.RANDOM))
        num_tasks = len(met.keys)
        for number, agent in enumerate(agents):
            found[agent.name] = evaluator.evaluate(
                agent,
                num_tasks=num_tasks,
                seed=seed,
                explore=explore,
                met=met,
                on_progress=lambda done, number=number, agent=agent: on_progress(number * num_tasks + done, agent.name),
            )
        return ReferenceScores(
            found[names.INFORMED],
            found[names.MEMORYLESS],
            found[names.RANDOM],
            self.about(),
            str(self.directory),
            self.command,
        )

    def beside(
        self,
        results: Mapping[str, Evaluation],
        met: Encounters,
        *,
        seed: int,
        explore: bool,
        before: Progress,
        how: str,
        around: Surroundings,
    ) -> ReferenceScores | None:
        """The same after an evaluation of agents, which it does not fail: None, with a line, if something goes wrong.

        Args:
            results: What those found.
            met: Their tasks, and the randomness of each.
            seed: What decided these.
            explore: Whether to act as in training.
            before: How far the evaluation is.
            how: What else to say before, such as how long others took.
            around: Whom to tell.
        """
        more = self.number(results)
        which = f"the reference policies in {self.directory}{' and random' if more > len(self.agents) else ''}"
        around.on_message(f"evaluating {more} more agents, {which} ({how}; --no-reference: without them)")

        def progress(done: int, text: str) -> None:
            around.on_progress(dataclasses.replace(before, done=before.done + done, text=text))

        try:
            random = results.get(names.RANDOM)
            return self.measure(met, seed=seed, explore=explore, random=random, on_progress=progress)
        except AdaptaxError as error:
            around.on_message(f"warning: the reference policies in {self.directory} are left out: {error}")
            return None


def load(references: Path, name: str, settings: Settings, problem: Any, on_message: OnMessage) -> Policies | None:
    """The reference policies of a problem; None if there are none, or they cannot be used, which is said in a line.

    Args:
        references: Where references are kept.
        name: The problem's name.
        settings: Its parameters.
        problem: The problem itself.
        on_message: Called with that line.
    """
    directory = place(references, name, settings)
    if not os.path.isdir(directory):  # of a path that cannot be one it says no
        return None
    again = command(name, settings, references)
    try:
        planned = getattr(read_policy(directory, INFORMED, name, settings)[0].algorithm_settings, UPDATES)
        again = f"{again} --num-updates {planned}"
        agents = {part: _loaded(directory, part, name, settings, problem) for part in CALLED}
        record = read_record(directory)
        if record is None:
            raise CheckpointError(f"{directory}: is not finished")
        check_marks(directory, record["tasks"], marks(agents[INFORMED].problem))
    except AdaptaxError as error:
        on_message(
            f"warning: the reference policies of {name} are left out: {error}. To go on with them: {again}; if that "
            f"does not mend it, move {directory} away first"
        )
        return None
    return Policies(name, settings, problem, directory, agents, command(name, settings, references))


def _loaded(directory: Path, part: str, name: str, settings: Settings, problem: Any) -> TrainedAgent:
    """One of them, in the problem with whatever number of episodes.

    Raises:
        AdaptaxError: if it cannot be read, is of another problem, or is not trained to its end.
    """
    recipe, options = read_policy(directory, part, name, settings)
    said: list[str] = []
    agent, update = read_agent(directory / part, said.append)
    planned = getattr(recipe.algorithm_settings, UPDATES)
    if update < planned:
        unfinished = max(updates_in(directory / part), default=0) < planned
        why = f"is not finished: {update} of {planned} updates" if unfinished else "its last checkpoint is damaged"
        raise CheckpointError(f"{directory / part}: {why}")
    about = {
        "algorithm": recipe.algorithm,
        "updates": update,
        "settings": dataclasses.asdict(recipe.algorithm_settings),
        "runs": [{"directory": str(directory / part), "seed": options["seed"], "seeds": options["seeds"]}],
    }
    seen = view(ALGORITHMS[recipe.algorithm], problem)
    return dataclasses.replace(agent, problem=seen, name=CALLED[part], kind=REFERENCE, about=about)


def marks(informed_problem: Any) -> dict[str, Any]:
    """How the tasks of a problem look, from its task-informed view: what was trained on others is no reference."""
    env = informed_problem.env
    return {"horizon": env.horizon, "mean": list(env.mean), "std": list(env.std)}


def check_marks(directory: Path, known: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Check that a problem's tasks look as they did.

    Raises:
        CheckpointError: if they do not.
    """
    try:
        numbers = {name: np.asarray(known[name], np.float64) for name in now}
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"{directory}: it is not known what its tasks were like") from None
    for name, found in numbers.items():
        expected = np.asarray(now[name], np.float64)
        near = 0 if name == "horizon" else CLOSE * np.asarray(now["std"])
        if found.shape != expected.shape or not (np.abs(found - expected) <= near).all():
            raise CheckpointError(f"{directory}: is of other tasks ({name} differs): the problem has changed")


def hint(name: str, settings: Settings, references: Path) -> str:
    """What to say where no optimum is known and there are no references."""
    return (
        f"note: no optimum of {name} is known, so there is no saying how much of the way an agent has come. "
        f"`{command(name, settings, references)}` trains what it can be measured by"
    )
