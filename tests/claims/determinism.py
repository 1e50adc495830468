"""`python -m tests.claims determinism`: that the same seed gives the same bits, whichever process computes them.

Two fresh processes, with different seeds of Python's hashes and in different directories, train everything that can be
trained and evaluate everything that cannot, on small problems. What they come to is compared by SHA-256.
"""

import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import jax

from adaptax import problems as envs
from adaptax.core.algorithm import init
from adaptax.core.settings import Settings
from adaptax.core.trained_agent import TrainedAgent
from adaptax.evaluation.evaluator import evaluate
from adaptax.registry.presets import agent_for
from adaptax.registry.registry import CLASSICAL, FROM_SCRATCH, PROBLEMS, TRAINABLE, build, suited, view
from adaptax.training.loop import train
from tests.claims.checks import Check, at_least, at_most
from tests.claims.children import environment_for_tests
from tests.claims.leaves import fingerprint

SMALL: dict[str, Any] = {
    "hidden_size": 4, "num_layers": 1, "memory_size": 4, "critic_size": 4, "num_tasks": 4, "num_minibatches": 1,
    "num_updates": 2, "trajectories": 2, "streams": 2, "replicas": 2, "base_steps": 1, "num_epochs": 2, "cg_steps": 2,
    "num_steps": 2, "train_every": 2,
}  # fmt: skip
"""Settings of those that have them."""
TASKS = 8


def small_problem() -> Any:
    """What nearly all agents are for: discrete states and actions."""
    return envs.tabular_mdp(num_states=3, num_actions=2, horizon=4, num_episodes=4)


def small_settings(kind: type[Settings]) -> Settings:
    """Those of `SMALL` that these settings have, and that have an effect beside the others' defaults."""
    fields = {field.name: field for field in dataclasses.fields(kind)}
    own = {name: value for name, value in SMALL.items() if name in fields}
    with_effect = lambda name: all(  # noqa: E731
        own.get(other, fields[other].default) in values
        for other, values in fields[name].metadata.get("only", {}).items()
        if other in fields
    )
    return kind(**{name: value for name, value in own.items() if with_effect(name)})


def trained(name: str, seed: int) -> str:
    """Fingerprint of all that there is after two updates."""
    entry = TRAINABLE[name]
    assert entry.settings is not None
    algorithm = build(entry, small_settings(entry.settings))
    problem = view(entry, small_problem())
    state = train(algorithm, problem, init(algorithm, problem, seed=seed), num_updates=2)
    return fingerprint(state)


def evaluated(name: str, seed: int) -> str:
    """Fingerprint of the returns of an agent that needs no training."""
    suits = suited(CLASSICAL[name]) if name in CLASSICAL else ("tabular-mdp",)
    where = "tabular-mdp" if "tabular-mdp" in suits else suits[0]
    entry = PROBLEMS[where]
    assert entry.settings is not None
    small = {"num_arms": 2, "num_pulls": 6, "num_states": 3, "num_actions": 2, "horizon": 6, "num_episodes": 2}
    known = {field.name for field in dataclasses.fields(entry.settings) if field.init}
    settings = entry.settings(**{key: value for key, value in small.items() if key in known})
    if name in FROM_SCRATCH:
        kind = FROM_SCRATCH[name]
        assert kind.settings is not None
        agent: Any = build(kind, small_settings(kind.settings))
    else:
        agent = agent_for(name, where, settings)
    problem = build(entry, settings)
    found = evaluate(TrainedAgent.initial(agent, problem, seed=seed), num_tasks=TASKS, seed=seed, explore=True)
    return fingerprint((found.returns, found.steps))


def fingerprints(seed: int, names: Sequence[str]) -> dict[str, str]:
    """By agent."""
    return {name: trained(name, seed) if name in TRAINABLE else evaluated(name, seed) for name in names}


def in_a_process(seed: int, names: Sequence[str], hash_seed: int, directory: str) -> dict[str, str]:
    """The same in a fresh process."""
    code = (
        "import json, sys, warnings, jax; warnings.simplefilter('ignore')\n"
        f"jax.config.update('jax_num_cpu_devices', {jax.local_device_count()})\n"
        "from tests.claims.determinism import fingerprints\n"
        f"print(json.dumps(fingerprints({seed}, {tuple(names)!r})))"
    )
    environment = {**environment_for_tests(), "PYTHONHASHSEED": str(hash_seed)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=directory, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"a process of its own failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def run(seed: int, n: int) -> Iterator[Check]:
    """Do everything twice.

    Args:
        seed: Decides everything.
        n: From 50 on, all agents; below, the first `n` of each kind.
    """
    every = 50
    kinds = {"trained": TRAINABLE, "learning from nothing": FROM_SCRATCH, "classical": CLASSICAL}
    chosen = {kind: list(names)[: len(names) if n >= every else n] for kind, names in kinds.items()}
    names = [name for group in chosen.values() for name in group]
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        first = in_a_process(seed, names, 1, one)
        second = in_a_process(seed, names, 2, two)
    for kind, group in chosen.items():
        differ = [name for name in group if first[name] != second[name]]
        what = "state after 2 updates" if kind == "trained" else "returns of an evaluation"
        note = f"of {len(group)}; SHA-256 of the {what}" + (f"; {differ}" if differ else "")
        yield at_most(f"agents that differ between two processes: {kind}", len(differ), 0, note)
    other = fingerprints(seed + 1, names[:1])
    yield at_least("  with another seed, one of them differs", int(other[names[0]] != first[names[0]]), 1)
