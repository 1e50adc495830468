"""What a run trains, as settings and as plain data."""

import dataclasses
from typing import Any

from adaptax.core.errors import ConfigError, short_repr
from adaptax.core.settings import Settings
from adaptax.registry.registry import LEARNERS, PROBLEMS, Entry, build, lookup, view
from adaptax.runs.options import KeptOptions

_LARGEST_INTEGER = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a run trains: enough to build its algorithm and problem again.

    Attributes:
        algorithm: Name of the algorithm.
        problem: Name of the problem.
        algorithm_settings: Its hyper-parameters.
        problem_settings: Its parameters.
    """

    algorithm: str
    problem: str
    algorithm_settings: Settings
    problem_settings: Settings

    def build(self) -> tuple[Any, Any]:
        """Return the algorithm, and the problem as it sees it (JAX is imported here)."""
        entry = lookup("algorithm", LEARNERS, self.algorithm)
        return build(entry, self.algorithm_settings), view(entry, self.build_problem())

    def build_problem(self) -> Any:
        """Return the problem itself (JAX is imported here)."""
        return build(lookup("problem", PROBLEMS, self.problem), self.problem_settings)

    def title(self) -> str:
        """What it is, in a line: the agent, the problem, and the problem's parameters."""
        parameters = dataclasses.asdict(self.problem_settings).items()
        return f"{self.algorithm} on {self.problem} ({', '.join(f'{name} {value}' for name, value in parameters)})"

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return dataclasses.asdict(self)

    def about(self, options: dict[str, Any]) -> dict[str, Any]:
        """What a checkpoint of a run with these options is of."""
        return {**self.to_json(), "options": options}

    def complete(self, about: Any) -> Any:
        """What a file says that it is of (`about`), with the defaults of the fields that were not there yet.

        Nothing is believed: what is of another kind stays as it is, for whoever compares.
        """
        if not isinstance(about, dict):
            return about
        kinds: dict[str, type[Settings]] = {
            "algorithm_settings": type(self.algorithm_settings),
            "problem_settings": type(self.problem_settings),
            "options": KeptOptions,
        }
        said = {name: about[name] for name in kinds if isinstance(about.get(name), dict)}
        return {**about, **{name: {**defaults(kinds[name]), **values} for name, values in said.items()}}


def recipe_of(content: dict[str, Any]) -> Recipe:
    """The recipe that `Recipe.to_json` made plain data of.

    Raises:
        ConfigError: if a name or a value is not what it must be.
        TypeError: the same.
    """
    algorithm, problem = (_name(content, field) for field in ("algorithm", "problem"))
    recipe = Recipe(
        algorithm,
        problem,
        _settings(lookup("algorithm", LEARNERS, algorithm), content, "algorithm_settings"),
        _settings(lookup("problem", PROBLEMS, problem), content, "problem_settings"),
    )
    recipe.algorithm_settings.check_problem(recipe.problem_settings)
    return recipe


def _name(content: dict[str, Any], field: str) -> str:
    """The name in a field; whatever else is there would be shown as it is if it were looked up."""
    found = content.get(field)
    if not isinstance(found, str) or not found.isprintable() or len(found) > 50:
        raise ConfigError(f"{field}: expected a name; found {short_repr(found)}")
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
