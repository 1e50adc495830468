"""Optuna chooses what a sweep tries, from ranges; the study is in a storage that many machines may share.

Optuna says what to try and remembers what came of it. Training, validation and what is written are those of any sweep:
a trial is a cell. Trials that were begun in a directory and are not told are gone on with there.
"""

import dataclasses
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from adaptax.core.errors import ConfigError
from adaptax.core.settings import kind_of
from adaptax.experiment.surroundings import Surroundings
from adaptax.experiment.sweep_cells import read_cell
from adaptax.experiment.sweep_options import expect_optuna
from adaptax.experiment.sweep_plan import Cell, Range, SweepPlan
from adaptax.experiment.sweep_running import batches_of, inside_of, run_batches

WHERE = "directory"
"""What a trial says of itself in the study: the name of the sweep's directory."""
REFUSED = "refused"
"""What a trial says of itself whose values do not go together."""
DEFAULT_BATCH = 8
"""Trials that are asked for together, where it is not said: the more, the less each knows of the others."""


def open_study(plan: SweepPlan, root: Path) -> Any:
    """The study of a sweep, which is made if there is none of its name.

    Raises:
        MissingPackageError: if Optuna is not installed.
        ConfigError: if it cannot be opened.
    """
    optuna, options = expect_optuna(), plan.options
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = options.storage or f"sqlite:///{(root / 'study.db').resolve()}"
    # Of several machines each has a seed of its own, or all would try the same.
    seed = options.seed + sum(map(ord, str(root.resolve()))) * bool(options.storage)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = optuna.samplers.TPESampler(seed=seed % 2**32, constant_liar=True)
        try:
            study = optuna.create_study(
                storage=storage,
                sampler=sampler,
                study_name=options.study or root.resolve().name,
                direction="maximize",
                load_if_exists=True,
            )
        except Exception as error:
            raise ConfigError(f"--storage: cannot be opened ({error}); nothing was trained. Found {storage}") from error
    return study


def suggest(trial: Any, plan: SweepPlan) -> dict[str, Any]:
    """What Optuna wants to try: a value for each swept setting."""
    changes: dict[str, Any] = {}
    whole = {field.name for field in dataclasses.fields(plan.recipe.algorithm_settings) if kind_of(field) is int}
    for name, values in plan.swept.items():
        if not isinstance(values, Range):
            changes[name] = trial.suggest_categorical(name, list(values))
        elif name in whole:
            changes[name] = trial.suggest_int(name, int(values.low), int(values.high), log=values.log)
        else:
            changes[name] = trial.suggest_float(name, values.low, values.high, log=values.log)
    return changes


def run_study(plan: SweepPlan, root: Path, surroundings: Surroundings) -> tuple[list[Cell], bool]:
    """Ask, train, validate and tell, until the study has as many trials as are wanted.

    Returns:
        The cells of this directory, and whether it was stopped.
    """
    study, mine = open_study(plan, root), root.resolve().name
    elsewhere: set[int] = set()  # trials of this directory that another process is at
    stopped = False
    while not stopped and (batch := _begun(study, plan, mine, elsewhere) or _asked(study, plan, mine)):
        stopped = _tried(study, plan, batch, root, surroundings)
        elsewhere |= {number for number, cell in batch if not read_cell(root / cell.name).finished}
    return cells_of_study(plan, root, study), stopped


def cells_of_study(plan: SweepPlan, root: Path, study: Any = None) -> list[Cell]:
    """The trials of a sweep's directory, as cells."""
    found = (open_study(plan, root) if study is None else study).trials
    mine = root.resolve().name
    chosen = [trial for trial in found if trial.user_attrs.get(WHERE) == mine and set(plan.swept) <= set(trial.params)]
    refused = [trial for trial in chosen if trial.user_attrs.get(REFUSED)]
    return [_cell(trial.number, _ordered(trial.params, plan)) for trial in chosen if trial not in refused]


def _cell(number: int, changes: dict[str, Any]) -> Cell:
    return Cell(f"trial-{number:04d}", dict(changes))


def _ordered(params: dict[str, Any], plan: SweepPlan) -> dict[str, Any]:
    return {name: params[name] for name in plan.swept}


def _begun(study: Any, plan: SweepPlan, mine: str, elsewhere: Collection[int]) -> list[tuple[int, Cell]]:
    """Trials of this directory that were begun and are not told: stopped, or killed."""
    optuna = expect_optuna()
    return [
        (trial.number, _cell(trial.number, _ordered(trial.params, plan)))
        for trial in study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.RUNNING])
        if trial.user_attrs.get(WHERE) == mine and set(plan.swept) <= set(trial.params)
        if trial.number not in elsewhere
    ]


def _asked(study: Any, plan: SweepPlan, mine: str) -> list[tuple[int, Cell]]:
    """New trials: as many as go into one program, and are missing."""
    missing = plan.options.optuna - len(study.trials)
    found = []
    for _ in range(min(missing, plan.options.at_once or DEFAULT_BATCH)):
        trial = study.ask()
        trial.set_user_attr(WHERE, mine)
        found.append((trial.number, _cell(trial.number, suggest(trial, plan))))
    return found


def _tried(
    study: Any, plan: SweepPlan, batch: Sequence[tuple[int, Cell]], root: Path, surroundings: Surroundings
) -> bool:
    """Train and validate trials, and tell Optuna; return whether it was stopped."""
    optuna, trials = expect_optuna(), []
    for number, cell in batch:
        try:
            plan.recipe_of(cell)
            trials.append((number, cell))
        except ConfigError as error:  # values that do not go together
            study._storage.set_trial_user_attr(study.trials[number]._trial_id, REFUSED, str(error))
            study.tell(number, state=optuna.trial.TrialState.FAIL)
            surroundings.on_message(f"{cell}: {error}; told to the study as failed")
    cells = [cell for _, cell in trials]
    surroundings.on_message("\n".join(f"trial {number}: {cell}" for number, cell in trials))
    inside = inside_of(plan, root)
    if run_batches(plan, batches_of(cells, inside, plan.options.at_once, 1), inside, root, surroundings):
        return True
    for number, cell in trials:
        record = read_cell(root / cell.name)
        if record.figures is not None:
            study.tell(number, float(record.figures["mean"]))
        elif record.diverged is not None:
            study.tell(number, state=optuna.trial.TrialState.FAIL)
    return False
