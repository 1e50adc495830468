"""How simulators run on the host, as the user of this process says it: how many processes, and how patiently."""

from typing import Any

from adaptax.core.errors import ConfigError, UseError
from adaptax.core.settings import Settings
from adaptax.registry.registry import NATIVE_PROBLEMS

_said: dict[str, Any] = {}


def accept_simulation(settings: Settings, problem: str | None = None) -> None:
    """Take note of what a user says of simulators, until the next time.

    Args:
        settings: `workers` and `step_timeout`; None: what the problem says.
        problem: Name of the problem, if it is known.

    Raises:
        ConfigError: if something is said, and it is known that no process simulates the problem.
    """
    _said.clear()
    _said.update({name: getattr(settings, name) for name in ("workers", "step_timeout")})
    if problem in NATIVE_PROBLEMS:
        _expect_nothing_said(str(problem), "it runs within compiled programs")


def simulated(name: str, problem: Any) -> Any:
    """A problem, simulated as the user has said.

    Raises:
        ConfigError: if something was said, and no process simulates it.
    """
    if any(value is not None for value in _said.values()):
        try:
            problem.env.simulate_with(_said["workers"], _said["step_timeout"])
        except UseError as error:
            _expect_nothing_said(name, str(error))
    return problem


def _expect_nothing_said(name: str, why: str) -> None:
    for option, value in _said.items():
        if value is not None:
            raise ConfigError(
                f"--{option.replace('_', '-')}: expected a problem of simulators on the host, one by one; found "
                f"{name}: {why}. Leave it out"
            )
