"""Experience from a plain Python loop on the host teaches what experience from the compiled loop teaches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import MAML, RL2
from adaptax.core.experience import Experience, sample_tasks
from adaptax.core.types import AgentState, TimeStep, Transition
from adaptax.problems import tabular_mdp

PROBLEM = tabular_mdp(num_states=3, num_actions=2, horizon=2, num_episodes=4)
LEARNERS = {
    "rl2": RL2(memory="gru", memory_size=4, critic_size=4, num_tasks=2, num_minibatches=1, num_updates=2),
    # Two programs round differently, and a regression on a few steps makes a hundred times as much of it.
    "maml": MAML(hidden_size=4, num_layers=1, num_tasks=2, trajectories=2, num_updates=2, baseline="none"),
}


class _Host:
    """A simulator of one task on the host: it steps environments in a Python loop, with the rollout's keys."""

    def __init__(self, learner, meta, task, key):
        self.learner, self.meta, self.task = learner, meta, task
        self.window = learner.window(PROBLEM)
        start_key, self.trial_key = jax.random.split(key)
        agent_key, env_key = jax.random.split(start_key)
        self.agent = learner.begin(meta, agent_key)
        env_keys = jax.random.split(env_key, self.window.num_envs)
        self.states, observations = map(list, zip(*(PROBLEM.env.reset(task, k) for k in env_keys), strict=True))
        null = PROBLEM.env.action_space.null()
        self.seen = [TimeStep(o, null, jnp.float32(0), jnp.asarray(True)) for o in observations]
        self.memories = [self.agent.memory] * len(self.seen)
        self.clock = 0

    def trial(self, windows):
        steps = []
        for index in range(windows):
            rollout_key, adapt_key = jax.random.split(jax.random.fold_in(self.trial_key, index))
            window = self._window(rollout_key)
            steps += window
            if index < windows - 1:
                stacked = jax.tree.map(lambda *x: jnp.stack(x), *window)
                self.agent = self.learner.adapt(self.meta, self.agent, stacked, adapt_key)
        return jax.tree.map(lambda *x: np.stack(x), *jax.tree.map(np.asarray, steps))

    def _window(self, key):
        shape = self.window.steps, self.window.num_envs
        agent_key, env_key, reset_key = jax.random.split(key, 3)
        agent_keys, env_keys = jax.random.split(agent_key, shape), jax.random.split(env_key, shape)
        reset_keys = jax.random.split(reset_key, self.window.num_envs)
        rows = []
        for now in range(self.window.steps):
            row = [self._step(i, agent_keys[now, i], env_keys[now, i], reset_keys[i]) for i in range(shape[1])]
            rows.append(jax.tree.map(lambda *x: jnp.stack(x), *row))
            self.clock += 1
        return rows

    def _step(self, i, agent_key, env_key, reset_key):
        env, timestep = PROBLEM.env, self.seen[i]
        agent = AgentState(self.agent.adapted, self.memories[i])
        action, self.memories[i], aux = self.learner.act(self.meta, agent, timestep, agent_key, explore=True)
        step = env.step(self.states[i], action, self.task, env_key)
        last = (self.clock + 1) % env.horizon == 0
        ended = step.terminated & last
        cut = jnp.asarray(last) & ~ended
        self.states[i], observation = step.state, step.observation
        if last:
            self.states[i], observation = env.reset(self.task, jax.random.fold_in(reset_key, self.clock))
        self.seen[i] = TimeStep(observation, action, step.reward, jnp.asarray(last))
        return Transition(timestep, action, step.reward, ended, cut, step.observation, aux, jnp.asarray(True))


def _host_experience(learner, state, windows):
    tasks, keys = sample_tasks(PROBLEM, state, learner.num_tasks, learner.num_minibatches)
    trials = [
        _Host(learner, state.meta, jax.tree.map(lambda x, i=i: x[i], tasks), keys[i, 1]).trial(windows)
        for i in range(learner.num_tasks)
    ]
    trajectory = jax.tree.map(lambda *x: np.stack(x, 1), *trials)
    assert all(isinstance(x, np.ndarray) for x in jax.tree.leaves(trajectory))
    return Experience(jax.tree.map(np.asarray, tasks), trajectory, source="host")


@pytest.mark.compiles
@pytest.mark.parametrize(("name", "windows"), [("rl2", 1), ("maml", 2)])
def test_a_loop_on_the_host_teaches_what_the_compiled_loop_teaches(name, windows):
    learner = LEARNERS[name]
    state = learner.init(PROBLEM, jax.random.key(0))
    host = _host_experience(learner, state, windows)
    learn = jax.jit(lambda state, experience: learner.learn(PROBLEM, state, experience))
    compiled = jax.jit(lambda state: learner.collect(PROBLEM, state))(state)
    assert (host.source, compiled.source) == ("host", "compiled")
    np.testing.assert_array_equal(host.trajectory.action, compiled.trajectory.action)
    np.testing.assert_array_equal(host.trajectory.timestep.observation, compiled.trajectory.timestep.observation)
    np.testing.assert_array_equal(host.trajectory.truncated, compiled.trajectory.truncated)
    taught, metrics = learn(state, host)
    expected, expected_metrics = jax.jit(lambda state: learner.update(PROBLEM, state))(state)
    moved = jax.tree.map(lambda a, b: jnp.max(jnp.abs(a - b)), taught.meta, state.meta)
    assert max(jax.tree.leaves(moved)) > 1e-4
    for a, b in zip(jax.tree.leaves(taught.meta), jax.tree.leaves(expected.meta), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(metrics["return"], expected_metrics["return"], rtol=1e-6)


def _trajectory(shape, **changes):
    no, zero = np.zeros(shape, bool), np.zeros(shape, np.float32)
    leaves = {"timestep": TimeStep(zero, zero, zero, no), "action": zero, "reward": zero, "terminated": no}
    leaves |= {"truncated": no, "next_observation": zero, "aux": None, "valid": ~no}
    return Transition(**{**leaves, **changes})


@pytest.mark.parametrize(
    ("tasks", "shape", "changes", "message"),
    [
        (2, (3, 2, 1), {"valid": np.ones((3, 2), bool)}, r"trajectory\.valid: expected .* \(3, 2, 1\).*found \(3, 2\)"),
        (4, (3, 2, 1), {}, r"Experience\.tasks: expected 2 tasks, as in the trajectory; found shape \(4,\)"),
        (2, (3, 2), {}, r"reward: expected axes \[time, task, env\], found shape \(3, 2\)"),
    ],
)
def test_arrays_that_do_not_fit_are_named(tasks, shape, changes, message):
    with pytest.raises(ValueError, match=message):
        Experience(np.zeros(tasks, np.float32), _trajectory(shape, **changes))


@pytest.mark.compiles
def test_every_update_has_tasks_of_its_own():
    learner = LEARNERS["rl2"]
    state = learner.init(PROBLEM, jax.random.key(0))
    later = jax.tree.map(lambda x: x, state)
    later = type(state)(later.meta, later.opt_state, later.step + 1, later.key)
    one, two = (jax.tree.leaves(sample_tasks(PROBLEM, s, 2)[0])[0] for s in (state, later))
    assert not np.any(np.asarray(one) == np.asarray(two))
