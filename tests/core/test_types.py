import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.types import AgentState, TimeStep, TrainState, Transition, Window, replace


def _transition():
    timestep = TimeStep(jnp.zeros(2), jnp.asarray(-1), jnp.zeros(()), jnp.asarray(True))
    no = jnp.asarray(False)
    return Transition(timestep, jnp.asarray(0), jnp.ones(()), no, no, jnp.zeros(2), None, jnp.asarray(True))


def test_all_types_are_pytrees_of_arrays():
    train_state = TrainState(jnp.zeros(3), jnp.zeros(3), jnp.asarray(0), jax.random.key(0))
    for value in (_transition(), AgentState(jnp.zeros(1), None), train_state):
        leaves = jax.tree.leaves(value)
        assert leaves
        assert all(isinstance(x, jax.Array) for x in leaves)


def test_trajectory_is_a_transition_with_leading_time():
    trajectory = jax.lax.scan(lambda carry, _: (carry, _transition()), None, length=4)[1]
    assert isinstance(trajectory, Transition)
    assert trajectory.timestep.observation.shape == (4, 2)
    assert jax.tree.structure(trajectory) == jax.tree.structure(_transition())


def test_replace_changes_the_named_fields_only():
    before = _transition()
    after = replace(before, reward=jnp.asarray(5.0), aux=jnp.asarray(3))
    assert (after.reward, after.aux, before.reward, before.aux) == (5.0, 3, 1.0, None)
    assert after.timestep is before.timestep
    assert replace(Window(2, 3), steps=5) == Window(2, 5)


def test_replace_refuses_unknown_fields():
    with pytest.raises(TypeError, match="rewards"):
        replace(_transition(), rewards=jnp.zeros(()))


def test_step_that_never_happened_can_be_told_from_one_that_did():
    assert {"valid", "terminated", "truncated"} <= set(Transition.__annotations__)
    assert "done" not in Transition.__annotations__


def test_a_state_takes_a_step():
    state = TrainState(None, None, jnp.asarray(0), jax.random.key(0))
    np.testing.assert_array_equal(replace(state, step=state.step + 1).step, 1)
