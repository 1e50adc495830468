"""Your simulator: pendulums of unknown mass and length, whose motor may be wired the wrong way round.

    python examples/your_simulator.py            # Gymnasium's pendulum: 15 lines
    python examples/your_simulator.py --in-jax   # the same in 40 lines of JAX: some minutes instead of an hour

An agent with a memory finds out, while it swings up, how its pendulum answers. Beside it stand a policy that is told,
and one that has no memory: what that earns is robustness, not adaptation. All have trained in as many tasks. The
picture shows the return of each episode.
"""

import argparse
from pathlib import Path

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
from jaxtyping import Array, Float, Key

import adaptax
from adaptax import RL2
from adaptax.algorithms import Random
from adaptax.core.spaces import Box
from adaptax.core.types import Task
from adaptax.problems import gymnasium_problem, informed

MASS, LENGTH = (0.5, 2.0), (0.5, 1.5)
EPISODES = 2


class Motor(gymnasium.ActionWrapper):
    """A motor that turns one way or the other."""

    sign = 1

    def action(self, action):
        """What reaches the pendulum."""
        return self.sign * action


def make():
    """One pendulum, of any task."""
    return Motor(gymnasium.make("Pendulum-v1"))


def change(env, task):
    """Put it into a task."""
    env.sign, env.unwrapped.m, env.unwrapped.l = task["motor"], task["mass"], task["length"]


def pendulums(workers: int = 0) -> adaptax.Problem:
    """The family; `adaptax train rl2 your_simulator:pendulums` trains on it."""
    tasks = {"mass": MASS, "length": LENGTH, "motor": [-1, 1]}
    return gymnasium_problem(make, tasks, set_task=change, episodes=EPISODES, workers=workers, horizon=200)


class Pendulum(adaptax.Environment):
    """The same pendulum, step by step as Gymnasium's."""

    observation_space: Box = eqx.field(static=True, default=Box((3,)))
    action_space: Box = eqx.field(static=True, default=Box((1,), -2.0, 2.0))
    horizon: int = eqx.field(static=True, default=200)
    ends_early: bool = eqx.field(static=True, default=False)

    def see(self, state: Float[Array, "2"]) -> Float[Array, "3"]:
        """Where the tip is, and how fast it turns."""
        return jnp.stack([jnp.cos(state[0]), jnp.sin(state[0]), state[1]])

    def reset(self, task: Task, key: Key[Array, ""]) -> tuple[Array, Array]:
        """Anywhere, at any speed up to 1."""
        ends = jnp.asarray([jnp.pi, 1.0])
        state = jax.random.uniform(key, (2,), minval=-ends, maxval=ends)
        return state, self.see(state)

    def step(self, state: Array, action: Array, task: Task, key: Key[Array, ""]) -> adaptax.Step:
        """A twentieth of a second."""
        (angle, speed), torque, length = state, task["motor"] * action[0], task["length"]
        from_top = (angle + jnp.pi) % (2 * jnp.pi) - jnp.pi
        cost = from_top**2 + 0.1 * speed**2 + 0.001 * torque**2
        pull = 15 / length * jnp.sin(angle) + 3 / (task["mass"] * length**2) * torque
        speed = jnp.clip(speed + 0.05 * pull, -8, 8)
        state = jnp.stack([angle + 0.05 * speed, speed])
        return adaptax.Step(state, self.see(state), -cost, jnp.asarray(False))


class Pendulums(adaptax.TaskDistribution):
    """Masses, lengths and motors."""

    split: str = eqx.field(static=True)
    finite: int | None = eqx.field(static=True, default=None)

    def draw(self, key: Key[Array, ""]) -> Task:
        """Each by itself."""
        keys = jax.random.split(key, 3)
        mass, length = (
            jax.random.uniform(k, (), minval=x[0], maxval=x[1]) for k, x in zip(keys, (MASS, LENGTH), strict=False)
        )
        return {"mass": mass, "length": length, "motor": jax.random.rademacher(keys[2], (), jnp.float32)}

    def oracle(self, task: Task) -> Float[Array, ""]:
        """Unknown."""
        return jnp.asarray(jnp.nan)


def in_jax() -> adaptax.Problem:
    """The same family; `adaptax train rl2 your_simulator:in_jax`."""
    return adaptax.make_problem(Pendulum(), Pendulums, EPISODES)


def trained(problem: adaptax.Problem, memory: str, updates: int) -> adaptax.TrainedAgent:
    """RL² with one kind of memory, or none."""
    algorithm = RL2(
        memory=memory, num_updates=updates, num_tasks=64, num_epochs=8, num_minibatches=8, learning_rate=1e-3,
        discount=0.99, gae_lambda=0.95, normalize_observations=True,
    )  # fmt: skip
    state = adaptax.init(algorithm, problem, seed=0)
    print(f"{memory}: training …", flush=True)
    return adaptax.TrainedAgent(algorithm, problem, adaptax.train(algorithm, problem, state, num_updates=updates).meta)


def main() -> None:
    """Train all three, let them meet pendulums that they have never seen, and draw what they earn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--in-jax", action="store_true", help="the pendulum in JAX, not Gymnasium's")
    parser.add_argument("--updates", type=int, default=300, help="of each agent; default %(default)s")
    parser.add_argument("--tasks", type=int, default=200, help="held-out tasks; default %(default)s")
    parser.add_argument("--workers", type=int, default=0, help="processes that simulate; default %(default)s")
    parser.add_argument("--picture", type=Path, default=Path("your_simulator.png"), help="default %(default)s")
    options = parser.parse_args()
    problem = in_jax() if options.in_jax else pendulums(options.workers)
    agents = {
        "with a memory (RL²)": trained(problem, "gru", options.updates),
        "without": trained(problem, "none", options.updates),
        "told the task": trained(informed(problem), "none", options.updates),
        "random": adaptax.TrainedAgent.initial(Random(), problem),
    }
    earned = {name: adaptax.evaluate(agent, num_tasks=options.tasks).episode_returns for name, agent in agents.items()}
    bottom, top = earned["random"][-1], earned["told the task"][-1]
    figure, axes = plt.subplots(figsize=(5, 3.5), layout="constrained")
    for name, returns in earned.items():
        score = 100 * (returns[-1] - bottom) / (top - bottom)
        print(f"{name:20}", "  ".join(f"{value:9.1f}" for value in returns), f"   {score:4.0f} % in the last episode")
        axes.plot(range(1, EPISODES + 1), returns, marker="o", label=name)
    axes.set(xlabel="episode in a new task", ylabel="mean return", xticks=range(1, EPISODES + 1))
    axes.legend()
    figure.savefig(options.picture, dpi=150)
    print(f"picture {options.picture}")


if __name__ == "__main__":
    main()
