"""Tasks, and an agent whose memory can be told in advance, for tests of what reads memories."""

import dataclasses

import jax
import jax.numpy as jnp

from adaptax.core.algorithm import FromScratch
from adaptax.core.types import AgentState
from adaptax.evaluation.encounters import sample_tasks


def tasks_and_keys(problem, num_tasks, seed=0):
    task_key, trial_key = jax.random.split(jax.random.key(seed))
    return sample_tasks(problem.test, num_tasks, task_key), jax.random.split(trial_key, num_tasks)


@dataclasses.dataclass(frozen=True)
class Diary(FromScratch):
    """Its action is the number of times that it has acted; it remembers that, and the sum of all rewards."""

    def describe(self, problem):
        return jnp.zeros(0)

    def begin(self, meta, key):
        return AgentState(None, {"acts": jnp.zeros(()), "count": jnp.asarray(0), "rewards": jnp.zeros(())})

    def act(self, meta, agent, timestep, key, *, explore):
        then = agent.memory
        memory = {
            "acts": then["acts"] + 1,
            "count": then["count"] + 1,
            "rewards": then["rewards"] + jnp.where(then["count"] > 0, timestep.reward, 0.0),
        }
        return then["count"], memory, None
