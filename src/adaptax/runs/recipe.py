"""What a run trains, as settings and as plain data."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from adaptax.core.entry import Entry
from adaptax.core.errors import ConfigError, short_repr
from adaptax.core.settings import Settings
from adaptax.registry.encoders import expect_encoder
from adaptax.registry.registry import LEARNERS, PROBLEMS, build, view
from adaptax.registry.resolve import resolve_algorithm, resolve_problem
from adaptax.registry.simulation import simulated
from adaptax.registry.user_code import LONGEST, is_reference
from adaptax.runs.options import CHANGING, KeptOptions, of_older

_LARGEST_INTEGER = 2**31 - 1
UPDATES = "num_updates"
"""The setting of an algorithm that says how many updates a run is planned for."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a run trains: enough to build its algorithm and problem again.

    Attributes:
        algorithm: Name of the algorithm, or MODULE:NAME.
        problem: Name of the problem, or MODULE:NAME.
        algorithm_settings: Its hyper-parameters.
        problem_settings: Its parameters.
    """

    algorithm: str
    problem: str
    algorithm_settings: Settings
    problem_settings: Settings

    def build(self) -> tuple[Any, Any]:
        """Return the algorithm, and the problem as it sees it (JAX is imported here)."""
        entry = resolve_algorithm(self.algorithm, LEARNERS)
        return build(entry, self.algorithm_settings), view(entry, self.build_problem())

    def build_problem(self) -> Any:
        """Return the problem itself (JAX is imported here)."""
        return simulated(self.problem, build(resolve_problem(self.problem), self.problem_settings))

    def title(self) -> str:
        """What it is, in a line: the agent, the problem, and the problem's parameters."""
        parameters = dataclasses.asdict(self.problem_settings).items()
        return f"{self.algorithm} on {self.problem} ({', '.join(f'{name} {value}' for name, value in parameters)})"

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain data, as it stands in config.json."""
        return dataclasses.asdict(self)

    def about(self, options: dict[str, Any]) -> dict[str, Any]:
        """What a checkpoint of a run with these options is of."""
        return {**self.to_json(), "options": {name: x for name, x in options.items() if name not in CHANGING}}

    def complete(self, about: Any, planned_before: Collection[int] | None = None) -> Any:
        """What a file says that it is of (`about`), with the defaults of the fields that were not there yet.

        Nothing is believed: what is of another kind stays as it is, for whoever compares.

        Args:
            about: What it says.
            planned_before: Numbers of updates that the run was planned for earlier, if it was: as good as the present.
        """
        if not isinstance(about, dict):
            return about
        kinds: dict[str, type[Settings]] = {
            "algorithm_settings": type(self.algorithm_settings),
            "problem_settings": type(self.problem_settings),
            "options": KeptOptions,
        }
        said = {name: about[name] for name in kinds if isinstance(about.get(name), dict)}
        full = {name: {**defaults(kinds[name]), **values} for name, values in said.items()}
        if "options" in full:
            present = of_older({**defaults(KeptOptions), **said["options"]})
            full["options"] = {name: value for name, value in present.items() if name not in CHANGING}
        settings = full.get("algorithm_settings", {})
        if type(settings.get(UPDATES)) is int and settings[UPDATES] in (planned_before or ()):
            settings[UPDATES] = getattr(self.algorithm_settings, UPDATES)
        return {**about, **full}


def accept_names(*, problem: str | None, algorithm: str | None) -> None:
    """Resolve the names that a user gives, importing what they name.

    Raises:
        ConfigError: if one of them stands for nothing.
    """
    if algorithm is not None:
        resolve_algorithm(algorithm, LEARNERS)
    if problem is not None:
        resolve_problem(problem)


def recipe_of(content: dict[str, Any], *, problem: str | None = None, algorithm: str | None = None) -> Recipe:
    """The recipe that `Recipe.to_json` made plain data of.

    Plain data may come from anybody, so that a name in them has no module imported: MODULE:NAME is accepted only if
    the user has given that name to this process, here or before. (What installed packages bring, the user installed.)

    Args:
        content: The data.
        problem: The problem's name as the user gives it, which must be that in the data; None: not given.
        algorithm: The same for the algorithm.

    Raises:
        ConfigError: if a name or a value is not what it must be, or a name must be given and is not.
        TypeError: the same.
    """
    accept_names(problem=problem, algorithm=algorithm)
    algorithm = _name(content, "algorithm", algorithm, LEARNERS)
    problem = _name(content, "problem", problem, PROBLEMS)
    recipe = Recipe(
        algorithm,
        problem,
        _settings(resolve_algorithm(algorithm, LEARNERS), content, "algorithm_settings"),
        _settings(resolve_problem(problem), content, "problem_settings"),
    )
    expect_encoder(recipe.algorithm_settings)
    recipe.algorithm_settings.check_problem(recipe.problem_settings)
    return recipe


def _name(content: dict[str, Any], field: str, given: str | None, known: Mapping[str, Entry]) -> str:
    """The name in a field; whatever else is there would be shown as it is if it were looked up."""
    found = content.get(field)
    if not isinstance(found, str) or not found.isprintable() or len(found) > LONGEST:
        raise ConfigError(f"{field}: expected a name; found {short_repr(found)}")
    if given is not None and given != found:
        raise ConfigError(
            f"{field}: expected '{given}', as given (--{field}); found {short_repr(found)}. Give that, if you trust it"
        )
    if is_reference(found) and found not in known:
        raise ConfigError(
            f"{field}: is {short_repr(found)}, code of somebody's own, which is imported only if you name it: "
            f"--{field} {found} (in Python {field}={found!r}). Do so if you trust it"
        )
    return found


def _settings(entry: Entry, content: dict[str, Any], field: str) -> Settings:
    """Settings of an algorithm or a problem from what a file says, which need not be what we wrote."""
    assert entry.settings is not None
    values = content.get(field)
    if not isinstance(values, dict):
        raise ConfigError(f"{field}: expected names and values; found {short_repr(values)}")
    check_known(entry.settings, values, field)
    for name, value in values.items():
        # Some have no upper bound, but arrays have: a product of sizes must not become more than can be counted.
        if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
            raise ConfigError(f"{field}.{name}: expected at most {_LARGEST_INTEGER}; found {short_repr(value)}")
    return entry.settings(**values)


def check_known(kind: type[Settings], values: dict[str, Any], where: str) -> None:
    """Check that there is a field for everything that a file says.

    Raises:
        ConfigError: naming the first that is not known.
    """
    known = defaults(kind)
    unknown = next((name for name in values if name not in known), None)
    if unknown is not None:
        raise ConfigError(
            f"{where}: unknown name {short_repr(unknown)}: written by a newer version of adaptax, or changed by hand"
        )


def defaults(kind: type[Settings]) -> dict[str, Any]:
    """Default of every field, as a file would have it."""
    return {field.name: field.default for field in dataclasses.fields(kind)}
