"""What agents with a memory share: sizes, what was seen before, what rewards are compared with."""

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.algorithms import RL2, OffPolicyRL2
from adaptax.algorithms.memory.recurrent_agent import RL2Params, memory_sizes, previous_observations
from adaptax.core.spaces import Discrete
from adaptax.networks import MemorySizes
from adaptax.optimization.moments import Moments, no_moments
from adaptax.problems import tabular_mdp


def test_memories_are_built_for_what_the_settings_say():
    problem = tabular_mdp(num_states=3, num_actions=2, horizon=4, num_episodes=5)
    said = {"memory_size": 7, "policy_size": 6, "memory_layers": 2, "memory_heads": 3, "memory_window": 9}
    for algorithm in (RL2(memory="transformer", **said), OffPolicyRL2(memory="transformer", **said)):
        sizes = memory_sizes(algorithm, problem, None)
        assert sizes == MemorySizes(Discrete(3), Discrete(2), 7, 6, span=20, layers=2, heads=3, window=9)


def test_what_was_seen_last_is_of_the_same_trial_and_of_a_step_that_happened():
    seen = jnp.asarray([1.0, 2.0, 3.0, 4.0, 5.0])[:, None, None]
    valid = jnp.asarray([True, False, True, True, True])[:, None]
    starts = jnp.asarray([True, False, False, True, False])[:, None]
    np.testing.assert_array_equal(previous_observations(seen, valid)[:, 0, 0], [0, 1, 1, 3, 4])
    np.testing.assert_array_equal(previous_observations(seen, valid, starts)[:, 0, 0], [0, 1, 1, 0, 4])


def test_E32_rewards_are_read_in_deviations_from_what_was_first_earned_and_no_further_than_ten():
    moments = Moments(jnp.ones(()), jnp.asarray(50.0), jnp.asarray(4.0))
    meta = RL2Params(None, moments, jnp.asarray(3.0), no_moments(), Discrete(2))
    np.testing.assert_allclose(meta.reward_read(jnp.asarray([3.0, 5.0, -1.0, 1e6])), [0, 1, -2, 10], rtol=1e-6)
    assert jax.eval_shape(meta.read, jnp.asarray([1, 0])).shape == (2, 2)
