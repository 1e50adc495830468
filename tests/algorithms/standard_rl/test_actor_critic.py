"""Parts of the learners with a policy and a value network, each against plain numbers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from adaptax.algorithms import A2C, PPO, Reinforce
from adaptax.algorithms.standard_rl import actor_critic
from adaptax.algorithms.standard_rl.actor_critic import ActorCriticState, Batch, Spaces
from adaptax.algorithms.standard_rl.settings import A2CSettings
from adaptax.core.spaces import Box, Discrete
from adaptax.core.types import TimeStep, Transition, Window
from adaptax.networks.distributions import Categorical, Normal
from adaptax.optimization.moments import Moments, no_moments
from adaptax.problems import cart_pole
from tests.sample_problems import quick_jit, same

SPACES = Spaces(Box((2,)), Discrete(3))
SMALL = {"hidden_size": 4, "streams": 2, "max_gradient_norm": 1e6}
KEY = jax.random.key(0)
TIME, STREAMS = 6, 3


def random_learner(settings, seed=0, spaces=SPACES):
    """Networks with weights of order one: those of fresh ones are near the uniform policy, and 0 for the critic."""
    shapes = jax.eval_shape(lambda key: actor_critic.build(settings, spaces, key), KEY)
    rng = np.random.default_rng(seed)
    network = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), x.dtype), shapes)
    returns = Moments(jnp.asarray(50.0), jnp.asarray(1.5), jnp.asarray(4.0))
    moments = jax.eval_shape(actor_critic.adam(settings).init, network)  # Adam starts with zeros
    return ActorCriticState(network, jax.tree.map(lambda x: jnp.asarray(np.zeros(x.shape, x.dtype)), moments), returns)


def random_trajectory(seed=0):
    """Three streams: one goes on past the window, one terminates and idles, one is truncated and begins anew."""
    rng = np.random.default_rng(seed)
    draw = lambda *shape: rng.normal(size=(TIME, STREAMS, *shape)).astype(np.float32)  # noqa: E731

    def flag(*places):
        flags = np.zeros((TIME, STREAMS), bool)
        flags[tuple(zip(*places, strict=True))] = True
        return flags

    action = rng.integers(3, size=(TIME, STREAMS)).astype(np.int32)
    valid = ~flag((3, 1), (4, 1), (5, 1))
    reward = np.where(valid, draw(), np.float32(0))
    timestep = TimeStep(draw(2), action, reward, flag((0, 0)))
    aux = {"log_prob": -np.abs(draw())}
    trajectory = Transition(timestep, action, reward, flag((2, 1)), flag((3, 2)), draw(2), aux, valid)
    return jax.tree.map(jnp.asarray, trajectory)


def numpy_advantages(trajectory, values, bootstraps, ends, *, discount, gae_lambda, weights=None):
    """A_t = ρ_t (δ_t + γλ A_{t+1}) in a loop; `ends`: whether a time limit ends what is to be maximised."""
    advantages = np.zeros((TIME, STREAMS))
    terminated, truncated, valid = (np.asarray(getattr(trajectory, x)) for x in ("terminated", "truncated", "valid"))
    for stream in range(STREAMS):
        after, next_value = 0.0, np.nan
        for t in reversed(np.flatnonzero(valid[:, stream])):
            i = t, stream
            if terminated[i] or (truncated[i] and ends):
                after, next_value = 0.0, 0.0
            elif truncated[i] or t == TIME - 1:
                after, next_value = 0.0, bootstraps[i]
            delta = trajectory.reward[i] + discount * next_value - values[i]
            after = (1.0 if weights is None else weights[i]) * (delta + discount * gae_lambda * after)
            advantages[i], next_value = after, values[i]
    return advantages


def test_boundaries_by_hand():
    # Time limits after the second step of the first stream; the second one terminates at its first.
    trajectory = jax.tree.map(lambda x: x[:3, :2], random_trajectory())
    truncated = jnp.asarray([[False, False], [True, False], [False, False]])
    terminated = jnp.asarray([[False, True], [False, False], [False, False]])
    trajectory = dataclasses.replace(trajectory, terminated=terminated, truncated=truncated)
    ended, cut = actor_critic.boundaries(A2CSettings(time_limits="bootstrap"), trajectory)
    np.testing.assert_array_equal(ended, [[False, True], [False, False], [False, False]])
    np.testing.assert_array_equal(cut, [[False, False], [True, False], [True, True]])
    ended, cut = actor_critic.boundaries(A2CSettings(time_limits="end"), trajectory)
    np.testing.assert_array_equal(ended, [[False, True], [True, False], [False, False]])
    np.testing.assert_array_equal(cut, [[False, False], [False, False], [True, True]])


@pytest.mark.compiles
@pytest.mark.parametrize("time_limits", ["bootstrap", "end"])
@pytest.mark.parametrize("max_ratio", [None, 1.0, 3.0])
def test_lessons_against_a_loop(time_limits, max_ratio):
    settings = A2CSettings(**SMALL, time_limits=time_limits)
    learner, trajectory = random_learner(settings), random_trajectory()

    def teach(x):
        return actor_critic.make_batch(settings, x, trajectory, discount=0.9, gae_lambda=0.7, max_ratio=max_ratio)

    batch = quick_jit(teach)(learner)
    values = np.asarray(learner.values(trajectory.timestep.observation), np.float64)
    bootstraps = np.asarray(learner.values(trajectory.next_observation), np.float64)
    weights = None
    if max_ratio is not None:
        policy = learner.network.policy(trajectory.timestep.observation)
        ratios = np.exp(np.asarray(policy.log_prob(trajectory.action) - trajectory.aux["log_prob"], np.float64))
        weights = np.minimum(ratios, max_ratio)
        assert (ratios > max_ratio).any()
        assert (ratios < max_ratio).any()
    options = {"discount": 0.9, "gae_lambda": 0.7, "weights": weights}
    expected = numpy_advantages(trajectory, values, bootstraps, time_limits == "end", **options)
    valid = np.asarray(trajectory.valid)
    np.testing.assert_allclose(batch.advantage, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(batch.target[valid], (values + expected)[valid], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(batch.log_prob, np.where(valid, trajectory.aux["log_prob"], 0))
    assert same((batch.action, batch.valid), (trajectory.action, trajectory.valid))


def test_E6_no_gradient_flows_through_advantages_and_targets():
    settings = A2CSettings(**SMALL)
    learner, trajectory = random_learner(settings), random_trajectory()

    def total(network):
        own = dataclasses.replace(learner, network=network)
        batch = actor_critic.make_batch(settings, own, trajectory, discount=0.9, gae_lambda=0.7, max_ratio=2.0)
        returns = actor_critic.observe(own, batch)
        return jnp.sum(batch.advantage + batch.target) + returns.mean + returns.variance

    both = quick_jit(jax.value_and_grad(total))
    value, slope = both(learner.network)
    assert value != both(jax.tree.map(lambda x: x + 0.1, learner.network))[0]
    assert all((x == 0).all() for x in jax.tree.leaves(slope))


def test_values_are_in_units_of_reward():
    learner = random_learner(A2CSettings(**SMALL))
    x = random_trajectory().timestep.observation
    np.testing.assert_allclose(learner.values(x), 1.5 + 2.0 * learner.network.critic(x), rtol=1e-6)


def random_lesson(seed=0):
    trajectory, rng = random_trajectory(seed), np.random.default_rng(seed + 1)
    draw = lambda: jnp.asarray(rng.normal(size=(TIME, STREAMS)), jnp.float32)  # noqa: E731
    advantage = jnp.asarray(np.where(trajectory.valid, draw(), np.float32(0)))
    observation, action = trajectory.timestep.observation, trajectory.action
    return Batch(observation, action, trajectory.aux["log_prob"], advantage, draw(), trajectory.valid)


def test_moments_are_those_of_what_happened():
    batch, learner = random_lesson(), random_learner(A2CSettings(**SMALL))
    learner = dataclasses.replace(learner, returns=no_moments())
    seen = np.asarray(batch.target)[np.asarray(batch.valid)]
    returns = actor_critic.observe(learner, batch)
    np.testing.assert_allclose([returns.count, returns.mean, returns.std], [15, seen.mean(), seen.std()], rtol=1e-5)


def test_loss_by_hand():
    batch, learner = random_lesson(), random_learner(A2CSettings(**SMALL))
    network, valid = learner.network, np.asarray(batch.valid)
    gain, returns = actor_critic.policy_gradient, learner.returns
    total, metrics = quick_jit(lambda x: actor_critic.loss(gain, returns, 0.3, x, batch, jnp.asarray(0.25)))(network)
    log_probs = np.asarray(network.policy(batch.observation).log_probs(), np.float64)
    chosen = np.take_along_axis(log_probs, np.asarray(batch.action)[..., None], -1)[..., 0]
    gain = (chosen * np.asarray(batch.advantage))[valid].mean()
    entropy = -(np.exp(log_probs) * log_probs).sum(-1)[valid].mean()
    error = (np.asarray(batch.target) - 1.5) / 2 - np.asarray(network.critic(batch.observation))
    value_loss = (error[valid] ** 2).mean() / 2
    np.testing.assert_allclose(total, 0.25 * value_loss - gain - 0.3 * entropy, rtol=1e-5)
    found = [metrics[name] for name in ("value_loss", "policy_gain", "entropy")]
    np.testing.assert_allclose(found, [value_loss, gain, entropy], rtol=1e-5)


@pytest.mark.compiles
def test_one_step_is_adam_on_the_loss_with_advantages_in_deviations():
    settings = A2CSettings(**SMALL, learning_rate=0.02)
    batch, learner = random_lesson(), random_learner(settings)
    optimizer = actor_critic.adam(settings)
    step = lambda learner: actor_critic.descend(optimizer, learner, learner.returns, batch, entropy_cost=0.1)  # noqa: E731
    stepped = quick_jit(step)(learner)
    scaled = dataclasses.replace(batch, advantage=batch.advantage / 2.0)
    cost = lambda x: actor_critic.loss(actor_critic.policy_gradient, learner.returns, 0.1, x, scaled)[0]  # noqa: E731
    slope = quick_jit(jax.grad(cost))(learner.network)
    # Adam's first step: its first moment is a tenth of the gradient, and it goes by the rate along each sign.
    moments = optax.tree.get(stepped.opt_state, "mu")
    for moment, g in zip(jax.tree.leaves(moments), jax.tree.leaves(slope), strict=True):
        np.testing.assert_allclose(moment, 0.1 * g, rtol=1e-4, atol=1e-6)
    expected = jax.tree.map(lambda x, g: x - 0.02 * g / (jnp.abs(g) + 1e-5), learner.network, slope)
    for a, b in zip(jax.tree.leaves(stepped.network), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_nothing_is_learned_while_nothing_happens():
    # Adam alone would go on by its momentum.
    settings = A2CSettings(**SMALL)
    batch, optimizer = random_lesson(), actor_critic.adam(settings)
    step = quick_jit(
        lambda learner, batch: actor_critic.descend(optimizer, learner, learner.returns, batch, entropy_cost=0.1)
    )
    learner = step(random_learner(settings), batch)
    idle = dataclasses.replace(batch, valid=jnp.zeros_like(batch.valid))
    assert same(step(learner, idle), learner)
    assert same(actor_critic.observe(learner, idle), learner.returns)
    assert not same(step(learner, batch).network, learner.network)


def test_gradients_are_scaled_down_to_a_norm():
    settings = A2CSettings(**SMALL | {"max_gradient_norm": 1e-3})
    batch, optimizer = random_lesson(), actor_critic.adam(settings)
    step = quick_jit(lambda x: actor_critic.descend(optimizer, x, x.returns, batch, entropy_cost=0.1))
    stepped = step(random_learner(settings))
    np.testing.assert_allclose(optax.tree.norm(optax.tree.get(stepped.opt_state, "mu")), 1e-4, rtol=1e-5)


@pytest.mark.compiles
@pytest.mark.parametrize("action", [Discrete(3), Box((2,), -1.0, 3.0)])
@pytest.mark.parametrize("num_layers", [0, 2])
def test_fresh_networks_know_nothing(action, num_layers):
    settings = A2CSettings(hidden_size=8, num_layers=num_layers, initial_std=0.5)
    network = quick_jit(lambda key: actor_critic.build(settings, Spaces(Box((2,)), action), key))(KEY)
    observations = random_trajectory().timestep.observation
    np.testing.assert_array_equal(network.critic(observations), 0)
    policy = network.policy(observations)
    if isinstance(policy, Categorical):
        np.testing.assert_allclose(jnp.exp(policy.log_probs()), 1 / 3, atol=0.02)
    else:
        assert isinstance(policy, Normal)
        np.testing.assert_allclose(policy.mean, 0, atol=0.1)
        np.testing.assert_allclose(jnp.exp(policy.log_std), 0.5, rtol=1e-6)


@pytest.mark.parametrize("action", [Discrete(3), Box((2,), -1.0, 3.0)])
def test_acting_tells_the_log_probability_of_what_was_done(action):
    learner = random_learner(A2CSettings(**SMALL), spaces=Spaces(Box((2,)), action))
    timestep = TimeStep(jnp.asarray([0.3, -1.0]), action.null(), jnp.zeros(()), jnp.asarray(True))
    act = lambda key, explore: actor_critic.act(learner, timestep, key, explore=explore)  # noqa: E731
    done, aux = quick_jit(jax.vmap(lambda key: act(key, True)))(jax.random.split(KEY, 50))
    policy = quick_jit(jax.vmap(lambda _: learner.network.policy(timestep.observation)))(jnp.arange(50))
    np.testing.assert_allclose(aux["log_prob"], policy.log_prob(action.policy_action(done)), rtol=1e-5)
    assert len(np.unique(np.asarray(done), axis=0)) > 1
    mode = action.from_policy(learner.network.policy(timestep.observation).mode())
    assert all((act(jax.random.key(i), False)[0] == mode).all() for i in range(3))


def test_windows_are_whole_episodes_or_some_steps():
    problem = cart_pole(horizon=200)
    assert A2C(streams=4, num_steps=7).window(problem) == Window(4, 7)
    assert PPO(streams=4).window(problem) == Reinforce(streams=4).window(problem) == Window(4, 200)
