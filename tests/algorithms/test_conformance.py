"""What every algorithm must do. An algorithm joins by being listed in `adaptax.algorithms.__all__` and below."""

import dataclasses
import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax import algorithms, problems
from adaptax.core.algorithm import Algorithm, FromScratch
from adaptax.core.rollout import evaluate_trial, rollout, run_trial, start
from adaptax.core.spaces import Discrete
from adaptax.core.types import AgentState
from tests.sample_problems import clockwork, marked, marked_steps, quick_jit, same

bandit = functools.partial(problems.bernoulli_bandit, num_arms=3, num_pulls=5)
mdp = functools.partial(problems.tabular_mdp, num_states=3, num_actions=2, horizon=4, num_episodes=2)
robot = functools.partial(problems.point_robot, num_episodes=4, horizon=4)
ending = functools.partial(clockwork, horizon=3, episodes=4, num_actions=3)  # its episodes end early

PROBLEMS = {
    "A2C": robot,
    "ANIL": ending,
    "BEB": mdp,
    "BayesOptimalBandit": functools.partial(problems.bernoulli_bandit, num_arms=2, num_pulls=5),
    "BayesOptimalGrid": functools.partial(problems.grid_navigation, num_episodes=2),
    "CAVIA": functools.partial(problems.bernoulli_bandit, num_arms=3, num_pulls=4),
    "DQN": ending,
    "EMAML": functools.partial(mdp, num_episodes=4),
    "ESMAML": robot,
    "EpsilonGreedy": bandit,
    "FOMAML": functools.partial(mdp, num_episodes=4),
    "Gittins": bandit,
    "Greedy": bandit,
    "MAML": robot,
    "MetaGradientRL": robot,
    "MetaLSTM": functools.partial(mdp, num_episodes=4),
    "MetaPolicyGradient": functools.partial(mdp, num_episodes=4),
    "MetaSGD": functools.partial(mdp, num_episodes=4),
    "MostLikelySampling": bandit,
    "MultiTaskPPO": ending,
    "OffPolicyRL2": robot,
    "OptimisticPSRL": mdp,
    "OptimisticThompsonSampling": bandit,
    "PEARL": robot,
    "PPO": ending,
    "PSRL": mdp,
    "ProMP": ending,
    "QLearning": mdp,
    "RL2": robot,
    "Random": robot,
    "Reinforce": functools.partial(mdp, num_episodes=4),
    "Reptile": functools.partial(problems.bernoulli_bandit, num_arms=3, num_pulls=4),
    "SARSA": bandit,
    "TabularEpsilonGreedy": mdp,
    "TabularGreedy": mdp,
    "ThompsonSampling": bandit,
    "UCB1": bandit,
    "UCRL2": mdp,
    "VariBAD": mdp,
}
"""A problem that the algorithm is for."""

GRADIENT_BASED = {"hidden_size": 4, "num_layers": 1, "num_tasks": 4, "trajectories": 2}

FROM_SCRATCH = {"hidden_size": 4, "num_layers": 1, "streams": 2}

SETTINGS = {
    "A2C": {**FROM_SCRATCH, "num_steps": 2},
    "ANIL": {**GRADIENT_BASED, "outer": "gradient"},
    "CAVIA": {**GRADIENT_BASED, "outer": "ppo", "num_epochs": 2, "num_minibatches": 2, "context_size": 2},
    "DQN": {"hidden_size": 4, "buffer_size": 8, "batch_size": 4, "learning_starts": 2, "train_every": 3},
    "EMAML": {**GRADIENT_BASED, "outer": "gradient", "objective": "every-step", "inner_steps": 2},
    "ESMAML": {**GRADIENT_BASED, "baseline": "none"},
    "FOMAML": {**GRADIENT_BASED, "outer": "gradient", "checkpoint": True},
    "MAML": {**GRADIENT_BASED, "baseline": "none", "cg_steps": 2},
    "MetaGradientRL": {**FROM_SCRATCH, "num_steps": 2, "per_state": True},
    "MetaPolicyGradient": {"memory_size": 4, "num_tasks": 4, "replicas": 2, "base_steps": 2},
    "MetaLSTM": {**GRADIENT_BASED, "outer": "gradient", "rule_size": 3, "inner_steps": 2},
    "MetaSGD": {**GRADIENT_BASED, "outer": "gradient", "estimator": "dice"},
    "MultiTaskPPO": {**FROM_SCRATCH, "num_tasks": 4, "num_minibatches": 2, "num_epochs": 2, "fine_tuning_rate": 0.1},
    "PEARL": {
        "hidden_size": 4,
        "num_layers": 1,
        "num_train_tasks": 4,
        "num_tasks": 4,
        "batch_tasks": 2,
        "batch_size": 4,
        "gradient_steps": 2,
        "buffer_size": 32,
        "context_size": 8,
    },
    "OffPolicyRL2": {
        "memory_size": 4,
        "policy_size": 4,
        "critic_size": 4,
        "num_tasks": 4,
        "batch_size": 4,
        "buffer_size": 8,
        "replay_ratio": 2,
    },
    "PPO": {**FROM_SCRATCH, "num_minibatches": 2, "num_epochs": 2},
    "ProMP": {**GRADIENT_BASED, "baseline": "value"},
    "RL2": {"memory_size": 4, "critic_size": 4, "num_tasks": 4, "num_minibatches": 1},
    "Reinforce": FROM_SCRATCH,
    "Reptile": {**GRADIENT_BASED, "baseline": "value", "inner_steps": 2},
    "VariBAD": {
        "memory_size": 4, "critic_size": 4, "policy_size": 4, "decoder_size": 4, "latent_size": 2, "num_tasks": 4,
        "num_minibatches": 1, "elbo_updates": 2, "elbo_batch": 3, "buffer_size": 8, "decoded_trial": "yoked",
    },
}  # fmt: skip
"""Where the default would take long. Between them, gradient-based methods cover the choices that they share."""

ACTS_DIFFERENTLY = {
    "A2C", "ANIL", "CAVIA", "EMAML", "ESMAML", "FOMAML", "MAML", "MetaLSTM", "MetaSGD", "MultiTaskPPO", "PPO", "ProMP",
    "OffPolicyRL2", "RL2", "Reinforce", "Reptile", "MetaGradientRL", "MetaPolicyGradient", "PEARL", "VariBAD",
}  # fmt: skip
"""Algorithms for which `explore=False` is the mode of a stochastic policy, and so uses no randomness."""


def _is_algorithm(thing):
    return inspect.isclass(thing) and issubclass(thing, Algorithm) and not inspect.isabstract(thing)


NAMES = [name for name in algorithms.__all__ if _is_algorithm(getattr(algorithms, name))]
TRAINED = [name for name in NAMES if not issubclass(getattr(algorithms, name), FromScratch)]
ALIKE = {"A2C", "ANIL", "CAVIA", "EMAML", "ESMAML", "FOMAML", "MetaGradientRL", "MetaLSTM", "MetaSGD"}
ALIKE |= {"ProMP", "Reinforce", "Reptile", "SARSA"}
"""They share the loops of others (MAML, PPO, Q-learning), so their cases are among the tests that compile much."""
LARGE = {"MetaPolicyGradient", "OffPolicyRL2", "PEARL", "VariBAD"}
"""Programs that take long to compile, whatever the sizes in them."""


def cases(names):
    """Names as parameters of tests."""
    return [pytest.param(name, marks=pytest.mark.compiles) if name in ALIKE | LARGE else name for name in names]


NUM_TASKS = 8


@functools.cache
def _case(name):
    """Algorithm, problem and the state before the first update."""
    algorithm, problem = getattr(algorithms, name)(**SETTINGS.get(name, {})), PROBLEMS[name]()
    if isinstance(algorithm, FromScratch):
        return algorithm, problem, algorithm.init(problem, jax.random.key(0))
    return algorithm, problem, quick_jit(lambda key: algorithm.init(problem, key))(jax.random.key(0))


@functools.cache
def _trials(name):
    """A program that runs a trial in each of several tasks; trajectories with leaves `[task, time, ...]`."""
    algorithm, problem, _ = _case(name)
    one = lambda meta, task, key: run_trial(algorithm, problem, meta, task, key)  # noqa: E731
    return quick_jit(jax.vmap(one, (None, 0, 0)))


def _tasks_and_keys(problem, seed):
    keys = jax.random.split(jax.random.key(seed), (NUM_TASKS, 2))
    return jax.vmap(problem.test.sample)(keys[:, 0]), keys[:, 1]


def _copy(tree):
    raw = lambda x: jax.random.wrap_key_data(jnp.array(jax.random.key_data(x)))  # noqa: E731
    is_key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)  # noqa: E731
    return jax.tree.map(lambda x: raw(x) if is_key(x) else np.array(x), tree)


def test_every_algorithm_has_an_entry():
    assert {"RL2", "Random"} <= set(NAMES)
    assert set(NAMES) <= set(PROBLEMS)


@pytest.mark.compiles
@pytest.mark.parametrize("name", cases(NAMES))
def test_algorithm_is_its_configuration(name):
    algorithm = _case(name)[0]
    assert type(algorithm).__dataclass_params__.frozen
    assert dataclasses.replace(algorithm) == algorithm
    assert hash(dataclasses.replace(algorithm)) == hash(algorithm)
    assert type(algorithm).__doc__


@pytest.mark.compiles
@pytest.mark.parametrize("name", cases(NAMES))
def test_trials_are_pure_and_actions_lie_in_the_space(name):
    algorithm, problem, state = _case(name)
    tasks, keys = _tasks_and_keys(problem, 1)
    before = _copy((state, tasks, keys))
    trajectory = _trials(name)(state.meta, tasks, keys)
    assert same(before, (state, tasks, keys))
    assert same(trajectory, _trials(name)(state.meta, tasks, keys))
    space = problem.env.action_space
    action = trajectory.action
    if isinstance(space, Discrete):
        assert action.dtype == jnp.int32
        assert space.contains(action).all()
    else:
        assert action.shape[-len(space.shape) :] == space.shape
        assert jnp.isfinite(action).all()
    streams = algorithm.window(problem).num_envs
    assert trajectory.reward.shape == (NUM_TASKS, problem.trial_steps // streams, streams)
    assert jnp.isfinite(trajectory.reward).all()
    assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(trajectory.aux))


@pytest.mark.parametrize("name", cases(NAMES))
def test_no_task_reaches_another(name):
    _, problem, state = _case(name)
    tasks, keys = _tasks_and_keys(problem, 1)
    other_tasks, other_keys = _tasks_and_keys(problem, 2)
    kept = 3
    put = lambda other, own: other.at[kept].set(own[kept])  # noqa: E731
    swapped = _trials(name)(state.meta, jax.tree.map(put, other_tasks, tasks), put(other_keys, keys))
    trajectory = _trials(name)(state.meta, tasks, keys)
    mine = lambda tree: jax.tree.map(lambda x: x[kept], tree)  # noqa: E731
    assert same(mine(trajectory), mine(swapped))
    assert not same(trajectory.reward, swapped.reward)


@pytest.mark.parametrize("explore", [True, False])
@pytest.mark.parametrize("name", cases(NAMES))
def test_memory_keeps_its_structure(name, explore):
    algorithm, problem, state = _case(name)
    task = jax.tree.map(lambda x: x[0], _tasks_and_keys(problem, 1)[0])

    streams = algorithm.window(problem).num_envs

    def go_on(key):
        trial = start(algorithm, problem, state.meta, task, key, streams)
        after, trajectory = rollout(algorithm, problem, state.meta, task, trial, key, clock=0, steps=2, explore=explore)
        agent = algorithm.adapt(state.meta, AgentState(after.adapted, after.memory), trajectory, key)
        return (trial.adapted, trial.memory), (agent.adapted, agent.memory)

    before, after = jax.eval_shape(go_on, jax.random.key(0))
    assert jax.tree.structure(before) == jax.tree.structure(after)
    assert all(isinstance(x, jax.ShapeDtypeStruct) for x in jax.tree.leaves(before))
    described = [[(x.shape, x.dtype, x.weak_type) for x in jax.tree.leaves(tree)] for tree in (before, after)]
    assert described[0] == described[1]


@pytest.mark.compiles
@pytest.mark.parametrize("name", cases(NAMES))
def test_evaluate_trial_has_every_episode(name):
    algorithm, problem, state = _case(name)
    tasks, keys = _tasks_and_keys(problem, 1)
    one = lambda task, key: evaluate_trial(algorithm, problem, state.meta, task, key, explore=False)  # noqa: E731
    result = jax.eval_shape(jax.vmap(one), tasks, keys)
    assert result.returns.shape == result.steps.shape == (NUM_TASKS, problem.episodes)
    assert (result.returns.dtype, result.steps.dtype) == (jnp.float32, jnp.int32)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in TRAINED])
def test_untrained_update_is_the_identity(name):
    algorithm, problem, state = _case(name)
    after, metrics = algorithm.update(problem, state)
    assert same(after, state)
    assert metrics == {}
    assert not jax.tree.leaves(state.opt_state)


@pytest.mark.compiles
@pytest.mark.parametrize("name", cases(TRAINED))
def test_update_is_pure_and_counted(name):
    algorithm, problem, state = _case(name)
    update = quick_jit(lambda state: algorithm.update(problem, state))
    before = _copy(state)
    after, metrics = update(state)
    assert same(before, state)
    assert same((after, metrics), update(state))
    assert after.step == state.step + 1
    assert update(after)[0].step == state.step + 2
    assert same(after.key, state.key)
    assert not same(after.meta, state.meta)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert [(x.shape, x.dtype) for x in jax.tree.leaves(after)] == [(x.shape, x.dtype) for x in jax.tree.leaves(state)]
    assert "return" in metrics
    assert all(x.shape == () and jnp.isfinite(x) for x in metrics.values())


@pytest.mark.parametrize("name", cases(NAMES))
def test_update_steps_are_those_that_an_update_takes(name):
    algorithm, problem, state = _case(name)
    update = lambda state: algorithm.update(marked(problem), state)  # noqa: E731
    assert algorithm.update_steps(problem) == marked_steps(update, state)
    assert (algorithm.update_steps(problem) > 0) == (name in TRAINED)


@pytest.mark.compiles
@pytest.mark.parametrize("name", cases(sorted(ACTS_DIFFERENTLY & set(NAMES))))
def test_without_exploring_the_key_does_not_matter(name):
    algorithm, problem, state = _case(name)
    task = jax.tree.map(lambda x: x[0], _tasks_and_keys(problem, 1)[0])
    trial = start(algorithm, problem, state.meta, task, jax.random.key(0))
    memory, timestep = jax.tree.map(lambda x: x[0], (trial.memory, trial.timestep))
    agent = AgentState(trial.adapted, memory)

    def act(key, explore):
        return algorithm.act(state.meta, agent, timestep, key, explore=explore)[:2]

    first, second = (act(jax.random.key(i), False) for i in range(2))
    assert same(first, second)
    draws = jax.vmap(lambda key: act(key, True)[0])(jax.random.split(jax.random.key(0), 20))
    assert len(np.unique(np.asarray(draws), axis=0)) > 1
