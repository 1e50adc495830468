"""Evaluation on validation tasks during training: how good the agent is by then, and which checkpoint is the best.

Those tasks are neither trained on nor tested on, and their keys are nobody else's: a training is bitwise the same
with and without it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adaptax.core.trained_agent import TrainedAgent
from adaptax.evaluation import evaluator
from adaptax.evaluation.encounters import at_most_all
from adaptax.evaluation.statistics import stderr
from adaptax.experiment import causes
from adaptax.experiment.options import TrainOptions
from adaptax.experiment.progress import OnMessage, patience
from adaptax.runs import validations
from adaptax.training.loop import CHUNK


def seed_of(seed: int) -> int:
    """The seed of validation for a training's: another than its own, or validation and test would be paired tasks."""
    return int.from_bytes(hashlib.sha256(f"validation {seed}".encode()).digest()[:4], "big") % 2**31


class Validator:
    """Evaluates on `Problem.validation` between chunks; with `--select-on validation`, knows which checkpoint is best.

    When it is time depends on the update alone, so that a run that was stopped and gone on with has the same figures.

    Attributes:
        text: What was found last, in a few words.
    """

    def __init__(
        self,
        algorithm: Any,
        problem: Any,
        options: TrainOptions,
        directory: Path,
        on_message: OnMessage,
    ):
        """Begin.

        Args:
            algorithm: What is trained.
            problem: Where.
            options: How.
            directory: The run's.
            on_message: Called with lines for a person.
        """
        self._algorithm, self._problem, self._options = algorithm, problem, options
        self._directory, self._on_message = directory, on_message
        self._known: list[validations.Validation] = []
        self._newest: validations.Validation | None = None
        self._evaluate: Any = None
        self.selects = options.select_on == "validation"
        self.text = ""

    def take_up(self, done: int, meta: Any, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
        """Begin at update `done`, of which there is a checkpoint: what was validated later counts no more.

        Args:
            done: The update.
            meta: θ.
            rows: What the metrics say of evaluations until then.

        Returns:
            What an evaluation has found that should have been made and was not; None: nothing is missing.

        Raises:
            CheckpointError: if it is not known what was validated before.
            OSError: if it cannot be written down.
        """
        if self.selects:
            self._known = [one for one in validations.read(self._directory) if one.update <= done]
        known = next((row for row in rows if row["update"] == done), None)
        if known is not None:
            self._newest = _validation(done, known)
        missing = (
            known is None and self.is_due(done) and (not self.selects or all(x.update != done for x in self._known))
        )
        found = self.validate(done, meta) if missing else None
        self.record()
        return found

    @property
    def best(self) -> int | None:
        """Update of the best checkpoint so far; None: there is none."""
        best = validations.best_of(self._directory, self._known) if self.selects else None
        return None if best is None else best.update

    def is_due(self, done: int) -> bool:
        """Whether it is time after an update: at the beginning, at the end, and after whole chunks now and then."""
        every = self._options.evaluation_interval
        if done in (0, self._algorithm.num_updates):
            return True
        return done % CHUNK == 0 and done // every > (done - CHUNK) // every

    def validate(self, done: int, meta: Any) -> dict[str, Any]:
        """Evaluate θ after an update; return what is found, as it stands in the metrics."""
        agent = TrainedAgent(self._algorithm, self._problem, meta, self._options.seeds)
        how: dict[str, Any] = {
            "num_tasks": at_most_all(self._problem.validation, self._options.validation_tasks),
            "seed": seed_of(self._options.seed),
            "explore": False,
            "family": self._problem.validation,
        }
        with (
            patience("evaluating on validation tasks", self._on_message),
            causes.of_evaluation(agent, **how, on_message=self._on_message),
        ):
            if self._evaluate is None:
                self._evaluate = evaluator.prepare(agent, **how)
            evaluation = self._evaluate(meta, lambda done: None)
        found = {"tasks": how["num_tasks"], **_figures("return", evaluation.scores)}
        if agent.learns_from_windows:
            found |= _figures("adapted_return", evaluation.adapted_returns)
        found |= {f"validation_success_{name}": float(x.mean()) for name, x in evaluation.success_rates.items()}
        found["validation_episode_returns"] = evaluation.episode_returns.tolist()
        self._newest = _validation(done, found)
        name = "adapted_" if agent.learns_from_windows else ""  # as the return in training is meant
        mean, error = found[f"validation_{name}return"], found[f"validation_{name}stderr"]
        self.text = f"validation {mean:.4g} ± {error:.2g} at {done}"
        return found

    def record(self) -> None:
        """The checkpoint of what was validated last is written: with `--select-on validation`, it may be the best.

        Raises:
            OSError: if it cannot be written down.
        """
        newest, self._newest = self._newest, None
        if not self.selects or newest is None or newest.update == 0:
            return
        if all(one.update != newest.update for one in self._known):
            self._known.append(newest)
            validations.write(self._directory, self._known)


def _figures(name: str, scores: Any) -> dict[str, Any]:
    """Mean of `scores[seed, task]`, its standard error over tasks and seeds, and the mean of each seed."""
    return {
        f"validation_{name}": float(scores.mean()),
        f"validation_{name.removesuffix('return')}stderr": float(stderr(scores)),
        f"validation_{name}s": scores.mean(1).tolist(),
    }


def _validation(update: int, found: Mapping[str, Any]) -> validations.Validation:
    return validations.Validation(update, found["validation_return"], found["validation_stderr"])
