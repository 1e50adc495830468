"""An agent as a few functions of arrays of fixed shapes, traced: what everything that is exported is made from.

    begin      → φ, h                                             at the start of a trial
    act        o, a, r, first, φ, h → a′, h′                      the best action that is known
    explore    o, a, r, first, φ, h, key → a′, h′, aux            as in training
    adapt      φ, h, window, key → φ′, h′                         where the agent learns from windows

θ is a constant in all of them: of what is computed from it alone nothing is left to compute.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.core.errors import UseError
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import AgentState, TimeStep, Transition, is_key, key_data, wrap_key_data

KEY = "key"
"""Name of the input that decides what is drawn: two words of 32 bits."""


class Port(NamedTuple):
    """An input or output of a program.

    Attributes:
        name: A word for it: letters, digits and underscores.
        shape: Its shape.
        dtype: "float32", "int32", "uint32", "uint8" or "bool".
        about: What it is.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    about: str = ""

    @property
    def size(self) -> int:
        """How many numbers."""
        return int(np.prod(self.shape, dtype=np.int64))


class Program(NamedTuple):
    """A function of arrays.

    Attributes:
        name: "act", say.
        inputs: What it takes, in order.
        outputs: What it returns, in order.
        jaxpr: What it computes, traced; θ is among its constants.
        call: The same, to be called with arrays.
    """

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    jaxpr: Any
    call: Callable[..., Any]


class Exported(NamedTuple):
    """All of an agent.

    Attributes:
        title: Who it is, and on what.
        programs: By name.
        state: What goes from step to step, φ first, then h.
        initial: The state's arrays at the start of a trial.
        adapted: How many of the state's arrays are φ.
        horizon: Steps of an episode, at most.
        window: Environments and steps of a window that is learned from; None: it learns in `act` alone.
        null: The previous action at the start of a trial.
        integers: Whether actions are integers.
        low: Least value of each entry of an action.
        high: Greatest value of each.
    """

    title: str
    programs: dict[str, Program]
    state: tuple[Port, ...]
    initial: tuple[np.ndarray, ...]
    adapted: int
    horizon: int
    window: tuple[int, int] | None
    null: np.ndarray
    integers: bool
    low: np.ndarray
    high: np.ndarray


def exported(trained: TrainedAgent) -> Exported:
    """Trace an agent of one training.

    Raises:
        UseError: if it holds several trainings, or begins a trial by drawing something: where it is used nobody would
            draw it again.
    """
    if trained.num_seeds != 1:
        raise UseError(f"export: expected one training, found {trained.num_seeds}; choose one by --training-seed")
    algorithm, problem, meta = trained.algorithm, trained.problem, trained.meta
    env = problem.env
    agent = jax.jit(algorithm.begin)(meta, jax.random.key(0))
    _expect_no_draws(algorithm, meta, agent)
    adapted, memory = jax.tree.flatten(agent.adapted), jax.tree.flatten(agent.memory)
    names = [*_named("adapted", agent.adapted), *_named("memory", agent.memory)]
    leaves = [*adapted[0], *memory[0]]
    state = tuple(_port(name, leaf, about) for (name, about), leaf in zip(names, leaves, strict=True))
    split = len(adapted[0])

    def together(given: Sequence[Any]) -> AgentState:
        given = [wrap_key_data(x, like) for x, like in zip(given, leaves, strict=True)]
        return AgentState(jax.tree.unflatten(adapted[1], given[:split]), jax.tree.unflatten(memory[1], given[split:]))

    does, seen = env.action_space, _seen(env)
    null = does.null()
    key = Port(KEY, (2,), "uint32", "decides what is drawn")
    next_memory = tuple(Port(f"next_{p.name}", *p[1:]) for p in state[split:])
    action = Port("action", null.shape, str(null.dtype), f"what to do: {does}")
    windows = trained.learns_from_windows

    def act(observation: Any, previous: Any, reward: Any, first: Any, *given: Any) -> tuple[Any, ...]:
        step = TimeStep(observation, previous, reward, first)
        done, after, _ = algorithm.act(meta, together(given), step, jax.random.key(0), explore=False)
        return done, *map(key_data, jax.tree.leaves(after))

    def explore(observation: Any, previous: Any, reward: Any, first: Any, *given: Any) -> tuple[Any, ...]:
        *leaves, bits = given
        step = TimeStep(observation, previous, reward, first)
        key = jax.random.wrap_key_data(bits)
        done, after, aux = algorithm.act(meta, together(leaves), step, key, explore=True)
        return done, *map(key_data, jax.tree.leaves(after)), *(jax.tree.leaves(aux) if windows else ())

    aux = jax.eval_shape(lambda: algorithm.act(meta, agent, _step(env), jax.random.key(0), explore=True)[2])
    put_aside = _ports("aux", aux, "what was put aside for adapting") if windows else ()
    programs = {
        "act": _program("act", act, (*seen, *state), (action, *next_memory)),
        "explore": _program("explore", explore, (*seen, *state, key), (action, *next_memory, *put_aside)),
    }
    window = algorithm.window(problem) if windows else None
    if window is not None:
        shape = window.steps, window.num_envs
        programs["adapt"] = _adapt(algorithm, meta, env, aux, shape, state, together, key)
    low, high = does.limits()
    return Exported(
        trained.title, programs, state, tuple(np.asarray(key_data(x)) for x in leaves), split, env.horizon,
        None if window is None else (window.num_envs, window.steps), np.asarray(null), does.integers,
        np.broadcast_to(low, null.shape), np.broadcast_to(high, null.shape),
    )  # fmt: skip


def _adapt(
    algorithm: Any, meta: Any, env: Any, aux: Any, shape: tuple[int, int], state: tuple[Port, ...], together: Any,
    key: Port,
) -> Program:  # fmt: skip
    """The step of adaptation; what it learns from is called as in `Transition`."""
    step = jax.eval_shape(lambda: _step(env))
    flag: Any = jax.ShapeDtypeStruct((), jnp.bool_)
    number: Any = jax.ShapeDtypeStruct((), jnp.float32)
    one = Transition(step, env.action_space.null(), number, flag, flag, step.observation, aux, flag)
    window = jax.tree.map(lambda x: jax.ShapeDtypeStruct((*shape, *x.shape), x.dtype), one)
    learned = _ports("window", window, "of the window: time, environment, ...")
    form = jax.tree.structure(window)

    def adapt(*given: Any) -> tuple[Any, ...]:
        agent, rest = together(given[: len(state)]), given[len(state) : -1]
        found = algorithm.adapt(meta, agent, jax.tree.unflatten(form, rest), jax.random.wrap_key_data(given[-1]))
        return tuple(map(key_data, [*jax.tree.leaves(found.adapted), *jax.tree.leaves(found.memory)]))

    return _program("adapt", adapt, (*state, *learned, key), tuple(Port(f"next_{p.name}", *p[1:]) for p in state))


def _seen(env: Any) -> tuple[Port, ...]:
    """What is told at a step."""
    space, null = env.observation_space, env.action_space.null()
    before = "what was done before; at the start of a trial what `manifest.action.null` says"
    return (
        Port("observation", space.shape, str(np.dtype(space.dtype)), f"what is seen: {space}"),
        Port("previous_action", null.shape, str(null.dtype), before),
        Port("reward", (), "float32", "what that has brought; 0 at the start of a trial"),
        Port("first", (), "bool", "whether an episode begins"),
    )


def _step(env: Any) -> TimeStep:
    seen, null = env.observation_space, env.action_space.null()
    return TimeStep(jnp.zeros(seen.shape, seen.dtype), null, jnp.zeros(()), jnp.asarray(True))


def _expect_no_draws(algorithm: Any, meta: Any, agent: Any) -> None:
    other = jax.jit(algorithm.begin)(meta, jax.random.key(1))
    for one, two in zip(jax.tree.leaves(agent), jax.tree.leaves(other), strict=True):
        if not np.array_equal(key_data(one), key_data(two), equal_nan=not is_key(one)):
            raise UseError(
                f"export: {type(algorithm).__name__} begins every trial with something that it draws (the "
                "initialisation of a learner from scratch, a sample of a posterior), which no exported file does; use "
                "adaptax.Agent"
            )


def _program(name: str, function: Callable[..., Any], inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> Program:
    shapes = [jax.ShapeDtypeStruct(p.shape, p.dtype) for p in inputs]
    return Program(name, inputs, outputs, jax.make_jaxpr(function)(*shapes), jax.jit(function))


def _named(prefix: str, tree: Any) -> list[tuple[str, str]]:
    """Of each leaf a word that no other has, and where it stands."""
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]]
    words = [re.sub(r"\W+", "_", f"{prefix}{path}", flags=re.ASCII).rstrip("_") for path in paths]
    if len(set(words)) < len(words):  # names of a user's own may differ in nothing that a word keeps
        words = [f"{word}_{number}" for number, word in enumerate(words)]
    return [(word, f"{prefix}{path}") for word, path in zip(words, paths, strict=True)]


def _port(name: str, leaf: Any, about: str) -> Port:
    data = jax.eval_shape(key_data, leaf) if is_key(leaf) else leaf
    return Port(name, tuple(data.shape), str(data.dtype), about)


def _ports(prefix: str, tree: Any, about: str) -> tuple[Port, ...]:
    return tuple(
        _port(name, leaf, f"{where}, {about}")
        for (name, where), leaf in zip(_named(prefix, tree), jax.tree.leaves(tree), strict=True)
    )
