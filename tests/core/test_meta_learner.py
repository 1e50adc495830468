"""A meta-learner that only counts: θ is how many steps it has seen, so that what reaches `learn` shows."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.errors import ConfigError
from adaptax.core.experience import sample_tasks
from adaptax.core.meta_learner import MetaLearner, check_declared
from adaptax.core.rollout import run_trial
from adaptax.core.types import AgentState, TrainState, replace
from adaptax.training.loop import train
from tests.sample_problems import Counter, clockwork, quick_jit, same

PROBLEM = clockwork(horizon=3, episodes=2)


@dataclasses.dataclass(frozen=True)
class Count(MetaLearner):
    num_updates: int = 4
    num_tasks: int = 6
    num_minibatches: int = 3
    tells: tuple[str, ...] = ("return",)

    def init(self, problem, key):
        return TrainState(jnp.asarray(0), None, jnp.asarray(0), key)

    def begin(self, meta, key):
        return AgentState(None, jnp.asarray(0))

    def act(self, meta, agent, timestep, key, *, explore):
        return agent.memory, agent.memory + 1, None

    def learn(self, problem, state, experience):
        seen = jnp.sum(experience.trajectory.valid, dtype=jnp.int32)
        state = replace(state, meta=state.meta + seen, step=state.step + 1)
        return state, dict.fromkeys(self.tells, jnp.sum(experience.trajectory.reward))


@pytest.mark.parametrize("missing", ["init", "begin", "act", "learn"])
def test_what_is_required(missing):
    body = {name: lambda self: None for name in ("init", "begin", "act", "learn") if name != missing}
    with pytest.raises(TypeError, match=missing):
        type("Incomplete", (MetaLearner,), body)()


@pytest.mark.compiles
def test_what_is_collected_is_a_trial_of_each_task_of_this_update():
    learner = Count()
    state = replace(learner.init(PROBLEM, jax.random.key(0)), step=jnp.asarray(5))
    experience = quick_jit(lambda state: learner.collect(PROBLEM, state))(state)
    tasks, keys = sample_tasks(PROBLEM, state, 6, 3)
    assert same(experience.tasks, tasks)
    for i in range(6):
        task = jax.tree.map(lambda x, i=i: x[i], tasks)
        alone = run_trial(learner, PROBLEM, state.meta, task, keys[i, 1])
        assert same(jax.tree.map(lambda x, i=i: x[:, i], experience.trajectory), alone)


def test_an_update_is_learning_from_what_was_collected():
    learner = Count()
    state = learner.init(PROBLEM, jax.random.key(0))
    update = quick_jit(lambda state: learner.update(PROBLEM, state))
    learn = quick_jit(lambda state, experience: learner.learn(PROBLEM, state, experience))
    collect = quick_jit(lambda state: learner.collect(PROBLEM, state))
    for _ in range(3):
        (state, metrics), apart = update(state), learn(state, collect(state))
        counted = metrics.pop("env_steps")  # which an update adds where episodes end early
        assert same((state, metrics), apart)
    assert 0 < counted <= 6 * 2 * 3
    # Episodes of a task last min(length, 3) of 3 steps, and there are two.
    lengths = [np.asarray(sample_tasks(PROBLEM, replace(state, step=jnp.asarray(i)), 6, 3)[0].length) for i in range(3)]
    assert state.meta == 2 * np.minimum(np.concatenate(lengths), 3).sum()
    assert state.step == 3


@pytest.mark.parametrize(("tells", "found"), [((), "no metrics"), (("loss", "gain"), "gain, loss")])
def test_a_learner_that_does_not_tell_its_return_is_named(tells, found):
    learner = Count(tells=tells)
    state = learner.init(PROBLEM, jax.random.key(0))
    with pytest.raises(ConfigError, match=rf"Count\.learn: expected a metric 'return', .*; found {found}\n"):
        jax.eval_shape(lambda state: learner.update(PROBLEM, state), state)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("num_updates", 0, "0"),
        ("num_tasks", None, "none"),
        ("num_tasks", 2.0, "2.0"),
        ("num_tasks", "2", "'2'"),
        ("num_minibatches", -1, "-1"),
    ],
)
def test_what_it_does_not_declare_is_named_before_anything_is_computed(name, value, found):
    vague = Count(**{name: value})
    with pytest.raises(ConfigError, match=f"Count: expected a field {name} with a positive integer; found {found}$"):
        check_declared(vague)
    with pytest.raises(ConfigError, match=name):
        train(vague, PROBLEM, None, num_updates=1)


def test_a_class_that_declares_nothing_is_named_too():
    class Vague(MetaLearner):
        init = act = begin = learn = None
        num_updates = 3

    with pytest.raises(ConfigError, match="Vague: expected a field num_tasks with a positive integer; found none"):
        train(Vague(), PROBLEM, None, num_updates=1)


def test_who_has_no_outer_loop_declares_nothing():
    check_declared(Counter())
    check_declared(Count())
    assert Count().tasks_per_minibatch == 2
