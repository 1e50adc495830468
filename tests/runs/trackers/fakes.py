"""Packages of the trackers' interfaces that write down what they are given, or do what must not matter."""

import sys
import types
from typing import ClassVar

NAMES = ("wandb", "mlflow", "trackio")


class Store:
    """What all fake packages together were given.

    Attributes:
        begun: For each start: package, identity, how it was resumed, and the configuration.
        rows: For each row: package, identity, step and numbers.
        ended: For each end: package, identity and status.
    """

    def __init__(self):
        self.begun, self.rows, self.ended = [], [], []

    def of(self, name):
        """The rows of a package."""
        return [(step, numbers) for package, _, step, numbers in self.rows if package == name]


class _Run:
    def __init__(self, store, name, identity):
        self.store, self.name, self.identity = store, name, identity

    def log(self, metrics, step):
        self.store.rows.append((self.name, self.identity, step, metrics))

    def finish(self, exit_code=None):
        self.store.ended.append((self.name, self.identity, exit_code))


def _wandb(store):
    def init(*, project, id, name, dir, config, resume, settings):
        assert (project, resume, settings["console"]) == ("adaptax", "allow", "off")
        store.begun.append(("wandb", id, name, config))
        return _Run(store, "wandb", id)

    return types.SimpleNamespace(init=init, Settings=dict)


def _trackio(store):
    def init(*, project, name, config, resume, embed, auto_log_gpu):
        assert (project, resume, embed, auto_log_gpu) == ("adaptax", "allow", False, False)
        store.begun.append(("trackio", name, name, config))
        return _Run(store, "trackio", name)

    return types.SimpleNamespace(init=init)


def _mlflow(store):
    class Client:
        experiments: ClassVar = {}
        runs: ClassVar = {}

        def get_experiment_by_name(self, name):
            known = self.experiments.get(name)
            return None if known is None else types.SimpleNamespace(experiment_id=known)

        def create_experiment(self, name):
            return self.experiments.setdefault(name, f"experiment {len(self.experiments)}")

        def create_run(self, experiment, run_name):
            assert experiment in self.experiments.values()
            identity = f"{len(self.runs)}"
            self.runs[identity] = {}
            store.begun.append(("mlflow", identity, run_name, self.runs[identity]))
            return types.SimpleNamespace(info=types.SimpleNamespace(run_id=identity))

        def update_run(self, identity, status):
            assert status == "RUNNING"
            store.begun.append(("mlflow", identity, "", self.runs[identity]))

        def log_batch(self, identity, metrics=(), params=()):
            assert len(params) <= 100
            for key, value in params:
                assert key not in self.runs[identity]
                self.runs[identity][key] = value
            if metrics:
                (step,) = {step for *_, step in metrics}
                store.rows.append(("mlflow", identity, step, {key: value for key, value, *_ in metrics}))

        def set_terminated(self, identity, status):
            store.ended.append(("mlflow", identity, status))

    entities = types.ModuleType("mlflow.entities")
    entities.Metric, entities.Param = (lambda *parts: parts), (lambda key, value: (key, value))
    package = types.ModuleType("mlflow")
    package.MlflowClient, package.entities = Client, entities
    return package


def install(monkeypatch, store):
    """Put the fake packages where Python finds them; they write into `store`."""
    packages = {"wandb": _wandb(store), "trackio": _trackio(store), "mlflow": _mlflow(store)}
    for name, package in packages.items():
        module = types.ModuleType(name)
        vars(module).update({key: value for key, value in vars(package).items() if not key.startswith("__")})
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "mlflow.entities", packages["mlflow"].entities)
    for variable in ("WANDB_PROJECT", "WANDB_DIR", "MLFLOW_EXPERIMENT_NAME", "TRACKIO_PROJECT"):
        monkeypatch.delenv(variable, raising=False)
