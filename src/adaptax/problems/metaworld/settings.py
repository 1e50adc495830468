"""Parameters of Meta-World's benchmarks, and their names. No JAX and no MuJoCo here."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

from adaptax.core.entry import Entry
from adaptax.core.errors import ConfigError, short_repr
from adaptax.core.settings import Settings, setting, suggestion

LONGEST = 500
"""Steps after which Meta-World itself cuts an episode off."""

_NAMES = (
    "assembly basketball bin-picking box-close button-press button-press-topdown button-press-topdown-wall "
    "button-press-wall coffee-button coffee-pull coffee-push dial-turn disassemble door-close door-lock door-open "
    "door-unlock drawer-close drawer-open faucet-close faucet-open hammer hand-insert handle-press "
    "handle-press-side handle-pull handle-pull-side lever-pull peg-insert-side peg-unplug-side pick-out-of-hole "
    "pick-place pick-place-wall plate-slide plate-slide-back plate-slide-back-side plate-slide-side push push-back "
    "push-wall reach reach-wall shelf-place soccer stick-pull stick-push sweep sweep-into window-close window-open"
)
TASKS = tuple(f"{name}-v3" for name in _NAMES.split())
"""What the arm may have to do."""


@dataclasses.dataclass(frozen=True)
class MetaWorldSettings(Settings):
    """What all benchmarks have.

    Attributes:
        num_episodes: Episodes in a trial.
        horizon: Steps in an episode.
        goal_seed: Decides the benchmark's goals, as Meta-World's own `seed` does.
    """

    continuous_actions: ClassVar[bool] = True
    discrete_states: ClassVar[bool] = False
    on_host: ClassVar[bool] = True

    num_episodes: int = setting(10, low=1, high=10_000)
    horizon: int = setting(LONGEST, low=1, high=LONGEST)
    goal_seed: int = setting(0, low=0, high=2**31 - 1)


@dataclasses.dataclass(frozen=True)
class ML1Settings(MetaWorldSettings):
    """ML1: one thing to do, at hidden goals.

    Attributes:
        task: What the arm has to do: reach-v3, push-v3, pick-place-v3 or another of Meta-World's 50.
    """

    task: str = "reach-v3"

    def __post_init__(self):
        """Check every field, and that there is such a task."""
        super().__post_init__()
        if self.task not in TASKS:
            raise ConfigError(
                f"ML1Settings.task: expected one of {', '.join(TASKS)}; found {short_repr(self.task)}"
                f"{suggestion(self.task, TASKS) or suggestion(f'{self.task}-v3', TASKS)}"
            )


@dataclasses.dataclass(frozen=True)
class ML10Settings(MetaWorldSettings):
    """ML10: ten things to do in training, five others in the test."""


@dataclasses.dataclass(frozen=True)
class ML25Settings(MetaWorldSettings):
    """ML25: 25 things to do in training, four others in the test, and basketball in both."""


@dataclasses.dataclass(frozen=True)
class ML45Settings(MetaWorldSettings):
    """ML45: 45 things to do in training, five others in the test."""


def _entry(name: str, summary: str, settings: type[Settings]) -> Entry:
    target = f"adaptax.problems.metaworld.benchmarks:metaworld_{name}"
    return Entry(target, f"Meta-World: {summary}", settings, ("random",), traits=("simulated",))


METAWORLD: Mapping[str, Entry] = {
    "metaworld-ml1": _entry("ml1", "one thing to do, hidden goals (Yu et al. 2020)", ML1Settings),
    "metaworld-ml10": _entry("ml10", "10 things to do, 5 others in the test (Yu et al. 2020)", ML10Settings),
    "metaworld-ml25": _entry(
        "ml25", "25 things to do, 4 others and basketball in the test (McLean et al. 2025)", ML25Settings
    ),
    "metaworld-ml45": _entry("ml45", "45 things to do, 5 others in the test (Yu et al. 2020)", ML45Settings),
}
"""Meta-World's benchmarks (extra `metaworld`)."""
