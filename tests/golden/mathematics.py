"""What all algorithms compute, in SHA-256: to see that a change of the code has changed no number.

    python -m tests.golden.mathematics --write FILE      write down what this code computes
    python -m tests.golden.mathematics --against FILE    compute what is in there again; exit code 1 if anything differs

Parameters and optimiser state after 3 updates, of every meta-learner on two problems and of RL² with each memory;
what every learner from scratch does and has learned in a few trials, and what every classical agent does. Names of
modules, fields and leaves, and their order, do not count: only the numbers. Bits are the same for one version of JAX
on one kind of processor, so the file says on which it was made. `mathematics.json` is of the code before it was moved.
"""

import argparse
import dataclasses
import importlib.metadata
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

import adaptax
from adaptax.core.algorithm import init
from adaptax.core.rollout import collect
from adaptax.registry import registry
from adaptax.registry.presets import agent_for, settings_for
from adaptax.registry.registry import CLASSICAL, FROM_SCRATCH, LEARNERS, NATIVE_PROBLEMS, TRAINABLE, build, view
from adaptax.runs.numerics import processor
from adaptax.training.loop import train
from tests.golden.digests import digest

UPDATES, TRIALS = 3, 3
SMALL: dict[str, Any] = {
    "memory_size": 4, "critic_size": 4, "policy_size": 4, "hidden_size": 4, "num_layers": 1, "rule_size": 3,
    "num_tasks": 4, "num_minibatches": 2, "num_updates": UPDATES, "num_epochs": 2, "trajectories": 2, "inner_steps": 2,
    "cg_steps": 3, "streams": 2, "replicas": 2, "exploration_episodes": 2, "base_steps": 2, "base_size": 4,
    "num_steps": 2, "train_every": 2, "batch_size": 4, "buffer_size": 16, "learning_starts": 4, "target_every": 4,
    "epsilon_episodes": 4,
}  # fmt: skip
"""Of the algorithms' settings that have them."""
SMALL_PROBLEM = {
    "num_arms": 3, "num_pulls": 8, "num_rounds": 8, "num_states": 3, "num_actions": 2, "length": 4, "size": 3,
    "horizon": 4, "num_episodes": 8,
}  # fmt: skip
"""The same for problems."""
PUBLISHED = json.loads((Path(__file__).parents[1] / "registry" / "settings_of_0_1.json").read_text())
MEMORIES = {"lstm": "cart-pole", "gru": "point-robot", "symmetric": "tabular-mdp", "none": "gaussian-bandit"}
"""Problems for RL²'s memories."""


def set_up() -> None:
    """One device, and programs compiled and kept as the tests have them."""
    jax.config.update("jax_num_cpu_devices", 1)
    jax.config.update("jax_disable_most_optimizations", True)
    if "ADAPTAX_TEST_CACHE" in os.environ:
        jax.config.update("jax_compilation_cache_dir", os.environ["ADAPTAX_TEST_CACHE"])
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def small(settings: Any, sizes: dict[str, Any]) -> Any:
    """Settings with the `sizes` that they have, and that have an effect there."""
    fields = {field.name: field for field in dataclasses.fields(settings)}
    has_effect = lambda name: all(  # noqa: E731
        getattr(settings, other) in values for other, values in fields[name].metadata.get("only", {}).items()
    )
    return dataclasses.replace(settings, **{k: v for k, v in sizes.items() if k in fields and has_effect(k)})


def suited(name: str, number: int) -> list[str]:
    """Two problems for an algorithm; all problems are somebody's."""
    found = []
    for offset in range(len(NATIVE_PROBLEMS)):
        problem = list(NATIVE_PROBLEMS)[(number + 3 * offset) % len(NATIVE_PROBLEMS)]
        try:
            pair(name, problem)
        except adaptax.core.errors.ConfigError:
            continue
        found.append(problem)
    return found[:2]


def first_published(name: str, problem: str) -> tuple[Any, Any]:
    """What the default preset of a pair was in 0.1: presets may follow what is measured, mathematics may not.

    Where there was none yet, what the algorithm changed on every problem.
    """
    all_of = {key: value for key, value in PUBLISHED["presets"].items() if key.startswith(f"{name} ")}
    defaults = [value[0].items() for key, value in all_of.items() if key.endswith(" default")]
    shared = dict(x for x in defaults[0] if all(x in others for others in defaults)), {}
    changes = all_of.get(f"{name} {problem} default", shared)
    kinds = LEARNERS[name].settings, NATIVE_PROBLEMS[problem].settings
    assert all(kinds)
    return tuple(kind(**changed) for kind, changed in zip(kinds, changes, strict=True))  # type: ignore[return-value]


def pair(name: str, problem: str, **changes: Any) -> tuple[Any, Any]:
    """Small settings of an algorithm and a problem; a `ConfigError` if they do not suit each other."""
    of_algorithm, of_problem = first_published(name, problem)
    of_algorithm, of_problem = small(of_algorithm, {**SMALL, **changes}), small(of_problem, SMALL_PROBLEM)
    of_algorithm.check_problem(of_problem)
    return of_algorithm, of_problem


def trained(name: str, problem: str, **changes: Any) -> str:
    """Digest of what there is after `UPDATES` updates."""
    of_algorithm, of_problem = pair(name, problem, **changes)
    algorithm = build(LEARNERS[name], of_algorithm)
    world = view(LEARNERS[name], build(NATIVE_PROBLEMS[problem], of_problem))
    state = train(algorithm, world, init(algorithm, world, seed=0), num_updates=UPDATES)
    return digest((state.meta, state.opt_state))


def trials_of(agent: Any, problem: Any) -> str:
    """Digest of actions and rewards of a few trials, and of what is learned from them."""
    meta = init(agent, problem, seed=0).meta
    window = agent.window(problem)

    def learned(trajectory: Any) -> Any:
        """φ after all windows of a trial `[time, env]`, one after the other."""
        windows = len(trajectory.reward) // window.steps
        steps = lambda x: x.reshape(windows, window.steps, *x.shape[1:])  # noqa: E731
        adapt = lambda state, part: (agent.adapt(meta, state, part, jax.random.key(2)), None)  # noqa: E731
        return jax.lax.scan(adapt, agent.begin(meta, jax.random.key(3)), jax.tree.map(steps, trajectory))[0].adapted

    @jax.jit
    def trials() -> Any:
        keys = jax.random.split(jax.random.key(1), TRIALS)
        trajectories = collect(agent, problem, meta, jax.vmap(problem.test.sample)(keys), keys)
        return trajectories.action, trajectories.reward, jax.vmap(learned, in_axes=1)(trajectories)

    return digest(trials())


def from_scratch(name: str, problem: str) -> str:
    """Digest of a few trials of a learner that starts from nothing."""
    of_agent, of_problem = pair(name, problem)
    return trials_of(build(FROM_SCRATCH[name], of_agent), build(NATIVE_PROBLEMS[problem], of_problem))


def classical(name: str, problem: str) -> str:
    """Digest of a few trials of a classical agent."""
    sizes = {**SMALL_PROBLEM, **({"num_arms": 2} if name == "bayes-optimal-bandit" else {})}
    of_problem = small(settings_for("rl2", problem)[1], sizes)
    return trials_of(agent_for(name, problem, of_problem), build(NATIVE_PROBLEMS[problem], of_problem))


def names_now() -> Iterator[str]:
    """What there is to compute: an agent and a problem; of RL² its memory too."""
    for memory, problem in MEMORIES.items():
        yield f"rl2, {memory}, {problem}"
    for number, (name, entry) in enumerate(CLASSICAL.items()):
        suits = registry.suited(entry)
        for problem in dict.fromkeys(suits[(number + offset) % len(suits)] for offset in range(2)):
            yield f"{name}, {problem}"
    for group in (FROM_SCRATCH, TRAINABLE):
        for number, name in enumerate(group):
            for problem in suited(name, number):
                yield f"{name}, {problem}"


def compute(figure: str) -> str:
    """The digest that has this name."""
    name, *memory, problem = figure.split(", ")
    if memory:
        return trained(name, problem, memory=memory[0])
    if name in CLASSICAL:
        return classical(name, problem)
    return from_scratch(name, problem) if name in FROM_SCRATCH else trained(name, problem)


def provenance() -> dict[str, str]:
    """Which code computes, and on what."""
    source = Path(adaptax.__file__).parent
    git = ["git", "-C", str(source), "rev-parse", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {"commit": commit, "jaxlib": importlib.metadata.version("jaxlib"), "processor": processor()}


def main() -> int:
    """Compute, and write or compare."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden.mathematics", allow_abbrev=False)
    parser.add_argument("--write", type=Path, help="go on with this file if it is of the same code, or begin it")
    parser.add_argument("--against", type=Path)
    chosen = parser.parse_args()
    set_up()
    here, then = provenance(), time.monotonic()
    before = json.loads(chosen.against.read_text()) if chosen.against else {}
    for name in ("jaxlib", "processor"):
        if before and before[name] != here[name]:
            print(f"{name}: {here[name]}, but the file is of {before[name]}: bits may differ for that alone")
    found = begun(chosen.write, here) if chosen.write else {}
    known, differ = before.get("figures", {}), []
    for name in known or names_now():
        if name not in found:
            found[name] = compute(name)
        if before and known[name] != found[name]:
            differ.append(name)
        verdict = "" if not before else "differs" if name in differ else "same"
        print(f"{time.monotonic() - then:6.1f} s  {name}: {found[name][:16]} {verdict}", flush=True)
        if chosen.write:
            chosen.write.write_text(json.dumps({**here, "figures": found}, indent=1) + "\n")
    if before:
        print(f"of {len(known)}: {len(differ)} differ: {differ}")
    return 1 if differ else 0


def begun(path: Path, here: dict[str, str]) -> dict[str, str]:
    """The figures in a file that the same code began on the same processor; none if there is no such file."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    same = here["commit"] and all(kept.get(name) == value for name, value in here.items())
    return dict(kept["figures"]) if same else {}


if __name__ == "__main__":
    sys.exit(main())
