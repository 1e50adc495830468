import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from adaptax.algorithms import ESMAML
from adaptax.core.types import Transition
from tests.algorithms.standard_rl import bandit_by_hand as by_hand
from tests.algorithms.standard_rl.bandit_by_hand import BARE, PROBLEM
from tests.sample_problems import quick_jit, same

NUM_TASKS = 2000
DIRECTION = np.asarray([2.0, 0.0, -1.0], np.float32)


@dataclasses.dataclass(frozen=True)
class Linear(ESMAML):
    """The return after adaptation is `scale` ⟨c, b⟩ plus something of the task; steps are plain ascent at rate 1."""

    scale: float = 1.0

    @property
    def optimizer(self):
        return optax.sgd(1.0)

    def training_trial(self, problem, meta, task, key):
        common = 10 * task.probabilities[0] + jax.random.normal(key)
        value = self.scale * jnp.sum(DIRECTION * by_hand.bias(meta.theta)) + common
        return Transition(None, None, jnp.stack([common, value])[:, None], None, None, None, None, None)


@functools.cache
def _program(num_tasks):
    """How far the numbers per arm move in an update, for several scales of the return and sizes of perturbations."""

    def step(scale, sigma):
        algorithm = Linear(**{**BARE, "num_tasks": num_tasks}, scale=scale, sigma=sigma)
        state = by_hand.begin(algorithm)
        after, _ = algorithm.update(PROBLEM, state)
        return by_hand.bias(after.meta.theta) - by_hand.bias(state.meta.theta)

    return quick_jit(jax.vmap(step))


def _steps(num_tasks, scales, sigmas):
    return np.asarray(_program(num_tasks)(jnp.asarray(scales), jnp.asarray(sigmas)))


def test_a_linear_return_is_ascended_along_its_slope():
    # (F(θ + σε) − F(θ − σε)) / 2σ = ⟨c, ε⟩: what tasks have in common with both signs cancels, and E[⟨c, ε⟩ ε] = c.
    # Divided by the deviation |c|, coordinate j of a product has variance 1 + u_j², u = c / |c|.
    moved = _steps(NUM_TASKS, [1.0, 1.0, -1.0], [0.1, 0.5, 0.1])
    unit = np.asarray([[1], [1], [-1]]) * DIRECTION / np.linalg.norm(DIRECTION)
    assert (np.abs(moved - unit) < 4 * np.sqrt((1 + unit**2) / NUM_TASKS) + 1e-3).all()


def test_neither_the_scale_of_rewards_nor_of_perturbations_matters():
    moved = _steps(NUM_TASKS, [1.0, 64.0, 1.0], [0.1, 0.1, 0.5])
    np.testing.assert_allclose(moved[1:], moved[:1].repeat(2, 0), rtol=1e-3, atol=1e-4)


def test_a_step_is_uphill_however_few_the_tasks():
    # ⟨c, Σ_i ⟨c, ε_i⟩ ε_i⟩ = Σ_i ⟨c, ε_i⟩² > 0.
    moved = _steps(1, [1.0, -1.0], [0.1, 0.1])
    assert moved[0] @ DIRECTION > 0
    assert moved[1] @ DIRECTION < 0


@pytest.mark.compiles
def test_both_signs_run_with_the_same_luck():
    # A perturbation too small to change an action changes nothing: all that differs between the signs is θ.
    algorithm = ESMAML(**BARE, sigma=1e-30)
    state = by_hand.begin(algorithm)
    after, metrics = quick_jit(lambda state: algorithm.update(PROBLEM, state))(state)
    assert same(after.meta, state.meta)
    assert metrics["gradient_norm"] == 0
