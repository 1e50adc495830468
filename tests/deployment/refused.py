"""What agents in use cannot use, by name, and how it is to be refused."""

import dataclasses
import re
from decimal import Decimal
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import (
    MAML,
    PEARL,
    PPO,
    RL2,
    MetaPolicyGradient,
    OffPolicyRL2,
    QLearning,
    ThompsonSampling,
    VariBAD,
)
from adaptax.core.errors import UseError
from adaptax.core.spaces import Discrete
from adaptax.core.step_checks import HUGE
from adaptax.core.types import key_data
from adaptax.deployment import checks
from adaptax.problems import bernoulli_bandit, cart_pole, linear_bandit, point_robot, t_maze, tabular_mdp
from tests.shops import shops

SMALL = RL2(memory_size=3, critic_size=3, num_tasks=4, num_minibatches=2)
_OFF_POLICY = OffPolicyRL2(memory_size=3, critic_size=3, num_tasks=4, batch_size=4)
_PEARL = PEARL(num_train_tasks=4, num_tasks=2, batch_tasks=2, hidden_size=3, latent_size=2)
MDP = {"num_states": 3, "num_actions": 2, "horizon": 3, "num_episodes": 4}
KINDS = {
    "rl2, discrete": lambda: (dataclasses.replace(SMALL, memory="gru"), tabular_mdp(**MDP)),
    "rl2, box": lambda: (SMALL, point_robot(num_episodes=2, horizon=4)),
    "rl2, nothing to see": lambda: (SMALL, bernoulli_bandit(num_arms=2, num_pulls=5)),
    "maml": lambda: (MAML(hidden_size=3, num_tasks=2, trajectories=2), point_robot(num_episodes=6, horizon=4)),
    "meta-policy-gradient": lambda: (
        MetaPolicyGradient(memory_size=3, num_tasks=3, replicas=2, num_epochs=2),
        tabular_mdp(**MDP),
    ),
    "q-learning": lambda: (QLearning(), tabular_mdp(**MDP)),
    "ppo": lambda: (PPO(hidden_size=3, streams=1, num_minibatches=2, num_epochs=1), cart_pole(4, horizon=4)),
    "rl2, masks": lambda: (SMALL, shops()),
    "rl2, masks of two choices": lambda: (SMALL, shops("two")),
    "rl2, lru": lambda: (dataclasses.replace(SMALL, memory="lru", memory_layers=2), t_maze(length=3)),
    "rl2, transformer": lambda: (
        dataclasses.replace(SMALL, memory="transformer", memory_size=4, memory_heads=2, memory_window=3),
        tabular_mdp(**MDP),
    ),
    "rl2, hypernetwork": lambda: (
        dataclasses.replace(SMALL, policy_network="hypernetwork", policy_size=3, context_size=2),
        point_robot(num_episodes=2, horizon=4),
    ),
    "varibad": lambda: (
        VariBAD(memory_size=3, critic_size=3, policy_size=3, latent_size=2, num_tasks=4, num_minibatches=2),
        tabular_mdp(**MDP),
    ),
    "pearl, discrete": lambda: (_PEARL, tabular_mdp(**MDP)),
    "pearl, nothing to see": lambda: (_PEARL, linear_bandit(num_pulls=4)),
    "off-policy-rl2, discrete": lambda: (_OFF_POLICY, tabular_mdp(**MDP)),
    "off-policy-rl2, box": lambda: (_OFF_POLICY, point_robot(num_episodes=2, horizon=4)),
    "thompson": lambda: (ThompsonSampling(), bernoulli_bandit(num_arms=2, num_pulls=5)),
}


class Hostile:
    """Cannot be made an array, or a number, or a word."""

    def __array__(self, *_, **__):
        raise RuntimeError("two\nlines")

    def __index__(self):
        raise RuntimeError("two\nlines")

    __float__ = __bool__ = __repr__ = __index__


def self_containing():
    nested = []
    nested.append(nested)
    return nested


NO_NUMBERS = {
    "None": None,
    "word": "1.0",
    "bytes": b"1",
    "tuple": (0.0, {}),
    "dict": {"observation": 0.0},
    "set": {0.0},
    "object": object(),
    "class": float,
    "hostile": Hostile(),
    "itself": self_containing(),
    "iterator": iter([0.0]),
    "ragged": [[0.0], [0.0, 1.0]],
    "ragged in depth": [0.0, [1.0]],
    "object array": np.array([None, 1.0]),
    "object number": np.array(1.0, object),
    "words": np.array(["a", "b"]),
    "complex": 1j,
    "complex array": np.zeros(2, complex),
    "date": np.datetime64("2026-01-01"),
    "record": np.zeros((), [("x", float)]),
    "decimal": Decimal(1),
    "fraction": Fraction(1, 2),
    "huge integer": 10**400,
    "key": jax.random.key(0),
}
"""Neither observations nor rewards."""
WRONG_FLAGS = (1, 0.0, "yes", [], np.ones(2, bool), np.array(True), Hostile())


def wrong_observations(space):
    """What is not in a space, by name."""
    found = dict(NO_NUMBERS)
    if isinstance(space, Discrete):
        found |= {"float": 0.0, "yes": True, "float array": np.float32(1), "vector": [0], "long": np.zeros(3, int)}
        found |= {"-1": -1, "one too many": space.num, "2^32": 2**32, "2^64": np.uint64(2**64 - 1), "nan": np.nan}
        return found
    shape = space.shape
    found |= {f"shape {s}": np.zeros(s) for s in ((), (7,), (*shape, 1), (1, *shape), (3, 0, 1)) if s != shape}
    if mask_of(space) is not None:
        for name, legal in {"nothing": (0,) * 6, "too little": (0.4,) * 6, "below zero": (-1,) * 6}.items():
            found[f"a mask of {name}"] = in_a_shop(space, legal)
    if np.prod(shape):
        bad = np.zeros(shape)
        for number in (np.nan, np.inf, -np.inf, 1e300, -1e39, HUGE):
            bad.flat[-1] = number
            found |= {f"{number} in float64": bad.copy(), f"{number} in a list": bad.tolist()}
        found["a NaN of JAX"] = jnp.full(shape, jnp.nan)
        found["tuple of numbers"] = tuple(np.zeros(shape))
    return found


def wrong_calls(agent, seen):
    """Calls that are to be refused: before an action, and after one, by name."""
    space = agent._env.observation_space
    before = {f"act {name}": lambda x=x: agent.act(x) for name, x in wrong_observations(space).items()}
    before |= {f"explore {i}": lambda x=x: agent.act(seen, explore=x) for i, x in enumerate(WRONG_FLAGS)}
    before["observe first"] = lambda: agent.observe(1.0)
    after = {
        f"reward {name}": lambda x=x: agent.observe(x)
        for name, x in (NO_NUMBERS | dict(nan=np.nan, inf=-np.inf, large=1e300, huge=-HUGE, vector=[1.0])).items()
    }
    for name in ("episode_over", "terminated"):
        after |= {f"{name} {i}": lambda n=name, x=x: agent.observe(1.0, **{n: x}) for i, x in enumerate(WRONG_FLAGS)}
    after |= {
        f"seen {name}": lambda x=x: agent.observe(1.0, observation=x)
        for name, x in wrong_observations(space).items()
        if x is not None and not name.startswith("a mask of")  # where an episode ends, nothing may be left to do
    }
    after["terminated alone"] = lambda: agent.observe(1.0, terminated=True)
    after["act twice"] = lambda: agent.act(seen)
    return before, after


def known(agent):
    """All of an agent that decides its future, bit by bit."""
    state = agent._batch.state
    leaves = [key_data(x) if hasattr(x, "dtype") else x for x in jax.tree.leaves(state)]
    return [np.asarray(x).tobytes() if hasattr(x, "dtype") else x for x in leaves], jax.tree.structure(state)


def assert_refused(agent, calls, error=UseError):
    """Each is refused in one line that says what was expected and what it was, and nothing has changed."""
    was = known(agent)
    for name, call in calls.items():
        with pytest.raises(error) as caught:
            call()
        said = str(caught.value)
        assert re.search(r"^(act|observe).*expected .*found .*(as it was|nothing was done).*", said), (name, said)
        assert "\n" not in said and len(said) < 400, (name, said)  # noqa: PT018
        assert known(agent) == was, name


LEGAL = (1, 0, 1, 1, 0, 1)
"""What a shop has, at one counter or at two."""


def observations(space):
    """What a space has, without end; where there are masks, some actions are legal."""
    rng = np.random.default_rng(1)
    while True:
        if isinstance(space, Discrete):
            yield int(rng.integers(space.num))
        elif mask_of(space) is None:
            yield rng.normal(size=space.shape)
        else:
            yield in_a_shop(space, LEGAL)


def mask_of(space):
    """Where in an observation the mask of actions stands; None: there is none."""
    return checks._mask_in(space)


def in_a_shop(space, legal):
    """An observation with a mask."""
    seen = np.zeros(space.shape)
    seen[mask_of(space)] = legal
    return seen
