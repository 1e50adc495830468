import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.algorithm import FromScratch
from adaptax.core.types import AgentState, Transition
from adaptax.deployment.programs import ADAPTING, Parts, act_program, adapt_program, outcome, packed
from adaptax.problems import bernoulli_bandit, cart_pole, point_robot, tabular_mdp

ROOT = jax.random.key(5)
META, ADAPTED = {"w": jnp.asarray([2.0, 3.0])}, (jnp.asarray(7.0),)


@dataclasses.dataclass(frozen=True)
class Witness(FromScratch):
    """Remembers all that it is given; its action is the same for all that."""

    def describe(self, problem):
        return jnp.zeros(0)

    def begin(self, meta, key):
        return AgentState(ADAPTED, jnp.asarray(0.0))

    def act(self, meta, agent, timestep, key, *, explore):
        given = (meta, agent.adapted, agent.memory, timestep, jax.random.key_data(key), jnp.asarray(explore))
        return jnp.asarray(1), given, "noted" and meta["w"].sum()

    def adapt(self, meta, agent, trajectory, key):
        return AgentState((agent.adapted[0] + trajectory.sum(),), jax.random.key_data(key))


def programs(env, *, with_aux=True) -> tuple[Any, Any, list, list, list]:
    agent = AgentState(ADAPTED, jnp.asarray(4.0))
    leaves = [jax.tree.leaves(x) for x in (META, agent.adapted, agent.memory)]
    parts = Parts(*(jax.tree.structure(x) for x in (META, agent.adapted, agent.memory)))
    return act_program(Witness(), env, parts, with_aux=with_aux), adapt_program(Witness(), parts), *leaves


ENVIRONMENTS = {
    "nothing to see": (bernoulli_bandit().env, np.zeros(0, np.float32)),
    "an integer": (tabular_mdp().env, np.int32(3)),
    "a negative float and one that is 0": (cart_pole().env, np.float32([-1.5, 0.0, 1e-40, 3e38])),
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_what_is_new_at_a_step_arrives_bit_for_bit(name):
    env, seen = ENVIRONMENTS[name]
    act, _, *leaves = programs(env)
    for reward, first, explore in ((-0.1, True, False), (3.25, False, True)):
        new = packed(np.asarray(seen), reward, first, 2**32 - 1, 6)
        assert new.dtype == np.uint32
        previous = np.int32(1)
        found, memory, aux = act(*leaves, previous, jax.random.key_data(ROOT), new, explore=explore)
        w, phi, h, observation, last_action, last_reward, is_first, key, explored = memory
        action, sound = outcome(env.action_space, found)
        assert (action.dtype, action.shape, int(action), sound) == (np.int32, (), 1, True)
        assert float(aux) == 5.0
        np.testing.assert_array_equal(w, META["w"])
        assert (float(phi), float(h), int(last_action)) == (7.0, 4.0, 1)
        assert observation.dtype == np.asarray(seen).dtype
        assert np.asarray(observation).tobytes() == np.asarray(seen).tobytes()
        assert np.asarray(last_reward) == np.float32(reward)
        assert (bool(is_first), bool(explored)) == (first, explore)
        expected = jax.random.fold_in(jax.random.fold_in(ROOT, np.uint32(2**32 - 1)), 6)
        np.testing.assert_array_equal(key, jax.random.key_data(expected))


def test_what_nobody_wants_is_not_computed():
    env, seen = ENVIRONMENTS["nothing to see"]
    act, _, *leaves = programs(env, with_aux=False)
    new = packed(seen, 0.0, True, 1, 0)
    assert act(*leaves, np.int32(0), jax.random.key_data(ROOT), new, explore=False)[2] is None


def test_E20_a_window_s_key_is_that_of_no_step():
    _, adapt, *leaves = programs(cart_pole().env)
    window: Transition = jnp.asarray([1.0, 2.0])  # the witness adds it up, whatever it is
    keys = []
    for number in (0, 1):
        adapted, memory = adapt(*leaves, window, jax.random.key_data(ROOT), np.uint32(1), np.uint32(ADAPTING + number))
        assert float(adapted[0]) == 10.0
        keys.append(np.asarray(memory[0]).tolist())
    steps = [
        jax.random.key_data(jax.random.fold_in(jax.random.fold_in(ROOT, 1), number)).tolist() for number in range(10)
    ]
    assert len({*map(tuple, keys), *map(tuple, steps)}) == 12


@dataclasses.dataclass(frozen=True)
class Repeats(Witness):
    """Does what its memory says, in half precision, and remembers the last reward and a key."""

    def act(self, meta, agent, timestep, key, *, explore):
        return meta["w"].astype(jnp.bfloat16), {"key": key, "last": timestep.reward}, None


@pytest.mark.parametrize(("reward", "finite"), [(1.5, True), (np.nan, False), (-np.inf, False)])
def test_E41_an_action_comes_with_whether_what_is_remembered_is_finite(reward, finite):
    env = point_robot().env
    parts = Parts(*(jax.tree.structure(x) for x in (META, ADAPTED, jnp.zeros(()))))
    leaves = [jax.tree.leaves(x) for x in (META, ADAPTED, jnp.zeros(()))]
    new = packed(np.zeros(2, np.float32), reward, True, 1, 0)
    act = act_program(Repeats(), env, parts, with_aux=False)
    found = act(*leaves, np.zeros(2, np.float32), jax.random.key_data(ROOT), new, explore=True)[0]
    action, sound = outcome(env.action_space, found)
    np.testing.assert_array_equal(action, np.float32([2.0, 3.0]))
    assert (action.dtype, sound) == (np.float32, finite)
