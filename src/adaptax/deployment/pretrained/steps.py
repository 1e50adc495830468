"""A pretrained agent at work without JAX, within a fraction of a second: its exported step, and how it is called.

The step is what `adaptax export --format numpy` writes, kept beside the checkpoint; arrays of θ that it shares with
that are read from there. `learner.js` in `reports/templates/play` does the same in a browser.
"""

import json
from collections.abc import Mapping
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

from adaptax.deployment.pretrained import directory_of

TEXT, ARRAYS, SHARED = "step.txt", "step.safetensors", "shared.json"
"""The step's program; what it reads; which of its arrays are leaves of the checkpoint."""


def write_step(text: str, arrays: Mapping[str, np.ndarray], folder: Path) -> None:
    """Keep an exported step beside an agent's checkpoint.

    Args:
        text: The program that was exported, which reads `ARRAYS`.
        arrays: What it reads.
        folder: The agent's folder.
    """
    leaves, shared = _leaves(folder), dict[str, str]()
    for name, x in arrays.items():
        same = [leaf for leaf, y in leaves.items() if x.size > 1 and x.dtype == y.dtype and np.array_equal(x, y)]
        shared |= {name: same[0]} if same else {}
    (folder / TEXT).write_text(text, encoding="utf-8")
    (folder / SHARED).write_text(json.dumps(shared, indent=1) + "\n", encoding="utf-8")
    (folder / ARRAYS).write_bytes(save({name: np.asarray(x) for name, x in arrays.items() if name not in shared}))


class _Program(SourceFileLoader):
    """A program beside its numbers; nothing is left beside it."""

    def set_data(self, path: Any, data: Any, **how: Any) -> None:
        """Keep no compiled copy."""


def read_step(name: str) -> Any:
    """The step of an agent that ships with the package, as a module: `act`, `MANIFEST` and, if it has it, `adapt`.

    It is part of the package as its modules are. Of a folder of somebody else's nothing is run: only names are taken.

    Raises:
        UseError: if there is none of that name.
    """
    folder = directory_of(name)
    loader = _Program(f"{__name__}.{name}", str(folder / TEXT))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    shared, leaves = json.loads((folder / SHARED).read_text(encoding="utf-8")), _leaves(folder)
    module.C.update({constant: leaves[leaf] for constant, leaf in shared.items()})
    return module


def _leaves(folder: Path) -> dict[str, np.ndarray]:
    (path,) = (folder / "checkpoints").glob("*.safetensors")
    return dict(load_file(path))


class Learner:
    """An agent in one task. With a memory it has one lane; one that learns from windows has as many as a window.

    Attributes:
        lanes: Environments of the task, side by side.
        learns: Whether it learns from windows.
        adaptations: How often it has.
    """

    def __init__(self, module: Any, *, seed: int = 0):
        self.module, self.manifest, self.seed = module, module.MANIFEST, seed
        window = self.manifest["window"]
        self.learns, self.lanes = window is not None, 1 if window is None else int(window["envs"])
        self.initial = [np.asarray(module.C[f"initial.{port['name']}"]) for port in self.manifest["state"]]
        self.begin()

    def begin(self) -> None:
        """Enter a new task."""
        split = int(self.manifest["adapted"])
        self.adapted, self.memory = list(self.initial[:split]), [list(self.initial[split:]) for _ in range(self.lanes)]
        port = self.manifest["programs"]["act"]["inputs"][1]
        null = np.asarray(self.manifest["action"]["null"], port["dtype"]).reshape(port["shape"])
        self.before = [(null, 0.0, True)] * self.lanes
        self.lived: list[list[list[Any]]] = [[] for _ in range(self.lanes)]
        self.adaptations = self.drawn = 0

    def act(self, observation: Any, lane: int = 0) -> np.ndarray:
        """The action in a lane: drawn as in training if it learns from windows, else the best one known."""
        seen = self._seen(observation)
        told = [seen, *self.before[lane], *self.adapted, *self.memory[lane]]
        self.drawn += 1
        found = self.module.explore(*_arrays(told), self._key()) if self.learns else self.module.act(*_arrays(told))
        count = len(self.memory[lane])
        self.memory[lane] = list(found[1 : 1 + count])
        if self.learns:
            self.lived[lane].append([*told[:4], found[0], found[1 + count :]])
        return self._clipped(found[0])

    def best(self, observation: Any) -> np.ndarray:
        """What it would do in a first step with what it has learned; nothing is learned from that."""
        port = self.manifest["programs"]["act"]["inputs"][1]
        null = np.asarray(self.manifest["action"]["null"], port["dtype"]).reshape(port["shape"])
        told = [self._seen(observation), null, 0.0, True, *self.adapted, *self.memory[0]]
        return self._clipped(self.module.act(*_arrays(told))[0])

    def observe(self, action: Any, reward: float, over: bool, terminated: bool, after: Any, lane: int = 0) -> None:
        """What that brought."""
        self.before[lane] = (action, reward, over)
        if self.learns:
            told, chosen, aux = self.lived[lane][-1][:4], *self.lived[lane][-1][4:]
            self.lived[lane][-1] = [
                *told, chosen, reward, terminated, over and not terminated, self._seen(after), *aux, True,
            ]  # fmt: skip

    def adapt(self) -> None:
        """Learn from the window that the lanes have lived: leaves [time, lane, ...], idle after an early end."""
        steps, begin = int(self.manifest["window"]["steps"]), len(self.manifest["state"])
        for lived in self.lived:
            told, (chosen, *_), after, aux = lived[-1][:4], lived[-1][4:8], lived[-1][8], lived[-1][9:-1]
            idle = [*told, chosen, 0.0, False, False, after, *aux, False]
            lived.extend([idle] * (steps - len(lived)))
        ports = self.manifest["programs"]["adapt"]["inputs"][begin:-1]
        window = [
            np.stack([[np.asarray(row[i], port["dtype"]) for row in at] for at in zip(*self.lived, strict=True)])
            for i, port in enumerate(ports)
        ]
        self.drawn += 1
        found = self.module.adapt(*self.adapted, *self.memory[0], *window, self._key())
        self.adapted, self.adaptations = list(found[: len(self.adapted)]), self.adaptations + 1
        self.lived = [[] for _ in range(self.lanes)]

    def _key(self) -> np.ndarray:
        return np.asarray([self.seed, self.drawn], np.uint32)

    def _seen(self, observation: Any) -> np.ndarray:
        port = self.manifest["programs"]["act"]["inputs"][0]
        return np.asarray(observation, port["dtype"]).reshape(port["shape"])

    def _clipped(self, action: np.ndarray) -> np.ndarray:
        low, high = (np.reshape(self.manifest["action"][x], action.shape) for x in ("low", "high"))
        return np.asarray(np.clip(action, low, high), action.dtype)


def _arrays(told: list[Any]) -> list[np.ndarray]:
    """What a step takes: single precision, and flags as flags."""
    seen, action, reward, first, *state = told
    return [seen, action, np.float32(reward), np.bool_(first), *state]
