"""What every problem family promises. A family joins by being listed in `adaptax.problems.__all__`."""

import functools
import inspect
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax import problems
from adaptax.algorithms.classical.random import Random
from adaptax.core.entry import modules_of
from adaptax.core.rollout import run_trial
from adaptax.core.spaces import Discrete
from adaptax.core.splits import SPLITS, is_in_split
from adaptax.problems.mujoco import settings as simulators

NUM_TASKS = 128
# These programs run once: compiling them is all the work.
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
CASES = {name: getattr(problems, name) for name in problems.__all__}
CASES["cart_pole(variation=0.5)"] = functools.partial(
    problems.cart_pole, variation=0.5
)  # by default it has one task only
# So many tasks that all are met, or that none is met twice.
CASES["dark_room"] = functools.partial(problems.dark_room, size=4, horizon=20)
CASES["dark_key_door"] = functools.partial(problems.dark_key_door, size=50)
SIMULATED = sorted(modules_of(simulators.SIMULATED))
for robot in SIMULATED:  # their steps are dear, and all alike
    CASES[robot] = functools.partial(getattr(problems, robot), horizon=20)
every_problem = pytest.mark.parametrize("name", CASES)
INSIDE = {
    "dark_key_door": "the half of the room that is farther from the start",
    "bernoulli_bandit": "a corner of the training range, which holds all that there is",
    "gaussian_bandit": "a wider normal distribution",
    "linear_bandit": "a wider normal distribution",
    "tabular_mdp": "another Dirichlet distribution on the same simplex",
}
"""Families whose shifted tasks could be training tasks, though hardly ever would be."""
OUTSIDE = {
    "cart_pole(variation=0.5)": lambda task: task.force / 10 > np.exp(0.5) or task.force / 10 < np.exp(-0.5),
    "chain": lambda task: task.failure > 0.1,
    "correlated_bandit": lambda task: abs(sum(task.probabilities) - 1) > 1e-6,
    "point_robot": lambda task: max(abs(task.position)) >= 0.5,
    "point_robot_sparse": lambda task: task.position[1] < -1e-6,
    "half_cheetah_velocity": lambda task: task.goal >= 3,
    "walker_parameters": lambda task: np.abs(np.log(task.mass)).min() > 2.999 * np.log(1.5),
    "hopper_parameters": lambda task: np.abs(np.log(task.mass)).min() > 2.999 * np.log(1.5),
}
"""What no training task is and shifted tasks are. (By chance alone, one in 10⁶ is not.)"""
every_shift = pytest.mark.parametrize("name", [*INSIDE, *OUTSIDE])


@functools.cache
def survey(name):
    """One problem with tasks of every split, and a function that runs random trials in given tasks."""
    problem = CASES[name]()
    agent = Random()
    knowledge = agent.describe(problem)

    @jit
    def sample(key):
        keys = jax.random.split(key, (len(SPLITS), NUM_TASKS))
        tasks = [jax.vmap(getattr(problem, split).sample)(keys[i]) for i, split in enumerate(SPLITS)]
        return dict(zip(SPLITS, tasks, strict=True)), jax.vmap(problem.test.oracle)(tasks[-1])

    @jit
    def trials(tasks, key):
        keys = jax.random.split(key, NUM_TASKS)
        run = lambda task, key: run_trial(agent, problem, knowledge, task, key)  # noqa: E731
        return jax.tree.map(lambda x: x[:, :, 0], jax.vmap(run)(tasks, keys))  # [task, time, ...]

    tasks, oracle = sample(jax.random.key(0))
    trial = trials(tasks["test"], jax.random.key(1))
    return types.SimpleNamespace(problem=problem, tasks=tasks, oracle=oracle, trials=trials, trial=trial)


@functools.cache
def shifted(name):
    """Shifted tasks of a problem, their oracle, and trials in them."""
    family = survey(name).problem.shifted

    @jit
    def sample(key):
        tasks = jax.vmap(family.sample)(jax.random.split(key, NUM_TASKS))
        return tasks, jax.vmap(family.oracle)(tasks)

    tasks, oracle = sample(jax.random.key(0))
    trial = survey(name).trials(tasks, jax.random.key(1))
    return types.SimpleNamespace(tasks=tasks, oracle=oracle, trial=trial)


def hashes(tasks):
    """The bytes of each task, as a set."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(tasks)]
    return {b"".join(leaf[i].tobytes() for leaf in leaves) for i in range(NUM_TASKS)}


def same(one, other):
    leaves = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(x, y, equal_nan=True) for x, y in leaves)


def check_known(name, oracle):
    """Leave out robots: nobody knows what the best policy earns, and that is what they say."""
    if name in SIMULATED:
        assert np.isnan(oracle).all()
        pytest.skip("not known")


def mean_and_error(x):
    """Mean and its standard error."""
    x = np.asarray(x, float)
    return x.mean(), x.std(ddof=1) / len(x) ** 0.5


@pytest.mark.parametrize("name", problems.__all__)
def test_options_are_plain_values_with_defaults(name):
    for parameter in inspect.signature(getattr(problems, name)).parameters.values():
        assert type(parameter.default) in (int, float, str, bool), parameter


@pytest.mark.compiles
@every_problem
def test_observations_actions_and_rewards_are_what_the_spaces_say(name):
    case = survey(name)
    env, trial = case.problem.env, case.trial
    grid = (NUM_TASKS, case.problem.trial_steps)
    for space, values in (
        (env.observation_space, trial.timestep.observation),
        (env.observation_space, trial.next_observation),
        (env.action_space, trial.action),
    ):
        shape = () if isinstance(space, Discrete) else space.shape
        assert values.shape == grid + shape
        assert values.dtype == (jnp.int32 if isinstance(space, Discrete) else jnp.float32)
        contains = space.contains if isinstance(space, Discrete) else jax.vmap(jax.vmap(space.contains))
        assert np.all(contains(values))
    assert trial.reward.shape == grid
    assert trial.reward.dtype == jnp.float32
    assert np.all(np.isfinite(trial.reward))


@pytest.mark.compiles
@every_problem
def test_episodes_end_once_and_the_time_limit_only_at_the_horizon(name):
    case = survey(name)
    horizon = case.problem.env.horizon
    by_episode = lambda x: np.asarray(x).reshape(NUM_TASKS, -1, horizon)  # noqa: E731
    terminated, truncated = by_episode(case.trial.terminated), by_episode(case.trial.truncated)
    valid, first = by_episode(case.trial.valid), by_episode(case.trial.timestep.first)
    assert terminated.shape[1] == case.problem.episodes
    assert not np.any(terminated & truncated)
    np.testing.assert_array_equal((terminated | truncated).sum(-1), 1)
    assert not np.any(truncated[..., :-1])
    before = np.cumsum(terminated, -1) - terminated
    np.testing.assert_array_equal(valid, before == 0)
    assert np.all(first[..., 0])
    assert not np.any(first[..., 1:] & valid[..., 1:])
    if not case.problem.env.ends_early:
        assert np.all(valid)


@every_problem
def test_a_trial_is_determined_by_its_task_and_key(name):
    case = survey(name)
    assert same(case.trial, case.trials(case.tasks["test"], jax.random.key(1)))
    assert not same(case.trial, case.trials(case.tasks["test"], jax.random.key(2)))


@every_problem
def test_E19_the_task_is_an_argument_that_the_environment_cannot_keep_or_change(name):
    case = survey(name)
    env = case.problem.env
    assert jax.tree.leaves(case.problem) == []
    # The same state, action and key lead to the same step in a task, whatever was experienced in others.
    task, other = (jax.tree.map(lambda x, i=i: x[i], case.tasks["test"]) for i in (0, 1))
    key, action = jax.random.key(3), env.action_space.sample(jax.random.key(4))
    state, observation = env.reset(task, key)
    step = env.step(state, action, task, key)
    env.step(env.reset(other, key)[0], action, other, key)
    assert same((env.reset(task, key), env.step(state, action, task, key)), ((state, observation), step))


@every_problem
def test_E19_the_task_matters(name):
    case = survey(name)
    if case.problem.test.finite == 1:
        pytest.skip("there is one task only")
    neighbours = jax.tree.map(lambda x: jnp.roll(x, 1, axis=0), case.tasks["test"])
    assert not same(case.trial, case.trials(neighbours, jax.random.key(1)))


@every_problem
def test_E20_as_many_distinct_tasks_as_were_drawn(name):
    case = survey(name)
    for split, tasks in case.tasks.items():
        finite = getattr(case.problem, split).finite
        assert len(hashes(tasks)) == (finite or NUM_TASKS)


@every_problem
def test_E21_train_validation_and_test_tasks_are_disjoint(name):
    case = survey(name)
    found = {split: hashes(tasks) for split, tasks in case.tasks.items()}
    if case.problem.test.finite is not None:
        assert found["train"] == found["validation"] == found["test"]
    else:
        assert not found["train"] & found["validation"]
        assert not found["train"] & found["test"]
        assert not found["validation"] & found["test"]
        for split, tasks in case.tasks.items():  # not by luck
            assert jax.vmap(lambda task, split=split: is_in_split(task, split))(tasks).all()


@every_problem
def test_E24_no_blind_agent_beats_the_oracle(name):
    case = survey(name)
    check_known(name, case.oracle)
    returns = np.asarray(case.trial.reward, float).sum(1)
    mean, error = mean_and_error(np.asarray(case.oracle, float) * case.problem.episodes - returns)
    assert mean > -4 * error
    if case.problem.optimum is not None:
        mean, error = mean_and_error(returns)
        assert mean < sum(case.problem.optimum) + 4 * error


@every_problem
def test_the_optimum_lies_below_the_oracle(name):
    case = survey(name)
    if case.problem.optimum is None:
        pytest.skip("not known")
    assert len(case.problem.optimum) == case.problem.episodes
    mean, error = mean_and_error(case.oracle)
    assert max(case.problem.optimum) < mean + 4 * error + 1e-4


def test_every_shift_is_said_to_lead_outside_or_not():
    found = {name for name in CASES if survey(name).problem.shifted is not None}
    assert found == INSIDE.keys() | OUTSIDE.keys()


@pytest.mark.compiles
@every_shift
def test_shifted_tasks_are_like_the_others_in_shape_and_type(name):
    tasks, ordinary = shifted(name).tasks, survey(name).tasks["test"]
    assert jax.tree.structure(tasks) == jax.tree.structure(ordinary)
    for leaf, like in zip(jax.tree.leaves(tasks), jax.tree.leaves(ordinary), strict=True):
        assert (leaf.shape, leaf.dtype) == (like.shape, like.dtype)
        assert np.all(np.isfinite(leaf))


@every_shift
def test_E21_shifted_tasks_are_distinct_and_none_is_a_training_task(name):
    found = hashes(shifted(name).tasks)
    assert len(found) == NUM_TASKS
    assert not found & (hashes(survey(name).tasks["train"]) | hashes(survey(name).tasks["validation"]))


@pytest.mark.parametrize("name", OUTSIDE)
def test_shifted_tasks_lie_outside_of_the_training_range(name):
    for tasks, outside in ((shifted(name).tasks, True), (survey(name).tasks["train"], False)):
        arrays = jax.tree.map(np.asarray, tasks)
        assert all(OUTSIDE[name](jax.tree.map(lambda x, i=i: x[i], arrays)) == outside for i in range(NUM_TASKS))


@every_shift
def test_E24_no_blind_agent_beats_the_oracle_of_shifted_tasks(name):
    case = shifted(name)
    assert np.all(np.isfinite(case.trial.reward))
    check_known(name, case.oracle)
    returns = np.asarray(case.trial.reward, float).sum(1)
    mean, error = mean_and_error(np.asarray(case.oracle, float) * survey(name).problem.episodes - returns)
    assert mean > -4 * error
