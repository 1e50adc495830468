"""Validation during training: which checkpoint is the best on tasks that are neither trained on nor tested on."""

import hashlib
from pathlib import Path
from typing import Any

from adaptax.core.trained_agent import TrainedAgent
from adaptax.evaluation import evaluator
from adaptax.evaluation.statistics import stderr
from adaptax.experiment import causes
from adaptax.experiment.options import TrainOptions
from adaptax.experiment.progress import OnMessage
from adaptax.runs import validations
from adaptax.training.loop import CHUNK, chunk_length


def seed_of(seed: int) -> int:
    """The seed of validation for a training's: another than its own, or validation and test would be paired tasks."""
    return int.from_bytes(hashlib.sha256(f"validation {seed}".encode()).digest()[:4], "big") % 2**31


class Validator:
    """Evaluates checkpoints on `Problem.validation`, and keeps the best.

    When it is time depends on the update alone, so that a run that was stopped and gone on with has the same best.
    """

    def __init__(self, algorithm: Any, problem: Any, options: TrainOptions, directory: Path, on_message: OnMessage):
        self._algorithm, self._problem, self._options = algorithm, problem, options
        self._directory, self._on_message = directory, on_message
        self._chunk = chunk_length(algorithm.num_updates, CHUNK)
        self._known: list[validations.Validation] = []

    def take_up(self, done: int, meta: Any) -> None:
        """Begin at update `done`, of which there is a checkpoint: what was validated later counts no more.

        Raises:
            CheckpointError: if it is not known what was validated before.
            OSError: if it cannot be written down.
        """
        self._known = [one for one in validations.read(self._directory) if one.update <= done]
        if self.is_due(done) and all(one.update != done for one in self._known):
            self.validate(done, meta)

    @property
    def best(self) -> int | None:
        """Update of the best checkpoint so far; None: there is none."""
        best = validations.best_of(self._directory, self._known)
        return None if best is None else best.update

    def is_due(self, done: int) -> bool:
        """Whether the checkpoint of an update, which ends a chunk, is to be validated."""
        every, before = self._options.validate_every, done - self._chunk
        return done > 0 and (done == self._algorithm.num_updates or done // every > before // every)

    def validate(self, done: int, meta: Any) -> None:
        """Evaluate the checkpoint of an update, which has been written, and write down what is found.

        Raises:
            OSError: if it cannot be written down.
        """
        agent = TrainedAgent(self._algorithm, self._problem, meta, self._options.seeds)
        how: dict[str, Any] = {
            "num_tasks": self._options.validation_tasks,
            "seed": seed_of(self._options.seed),
            "explore": False,
            "family": self._problem.validation,
        }
        with causes.of_evaluation(agent, **how, on_message=self._on_message):
            scores = evaluator.evaluate(agent, **how).scores
        self._known.append(validations.Validation(done, float(scores.mean()), float(stderr(scores))))
        validations.write(self._directory, self._known)
