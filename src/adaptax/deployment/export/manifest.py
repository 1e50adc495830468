"""What is in an exported file, as plain data."""

from typing import Any

from adaptax.core.version import __version__
from adaptax.deployment.export.traced import Exported, Port


def manifest(agent: Exported) -> dict[str, Any]:
    """Names, shapes and kinds of everything that goes in and comes out."""
    return {
        "format": 1,
        "agent": agent.title,
        "adaptax": __version__,
        "horizon": agent.horizon,
        "window": None if agent.window is None else {"envs": agent.window[0], "steps": agent.window[1]},
        "action": {
            "integers": agent.integers,
            "null": _numbers(agent.null),
            "low": _numbers(agent.low),
            "high": _numbers(agent.high),
        },
        "adapted": agent.adapted,
        "state": [_of(port) for port in agent.state],
        "programs": {
            name: {"inputs": [_of(port) for port in p.inputs], "outputs": [_of(port) for port in p.outputs]}
            for name, p in agent.programs.items()
        },
    }


LARGEST = 3.4028234663852886e38
"""Of float32: JSON has no infinity."""


def _numbers(bounds: Any) -> list[float]:
    return [max(-LARGEST, min(LARGEST, float(x))) for x in bounds.reshape(-1)]


def _of(port: Port) -> dict[str, Any]:
    found: dict[str, Any] = {"name": port.name, "shape": list(port.shape), "dtype": port.dtype, "size": port.size}
    return {**found, "about": port.about} if port.about else found
