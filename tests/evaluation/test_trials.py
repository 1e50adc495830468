import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import Random
from adaptax.core.trained_agent import TrainedAgent
from adaptax.evaluation import trials
from adaptax.evaluation.encounters import encounters
from adaptax.evaluation.trials import run_trials
from adaptax.problems import bernoulli_bandit

PROBLEM = bernoulli_bandit(num_arms=2, num_pulls=3)
TASKS, KEYS = encounters(PROBLEM.test, 11, 0)
DRAWN = np.asarray(jax.vmap(jax.random.uniform)(KEYS))


def look(agent, task, key):
    """The agent, the task and the randomness themselves."""
    assert agent.num_seeds == 1
    return {"of": jnp.stack([agent.meta, jax.random.uniform(key)]), "task": task.probabilities, "none": None}


@pytest.mark.parametrize("chunk", [1024, 2])
@pytest.mark.parametrize("seeds", [1, 3])
def test_each_seed_meets_each_task_once_with_its_key(chunk, seeds, monkeypatch):
    monkeypatch.setattr(trials, "CHUNK", chunk)
    meta = jnp.arange(3.0) if seeds > 1 else jnp.asarray(7.0)
    done = []
    seen = run_trials(TrainedAgent(Random(), PROBLEM, meta, seeds), TASKS, KEYS, look, on_progress=done.append)
    assert seen["none"] is None
    assert seen["of"].shape == (seeds, 11, 2)
    np.testing.assert_array_equal(seen["of"][..., 0], np.broadcast_to(np.atleast_1d(meta)[:, None], (seeds, 11)))
    np.testing.assert_array_equal(seen["of"][..., 1], np.broadcast_to(DRAWN, (seeds, 11)))
    np.testing.assert_array_equal(seen["task"], np.broadcast_to(TASKS.probabilities, (seeds, 11, 2)))
    assert done == ([11] if chunk > 2 else [4, 8, 11])  # two devices


def test_one_device_does_what_two_do(monkeypatch):
    agent = TrainedAgent(Random(), PROBLEM, jnp.asarray(7.0))
    two = run_trials(agent, TASKS, KEYS, look)
    first = jax.local_devices()[:1]
    monkeypatch.setattr(trials.jax, "local_devices", lambda: first)
    one = run_trials(agent, TASKS, KEYS, look)
    jax.tree.map(np.testing.assert_array_equal, one, two)
