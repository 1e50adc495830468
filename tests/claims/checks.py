"""What a self-test reports: figures, each with its bar."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Check:
    """One figure.

    Attributes:
        name: What was measured.
        figure: The result.
        bar: What it must be: "≤ 1e-07", say; empty if it is only measured.
        passed: Whether it is; True if it is only measured.
        note: How it was measured.
    """

    name: str
    figure: float
    bar: str
    passed: bool
    note: str = ""

    def line(self) -> str:
        """The check in one line."""
        verdict = ("ok  " if self.passed else "FAIL") if self.bar else "--  "
        bar = f"({self.bar})" if self.bar else "(measured)"
        return f"{verdict}  {self.name:<62} {self.figure:>10.3g}  {bar:<12}  {self.note}".rstrip()


def at_most(name: str, figure: Any, bar: float, note: str = "") -> Check:
    """A figure that must not exceed `bar`; NaN does."""
    return Check(name, float(figure), f"≤ {bar:g}", bool(figure <= bar), note)


def at_least(name: str, figure: Any, bar: float, note: str = "") -> Check:
    """A figure that must reach `bar`; NaN does not."""
    return Check(name, float(figure), f"≥ {bar:g}", bool(figure >= bar), note)


def measured(name: str, figure: Any, note: str = "") -> Check:
    """A figure without a bar."""
    return Check(name, float(figure), "", True, note)
