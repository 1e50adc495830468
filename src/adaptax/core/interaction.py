"""Where agents meet environments: one step, and what a trajectory of them is worth."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from adaptax.core.problem import Environment, Step
from adaptax.core.step_checks import action_is_in, check_action, check_outcome, check_types, is_in, is_sound
from adaptax.core.types import Task, TimeStep, Transition, replace


def interact(
    env: Environment, env_state: PyTree[Array], action: PyTree[Array], task: Task, key: Key[Array, ""]
) -> tuple[Step, TimeStep]:
    """Do what a policy chose, within the action space's bounds; return what came of it and what the agent sees next."""
    check_action(env, action)
    done = env.action_space.clip(action)
    step = env.step(env_state, done, task, key)
    check_types(env, step.observation, "step")
    check_outcome(env, step.reward, step.terminated, step.success)
    return step, TimeStep(step.observation, done, step.reward, jnp.asarray(False))


def checked(env: Environment, trajectory: Transition) -> Transition:
    """The trajectory; where it broke the contract, or the policy did, with a reward of NaN, so that none learns of it.

    All of it at once, after it has happened: in the loop, where every operation has its price, the same costs more.
    """

    def reward(step: Transition) -> Array:
        sound = is_in(env.observation_space, step.timestep.observation) & action_is_in(env.action_space, step.action)
        sound &= is_in(env.observation_space, step.next_observation) & is_sound(step.reward)
        return jnp.where(sound | ~step.valid, step.reward, jnp.nan)

    return replace(trajectory, reward=jax.vmap(jax.vmap(reward))(trajectory))
