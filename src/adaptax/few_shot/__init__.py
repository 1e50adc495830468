"""MAML for anything with a differentiable loss; names are imported when first used."""

from typing import TYPE_CHECKING

from adaptax.core.lazy import by_name, imported_when_used

if TYPE_CHECKING:
    from adaptax.few_shot.losses import LossTask as LossTask
    from adaptax.few_shot.maml import History as History
    from adaptax.few_shot.maml import MAMLOptions as MAMLOptions
    from adaptax.few_shot.maml import MetaTrained as MetaTrained
    from adaptax.few_shot.maml import adapt as adapt
    from adaptax.few_shot.maml import maml_train as maml_train
    from adaptax.few_shot.sinusoids import Sinusoids as Sinusoids
    from adaptax.few_shot.sinusoids import SinusoidTask as SinusoidTask
    from adaptax.few_shot.sinusoids import sinusoid_network as sinusoid_network

_WHERE = {
    "maml": ("History", "MAMLOptions", "MetaTrained", "adapt", "maml_train"),
    "sinusoids": ("SinusoidTask", "Sinusoids", "sinusoid_network"),
    "losses": ("LossTask",),
}
__getattr__, __dir__, __all__ = imported_when_used(__name__, by_name(__name__, _WHERE))
