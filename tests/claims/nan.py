"""`python -m tests.claims nan`: that nothing broken is ever learned from, and that what broke is named.

environment  every fault at every moment, in one of many tasks: task, step, field, entry and value are told
policy       actions that are none are the policy's doing, and the environment never sees them in the end
learning     a loss or a gradient that is not finite: found in the update in which it happens, in the leaf that it hits
"""

import dataclasses
import functools
import itertools
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from adaptax.algorithms import ESMAML, MAML, RL2, MetaPolicyGradient, MultiTaskPPO, OffPolicyRL2, Random
from adaptax.core.algorithm import Algorithm, init
from adaptax.core.errors import DivergenceError, EnvironmentContractError
from adaptax.core.problem import Problem
from adaptax.core.spaces import Box, Discrete
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import TrainState, replace
from adaptax.evaluation.encounters import encounters
from adaptax.evaluation.evaluator import evaluate
from adaptax.problems import bernoulli_bandit
from adaptax.training import diagnosis
from adaptax.training.diagnosis import Violation
from adaptax.training.loop import Progress, train
from tests.claims.checks import Check, at_most
from tests.claims.faulty import ENTRY, FAULTS, MARK, STUMBLES, TRACED, Averager, Descent, Fault, faulty
from tests.claims.leaves import differing, not_finite

HORIZON = 1000
MOMENTS = (0, 1, 3, 997, HORIZON)
"""The reset, and steps of the episode; the last is the trial's end."""
UPDATES = 4
ALL = 20
"""From so many instances on, every fault is tried at every moment."""

TINY: dict[str, Any] = {"hidden_size": 4, "num_layers": 1, "num_tasks": 8, "trajectories": 2}
ALGORITHMS: tuple[Algorithm, ...] = (
    RL2(memory_size=4, critic_size=4, num_tasks=8, num_minibatches=2, num_updates=10),
    OffPolicyRL2(
        memory_size=4, policy_size=4, critic_size=4, num_tasks=8, batch_size=8, buffer_size=16, num_updates=10
    ),
    MAML(**TINY, inner_steps=2),
    MAML(**TINY, outer="gradient", baseline="value"),
    ESMAML(**TINY),
    MultiTaskPPO(hidden_size=4, num_layers=1, streams=2, num_tasks=8, num_minibatches=2, num_epochs=2),
    MetaPolicyGradient(memory_size=4, num_tasks=4, replicas=2, base_steps=2, base="reinforce"),
)

ACTIONS: tuple[tuple[Any, float | str], ...] = (
    (Discrete(3), -1),
    (Discrete(3), 3),
    (Discrete(3), 2**31 - 1),
    (Discrete(3), "logits"),
    (Box((2,)), math.nan),
    (Box((2,), -1.0, 1.0), math.inf),
    (Box((2,), -1.0, 1.0), -math.inf),
    (Box((2,)), 1e30),
)
"""Actions that are none, with their spaces."""


@dataclasses.dataclass
class Count:
    """What became of cases.

    Attributes:
        cases: How many there were.
        missed: Those in which the cause was not named, or not as it was.
        broken: Leaves of states kept that were not finite.
        changed: Leaves of states kept that were not those before the update.
        examples: A line for each that was missed.
    """

    cases: int = 0
    missed: int = 0
    broken: int = 0
    changed: int = 0
    examples: list[str] = dataclasses.field(default_factory=list)

    def miss(self, why: str) -> None:
        """Count one that was missed."""
        self.missed += 1
        self.examples.append(why)

    def checks(self, name: str) -> Iterator[Check]:
        """The figures."""
        why = f"; {self.examples[0]}" if self.examples else ""
        yield at_most(f"{name}: not found, or not named as it was", self.missed, 0, f"of {self.cases}{why}")
        yield at_most("  leaves of the state kept that are NaN or infinite", self.broken, 0)
        yield at_most("  leaves of the state kept that are not those before", self.changed, 0, "bitwise")


def numbers(algorithm: Any, problem: Problem, root: Any, num_updates: int) -> np.ndarray:
    """The numbers of the tasks of coming updates, `[update, task]`."""
    parts = 3 if isinstance(algorithm, ESMAML) else 2

    @jax.jit
    def of(step: Any) -> Any:
        keys = jax.random.split(jax.random.fold_in(root, step), (algorithm.num_tasks, parts))[:, 0]
        return jax.vmap(problem.train.sample)(keys).number

    return np.stack([np.asarray(of(step)) for step in range(num_updates)])


@functools.cache
def lowest(algorithm: Any, seed: int, num_updates: int) -> tuple[float, int, int]:
    """A threshold below which there is one task in all these updates; its update and index."""
    problem = faulty(horizon=4, episodes=4)
    found = numbers(algorithm, problem, jax.random.key(seed), num_updates)
    update, task = np.unravel_index(np.argmin(found), found.shape)
    first, second = np.sort(found.ravel())[:2]
    return float((first + second) / 2), int(update), int(task)


def expected(fault: Fault, task: int, at: int) -> Violation:
    """What the diagnosis has to say."""
    value = float(np.float32(fault.value))
    step = max(at, 1) if fault.field == "reward" else at
    entry = ENTRY if fault.field == "observation" and fault.space != "discrete" else None
    return Violation(task, step, fault.field, entry, value, "")


def agrees(found: Violation | None, right: Violation) -> bool:
    """Whether it was said, NaN for NaN."""
    if found is None:
        return False
    same_value = found.value == right.value or (math.isnan(found.value) and math.isnan(right.value))
    fields = ("task", "step", "field", "element")
    return same_value and all(getattr(found, name) == getattr(right, name) for name in fields)


def fall(count: Count, algorithm: Any, problem: Problem, right: Violation, update: int, seed: int, chunk: int) -> None:
    """Train until it falls; was it where it had to, and what is left?"""
    count.cases += 1
    what = f"{type(algorithm).__name__}, {right}"
    seen: list[int] = []
    kept: list[TrainState] = []
    # Some algorithms look at tasks and rewards before they learn: here, where nothing is broken.
    healthy = replace(problem, train=replace(problem.train, threshold=0.0))
    fresh = functools.partial(init, algorithm, healthy, seed=seed)

    def on_chunk(progress: Progress) -> bool:
        seen.append(progress.done)
        kept[:] = [jax.tree.map(jax.numpy.copy, progress.state)]
        return False

    try:
        train(algorithm, problem, fresh(), num_updates=UPDATES, chunk=chunk, on_chunk=on_chunk)
    except DivergenceError as error:
        if update % chunk:  # in the middle of a chunk
            before = train(algorithm, problem, fresh(), num_updates=update, chunk=1)
        else:
            before = kept[0] if kept else fresh()
        count.broken += not_finite(error.state)
        count.changed += differing(error.state, before)
        found = diagnosis.violation_in_update(algorithm, problem, error.state)
        if error.update != update + 1 or seen != list(range(chunk, update + 1, chunk)) or not agrees(found, right):
            count.miss(f"{what}: update {error.update} instead of {update + 1}, found {found}")
        return
    count.miss(f"{what}: nothing noticed")


def check_environment(seed: int, n: int) -> Iterator[Check]:
    """Every fault at every moment."""
    grid = list(itertools.product(FAULTS.values(), MOMENTS))
    grid = [(fault, at) for fault, at in grid if fault.field != "reward" or at > 0]
    rng = np.random.default_rng(seed)
    chosen = range(len(grid)) if n >= ALL else rng.choice(len(grid), n, replace=False)
    count = Count()
    for index in chosen:
        fault, at = grid[index]
        algorithm, trial = Averager(), seed + int(index)
        threshold, update, task = lowest(algorithm, trial, UPDATES)
        problem = faulty(fault, at, horizon=HORIZON, threshold=threshold, ends_early=bool(index % 2))
        fall(count, algorithm, problem, expected(fault, task, at), update, trial, (1, 2, 4)[index % 3])
    yield from count.checks("environment's faults")


def check_algorithms(seed: int, n: int, algorithms: Sequence[Any] = ALGORITHMS) -> Iterator[Check]:
    """The same in algorithms that learn, in trials of several episodes."""
    rng = np.random.default_rng(seed)
    faults = [fault for fault in FAULTS.values() if fault.space != "discrete"]
    count = Count()
    for index in range(len(algorithms) * -(-min(n, ALL) // 10)):
        algorithm, trial = algorithms[index % len(algorithms)], seed + index
        threshold, update, task = lowest(algorithm, trial, UPDATES)
        fault = faults[rng.integers(len(faults))]
        at = int(rng.integers(int(fault.field == "reward"), 6))
        problem = faulty(fault, at, horizon=5, episodes=4, threshold=threshold, ends_early=bool(index % 2))
        fall(count, algorithm, problem, expected(fault, task, at), update, trial, 1)
    yield from count.checks("environment's faults, real learners")


def check_start(seed: int) -> Iterator[Check]:
    """RL² looks at rewards before its first update."""
    problem = faulty(FAULTS["reward -Inf"], 2, horizon=5, threshold=0.1)
    algorithm, missed = ALGORITHMS[0], 1
    try:
        init(algorithm, problem, seed=seed)
    except DivergenceError as error:
        found = diagnosis.violation_in_init(algorithm, problem, seed=seed)
        named = found is not None and (found.step, found.field, found.value) == (2, "reward", -math.inf)
        missed = int(not named or "before the first update" not in str(error))
    yield at_most("a fault before the first update: not found, or not named", missed, 0)


def check_policy(seed: int) -> Iterator[Check]:
    """Actions that are none."""
    count = Count()
    for index, (space, bad) in enumerate(ACTIONS):
        algorithm, trial = Averager(bad=bad, at=(1, 3)[index % 2]), seed + index
        threshold, update, task = lowest(algorithm, trial, UPDATES)
        problem = faulty(MARK, horizon=5, episodes=2, threshold=threshold, actions=space)
        value = -1.0 if bad == "logits" else float(np.float32(bad))
        right = Violation(task, algorithm.at, "action", 0 if isinstance(space, Box) else None, value, "")
        fall(count, algorithm, problem, right, update, trial, 2)
    yield from count.checks("actions that are none")


def check_traced(seed: int) -> Iterator[Check]:
    """What is seen before anything runs."""
    missed = 0
    for fault in TRACED.values():
        missed += not _refused(Averager(), faulty(fault, horizon=3), EnvironmentContractError, fault.field)
    for bad in ("shape", "dtype", "none"):
        problem = faulty(MARK, horizon=3)
        missed += not _refused(Averager(bad=bad), problem, DivergenceError, "the policy's output: action")
    note = f"of {len(TRACED) + 3}, as it is traced"
    yield at_most("wrong shapes, wrong types, nothing: not refused", missed, 0, note)


def _refused(algorithm: Any, problem: Problem, kind: type[Exception], says: str) -> bool:
    try:
        train(algorithm, problem, init(algorithm, problem, seed=0), num_updates=1)
    except kind as error:
        return f"{says}: expected " in str(error) and "found " in str(error)
    return False


def check_learning(seed: int, n: int) -> Iterator[Check]:
    """Losses and gradients that are not finite, at random updates."""
    rng = np.random.default_rng(seed)
    algorithm, problem, count, length = Descent(), faulty(horizon=3), Count(), 40
    for _ in range(n):
        at, kind = int(rng.integers(length)), int(rng.integers(len(STUMBLES)))
        chunk = int(rng.choice([1, 4, 10]))
        count.cases += 1
        first = "b" if STUMBLES[kind].startswith("gradient") else "a"
        start = lambda at=at, kind=kind: _stumbling(seed, at, kind)  # noqa: E731
        seen: list[int] = []
        try:
            train(
                algorithm,
                problem,
                start(),
                num_updates=length,
                chunk=chunk,
                on_chunk=lambda progress, seen=seen: seen.append(progress.done) or False,
            )
        except DivergenceError as error:
            before = start() if at == 0 else train(algorithm, problem, start(), num_updates=at, chunk=1)
            count.broken += not_finite(error.state)
            count.changed += differing(error.state, before)
            on_time = error.update == at + 1 and seen == list(range(chunk, at + 1, chunk))
            if not on_time or f"update {at + 1}: " not in str(error) or not _names(str(error), first):
                count.miss(f"{STUMBLES[kind]} in update {at + 1}: {error}")
        else:
            count.miss(f"{STUMBLES[kind]} in update {at + 1}: nothing noticed")
    yield from count.checks("losses and gradients that are not finite")


def _names(message: str, first: str) -> bool:
    """A metric that tells, and the first leaf of the weights or of their optimiser that was hit."""
    return "metric gradient_norm and leaf ." in message and f"['{first}'] became" in message


def _stumbling(seed: int, at: int, kind: int) -> TrainState:
    state = init(Descent(), faulty(horizon=3), seed=seed)
    meta = replace(state.meta, at=np.int32(at), kind=np.int32(kind))
    return jax.tree.map(jax.numpy.asarray, replace(state, meta=meta))


def check_evaluation(seed: int) -> Iterator[Check]:
    """A held-out task that is broken is named, not averaged."""
    algorithm, missed, cases = Random(), 0, 0
    for fault, at in ((FAULTS["observation NaN"], 3), (FAULTS["reward 1e30"], 5), (FAULTS["observation +Inf"], 0)):
        healthy = faulty(horizon=5, episodes=2)
        tasks, _ = encounters(healthy.test, 64, seed)
        found = np.asarray(tasks.number)
        first, second = np.sort(found)[:2]
        problem = faulty(fault, at, horizon=5, episodes=2, threshold=float((first + second) / 2))
        cases += 1
        try:
            evaluate(TrainedAgent(algorithm, problem, algorithm.describe(problem)), num_tasks=64, seed=seed)
        except EnvironmentContractError as error:
            missed += f"task {np.argmin(found)}, episode 1" not in str(error)
        else:
            missed += 1
    yield at_most("evaluation of a broken task: not named", missed, 0, f"of {cases}")


def check_time(seed: int) -> Iterator[Check]:
    """How long the search takes where there is much to search; and that nothing is found where nothing is."""
    algorithm, problem = RL2(), bernoulli_bandit()
    state = init(algorithm, problem, seed=seed)
    began = time.perf_counter()
    found = diagnosis.violation_in_update(algorithm, problem, state)
    seconds = time.perf_counter() - began
    yield at_most("seconds of the search in an update of RL² on `bandit`", seconds, 60)
    yield at_most("  violations found where there is none", int(found is not None), 0)


def run(seed: int, n: int) -> Iterator[Check]:
    """Break everything.

    Args:
        seed: Decides tasks, updates and faults.
        n: Losses and gradients that are broken; below 20, so many of the environment's faults, too.
    """
    yield from check_environment(seed, n)
    yield from check_algorithms(seed, n)
    yield from check_start(seed)
    yield from check_policy(seed)
    yield from check_traced(seed)
    yield from check_learning(seed, n)
    yield from check_evaluation(seed)
    yield from check_time(seed)
