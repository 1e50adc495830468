"""A meta-learner of a stranger: REINFORCE through whole trials, on a linear softmax over each action's statistics."""

import dataclasses

import jax
import jax.numpy as jnp

from adaptax.core import parallel
from adaptax.core.meta_learner import MetaLearner
from adaptax.core.settings import Settings, setting
from adaptax.core.types import AgentState, TrainState, replace


@dataclasses.dataclass(frozen=True)
class LinearBandit(Settings, MetaLearner):
    """Scores each action by what it has paid on average, how often it was tried, and whether it was: θ weighs these."""

    num_updates: int = setting(100, low=1, high=10_000)
    num_tasks: int = setting(64, low=2, high=100_000)
    learning_rate: float = setting(3.0, above=0, high=100)

    def init(self, problem, key):
        meta = {"weights": jnp.zeros(3), "nothing": jnp.zeros((problem.env.action_space.num, 2))}
        return TrainState(meta, None, jnp.asarray(0), key)

    def update_steps(self, problem):
        return self.num_tasks * problem.trial_steps

    def begin(self, meta, key):
        return AgentState(None, meta["nothing"])

    def act(self, meta, agent, timestep, key, *, explore):
        tried = jax.nn.one_hot(timestep.action, len(agent.memory))
        memory = agent.memory + tried[:, None] * jnp.stack([jnp.ones(()), timestep.reward])[None]
        pulls, total = memory.T
        features = jnp.stack([total / jnp.maximum(pulls, 1.0), 1.0 / (1.0 + pulls), jnp.minimum(pulls, 1.0)], 1)
        logits = features @ meta["weights"]
        action = jax.random.categorical(key, logits) if explore else jnp.argmax(logits)
        return action.astype(jnp.int32), memory, {"features": features}

    def learn(self, problem, state, experience):
        steps = experience.trajectory
        to_go = jnp.cumsum(steps.reward[::-1], 0)[::-1]
        advantages = to_go - parallel.mean(jnp.mean(to_go, 1, keepdims=True))

        def gain(weights):
            log_probs = jax.nn.log_softmax(steps.aux["features"] @ weights)
            return jnp.mean(jnp.take_along_axis(log_probs, steps.action[..., None], -1)[..., 0] * advantages)

        slope = parallel.mean(jax.grad(gain)(state.meta["weights"]))
        meta = {**state.meta, "weights": state.meta["weights"] + self.learning_rate * slope}
        metrics = {"return": parallel.mean(jnp.mean(jnp.sum(steps.reward, 0)))}
        return replace(state, meta=meta, step=state.step + 1), metrics
