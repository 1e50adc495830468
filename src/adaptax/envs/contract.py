"""Does an environment keep its contract? Found by living in it, before anything is trained.

Most mistakes in environments are silent: JAX clamps indices that are out of bounds, a reset that ignores its task
trains on, and a number that Python has drawn while a program was traced is the same in every episode.
"""

import dataclasses
import math
import traceback
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from adaptax.envs.base import SPLITS, Problem, TaskDistribution
from adaptax.envs.breach import HUGE, mismatch, type_of
from adaptax.envs.informed import Informed
from adaptax.envs.lives import Record, Recorder, by_hand, ends, rows, same, tasks_of
from adaptax.errors import EnvironmentContractError
from adaptax.spaces import Discrete, Space

MOST_STEPS = 2000
"""Steps that are lived in one task, at most."""
SHOWN = 5
"""Findings that an error names."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        rule: Which rule is broken.
        where: Task, step and field.
        expected: What the contract says.
        found: What is the case.
        advice: What to do.
    """

    rule: str
    where: str
    expected: str
    found: str
    advice: str

    def line(self) -> str:
        """All of it, in a line."""
        return " ".join(
            f"{self.rule}: {self.where}: expected {self.expected}, found {self.found}. {self.advice}".split()
        )


RULES: dict[str, str] = {
    "problem": "the factory returns a Problem",
    "raises": "nothing raises, and all can be traced",
    "types": "shapes and types are those of the spaces, and stay the same",
    "tasks": "tasks are arrays, of the same shapes in all families",
    "numbers": "observations and rewards are finite, and observations lie in their space",
    "termination": "`ends_early` is true, and time limits are left to the horizon",
    "determinism": "the same key gives the same life",
    "memory": "one task leaves nothing behind for the next",
    "same tasks": "tasks differ",
    "task ignored": "what happens depends on the task",
    "action ignored": "what happens depends on the action",
    "reward": "rewards differ",
    "leak": "observations do not show the task",
    "splits": "families have no task in common, or say that they are finite",
    "oracle": "no random policy is better than the oracle",
}
"""By name, what each demands."""


def check(problem: Any, *, seed: int = 0, steps: int = 1000, tasks: int = 32) -> list[Finding]:
    """All that can be found wrong with a problem; each rule is named once, at its first breach.

    Args:
        problem: What a factory has returned.
        seed: Decides tasks, actions and keys.
        steps: Environment steps to live, at least.
        tasks: Tasks to live in, of each family.
    """
    if not isinstance(problem, Problem):
        found = f"{type(problem).__module__}.{type(problem).__name__}"
        return [Finding("problem", "the factory", "an adaptax Problem", found, "Return make_problem(…) or Problem(…)")]
    key = jax.random.key(seed)
    findings: list[Finding] = []
    for group in (static, lived):
        try:
            findings += list(group(problem, key, steps, tasks))
        except Exception as error:
            findings.append(_raised("while living in it", error))
        if findings:
            break  # what is wrong here would make the rest of it guesses
    first: dict[str, Finding] = {}
    for finding in findings:
        first.setdefault(finding.rule, finding)
    return list(first.values())


def require(problem: Problem, *, seed: int = 0, steps: int = 64, tasks: int = 8) -> None:
    """The short form, before training: types, numbers and ends of episodes, in some lives in training tasks.

    Raises:
        EnvironmentContractError: with the first findings.
    """
    key = jax.random.key(seed)
    findings = list(static(problem, key, steps, tasks))
    if not findings:
        seen = Recorder(problem.env, key, steps)(tasks_of(problem.train, tasks, key))
        findings = [*numbers(problem.env.observation_space, "training", seen), *termination(problem, {"train": seen})]
    if findings:
        more = f" (and {len(findings) - SHOWN} more)" if len(findings) > SHOWN else ""
        lines = " | ".join(finding.line() for finding in findings[:SHOWN])
        raise EnvironmentContractError(
            f"{type(getattr(problem, 'env', problem)).__name__}: {lines}{more}. Nothing was trained"
        )


def families(problem: Problem) -> dict[str, TaskDistribution]:
    """All families of a problem, by name."""
    named = {name: getattr(problem, name) for name in SPLITS}
    return named if problem.shifted is None else {**named, "shifted": problem.shifted}


def static(problem: Problem, key: Key[Array, ""], steps: int, tasks: int) -> Iterator[Finding]:
    """What shows while programs are traced."""
    env = problem.env
    if not (isinstance(env.horizon, int) and env.horizon >= 1):
        yield Finding(
            "types", "horizon", "an integer ≥ 1", repr(env.horizon), "It is the number of steps of an episode"
        )
        return
    shapes = {}
    for name, family in families(problem).items():
        try:
            drawn = family.draw(key)
            odd = [type(x).__name__ for x in jax.tree.leaves(drawn) if not isinstance(x, jax.Array)]
            if odd or not jax.tree.leaves(drawn):
                found = odd[0] if odd else "no array at all"
                yield Finding("tasks", f"{name}.draw", "a pytree of JAX arrays", found, "Use jnp.asarray")
                return
            task = family.sample(key)
            oracle = jax.eval_shape(family.oracle, task)
        except Exception as error:
            yield _raised(f"{name}.draw, sample or oracle", error)
            return
        if mismatch(oracle, (), jnp.floating):
            found = mismatch(oracle, (), jnp.floating).partition("found ")[2]
            yield Finding(
                "oracle", f"{name}.oracle", "a float of shape ()", found, "Return jnp.asarray(jnp.nan) if unknown"
            )
        shapes[name] = jax.tree.map(lambda x: (x.shape, str(x.dtype)), task)
    if len({str(shape) for shape in shapes.values()}) > 1:
        yield Finding(
            "tasks", "families", "tasks of the same shapes", str(shapes), "All families share one environment"
        )
        return
    yield from _steps(problem, problem.train.sample(key), key)


def _steps(problem: Problem, task: Any, key: Key[Array, ""]) -> Iterator[Finding]:
    """Types of what reset and step return."""
    env = problem.env
    try:
        state, observation = jax.eval_shape(env.reset, task, key)
    except Exception as error:
        yield _raised("reset", error)
        return
    yield from _wrong("reset", "observation", observation, *type_of(env.observation_space))
    action = env.action_space.sample(key)
    if not bool(jnp.all(env.action_space.contains(action))):
        yield Finding("types", "action_space.sample", "an element of the space", str(action), "Correct the space")
    try:
        step = jax.eval_shape(env.step, state, action, task, key)
    except Exception as error:
        yield _raised("step", error)
        return
    if not all(hasattr(step, name) for name in ("state", "observation", "reward", "terminated")):
        yield Finding("types", "step", "an adaptax.envs.base.Step", type(step).__name__, "Return Step(state, …)")
        return
    yield from _wrong("step", "observation", step.observation, *type_of(env.observation_space))
    yield from _wrong("step", "reward", step.reward, (), jnp.floating)
    yield from _wrong("step", "terminated", step.terminated, (), jnp.bool_)
    described: list[Any] = [jax.tree.map(lambda x: f"{x.dtype}{list(x.shape)}", s) for s in (state, step.state)]
    if str(described[0]) != str(described[1]):
        advice = "A compiled loop needs states of one kind"
        yield Finding("types", "step: state", f"{described[0]}, as after reset", str(described[1]), advice)


def _wrong(where: str, field: str, x: Any, shape: tuple[int, ...], kind: Any) -> Iterator[Finding]:
    wrong = mismatch(x, shape, kind)
    if wrong:
        expected, _, found = wrong.removeprefix("expected ").partition(", found ")
        yield Finding("types", f"{where}: {field}", expected, found, "Correct it, or the space that promises it")


def _raised(where: str, error: Exception) -> Finding:
    """An exception, with the last line of the environment's own that it came through."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/jax/" not in f.filename]
    own = [f for f in frames if "adaptax/envs/" not in f.filename.replace("\\", "/")] or frames
    at = f" ({own[-1].filename.rsplit('/', 1)[-1]}, line {own[-1].lineno})" if own else ""
    what = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'without a message'}{at}"
    traced = isinstance(error, jax.errors.ConcretizationTypeError | jax.errors.TracerArrayConversionError)
    advice = "Use jnp.where or jax.lax.cond, and jnp instead of np" if traced else "Correct it"
    return Finding("raises", where, "no exception", what, advice)


def lived(problem: Problem, key: Key[Array, ""], steps: int, tasks: int) -> Iterator[Finding]:
    """What shows in lives."""
    env, each = problem.env, min(max(math.ceil(steps / tasks), problem.env.horizon + 1), MOST_STEPS)
    sampled = {
        name: tasks_of(family, tasks, jax.random.fold_in(key, i))
        for i, (name, family) in enumerate(families(problem).items())
    }
    test = sampled["test"]
    life = Recorder(env, key, each)
    records = {name: life(tasks) for name, tasks in sampled.items()}
    for name, seen in records.items():
        yield from numbers(env.observation_space, name, seen)
    yield from termination(problem, records)
    yield from repetition(env, test, key, records["test"], Recorder(env, key, each))
    yield from edges(env, test, life)
    yield from dependence(problem, test, records["test"], life)
    yield from distinct(problem, sampled, key)
    yield from leak(problem, test, records["test"])
    yield from oracle(problem, test, records["test"])


def numbers(space: Space, family: str, seen: Record) -> Iterator[Finding]:
    """Values at every step."""
    low, high = (0, space.num - 1) if isinstance(space, Discrete) else (max(space.low, -HUGE), min(space.high, HUGE))
    expected = f"numbers from {low:g} to {high:g}"
    for field, x, time in (
        ("observation", seen.observation, seen.time),
        ("observation", seen.after, seen.time + 1),
        ("reward", seen.reward, seen.time + 1),
    ):
        bounds = (low, high) if field == "observation" else (-HUGE, HUGE)
        with np.errstate(invalid="ignore"):
            bad = np.argwhere(~((x >= bounds[0]) & (x <= bounds[1])))
        if len(bad):
            place = bad[np.lexsort((bad[:, 0], time[bad[:, 0], bad[:, 1]]))[0]]
            task, step, entry = place[0], place[1], "".join(f"[{i}]" for i in place[2:])
            when = "reset" if time[task, step] == 0 else f"step {time[task, step]}"
            wanted = expected if field == "observation" else f"numbers below {HUGE:g} in size"
            where = f"{family} task {task}, {when} of an episode: {field}{entry}"
            yield Finding("numbers", where, wanted, f"{x[tuple(place)]:g}", "Correct it, or the space that promises it")


def termination(problem: Problem, records: dict[str, Record]) -> Iterator[Finding]:
    """Ends of episodes."""
    horizon = problem.env.horizon
    ended = np.concatenate([seen.terminated.ravel() for seen in records.values()])
    time = np.concatenate([seen.time.ravel() for seen in records.values()]) + 1
    early = ended & (time < horizon)
    if early.any() and not problem.env.ends_early:
        where = f"step {time[early][0]} of an episode: terminated"
        yield Finding("termination", where, "False, since ends_early=False", "True", "Set ends_early=True")
    last = time == horizon
    # Without `ends_early` the same says that nothing comes after the last step, which may well be so.
    if problem.env.ends_early and last.any() and ended[last].all() and not early.any():
        advice = "Leave the time limit to the horizon: what it cuts off is not lost, a termination is"
        yield Finding(
            "termination",
            f"step {horizon}: terminated",
            "the environment's own ends",
            "one at the time limit, in every episode",
            advice,
        )


def repetition(env: Any, tasks: Any, key: Key[Array, ""], seen: Record, anew: Recorder) -> Iterator[Finding]:
    """The same again: compiled anew, and one task after another without compiling."""
    if not same(seen, anew(tasks)):
        advice = "Draw with jax.random and the key that is given; keep nothing outside of the state"
        yield Finding("determinism", "the same key, compiled twice", "the same life", "another", advice)
        return
    one, _, again = by_hand(env, tasks, key, (0, 1, 0))
    if not same(one, again):
        advice = "Keep what lasts in the state; an environment has no memory of its own"
        yield Finding("memory", "task 0, then task 1, then task 0 again", "the same life twice", "another", advice)


def edges(env: Any, tasks: Any, life: Recorder) -> Iterator[Finding]:
    """Actions at the ends of their space."""
    for number, end in enumerate(ends(env.action_space)):
        yield from numbers(env.observation_space, f"action {np.asarray(end).flat[0]:g}:", life(tasks, 2 + number))


def dependence(problem: Problem, tasks: Any, seen: Record, life: Recorder) -> Iterator[Finding]:
    """What would happen with other tasks, and with other actions."""
    bytes_of = rows(tasks)
    if problem.test.finite == 1:
        return
    if len(set(bytes_of)) == 1:
        yield Finding(
            "same tasks", "test.sample", "tasks that differ", f"{len(bytes_of)} equal ones", "Draw with the key"
        )
        return
    known = float(np.asarray(problem.test.oracle(jax.tree.map(lambda x: x[0], tasks))))
    always = np.ptp(seen.reward) == 0
    if always and known > problem.env.horizon * float(seen.reward.flat[0]):
        return  # random actions find nothing here: sparse rewards tell nothing of tasks
    happened = lambda r: (r.reward, r.terminated, r.observation, r.after)  # noqa: E731
    turned = jax.tree.map(lambda x: jnp.roll(x, 1, 0), tasks)
    if same(happened(seen), happened(life(turned))):
        advice = "Use `task` in reset and step, not a task of the environment's own"
        yield Finding("task ignored", "other tasks, same keys", "another life", "the same one", advice)
    other = life(tasks, 1)
    if same(happened(seen), happened(other)) and not same(seen.action, other.action):
        yield Finding(
            "action ignored", "other actions, same keys", "another life", "the same one", "Use `action` in step"
        )
    if always and not (seen.terminated & (seen.time + 1 < problem.env.horizon)).any():
        yield Finding(
            "reward",
            "all steps in all tasks",
            "rewards that differ",
            f"always {seen.reward.flat[0]:g}",
            "Nothing can be learned from it",
        )


def distinct(problem: Problem, sampled: dict[str, Any], key: Key[Array, ""]) -> Iterator[Finding]:
    """Families have no task in common."""
    finite = problem.test.finite
    if finite is None:
        many = {name: set(rows(tasks_of(getattr(problem, name), 256, key))) for name in SPLITS}
        for one, other in (("train", "test"), ("train", "validation"), ("validation", "test")):
            common = len(many[one] & many[other])
            if common:
                found = f"{common} of 256 in both"
                advice = "Do not override `sample`, which marks each task with its split; or set `finite`"
                yield Finding("splits", f"{one} and {other}", "no task in common", found, advice)
                return
    else:
        count = len(set(rows(tasks_of(problem.test, min(64 * finite, 4096), key))))
        if count > finite:
            yield Finding(
                "splits",
                "test.finite",
                f"at most {finite} tasks",
                f"{count}",
                "Set `finite` to how many there are, or None",
            )


def leak(problem: Problem, tasks: Any, seen: Record) -> Iterator[Finding]:
    """Entries of the first observation that are entries of the task, in every task."""
    if isinstance(problem.env, Informed) or isinstance(problem.env.observation_space, Discrete):
        return
    shown = seen.observation[:, 0].reshape(len(seen.observation), -1)
    for path, leaf in jax.tree_util.tree_leaves_with_path(tasks):
        flat = np.asarray(leaf).reshape(len(shown), -1)
        for j in range(flat.shape[1]):
            if not np.issubdtype(flat.dtype, np.floating) or len(set(flat[:, j].tolist())) < 2:
                continue
            for i in range(shown.shape[1]):
                if np.array_equal(shown[:, i], flat[:, j]):
                    where = f"observation[{i}] after reset"
                    advice = (
                        "Then there is nothing to learn; for a policy that knows the task use adaptax.envs.informed"
                    )
                    yield Finding(
                        "leak",
                        where,
                        "what an agent may see",
                        f"the task's {jax.tree_util.keystr(path) or 'value'}[{j}]",
                        advice,
                    )
                    return


def oracle(problem: Problem, tasks: Any, seen: Record) -> Iterator[Finding]:
    """What random actions earn in whole episodes, against what the oracle says."""
    known = np.asarray(jax.vmap(problem.test.oracle)(tasks), np.float64)
    over = seen.terminated | (seen.time + 1 == problem.env.horizon)
    if not np.isfinite(known).all() or not over.any(1).all():
        return
    first = over.argmax(1)
    earned = np.array([row[: end + 1].sum(dtype=np.float64) for row, end in zip(seen.reward, first, strict=True)])
    margin = earned - known
    error = margin.std(ddof=1) / math.sqrt(len(margin)) if len(margin) > 1 else math.inf
    if margin.mean() > 5 * error + 1e-4 * abs(known.mean()):
        found = f"{earned.mean():.4g} by random actions"
        yield Finding(
            "oracle",
            "test.oracle",
            f"the best there is ({known.mean():.4g} per episode)",
            found,
            "Return NaN if it is unknown",
        )
