"""What learns, learns the same whatever is added to all rewards, or whatever they are multiplied by (trap E32)."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import A2C, MAML, PPO, RL2, MetaGradientRL, Reinforce
from adaptax.core.problem import Step, make_problem
from adaptax.core.rollout import run_trial
from adaptax.core.trained_agent import TrainedAgent
from adaptax.evaluation.evaluator import evaluate
from adaptax.problems.bandit import BernoulliBandit, UniformBernoulliArms
from tests.sample_problems import Clockwork, Lengths, quick_jit, train

PULLS, SEEDS = 20, 3


class Paid(BernoulliBandit):
    """A bandit in other money."""

    offset: float = eqx.field(static=True)
    scale: float = eqx.field(static=True)

    def __init__(self, num_arms, offset, scale):
        super().__init__(num_arms)
        self.offset, self.scale = offset, scale

    def step(self, state, action, task, key):
        step = super().step(state, action, task, key)
        return Step(step.state, step.observation, self.offset + self.scale * step.reward, step.terminated)


@functools.cache
def hits(offset, scale, memory):
    """Hits in a trial after a short training, by seed."""
    problem = make_problem(Paid(2, offset, scale), lambda split: UniformBernoulliArms(2, split), PULLS)
    algorithm = RL2(
        memory=memory, memory_size=16, critic_size=16, num_tasks=512, num_updates=60, num_minibatches=4,
        learning_rate=5e-3,
    )  # fmt: skip
    found = []
    for seed in range(SEEDS):
        meta = train(algorithm, problem, algorithm.num_updates, seed)[0].meta
        returns = evaluate(TrainedAgent(algorithm, problem, meta), num_tasks=1000, seed=7).scores
        found.append(float((returns.mean() - PULLS * offset) / scale))
    return np.array(found)


@pytest.mark.learning
@pytest.mark.nightly
@pytest.mark.parametrize("memory", ["gru", "lstm", "symmetric"])
@pytest.mark.parametrize(("offset", "scale"), [(5.5, 1.0), (-20.0, 1.0), (1000.0, 1.0), (0.0, 1e-6), (0.0, 1e6)])
def test_E32_whatever_is_added_or_multiplied_it_learns_the_same(offset, scale, memory):
    plain, other = hits(0.0, 1.0, memory), hits(offset, scale, memory)
    assert plain.mean() > 11.5  # chance is 10
    error = np.sqrt((plain.var(ddof=1) + other.var(ddof=1)) / SEEDS + 2 * 0.15**2 / SEEDS)
    assert abs(other.mean() - plain.mean()) < 3 * error


@pytest.mark.compiles
def test_E32_an_added_constant_changes_no_number_that_the_network_reads():
    """The first update's gradients see the same inputs and advantages, up to what single precision makes of 1000.5."""
    algorithm = RL2(memory_size=4, critic_size=4, num_tasks=64, num_updates=2, num_minibatches=2)

    def after(offset):
        problem = make_problem(Paid(2, offset, 1.0), lambda split: UniformBernoulliArms(2, split), PULLS)
        return jax.tree.leaves(train(algorithm, problem, 1)[0].meta.network)

    for one, other in zip(after(0.0), after(64.0), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)
    assert jnp.isfinite(jnp.concatenate([x.ravel() for x in after(-20.0)])).all()


class PaidClockwork(Clockwork):
    """Episodes in other money: what a step pays depends on the step and on the action.

    Offset and scale are no constants of a program, so that one serves for all.
    """

    offset: jax.Array
    scale: jax.Array

    def __init__(self, horizon, offset, scale):
        super().__init__(horizon, False, 2)
        self.offset, self.scale = offset, scale

    def step(self, state, action, task, key):
        step = super().step(state, action, task, key)
        plain = (state % 2) * 2.0 + jnp.where(action == task.length % 2, 1.0, 0.0)
        return Step(step.state, step.observation, self.offset + self.scale * plain, step.terminated)


def _paid(units, horizon, episodes):
    return make_problem(PaidClockwork(horizon, *units), lambda split: Lengths(3, split), episodes)


UNITS = [(0.0, 1.0), (64.0, 1.0), (1000.0, 1.0), (-20.0, 1.0), (0.0, 2.0**-20), (0.0, 2.0**20)]


@pytest.mark.compiles
def test_E32_mamls_first_update_is_the_same_in_other_money():
    learner = MAML(num_tasks=4, trajectories=8, hidden_size=8, num_layers=1, outer="gradient", baseline="linear")

    def learned(units):
        problem = _paid(units, horizon=3, episodes=16)
        before = learner.init(problem, jax.random.key(0))
        after = learner.update(problem, before)[0]
        return jax.tree.map(lambda new, old: new - old, after.meta.theta, before.meta.theta)

    steps = quick_jit(jax.vmap(learned))(jnp.asarray(UNITS))
    steps = np.concatenate([np.asarray(x).reshape(len(UNITS), -1) for x in jax.tree.leaves(steps)], 1)
    assert np.abs(steps[0]).max() > 1e-4
    for units, step in zip(UNITS[1:], steps[1:], strict=True):
        error = np.abs(step - steps[0]).max() / np.abs(steps[0]).max()
        assert error < 0.02, f"{units}: {error:.2g} of the step"


LEARNERS = {
    "ppo, episodes of a step": (PPO(streams=16, hidden_size=8, num_layers=1, num_minibatches=4), 1, 512),
    "ppo": (PPO(streams=16, hidden_size=8, num_layers=1, num_minibatches=4), 6, 96),
    "a2c": (A2C(streams=16, num_steps=3, hidden_size=8, num_layers=1, learning_rate=0.02), 6, 96),
    "reinforce": (Reinforce(streams=16, hidden_size=8, num_layers=1, learning_rate=0.02), 6, 96),
    "meta-gradient": (MetaGradientRL(streams=16, num_steps=3, hidden_size=8, num_layers=1, learning_rate=0.02), 6, 96),
}


@pytest.mark.compiles
@pytest.mark.parametrize("name", LEARNERS)
def test_E32_from_scratch_it_learns_the_same_in_other_money(name):
    """From the first window on, in units that it finds itself."""
    algorithm, horizon, episodes = LEARNERS[name]

    def chances(units):
        problem = _paid(units, horizon=horizon, episodes=episodes)
        meta = algorithm.init(problem, jax.random.key(0)).meta
        task = problem.train.sample(jax.random.key(1))
        return run_trial(algorithm, problem, meta, task, jax.random.key(2)).aux["log_prob"]

    found = np.asarray(quick_jit(jax.vmap(chances))(jnp.asarray(UNITS)))
    plain, *others = found.reshape(len(UNITS), -1, algorithm.window(_paid((0.0, 1.0), horizon, episodes)).steps, 16)
    assert np.abs(plain[-1] - plain[0]).max() > 0.01
    for units, other in zip(UNITS[1:], others, strict=True):
        np.testing.assert_allclose(other[1], plain[1], atol=2e-3, err_msg=f"{units}, after one window")
        # One action that rounding has changed is another trial: where they part, if they do, is late.
        assert np.mean(np.abs(other - plain).max((1, 2)) < 0.01) > 0.9, units
