"""`python -m tests.claims shard`: that two devices learn what one learns, and judge as one does.

Sums are rounded differently on two devices, and where actions are sampled from what was learned a difference grows from
update to update, as any does. So each update is compared from the same state; and both together, many updates later,
with what becomes of a difference in the last bit of the first parameters.

Where there is one device only, a process of its own with two of the processor's stands in.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adaptax import problems
from adaptax.algorithms import ESMAML, MAML, RL2, MultiTaskPPO
from adaptax.core import parallel
from adaptax.core.algorithm import init
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import replace
from adaptax.evaluation.evaluator import evaluate
from adaptax.training.loop import sound_update
from tests.claims.checks import Check, at_least, at_most
from tests.claims.children import environment_for_tests

UPDATES = 10
NETWORK: dict[str, Any] = {"hidden_size": 8, "num_layers": 1}
CASES: dict[str, tuple[Any, Any]] = {
    "RL² on a bandit": (
        RL2(memory_size=8, critic_size=8, num_tasks=8, num_minibatches=2, num_updates=UPDATES),
        lambda: problems.bernoulli_bandit(num_arms=3, num_pulls=6),
    ),
    "MAML and PPO on point-robot": (
        MAML(**NETWORK, num_tasks=8, trajectories=2, outer="ppo", num_minibatches=2, num_updates=UPDATES),
        lambda: problems.point_robot(num_episodes=4, horizon=5),
    ),
    "ES-MAML on point-robot": (
        ESMAML(**NETWORK, num_tasks=8, trajectories=2, num_updates=UPDATES),
        lambda: problems.point_robot(num_episodes=4, horizon=5),
    ),
    "PPO for all tasks on a chain": (
        MultiTaskPPO(**NETWORK, streams=2, num_tasks=8, num_minibatches=2, num_epochs=2, num_updates=UPDATES),
        lambda: problems.chain(length=3, horizon=6, num_episodes=2),
    ),
}


def parameters(meta: Any) -> np.ndarray:
    """What gradients change, as one vector: the moments' counts are large numbers that would hide all else."""
    trained = getattr(meta, "network", getattr(meta, "theta", meta))
    return np.concatenate([np.asarray(x, np.float64).ravel() for x in jax.tree.leaves(trained)])


def gap(one: Any, other: Any) -> float:
    """‖difference‖ / ‖one‖ of the parameters in two θ."""
    return float(np.linalg.norm(parameters(one) - parameters(other)) / np.linalg.norm(parameters(one)))


def measure(seed: int, updates: int, names: tuple[str, ...], devices: int = 2) -> dict[str, dict[str, float]]:
    """Gaps between one device and several, by case."""
    found = {}
    for name in names:
        algorithm, make = CASES[name]
        problem = make()
        start = init(algorithm, problem, seed=seed)
        on_one, on_two = (_updater(algorithm, problem, number) for number in (1, devices))
        one, two, nudged = start, start, replace(start, meta=jax.tree.map(_next_number, start.meta))
        per_update = []
        for _ in range(updates):
            per_update.append(gap(on_one(one).meta, on_two(one).meta))
            one, two, nudged = on_one(one), on_two(two), on_one(nudged)
        found[name] = {
            "per update": max(per_update),
            "together": gap(one.meta, two.meta),
            "last bit": gap(one.meta, nudged.meta),
            "moved": gap(start.meta, one.meta),
            "evaluation": _evaluation_gap(algorithm, problem, jax.device_get(one.meta), seed),
        }
    return found


def _updater(algorithm: Any, problem: Any, devices: int) -> Any:
    """One update on so many devices; its argument is not donated."""
    update = parallel.over_devices(lambda state: sound_update(algorithm, problem, state)[0], devices)
    compiled = jax.jit(update)
    return lambda state: jax.device_get(compiled(state))


def _next_number(x: Any) -> Any:
    """The next larger number, where there is one."""
    return jnp.nextafter(x, jnp.inf) if jnp.issubdtype(x.dtype, jnp.floating) else x


def _evaluation_gap(algorithm: Any, problem: Any, meta: Any, seed: int) -> float:
    """Largest difference between returns from one device and from all."""
    together = evaluate(TrainedAgent(algorithm, problem, meta), num_tasks=15, seed=seed, explore=True).returns
    everywhere, first = jax.local_devices, jax.local_devices()[:1]
    jax.local_devices = lambda *args, **kwargs: first
    try:
        alone = evaluate(TrainedAgent(algorithm, problem, meta), num_tasks=15, seed=seed, explore=True).returns
    finally:
        jax.local_devices = everywhere
    return float(np.abs(together - alone).max())


def measure_apart(seed: int, updates: int, names: tuple[str, ...], devices: int = 2) -> dict[str, dict[str, float]]:
    """`measure` in a process of its own, with so many devices of the processor."""
    code = (
        "import sys, json, jax, warnings; jax.config.update('jax_platforms', 'cpu')\n"
        f"jax.config.update('jax_num_cpu_devices', {devices}); warnings.simplefilter('ignore')\n"
        "from tests.claims.shard import measure\n"
        f"print(json.dumps(measure({seed}, {updates}, {names!r}, {devices})))"
    )
    command, env = [sys.executable, "-c", code], environment_for_tests()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    found: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def run(seed: int, n: int) -> Iterator[Check]:
    """Train and evaluate on one device and on two.

    Args:
        seed: Decides everything.
        n: Below 10, so many updates instead of 10; below 4, the first of the cases only.
    """
    updates, names = min(n, UPDATES), tuple(CASES) if n >= len(CASES) else tuple(CASES)[:1]
    found = measure(seed, updates, names) if jax.local_device_count() > 1 else measure_apart(seed, updates, names)
    for name, figures in found.items():
        yield at_most(f"{name}: an update on two devices, relative", figures["per update"], 1e-6, f"worst of {updates}")
        chaos = max(1e-5, 10 * figures["last bit"])
        yield at_most("  all updates on two devices", figures["together"], chaos, "1e-5, or 10 × that of a last bit")
        yield at_least("  how far they have moved, to compare", figures["moved"], 1e-4)
        yield at_most("  returns evaluated on two devices", figures["evaluation"], 1e-5, "largest difference")
