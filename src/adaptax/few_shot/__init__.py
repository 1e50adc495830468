"""MAML for anything with a differentiable loss; names are imported when first used."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adaptax.few_shot.maml import History as History
    from adaptax.few_shot.maml import MAMLSettings as MAMLSettings
    from adaptax.few_shot.maml import MetaTrained as MetaTrained
    from adaptax.few_shot.maml import adapt as adapt
    from adaptax.few_shot.maml import maml_train as maml_train
    from adaptax.few_shot.sinusoids import Sinusoids as Sinusoids
    from adaptax.few_shot.sinusoids import SinusoidTask as SinusoidTask
    from adaptax.few_shot.sinusoids import sinusoid_network as sinusoid_network
    from adaptax.few_shot.tasks import LossTask as LossTask

_WHERE = {
    "maml": ("History", "MAMLSettings", "MetaTrained", "adapt", "maml_train"),
    "sinusoids": ("SinusoidTask", "Sinusoids", "sinusoid_network"),
    "tasks": ("LossTask",),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}

__all__ = sorted(_MODULE_OF)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value
