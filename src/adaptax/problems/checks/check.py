"""Does an environment keep its contract? Found by living in it, before anything is trained.

Most mistakes in environments are silent: JAX clamps indices that are out of bounds, a reset that ignores its task
trains on, and a number that Python has drawn while a program was traced is the same in every episode.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from adaptax.core.errors import EnvironmentContractError
from adaptax.core.precision import in_single_precision
from adaptax.core.problem import Problem
from adaptax.core.spaces import Space
from adaptax.core.step_checks import mismatch, type_of
from adaptax.problems.checks.findings import RULES, Finding, raised
from adaptax.problems.checks.notes import observation_notes
from adaptax.problems.checks.recording import Recorder, tasks_of
from adaptax.problems.checks.rules import families, numbers, run, steps_each, termination

__all__ = ["RULES", "Finding", "Verdict", "check", "examine", "require"]

SHOWN = 5
"""Findings that an error names."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What came of a check.

    Attributes:
        findings: What is wrong; each rule is named once, at its first violation.
        tasks: Tasks that were tried, in all families.
        steps: Environment steps that were taken there, the first time; 0 if it did not come to that.
        notes: What breaks no rule and is worth knowing, a line each.
    """

    findings: tuple[Finding, ...]
    tasks: int = 0
    steps: int = 0
    notes: tuple[str, ...] = ()


def check(problem: Any, *, seed: int = 0, steps: int = 1000, tasks: int = 32) -> list[Finding]:
    """All that can be found wrong with a problem; each rule is named once, at its first violation.

    Args:
        problem: What a factory has returned.
        seed: Decides tasks, actions and keys.
        steps: Environment steps to take in each family, at least.
        tasks: Tasks to try, of each family.
    """
    return list(examine(problem, seed=seed, steps=steps, tasks=tasks).findings)


@in_single_precision
def examine(problem: Any, *, seed: int = 0, steps: int = 1000, tasks: int = 32) -> Verdict:
    """As `check`, and how much was looked at.

    What is wrong while programs are traced would make the rest of it guesses, so nothing is run then.
    """
    if not isinstance(problem, Problem):
        found = f"{type(problem).__module__}.{type(problem).__name__}"
        advice = "Return make_problem(…) or Problem(…)"
        return Verdict((Finding("problem", "the factory", "an adaptax Problem", found, advice),))
    key = jax.random.key(seed)
    findings = list(static(problem, key))
    if findings:
        return Verdict(_first(findings))
    try:
        findings += run(problem, key, steps, tasks)
    except Exception as error:
        findings.append(raised("while living in it", error))
    count = len(families(problem)) * tasks
    notes = () if findings else tuple(observation_notes(problem, key))
    return Verdict(_first(findings), count, count * steps_each(problem.env, steps, tasks), notes)


def _first(findings: list[Finding]) -> tuple[Finding, ...]:
    """The first of each rule."""
    return tuple({finding.rule: finding for finding in reversed(findings)}.values())[::-1]


def require(problem: Problem, *, seed: int = 0, steps: int = 64, tasks: int = 8) -> None:
    """The short form, before training: types, numbers and ends of episodes, in some trials of training tasks.

    Raises:
        EnvironmentContractError: with the first findings.
    """
    key = jax.random.key(seed)
    findings = list(static(problem, key))
    if not findings:
        seen = Recorder(problem.env, key, steps)(tasks_of(problem.train, tasks, key))
        findings = [*numbers(problem.env.observation_space, "training", seen), *termination(problem.env, [seen])]
    if findings:
        more = f" (and {len(findings) - SHOWN} more)" if len(findings) > SHOWN else ""
        lines = " | ".join(finding.line() for finding in findings[:SHOWN])
        raise EnvironmentContractError(
            f"{type(getattr(problem, 'env', problem)).__name__}: {lines}{more}. Nothing was trained"
        )


def static(problem: Problem, key: Key[Array, ""]) -> Iterator[Finding]:
    """What shows while programs are traced."""
    wrong = list(_plain(problem))
    if wrong:
        yield from wrong
        return
    shapes = {}
    for name, family in families(problem).items():
        where = f"{name}.draw"
        try:
            drawn: list[Any] = []
            jax.eval_shape(lambda key, family=family, drawn=drawn: _seen(family.draw(key), drawn), key)
            odd = [type(x).__name__ for x in drawn if not isinstance(x, jax.Array)]
            if odd or not drawn:
                found = odd[0] if odd else "no array at all"
                yield Finding("tasks", where, "a pytree of JAX arrays", found, "Use jnp.asarray")
                return
            where = f"{name}.sample"
            task = jax.eval_shape(family.sample, key)
            where = f"{name}.oracle"
            oracle = jax.eval_shape(family.oracle, task)
        except Exception as error:
            yield raised(where, error)
            return
        if mismatch(oracle, (), jnp.floating):
            found = mismatch(oracle, (), jnp.floating).partition("found ")[2]
            yield Finding("oracle", where, "a float of shape ()", found, "Return jnp.asarray(jnp.nan) if unknown")
        shapes[name] = jax.tree.map(lambda x: (x.shape, str(x.dtype)), task)
    if len({str(shape) for shape in shapes.values()}) > 1:
        yield Finding(
            "tasks", "families", "tasks of the same shapes", str(shapes), "All families share one environment"
        )
        return
    yield from _steps(problem, task, key)


def _seen(tree: Any, leaves: list[Any]) -> Any:
    """The same; its leaves are noted as they are while a program is traced, before they become arrays."""
    leaves.extend(jax.tree.leaves(tree))
    return tree


def _plain(problem: Problem) -> Iterator[Finding]:
    """What is no array: lengths and spaces."""
    env = problem.env
    for name, value in (("horizon", env.horizon), ("episodes", problem.episodes)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            yield Finding("types", name, "an integer ≥ 1", repr(value), "It is a number of steps, or of episodes")
    if not isinstance(env.ends_early, bool):
        yield Finding(
            "types", "ends_early", "True or False", repr(env.ends_early), "Say whether episodes can terminate"
        )
    for name in ("observation_space", "action_space"):
        space = getattr(env, name)
        if not isinstance(space, Space):
            advice = "Use those of adaptax.core.spaces, or adaptax.core.composite_spaces for what has parts"
            yield Finding("types", name, "a Box, Discrete, …", type(space).__name__, advice)
    if problem.optimum is not None and len(problem.optimum) != problem.episodes:
        expected = f"{problem.episodes} numbers, one for each episode"
        yield Finding("types", "optimum", expected, str(len(problem.optimum)), "Set it to None if it is unknown")


def _steps(problem: Problem, task: Any, key: Key[Array, ""]) -> Iterator[Finding]:
    """Types of what reset and step return."""
    env = problem.env
    where = "action_space.sample"
    try:
        action = env.action_space.sample(key)
        if not bool(jnp.all(env.action_space.contains(action))):
            yield Finding("types", where, "an element of the space", str(action), "Correct the space")
        where = "reset"
        begun = jax.eval_shape(env.reset, task, key)
        if not (isinstance(begun, tuple) and len(begun) == 2):
            yield Finding("types", "reset", "(state, observation)", type(begun).__name__, "Return a pair")
            return
        state, observation = begun
        yield from _wrong("reset", "observation", observation, *type_of(env.observation_space))
        where = "step"
        step = jax.eval_shape(env.step, state, action, task, key)
    except Exception as error:
        yield raised(where, error)
        return
    if not all(hasattr(step, name) for name in ("state", "observation", "reward", "terminated")):
        yield Finding("types", "step", "an adaptax.core.problem.Step", type(step).__name__, "Return Step(state, …)")
        return
    yield from _wrong("step", "observation", step.observation, *type_of(env.observation_space))
    yield from _wrong("step", "reward", step.reward, (), jnp.floating)
    yield from _wrong("step", "terminated", step.terminated, (), jnp.bool_)
    for name, before, after in (("state", state, step.state), ("observation", observation, step.observation)):
        first, then = (str(jax.tree.map(lambda x: f"{x.dtype}{list(x.shape)}", x)) for x in (before, after))
        if first != then:
            advice = "A compiled loop needs arrays of one kind"
            yield Finding("types", f"step: {name}", f"{first}, as after reset", then, advice)


def _wrong(where: str, field: str, x: Any, shape: tuple[int, ...], kind: Any) -> Iterator[Finding]:
    wrong = mismatch(x, shape, kind)
    if not wrong and kind is jnp.floating and x.dtype != jnp.float32:
        wrong = f"expected float32 of shape {shape}, found {x.dtype}"
    if wrong:
        expected, _, found = wrong.removeprefix("expected ").partition(", found ")
        yield Finding("types", f"{where}: {field}", expected, found, "Correct it, or the space that promises it")
