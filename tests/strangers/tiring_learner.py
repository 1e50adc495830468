"""A meta-learner that becomes worse when it is trained for too long: on purpose, and by how much is known."""

import dataclasses

import jax
import jax.numpy as jnp

from adaptax.core.meta_learner import MetaLearner
from adaptax.core.settings import Settings, setting
from adaptax.core.types import AgentState, TrainState, replace


@dataclasses.dataclass(frozen=True)
class Tiring(Settings, MetaLearner):
    """Plays the arm that has paid best with a probability that rises until update `peak`, and falls afterwards."""

    num_updates: int = setting(40, low=1, high=10_000)
    num_tasks: int = setting(4, low=2, high=100_000)
    peak: int = setting(20, low=1, high=10_000)

    def init(self, problem, key):
        nothing = jnp.zeros((problem.env.action_space.num, 2))
        return TrainState({"clear": jnp.asarray(0.0), "nothing": nothing}, None, jnp.asarray(0), key)

    def update_steps(self, problem):
        return self.num_tasks * problem.trial_steps

    def begin(self, meta, key):
        return AgentState(None, meta["nothing"])

    def act(self, meta, agent, timestep, key, *, explore):
        played = jax.nn.one_hot(timestep.action, len(agent.memory))
        memory = agent.memory + played[:, None] * jnp.stack([jnp.ones(()), timestep.reward])[None]
        means = (memory[:, 1] + 1.0) / (memory[:, 0] + 2.0)
        clear, random = jax.random.split(key)
        guess = jax.random.randint(random, (), 0, len(means))
        return jnp.where(jax.random.uniform(clear) < meta["clear"], jnp.argmax(means), guess), memory, None

    def learn(self, problem, state, experience):
        step = state.step + 1
        clear = 1.0 - jnp.abs(step - self.peak).astype(jnp.float32) / self.peak
        reward = experience.trajectory.reward
        return (
            replace(state, meta={**state.meta, "clear": jnp.maximum(clear, 0.0)}, step=step),
            {"return": jnp.mean(jnp.sum(reward, 0))},
        )
