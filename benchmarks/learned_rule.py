"""The LSTM meta-learner beside MAML on 2D navigation, seed by seed, and what its gates are worth.

    python benchmarks/learned_rule.py --seeds 10

For each seed both are trained by their presets (`adaptax train ALGORITHM point-robot`; finished trainings are kept in
`--out`), and evaluated on the same held-out goals. Beside them, the rule with its gates frozen at what they are on
average over 100 training goals in each step: for every weight, or one for all. If it did not matter what the gates
read, freezing them would cost nothing. Spread of input gates in a step: standard deviation over its mean, over the
weights (of gates averaged over goals), and over the goals (on average over weights).
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from adaptax import experiment
from adaptax.algorithms import MAML, MetaLSTM
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import replace
from adaptax.evaluation.evaluator import evaluate
from adaptax.optimization.inner_optimizers import InnerOptimizer
from adaptax.optimization.update_rules import Gates

GOALS = 100
"""Training goals over which gates are averaged."""


class Held(eqx.Module):
    """Gates that do not move: leaves `[step, coordinate]`."""

    forget: jax.Array
    input: jax.Array


@dataclasses.dataclass(frozen=True)
class FixedGates(InnerOptimizer):
    """φ' = f_t ∘ φ − α_t i_t ∘ ∇L, with gates that were measured beforehand."""

    learning_rate: float
    decay: float

    def init(self, parameters: Any) -> None:
        """Nothing is learned."""

    def start(self, learned: Held, parameters: Any) -> jax.Array:
        """The number of steps so far."""
        return jnp.asarray(0)

    def step(self, learned: Held, state: Any, parameters: Any, gradient: Any, loss: Any) -> tuple[Any, Any]:
        """One step."""
        flat, unravel = jax.flatten_util.ravel_pytree(parameters)
        slope, _ = jax.flatten_util.ravel_pytree(gradient)
        rate = jnp.asarray(self.learning_rate * self.decay**state).astype(flat.dtype)
        return unravel(learned.forget[state] * flat - rate * learned.input[state] * slope), state + 1


@dataclasses.dataclass(frozen=True)
class Frozen(MAML):
    """The rule's inner loop with gates that do not move."""

    @property
    def inner(self) -> FixedGates:  # type: ignore[override]
        """φ' by gates as they were measured."""
        return FixedGates(self.inner_learning_rate, self.inner_decay)


def trained(name: str, seed: int, out: Path) -> TrainedAgent:
    """The agent of one training, or of one that was finished before."""
    directory = out / f"{name}-{seed}"
    if directory.exists():
        return experiment.resume(directory).agent
    return experiment.train(name, "point-robot", directory=directory, seed=seed, eval_tasks=0).agent


def gates_of(agent: TrainedAgent, seed: int) -> Gates:
    """The gates in training goals, leaves `[goal, step, coordinate]`."""
    algorithm, problem, meta = agent.algorithm, agent.problem, agent.meta
    assert isinstance(algorithm, MetaLSTM)
    windows = algorithm.inner_steps + 1

    def of_goal(key: jax.Array) -> Gates:
        task_key, trial_key = jax.random.split(key)
        trial = algorithm.training_trial(problem, meta, problem.train.sample(task_key), trial_key)
        return algorithm.gates(meta, jax.tree.map(lambda x: x.reshape(windows, -1, *x.shape[1:]), trial))

    return jax.jit(jax.vmap(of_goal))(jax.random.split(jax.random.key(seed), GOALS))


def frozen(agent: TrainedAgent, held: Held) -> TrainedAgent:
    """The same initialisation, adapted by gates that do not move."""
    known = {field.name for field in dataclasses.fields(MAML)}
    settings = {name: value for name, value in dataclasses.asdict(agent.algorithm).items() if name in known}
    theta = replace(agent.meta.theta, learned=held)
    return dataclasses.replace(agent, algorithm=Frozen(**settings), meta=replace(agent.meta, theta=theta))


def measured(agent: TrainedAgent, tasks: int, seed: int) -> dict[str, list[float]]:
    """Returns after 1, 2 and 3 windows, by sampled and by mean actions."""
    found = evaluate(agent, num_tasks=tasks, seed=seed)
    assert found.evaluation_episodes is not None
    curves = {"sampled": found.window_returns, "mean": found.evaluation_episodes}
    return {name: [round(float(x), 3) for x in curve.mean((0, 1))[1:]] for name, curve in curves.items()}


def run(seed: int, tasks: int, out: Path) -> dict[str, Any]:
    """Train with one seed; measure."""
    maml, rule = trained("maml", seed, out), trained("meta-lstm", seed, out)
    gates = gates_of(rule, seed)
    each = Held(gates.forget.mean(0), gates.input.mean(0))
    alike = Held(*(jnp.broadcast_to(x.mean(1, keepdims=True), x.shape) for x in (each.forget, each.input)))
    inputs = np.asarray(gates.input, np.float64)
    return {
        "seed": seed,
        "maml": measured(maml, tasks, seed),
        "rule": measured(rule, tasks, seed),
        "frozen for every weight": measured(frozen(rule, each), tasks, seed),
        "frozen, one for all": measured(frozen(rule, alike), tasks, seed),
        "input gates": np.round(inputs.mean((0, 2)), 2).tolist(),
        "spread over weights": np.round(inputs.mean(0).std(1) / inputs.mean((0, 2)), 3).tolist(),
        "spread over goals": np.round((inputs.std(0) / inputs.mean(0)).mean(1), 3).tolist(),
    }


def main() -> None:
    """Print one line per seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("runs/learned-rule"))
    options = parser.parse_args()
    rows = []
    for seed in range(options.first, options.first + options.seeds):
        rows.append(run(seed, options.tasks, options.out))
        print(json.dumps(rows[-1]), flush=True)
    for step in (0, 1, 2):
        better = sum(row["rule"]["sampled"][step] > row["maml"]["sampled"][step] for row in rows)
        print(f"after {step + 1}: the rule is better than MAML on {better} of {len(rows)} seeds", file=sys.stderr)


if __name__ == "__main__":
    main()
