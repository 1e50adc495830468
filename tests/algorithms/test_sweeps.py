"""Every setting that is a float can be swept in one program: `vmap` over `dataclasses.replace` (trap E39)."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import RL2
from adaptax.core.algorithm import FromScratch
from adaptax.core.errors import ConfigError
from adaptax.core.rollout import run_trial
from adaptax.core.settings import kind_of
from adaptax.problems import bernoulli_bandit
from adaptax.registry.presets import settings_for
from adaptax.registry.registry import LEARNERS, PROBLEMS, build, view
from tests.sample_problems import quick_jit

SMALL = {
    "memory_size": 3, "critic_size": 3, "num_tasks": 4, "num_minibatches": 1, "hidden_size": 3, "num_layers": 1,
    "trajectories": 2, "num_updates": 3, "replicas": 2, "base_size": 3, "streams": 2,
}  # fmt: skip
WHERE = {"point-robot": {"num_episodes": 4, "horizon": 3}, "tabular-mdp": {"num_episodes": 4, "horizon": 3}}


@functools.cache
def small(name, problem):
    """An algorithm and a problem, as small as they can be; None if they do not suit each other."""
    try:
        algorithm, settings = settings_for(name, problem)
        known = {field.name for field in dataclasses.fields(algorithm)}
        algorithm = dataclasses.replace(algorithm, **{k: v for k, v in SMALL.items() if k in known})
        settings = dataclasses.replace(settings, **WHERE[problem])
        algorithm.check_problem(settings)
    except ConfigError:
        return None
    built = build(PROBLEMS[problem], settings)
    return build(LEARNERS[name], algorithm), view(LEARNERS[name], built)


def swept(algorithm):
    """The floats that have an effect, by name."""
    found = {}
    for field in dataclasses.fields(algorithm):
        value = getattr(algorithm, field.name)
        only = field.metadata.get("only", {})
        matters = all(getattr(algorithm, other, None) in values for other, values in only.items())
        if kind_of(field) is float and isinstance(value, float | int) and matters:
            found[field.name] = float(value)
    return found


@pytest.mark.compiles
@pytest.mark.parametrize("problem", WHERE)
@pytest.mark.parametrize("name", LEARNERS)
def test_E39_every_float_can_be_swept(name, problem):
    case = small(name, problem)
    if case is None:
        pytest.skip("not for this problem")
    algorithm, built = case
    floats = swept(algorithm)
    assert floats

    def once(values, key):
        changed = dataclasses.replace(algorithm, **values)
        state = changed.init(built, key)
        if not isinstance(changed, FromScratch):
            state, _ = changed.update(built, state)
        return run_trial(changed, built, state.meta, built.train.sample(key), key).reward

    values = {name: value * jnp.ones(2) for name, value in floats.items()}
    assert jax.eval_shape(jax.vmap(once, (0, None)), values, jax.random.key(0)).shape[0] == 2


@pytest.mark.compiles
def test_E39_a_sweep_is_what_its_runs_are():
    problem = bernoulli_bandit(3, 4)
    algorithm = RL2(memory_size=3, critic_size=3, num_tasks=8, num_minibatches=2, num_updates=4)

    def trained(rate, key):
        changed = dataclasses.replace(algorithm, learning_rate=rate)
        return jax.lax.fori_loop(0, 3, lambda _, s: changed.update(problem, s)[0], changed.init(problem, key)).meta

    rates, key = jnp.asarray([1e-3, 1e-2]), jax.random.key(0)
    both = quick_jit(jax.vmap(trained, (0, None)))(rates, key)
    for index, rate in enumerate((1e-3, 1e-2)):
        alone = quick_jit(functools.partial(trained, rate))(key)
        for one, other in zip(jax.tree.leaves(both.network), jax.tree.leaves(alone.network), strict=True):
            np.testing.assert_allclose(one[index], other, atol=2e-5)
