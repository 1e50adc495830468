"""Problem families. Every name in `__all__` is a factory whose keyword arguments are the family's options.

`informed` makes a problem of any other: the same one, as seen by a policy that knows the task. `gymnasium_problem`
makes one of Gymnasium environments, a user's own or not, and `gymnax_problem` one of gymnax's. All are imported when
they are first used; the families' names, and the modules that they are in, stand in the table of `problems.settings`.
"""

import importlib
from typing import Any

from adaptax.core.entry import modules_of
from adaptax.core.lazy import imported_when_used
from adaptax.problems.metaworld.settings import METAWORLD as METAWORLD
from adaptax.problems.mujoco.settings import SIMULATED as SIMULATED
from adaptax.problems.settings import PROBLEMS

_MODULE_OF = modules_of(PROBLEMS, SIMULATED)
_NATIVE = modules_of(PROBLEMS)
_MADE_OF_OTHERS = {
    **modules_of(METAWORLD),
    **dict.fromkeys(("Informed", "informed"), f"{__name__}.task_informed"),
    "gymnasium_problem": f"{__name__}.host.gymnasium_problems",
    "vector_problem": f"{__name__}.host.vector_problems",
    "gymnax_problem": f"{__name__}.gymnax_problems",
}
_find, __dir__, _ = imported_when_used(__name__, {**_MODULE_OF, **_MADE_OF_OTHERS})
__all__ = sorted(_MODULE_OF)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    """A factory, `informed`, or the class of an environment from one of the native factories' modules."""
    if name[:1].isupper() and name not in _MADE_OF_OTHERS:
        for module in map(importlib.import_module, dict.fromkeys(_NATIVE.values())):
            value = getattr(module, name, None)
            if getattr(value, "__module__", None) == module.__name__:
                return value
    return _find(name)
