"""What PEARL reads of a step, what it believes, and what it takes in, by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.algorithms.belief.pearl_params import REWARD_BOUND, PEARLParams, Posterior
from adaptax.algorithms.standard_rl.dqn import Paid
from adaptax.core.spaces import Box, Discrete
from adaptax.core.task_buffers import Steps
from adaptax.core.types import TimeStep, Transition
from adaptax.networks.context import ExactSum
from adaptax.networks.latent import LatentPolicy
from adaptax.optimization.moments import Moments, no_moments


class _Network:
    """As much of a network as what is read depends on."""

    encoder = None

    def __init__(self, acts):
        self.policy = LatentPolicy(3, (2,), acts, jax.random.key(0))


def _params(seen, acts, center=0.0, mean=0.0, variance=1.0):
    moments = Moments(jnp.asarray(10.0), jnp.asarray(mean), jnp.asarray(variance))
    return PEARLParams(_Network(acts), Paid(moments, jnp.asarray(center)), None, seen)


def test_a_posterior_is_the_product_of_its_factors_and_the_prior():
    zero = ExactSum.zero(2)
    belief = Posterior(zero.add(jnp.asarray([[1.0, 3.0]])), zero.add(jnp.asarray([[4.0, -2.0]])), jnp.zeros(2))
    mean, variance = belief.moments
    np.testing.assert_allclose(mean, [2, -0.5])
    np.testing.assert_allclose(variance, [0.5, 0.25])
    drawn = jax.vmap(lambda key: belief.drawn(key).latent)(jax.random.split(jax.random.key(0), 4000))
    np.testing.assert_allclose(drawn.mean(0), mean, atol=4 * 0.5**0.5 / 4000**0.5)
    np.testing.assert_allclose(drawn.var(0), variance, rtol=0.1)


def test_a_step_is_what_was_seen_done_and_seen_next_and_what_it_paid_in_deviations():
    params = _params(Discrete(3), Discrete(2), center=1.0, mean=1.0, variance=4.0)
    steps = Steps(
        jnp.asarray([[1.0, 0, 0]]), jnp.asarray([[0.0, 1]]), jnp.asarray([5.0]), jnp.asarray([[0.0, 0, 1]]),
        jnp.asarray([False]),
    )  # fmt: skip
    step, reward = params.told(steps)
    np.testing.assert_array_equal(step, [[1, 0, 0, 0, 1, 0, 0, 1]])
    np.testing.assert_allclose(reward, [2.0], rtol=1e-6)
    far = Steps(steps.before, steps.action, jnp.asarray([1e6]), steps.after, steps.terminated)
    assert params.told(far)[1] == REWARD_BOUND


def _trajectory(rewards, valid, action, truncated):
    rewards, valid = jnp.asarray(rewards), jnp.asarray(valid)
    seen = jnp.arange(len(rewards), dtype=jnp.float32)[:, None]
    no = jnp.zeros(len(rewards), bool)
    return Transition(TimeStep(seen, None, rewards, no), action, rewards, no, truncated, seen + 1, None, valid)


def test_E11_E36_what_is_kept_is_what_was_done_and_a_time_limit_is_no_end():
    params = _params(Box((1,)), Box((1,), -2.0, 2.0))
    truncated = jnp.asarray([False, True])
    kept = params.experienced(_trajectory([1.0, 2.0], [True, True], jnp.asarray([[1.0], [9.0]]), truncated))
    np.testing.assert_allclose(kept.action[:, 0], [0.5, 1])  # in half ranges; beyond the bounds none is done
    np.testing.assert_allclose(kept.after - kept.before, 1)
    assert not kept.terminated.any()


def test_E35_rewards_of_steps_that_did_not_happen_are_not_taken_in():
    nothing = PEARLParams(_Network(Discrete(2)), Paid(no_moments(), jnp.zeros(())), None, Box((1,)))
    action = jnp.zeros(3, jnp.int32)
    trajectory = _trajectory([2.0, 4.0, 0.0], [True, True, False], action, jnp.zeros(3, bool))
    seen = nothing.take_in(trajectory, centers=True)
    np.testing.assert_allclose([seen.paid.moments.mean, seen.paid.center], [3, 3], rtol=1e-6)
    np.testing.assert_allclose(seen.take_in(trajectory).paid.center, 3, rtol=1e-6)
