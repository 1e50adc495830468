"""RL² learns the same whatever is added to all rewards, or whatever they are multiplied by (trap E32)."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import RL2
from adaptax.core.problem import Step, make_problem
from adaptax.core.trained_agent import TrainedAgent
from adaptax.evaluation.evaluator import evaluate
from adaptax.problems.bandit import BernoulliBandit, UniformBernoulliArms
from tests.sample_problems import train

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
