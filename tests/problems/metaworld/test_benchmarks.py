"""Meta-World's benchmarks: its own tasks, its own steps, whoever steps beside; and its own evaluator's figures."""

import ast
import dataclasses
import inspect
import pickle
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("metaworld")
import metaworld
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.evaluation import metalearning_evaluation
from metaworld.policies import ENV_POLICY_MAP

from adaptax.core.algorithm import FromScratch
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import AgentState
from adaptax.evaluation.encounters import at_most_all, encounters, tasks_are_held_out
from adaptax.evaluation.evaluator import evaluate
from adaptax.evaluation.protocols import Protocol
from adaptax.problems import informed, metaworld_ml1
from adaptax.problems.metaworld.arm import OBSERVED, Arm, world_of
from adaptax.problems.metaworld.goals import goals_of
from adaptax.problems.metaworld.settings import METAWORLD, TASKS

SEED = 7


def arm_in(goal):
    arm = Arm()
    arm.put(goal)
    return arm


def test_names_are_meta_worlds():
    assert set(TASKS) == set(ALL_V3_ENVIRONMENTS)


@pytest.mark.parametrize("name", METAWORLD)
def test_settings_and_factory_have_the_same_parameters_and_defaults(name):
    factory = METAWORLD[name].load()
    parameters = inspect.signature(factory).parameters
    assert {n: p.default for n, p in parameters.items()} == dataclasses.asdict(METAWORLD[name].settings())
    arguments = ast.parse(textwrap.dedent(inspect.getsource(factory))).body[0].args
    assert [type(default) for default in arguments.defaults] == [ast.Attribute] * len(arguments.args)


def same_tasks(goals, tasks):
    assert [goal.name for goal in goals] == [task.env_name for task in tasks]
    for goal, task in zip(goals, tasks, strict=True):
        ours, theirs = pickle.loads(goal.data), pickle.loads(task.data)
        np.testing.assert_array_equal(ours.pop("rand_vec"), theirs.pop("rand_vec"))
        assert ours == theirs
        assert goal.places == tuple(pickle.loads(task.data)["rand_vec"])


def test_tasks_of_ml1_are_meta_worlds_own():
    train, test = goals_of("ML1", "push-v3", SEED)
    theirs = metaworld.ML1("push-v3", seed=SEED)
    same_tasks(train, theirs.train_tasks)
    same_tasks(test, theirs.test_tasks)
    assert not {goal.places for goal in train} & {goal.places for goal in test}


@pytest.mark.nightly
def test_all_tasks_of_all_benchmarks_are_meta_worlds_own():
    for name in ("ML10", "ML25", "ML45"):
        train, test = goals_of(name, None, SEED)
        theirs = getattr(metaworld, name)(seed=SEED)
        same_tasks(train, theirs.train_tasks)
        same_tasks(test, theirs.test_tasks)
        both = {goal.name for goal in train} & {goal.name for goal in test}
        assert both == ({"basketball-v3"} if name == "ML25" else set())  # so it is in Meta-World 3.1.1


def test_splits_are_the_first_forty_goals_the_last_ten_and_the_tests():
    problem = metaworld_ml1("reach-v3", goal_seed=SEED)
    every = {split: np.asarray(getattr(problem, split).every().index) for split in ("train", "validation", "test")}
    np.testing.assert_array_equal(every["train"], np.arange(40))
    np.testing.assert_array_equal(every["validation"], np.arange(40, 50))
    np.testing.assert_array_equal(every["test"], np.arange(50, 100))
    assert tasks_are_held_out(problem)
    drawn = jax.vmap(problem.validation.sample)(jax.random.split(jax.random.key(0), 200))
    assert set(np.asarray(drawn.index).tolist()) == set(range(40, 50))
    train, _ = goals_of("ML1", "reach-v3", SEED)
    place = np.asarray([train[index].places for index in np.asarray(drawn.index)], np.float32)
    np.testing.assert_array_equal(drawn.places, place)


def test_an_evaluation_that_asks_for_more_meets_each_test_task_once():
    problem = metaworld_ml1("reach-v3", goal_seed=SEED)
    assert at_most_all(problem.test, 10_000) == 50
    assert at_most_all(problem.test, 7) == 7
    np.testing.assert_array_equal(encounters(problem.test, 50, 0).tasks.index, np.arange(50, 100))


def bare(goal, actions):
    """Meta-World's own environment, made for one episode, outside of everything."""
    env = ALL_V3_ENVIRONMENTS[goal.name]()
    env.set_task(metaworld.Task(goal.name, goal.data))
    first = env.reset()[0]
    return [first, *(part for action in actions for part in _told(env.step(action)))]


def _told(step):
    observation, reward, terminated, truncated, told = step
    return [observation, float(reward), bool(terminated), bool(truncated), bool(told["success"])]


def check_side_by_side(name, steps):
    """Two arms that share a world, in turns, and one after another episode: each bitwise as if it were alone."""
    train, test = goals_of("ML1", name, SEED)
    actions = np.random.default_rng(0).uniform(-1, 1, (3, steps, 4)).astype(np.float32)
    arms = [arm_in(goal) for goal in (train[0], test[1])]
    arms[0].reset()
    for action in actions[2]:  # another episode comes before
        arms[0].step(action)
    found = [[arm.reset()[0]] for arm in arms]
    for step in range(steps):
        for number, arm in enumerate(arms):
            found[number] += _told(arm.step(actions[number, step]))
    for number, goal in enumerate((train[0], test[1])):
        for ours, theirs in zip(found[number], bare(goal, actions[number]), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert len(found[0]) == 1 + 5 * steps


@pytest.mark.parametrize("name", ["reach-v3", "door-open-v3"])
def test_arms_that_share_a_world_do_what_each_does_alone(name):
    check_side_by_side(name, 20)


@pytest.mark.nightly
@pytest.mark.parametrize("name", TASKS)
def test_all_arms_that_share_a_world_do_what_each_does_alone(name):
    check_side_by_side(name, 30)


def test_goals_are_hidden_and_nothing_ends_early():
    train, _ = goals_of("ML1", "reach-v3", SEED)
    arm = arm_in(train[0])
    seen = [arm.reset()[0]]
    ends = []
    for _ in range(500):
        observation, _, terminated, truncated, _ = arm.step(np.zeros(4, np.float32))
        seen.append(observation)
        ends.append((terminated, truncated))
    assert not np.asarray(seen)[:, -3:].any()
    assert ends == [(False, False)] * 499 + [(False, True)]
    with pytest.raises(ValueError, match="reset"):
        arm.step(np.zeros(4, np.float32))


def test_an_arm_without_a_task_says_so():
    with pytest.raises(RuntimeError, match="expected a task"):
        Arm().reset()


def test_what_is_large_is_there_once():
    train, _ = goals_of("ML1", "reach-v3", SEED)
    arms = [arm_in(goal) for goal in train[:3]]
    for arm in arms:
        arm.reset()
    path = ALL_V3_ENVIRONMENTS["reach-v3"].model_name.fget(None)
    assert all(arm._arm.model is world_of(path).model for arm in arms)


LONG = 150
"""Steps in which scripted policies are done."""


def scripted(name):
    """The actions of Meta-World's own policy in every test task, which it is shown, and whether each step succeeded."""
    _, test = goals_of("ML1", name, SEED)
    actions, success = [], []
    for goal in test:
        arm, policy = arm_in(goal), ENV_POLICY_MAP[name]()
        seen, acts, reached = arm.reset()[0], [], []
        for _ in range(LONG):
            shown = np.concatenate([seen[:-3], arm._arm._target_pos])
            acts.append(np.clip(policy.get_action(shown), -1, 1).astype(np.float32))
            seen, *_, told = arm.step(acts[-1])
            reached.append(told["success"])
        actions.append(acts)
        success.append(reached)
    return np.asarray(actions), np.asarray(success)


class Replay(FromScratch):
    """What was done before in the test tasks, by the index that `informed` shows; the memory counts steps."""

    def __init__(self, actions):
        self.actions = actions

    def describe(self, problem):
        return {"actions": jnp.asarray(self.actions), "scale": jnp.asarray([problem.env.mean[0], problem.env.std[0]])}

    def begin(self, meta, key):
        return AgentState(None, jnp.asarray(0, jnp.int32))

    def act(self, meta, agent, timestep, key, *, explore):
        step = jnp.where(timestep.first, 0, agent.memory)
        mean, std = meta["scale"]
        shown = timestep.observation[OBSERVED] * std + mean
        number = jnp.round(shown).astype(jnp.int32) - 100 // 2
        return meta["actions"][number, step], step + 1, None


def official(name, actions, steps):
    """Meta-World's own evaluator with the same actions: one environment that goes through all test tasks."""
    envs = metaworld.make_ml_envs_test(name, seed=SEED, meta_batch_size=1, max_episode_steps=steps)
    known = {goal.places: number for number, goal in enumerate(goals_of("ML1", name, SEED)[1])}

    class Agent:
        step_number = 0

        def init(self):
            pass

        def reset(self, env_mask):
            self.step_number *= not env_mask[0]

        def eval_action(self, observations):
            action = actions[known[tuple(envs.get_attr("_last_rand_vec")[0].tolist())], self.step_number]
            self.step_number += 1
            return action[None]

        def adapt_action(self, observations):
            return np.zeros((1, 4), np.float32), {}

        def step(self, timestep):
            pass

        def adapt(self):
            pass

    share, *_ = metalearning_evaluation(Agent(), envs, num_evals=50, adaptation_episodes=1, evaluation_episodes=2)
    envs.close()
    return share


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore:Constant:UserWarning")  # of Meta-World's policies: their actions are clipped
@pytest.mark.parametrize("name", ["reach-v3", "push-v3", "pick-place-v3"])
def test_success_rates_are_those_of_meta_worlds_own_evaluator(name):
    """At a time limit that half the goals are reached before, so that the figure could be another."""
    actions, success = scripted(name)
    first = np.where(success.any(1), success.argmax(1), LONG - 1)
    steps = int(np.median(first)) + 1
    problem = informed(metaworld_ml1(name, num_episodes=1, horizon=steps, goal_seed=SEED))
    agent = TrainedAgent.initial(Replay(actions), problem)
    found = evaluate(agent, num_tasks=50, protocol=Protocol("as theirs", 1, 2, "a test"))
    np.testing.assert_array_equal(found.successes.ever[0], np.repeat(success[:, :steps].any(1)[:, None], 3, 1))
    np.testing.assert_array_equal(found.successes.last[0], np.repeat(success[:, steps - 1][:, None], 3, 1))
    share = found.success_rates["ever"].mean()
    print(f"{name}: {steps} steps, ever {share:.3f}, last {found.success_rates['last'].mean():.3f}")
    assert 0.2 < share < 0.8
    assert official(name, actions, steps) == pytest.approx(share, abs=1e-9)
