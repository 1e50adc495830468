"""Rules of an environment's contract that only show in a run: values, ends, repetition, and what depends on what."""

import copy
import math
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from adaptax.core.problem import SPLITS, Environment, Problem, TaskDistribution
from adaptax.core.spaces import Space
from adaptax.core.step_checks import HUGE
from adaptax.core.types import Task
from adaptax.problems.checks.findings import Finding
from adaptax.problems.checks.recording import (
    Record,
    Recorder,
    by_hand,
    ends,
    numbers_of,
    oracles_of,
    rows,
    same,
    tasks_of,
)
from adaptax.problems.checks.tracing import changes, has_own_jit, unused_in
from adaptax.problems.task_informed import Informed

MOST_NUMBERS = 2**25
"""Numbers that are recorded of a family, at most: 128 MiB."""
SECOND_LOOK = 2000
"""Steps in each task before it is said that something makes no difference, or never happens."""


POOL = 256
"""Tasks that are drawn of each family, at least, to see whether they differ."""


def families(problem: Problem) -> dict[str, TaskDistribution]:
    """All families of a problem, by name."""
    named = {name: getattr(problem, name) for name in SPLITS}
    return named if problem.shifted is None else {**named, "shifted": problem.shifted}


def steps_each(env: Environment, steps: int, tasks: int) -> int:
    """Steps in each task: as asked for, and a whole episode with what follows, unless there is no room to record it."""
    sizes = [math.prod(space.shape) for space in (env.observation_space, env.observation_space, env.action_space)]
    return min(max(math.ceil(steps / tasks), env.horizon + 1), max(MOST_NUMBERS // (tasks * (sum(sizes) + 3)), 2))


def run(problem: Problem, key: Key[Array, ""], steps: int, tasks: int) -> Iterator[Finding]:
    """What shows when episodes are run, in `tasks` tasks of each family and for at least `steps` steps in each."""
    env, each = problem.env, steps_each(problem.env, steps, tasks)
    before = _fields(env)
    # With the same key for all families: draws are the same but for what makes families different.
    pools = {name: tasks_of(family, max(POOL, tasks), key) for name, family in families(problem).items()}
    sampled = {name: jax.tree.map(lambda x: x[:tasks], pool) for name, pool in pools.items()}
    known = {name: oracles_of(family, sampled[name]) for name, family in families(problem).items()}
    test = sampled["test"]
    record = Recorder(env, key, each)
    records = {name: record(tasks) for name, tasks in sampled.items()}
    broken = [wrong for name, seen in records.items() for wrong in numbers(env.observation_space, name, seen)]
    yield from broken
    yield from termination(env, list(records.values()), test, key)
    if broken:
        return  # NaN is like NaN, whatever the task
    yield from drawn_again(problem, test, key)
    yield from edges(env, test, record)
    yield from dependence(env, test, known["test"], records["test"], key, record)
    yield from distinct(problem, pools, key)
    yield from leak(problem, test, records["test"])
    for name, seen in records.items():
        yield from oracle(env, name, known[name], seen)
    yield from repetition(env, test, key, records["test"], record)
    after = _fields(env)
    changed = [name for name in after if after[name] != before.get(name)]
    if changed:
        advice = "Keep what lasts in the state; an environment has no memory of its own"
        yield Finding(
            "memory", f"self.{changed[0]}", before.get(changed[0], "no such field"), after[changed[0]], advice
        )


def _fields(env: Environment) -> dict[str, str]:
    """What an environment's fields are, as text."""
    return {name: repr(value)[:1000] for name, value in vars(env).items()}


def numbers(space: Space, family: str, seen: Record) -> Iterator[Finding]:
    """Values at every step."""
    sound = np.asarray(-HUGE), np.asarray(HUGE)
    limits = tuple(
        np.clip(limit, *sound).astype(np.float64 if space.integers else np.float32) for limit in space.limits()
    )
    for field, x, time in (
        ("observation", seen.observation, seen.time),
        ("observation", seen.after, seen.time + 1),
        ("reward", seen.reward, seen.time + 1),
    ):
        bounds = limits if field == "observation" else sound
        with np.errstate(invalid="ignore"):
            bad = np.argwhere(~((x >= bounds[0]) & (x <= bounds[1])))
        if len(bad):
            place = bad[np.lexsort((bad[:, 0], time[bad[:, 0], bad[:, 1]]))[0]]
            task, step, entry = place[0], place[1], "".join(f"[{i}]" for i in place[2:])
            when = "reset" if time[task, step] == 0 else f"step {time[task, step]}"
            low, high = (limit[tuple(place[2:])] if limit.ndim else limit for limit in bounds)
            wanted = f"numbers from {low:g} to {high:g}" if bounds is limits else f"numbers below {HUGE:g} in size"
            where = f"{family} task {task}, {when} of an episode: {field}{entry}"
            yield Finding("numbers", where, wanted, f"{x[tuple(place)]:g}", "Correct it, or the space that promises it")


def termination(
    env: Environment, records: Sequence[Record], tasks: Task | None = None, key: Key[Array, ""] | None = None
) -> Iterator[Finding]:
    """Ends of episodes; with `tasks` and `key`, also time limits that follow `horizon`."""
    horizon = env.horizon
    ended = np.concatenate([seen.terminated.ravel() for seen in records])
    time = np.concatenate([seen.time.ravel() for seen in records]) + 1
    early = ended & (time < horizon)
    if early.any() and not env.ends_early:
        where = f"step {time[early][0]} of an episode: terminated"
        yield Finding("termination", where, "False, since ends_early=False", "True", "Set ends_early=True")
    last = time == horizon
    if horizon == 1 or early.any() or not last.any() or not ended[last].all():
        return
    # Without `ends_early` it may well be that nothing comes after the last step; not if that moves with the horizon.
    if env.ends_early or (tasks is not None and key is not None and _follows_horizon(env, tasks, key)):
        advice = (
            "Leave the time limit to the horizon: what it cuts off is not lost, a termination is"
            if not env.ends_early
            else "Leave a time limit to the horizon; if nothing comes after the last step, set ends_early=False"
        )
        found = "one at the time limit, in every episode"
        yield Finding("termination", f"step {horizon}: terminated", "the environment's own ends", found, advice)


def _follows_horizon(env: Environment, tasks: Task, key: Key[Array, ""]) -> bool:
    """Whether episodes terminate one step later in an environment whose horizon is one step longer."""
    longer, few = copy.copy(env), jax.tree.map(lambda x: x[:2], tasks)
    try:
        object.__setattr__(longer, "horizon", env.horizon + 1)
        seen = Recorder(longer, key, env.horizon + 1)(few)
    except Exception:
        return False  # it has other ideas of a horizon, such as a property
    return bool(seen.terminated[:, -1].all() and not seen.terminated[:, :-1].any())


def drawn_again(problem: Problem, tasks: Task, key: Key[Array, ""]) -> Iterator[Finding]:
    """The same tasks and oracles when they are traced anew."""
    for name, family in families(problem).items():
        if changes(family.sample, key):
            advice = "Draw with jax.random and the key that is given"
            yield Finding("determinism", f"{name}.sample, traced twice", "the same program", "another", advice)
            return
        if changes(family.oracle, jax.tree.map(lambda x: x[0], tasks)):
            advice = "Compute it, or return NaN"
            yield Finding("determinism", f"{name}.oracle, traced twice", "the same program", "another", advice)
            return


def repetition(env: Environment, tasks: Task, key: Key[Array, ""], seen: Record, record: Recorder) -> Iterator[Finding]:
    """The same again: the same program, a new one, and one task after another without compiling."""
    advice = "Draw with jax.random and the key that is given; keep nothing outside of the state"
    if not same(seen, record(tasks)):
        yield Finding("determinism", "the same key, run twice", "the same episodes", "another", advice)
        return
    if has_own_jit(env, jax.tree.map(lambda x: x[0], tasks)):
        jax.clear_caches()  # what was compiled inside keeps what Python drew
    if not same(seen, Recorder(env, key, seen.time.shape[1])(tasks)):
        yield Finding("determinism", "the same key, compiled twice", "the same episodes", "another", advice)
        return
    one, _, again = by_hand(env, tasks, key, (0, 1, 0))
    if not same(one, again):
        advice = "Keep what lasts in the state; an environment has no memory of its own"
        yield Finding("memory", "task 0, then task 1, then task 0 again", "the same episodes twice", "another", advice)


def edges(env: Environment, tasks: Task, record: Recorder) -> Iterator[Finding]:
    """Actions at the ends of their space."""
    for number, end in enumerate(ends(env.action_space)):
        seen, action = record(tasks, 2 + number), np.asarray(end)
        if action.size:
            yield from numbers(env.observation_space, f"action {action.flat[0]:g}:", seen)
        if not env.ends_early:
            yield from termination(env, [seen])


def dependence(
    env: Environment, tasks: Task, known: np.ndarray, seen: Record, key: Key[Array, ""], record: Recorder
) -> Iterator[Finding]:
    """What depends on the task, and on the action: by the programs' text, then by other tasks and other actions."""
    task_unused, action_unused = unused_in(env, jax.tree.map(lambda x: x[0], tasks))
    for (path, leaf), is_unused in zip(jax.tree_util.tree_leaves_with_path(tasks), task_unused, strict=True):
        # The oracle may be computed with the task, and be kept there.
        if is_unused and len(set(rows(leaf))) > 1 and not np.array_equal(numbers_of(leaf), known):
            advice = "Use it there, instead of a value of the environment's own; or take it out of the task"
            where = f"task{jax.tree_util.keystr(path)}"
            yield Finding("task ignored", where, "something that reset or step depends on", "neither does", advice)
    if action_unused:
        yield Finding("action ignored", "step", "an outcome of `action`", "none", "Use `action` in step")
    many = len(rows(tasks))
    long = Recorder(env, key, steps_each(env, SECOND_LOOK * many, many))
    if _eventless(env, seen) and _eventless(env, long(tasks)):
        reward = float(seen.reward.flat[0])
        if (known > env.horizon * reward + 1e-4 * abs(reward)).any():
            return  # rewards are too rare for random actions, and what they depend on does not show
        advice = "Nothing can be learned from it; if rewards are that rare, an `oracle` that knows of them says so"
        yield Finding("reward", "all steps in all tasks", "rewards that differ", f"always {reward:g}", advice)
    turned = jax.tree.map(lambda x: jnp.roll(x, 1, 0), tasks)
    if len(set(rows(tasks))) > 1 and _alike(seen, record(turned)) and _alike(long(tasks), long(turned)):
        advice = "Use `task` in reset and step, not a task of the environment's own"
        yield Finding("task ignored", "other tasks, same keys", "other episodes", "the same", advice)
    other = record(tasks, 1)
    if not same(seen.action, other.action) and _alike(seen, other) and _alike(long(tasks), long(tasks, 1)):
        advice = "Use `action` in step"
        yield Finding("action ignored", "other actions, same keys", "other episodes", "the same", advice)


def _alike(one: Record, other: Record) -> bool:
    """Whether two runs are the same, whatever was done."""
    return same(one._replace(action=0), other._replace(action=0))


def _eventless(env: Environment, seen: Record) -> bool:
    """Whether all steps have brought the same, and none ended an episode early."""
    return bool(np.ptp(seen.reward) == 0 and not (seen.terminated & (seen.time + 1 < env.horizon)).any())


def distinct(problem: Problem, pools: dict[str, Task], key: Key[Array, ""]) -> Iterator[Finding]:
    """Tasks differ, and families have none in common."""
    apart = {name: set(rows(pool)) for name, pool in pools.items()}
    everything = set[bytes]().union(*apart.values())
    for name, family in families(problem).items():
        if len(apart[name]) == 1 and family.finite is None and len(everything) > 1:
            advice = "There are too few tasks to hold any out: set `finite` to how many there are"
            yield Finding("splits", f"{name}.sample", "many tasks", f"{len(everything)} in all families", advice)
            return
        if len(apart[name]) == 1 and family.finite != 1:
            advice = "Draw with the key; if there is but one task, set finite=1"
            yield Finding("same tasks", f"{name}.sample", "tasks that differ", f"{POOL} equal ones", advice)
            return
    if problem.test.finite is None:
        for one, other in (("train", "test"), ("train", "validation"), ("validation", "test")):
            common = len(apart[one] & apart[other])
            if common:
                found = f"{common} in both, of {POOL} draws of each"
                advice = "Leave `sample` as it is, which keeps splits apart; if there are few tasks, set `finite`"
                yield Finding("splits", f"{one} and {other}", "no task in common", found, advice)
                return
    for name, family in families(problem).items():
        if family.finite is not None:
            few = 4 * family.finite <= POOL
            count = len(apart[name] if few else set(rows(tasks_of(family, min(64 * family.finite, 4096), key))))
            if count > family.finite:
                advice = "Set `finite` to how many there are, or None"
                yield Finding("splits", f"{name}.finite", f"at most {family.finite} tasks", f"{count} at least", advice)
                return


def leak(problem: Problem, tasks: Task, seen: Record) -> Iterator[Finding]:
    """An entry of the observation that is an entry of the task after every step, in every task.

    At the beginning alone it may be: where an episode starts may belong to the task, and a cue be shown and be gone.
    """
    if isinstance(problem.env, Informed):
        return
    count, steps = seen.time.shape
    shown = seen.after.reshape(count, steps, -1)
    for path, leaf in jax.tree_util.tree_leaves_with_path(tasks):
        flat = numbers_of(leaf).reshape(count, -1)
        for j in (j for j in range(flat.shape[1]) if len(set(flat[:, j].tolist())) > 1):
            always = (shown == flat[:, j, None, None]).all((0, 1))
            if always.any():
                where = f"observation[{always.argmax()}] after every step"
                found = f"entry {j} of task{jax.tree_util.keystr(path)}"
                advice = "There is nothing to find out then; for a policy told the task: adaptax.problems.informed"
                yield Finding("leak", where, "what an agent may see", found, advice)
                return


def oracle(env: Environment, name: str, known: np.ndarray, seen: Record) -> Iterator[Finding]:
    """What random actions earn in whole episodes, against what the oracle says."""
    over = seen.terminated | (seen.time + 1 == env.horizon)
    whole = over.any(1) & np.isfinite(known)
    if whole.sum() < 2:
        return
    first = over.argmax(1)
    earned = np.array([row[: end + 1].sum(dtype=np.float64) for row, end in zip(seen.reward, first, strict=True)])
    margin, count = (earned - known)[whole], whole.sum()
    error = margin.std(ddof=1) / math.sqrt(count)
    # Deviations of a few numbers are often too small themselves: Student's tails.
    tolerance = 5 * (1 + 8 / (count - 1) ** 1.5) * error + 1e-4 * (abs(known[whole]) + abs(earned[whole])).mean()
    if margin.mean() > tolerance:
        expected = f"the best there is ({known[whole].mean():.4g} per episode)"
        found = f"{earned[whole].mean():.4g} by random actions"
        yield Finding("oracle", f"{name}.oracle", expected, found, "Return NaN if it is unknown")
