"""A problem of your own: a family of tasks, on which RL² is trained so that it adapts to new ones.

    python examples/own_problem.py

A robot stands in the middle of an aisle of nine shelves. One of them holds what it looks for; it is another one in each
task, and nobody says which. Each step on that shelf pays 1. In the first episode of a task the robot has to search; in
later ones it can walk straight there, if it has learned to remember.
"""

import argparse

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

import adaptax
from adaptax.algorithms import RL2, Random
from adaptax.core.spaces import Discrete

SHELVES, STEPS, EPISODES = 9, 12, 3


class Item(eqx.Module):
    """A task: what differs from one to the next, and what the agent has to find out."""

    place: Float[Array, "*batch"]  # between 0 and 9


class Aisle(adaptax.Environment):
    """The environment: spaces, the length of an episode, and what a step does. Pure functions of their arguments."""

    observation_space = Discrete(SHELVES)
    action_space = Discrete(3)  # one to the left, stay, one to the right
    horizon = STEPS
    ends_early = False  # no episode ends before its time

    def reset(self, task: Item, key: Key[Array, ""]) -> tuple[Int[Array, ""], Int[Array, ""]]:
        """Begin in the middle; return the state and the first observation."""
        middle = jnp.asarray(SHELVES // 2, jnp.int32)
        return middle, middle

    def step(self, state: Int[Array, ""], action: Int[Array, ""], task: Item, key: Key[Array, ""]) -> adaptax.Step:
        """Move, and look."""
        shelf = jnp.clip(state + action - 1, 0, SHELVES - 1)
        found = shelf == jnp.floor(task.place).astype(jnp.int32)
        return adaptax.Step(
            state=shelf, observation=shelf, reward=found.astype(jnp.float32), terminated=jnp.asarray(False)
        )


class Items(adaptax.TaskDistribution):
    """The family: how tasks are drawn, and what an agent that knows the task could have."""

    split: str = eqx.field(static=True)  # "train", "validation" or "test": their tasks never are the same
    finite: None = eqx.field(static=True, default=None)

    def draw(self, key: Key[Array, ""]) -> Item:
        """Any place is as likely as any other."""
        return Item(jax.random.uniform(key, maxval=float(SHELVES)))

    def oracle(self, task: Item) -> Float[Array, ""]:
        """Return of an episode for whoever knows the place: all steps but those on the way there."""
        way = jnp.abs(jnp.floor(task.place) - SHELVES // 2)
        return STEPS - jnp.maximum(way - 1.0, 0.0)


def make_problem() -> adaptax.Problem:
    """The problem: an environment, a family, and how many episodes an agent has in each task.

    `adaptax check-env own_problem:make_problem` finds what is wrong with it before anything is trained.
    """
    return adaptax.make_problem(Aisle(), Items, EPISODES)


def main() -> None:
    """Train, then meet tasks that nothing has seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=300, help="of the meta-parameters; default %(default)s")
    parser.add_argument("--tasks", type=int, default=1000, help="held-out tasks to evaluate in; default %(default)s")
    options = parser.parse_args()
    problem = make_problem()
    algorithm = RL2(num_updates=options.updates, num_tasks=128, num_minibatches=4)
    state = adaptax.init(algorithm, problem, seed=0)
    state = adaptax.train(algorithm, problem, state, num_updates=algorithm.num_updates)
    agents = {
        "random": adaptax.TrainedAgent.initial(Random(), problem),
        "RL²": adaptax.TrainedAgent(algorithm, problem, state.meta),
    }
    print(f"return of each of {EPISODES} episodes in {options.tasks} new tasks")
    for name, agent in agents.items():
        found = adaptax.evaluate(agent, num_tasks=options.tasks)
        print(f"{name:16}", "  ".join(f"{value:6.2f}" for value in found.episode_returns))
    some = jax.vmap(problem.test.sample)(jax.random.split(jax.random.key(0), options.tasks))
    known = float(jnp.mean(jax.vmap(problem.test.oracle)(some)))
    print(f"{'knows the place':16}", "  ".join([f"{known:6.2f}"] * EPISODES))


if __name__ == "__main__":
    main()
