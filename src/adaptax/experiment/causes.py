"""What made numbers NaN, and what memory was too small for: what went wrong is done once more, with every step told."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from adaptax.core.errors import DivergenceError, EnvironmentContractError, ResourceError
from adaptax.core.trained_agent import TrainedAgent
from adaptax.evaluation.encounters import encounters
from adaptax.experiment import memory
from adaptax.experiment.progress import OnMessage
from adaptax.training import diagnosis


@contextlib.contextmanager
def of_training(
    algorithm: Any, problem: Any, directory: Path, *, seed: int, num_seeds: int, on_message: OnMessage
) -> Iterator[None]:
    """Say what made numbers of a training NaN, and what to lower if memory was too small.

    Raises:
        DivergenceError: if it was the agent.
        EnvironmentContractError: if it was the environment.
        ResourceError: if memory was too small.
    """
    try:
        yield
    except DivergenceError as error:
        when = f"update {error.update}" if error.update else "before the first update"
        on_message(f"{when}: not finite; looking for the cause …")
        if error.update:
            violation = diagnosis.violation_in_update(algorithm, problem, error.state, num_seeds)
            safe = f"The last good checkpoint, in {directory}, is as it was"
        else:
            violation = diagnosis.violation_in_init(algorithm, problem, seed=seed, num_seeds=num_seeds)
            safe = "Nothing was trained"
        if violation is None:
            raise DivergenceError(f"{error}. {safe}") from error
        if violation.field == "action":
            raise DivergenceError(f"{when}: the policy's output: {violation}. {safe}") from error
        raise EnvironmentContractError(
            f"{type(problem.env).__name__}: {when}: {violation}. {safe}; `adaptax check-env` finds more"
        ) from error
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise ResourceError(f"out of memory: {str(error).splitlines()[0]}. {memory.advice(algorithm)}") from error


@contextlib.contextmanager
def of_evaluation(
    agent: TrainedAgent, *, num_tasks: int, seed: int, explore: bool, family: Any = None, on_message: OnMessage
) -> Iterator[None]:
    """Say what made a return of an evaluation NaN: that trial is run again.

    Raises:
        DivergenceError: if it was the agent.
        EnvironmentContractError: if it was the environment.
    """
    try:
        yield
    except EnvironmentContractError as error:
        if error.task is None:  # found while the program was traced, and named already
            raise
        where, one, problem = error.task, agent.of_seed(error.trained), agent.problem
        on_message(f"task {where}: not finite; looking for the cause …")
        tasks, keys = encounters(problem.test if family is None else family, num_tasks, seed)
        violation = diagnosis.violation_in_evaluation(
            one.algorithm,
            problem,
            one.meta,
            jax.tree.map(lambda x: x[where], tasks),
            keys[where],
            explore=explore or agent.learns_from_windows,
            with_evaluation=agent.has_evaluation_episodes,
        )
        if violation is None:
            raise
        violation = dataclasses.replace(violation, task=where)
        if violation.field == "action":
            raise DivergenceError(f"{type(agent.algorithm).__name__}: the policy's output: {violation}") from error
        raise EnvironmentContractError(
            f"{type(problem.env).__name__}: {violation}; `adaptax check-env` finds more"
        ) from error
