"""A step that is counted is one that was taken (trap E51), by every learner, wherever it is said."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import ESMAML, MAML, RL2, MetaPolicyGradient, MultiTaskPPO, OffPolicyRL2
from adaptax.algorithms.memory.settings import RL2Settings
from adaptax.core.rollout import collect
from adaptax.core.types import ENV_STEPS
from adaptax.experiment.training import resume, train
from adaptax.problems import cart_pole, grid_navigation
from adaptax.problems.settings import CartPoleSettings
from adaptax.training import loop
from tests.sample_problems import clockwork, quick_jit

pytestmark = pytest.mark.compiles
SHORT = clockwork(horizon=5, episodes=4, num_actions=2)
GRADIENT = {"hidden_size": 3, "num_layers": 1, "num_tasks": 4, "trajectories": 2, "num_updates": 2}
LEARNERS = {
    "rl2": RL2(memory_size=3, critic_size=3, num_tasks=8, num_minibatches=2, num_updates=2),
    "off-policy-rl2": OffPolicyRL2(
        memory_size=3, critic_size=3, num_tasks=4, batch_size=4, buffer_size=8, num_updates=2
    ),
    "maml": MAML(**GRADIENT, outer="gradient"),
    "es-maml": ESMAML(**GRADIENT),
    "multitask-ppo": MultiTaskPPO(hidden_size=3, num_tasks=4, num_minibatches=2, num_updates=2),
    "meta-policy-gradient": MetaPolicyGradient(memory_size=3, num_tasks=3, replicas=2, base="reinforce", num_updates=2),
}


def counted_by_hand(algorithm, problem, state):
    """Steps of an update as its tasks say: an episode of the clockwork lasts as many as its task's length.

    Where the next begins at once, none is idle.
    """
    if algorithm.fills_slots:
        return algorithm.update_steps(problem)
    tasks = algorithm.collect(problem, state).tasks
    slots = algorithm.update_steps(problem)
    episodes = slots // problem.env.horizon // algorithm.num_tasks
    return int(jnp.sum(jnp.minimum(jnp.ravel(tasks.length), problem.env.horizon)) * episodes)


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("name", LEARNERS)
def test_E51_an_update_says_how_many_steps_it_took(name, devices):
    algorithm = LEARNERS[name]
    if algorithm.tasks_per_minibatch % devices:
        pytest.skip("its tasks do not divide")
    state = quick_jit(lambda key: algorithm.init(SHORT, key))(jax.random.key(0))
    by_hand = counted_by_hand(algorithm, SHORT, state)
    assert (by_hand == algorithm.update_steps(SHORT)) == algorithm.fills_slots
    _, (metrics, _) = jax.jit(loop.chunk_of_updates(algorithm, SHORT, 2, devices=devices))(state)
    assert metrics[ENV_STEPS].shape == (2,)
    assert int(metrics[ENV_STEPS][0]) == by_hand


def test_where_no_episode_ends_early_nothing_is_counted():
    algorithm, problem = LEARNERS["rl2"], grid_navigation(num_episodes=2)
    assert not problem.env.ends_early
    state = jax.eval_shape(lambda key: algorithm.init(problem, key), jax.random.key(0))
    assert ENV_STEPS not in jax.eval_shape(lambda state: algorithm.update(problem, state), state)[1]
    progress = loop.Progress(6, {"return": np.zeros((3, 2))}, 1.0, None)
    assert progress.env_steps(40) == [40, 40, 40]
    counted = progress._replace(metrics={"return": np.zeros((2, 2)), ENV_STEPS: np.array([[3, 4], [5, 6]])})
    assert counted.env_steps(40) == [7, 11]


def test_E51_what_is_printed_and_written_of_a_cart_pole_are_steps_that_were_taken(tmp_path):
    settings = dataclasses.replace(LEARNERS["rl2"], num_updates=11)
    said = []
    done = train(
        RL2Settings(**dataclasses.asdict(settings)),
        CartPoleSettings(num_episodes=2, horizon=100),
        directory=tmp_path / "run",
        eval_tasks=0,
        devices=1,
        on_message=said.append,
    )
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    taken = [row[ENV_STEPS] for row in rows]
    slots = settings.update_steps(cart_pole(num_episodes=2, horizon=100))
    assert done.env_steps == taken[-1]
    # The next episode begins at once, so that none is idle, though most fall long before the end of theirs.
    np.testing.assert_array_equal(np.diff([0, *taken]), slots)
    assert max(row["return"] for row in rows) < 0.6 * slots / settings.num_tasks
    assert f" {slots:,} environment steps" in next(line for line in said if "environment steps" in line)
    assert not any("at most" in line for line in said)
    assert resume(tmp_path / "run", on_message=said.append).env_steps == 0


def test_a_random_agent_on_a_cart_pole_is_idle_most_of_the_time():
    problem, algorithm = cart_pole(num_episodes=2), LEARNERS["rl2"]
    meta = quick_jit(lambda key: algorithm.init(problem, key).meta)(jax.random.key(0))
    tasks = jax.vmap(problem.train.sample)(jax.random.split(jax.random.key(1), 8))
    keys = jax.random.split(jax.random.key(2), 8)
    valid = quick_jit(lambda tasks, keys: collect(algorithm, problem, meta, tasks, keys).valid)(tasks, keys)
    assert valid.mean() < 0.3
