"""Few-shot regression of sinusoids with a learned update rule: Ravi & Larochelle 2017 (ICLR 2017).

    python examples/learned_rule.py                   # first order, as in the paper
    python examples/learned_rule.py --second-order

Trains the LSTM meta-learner (an initialisation, and gates that take the place of a learning rate) through five steps on
10 points of each sinusoid. Then it keeps the learned initialisation, and looks for the learning rate and the decay with
which plain gradient descent does best from there, on validation sinusoids. Both are compared on the same sinusoids that
nothing has seen, with a paired test, beside MAML that was trained for as long. A picture shows the rule's gates.

The rule is better than gradient descent from its own initialisation. MAML, which has second derivatives, is better
than a rule that was trained without them, and worse than one that was trained with them.
"""

import argparse
import sys
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from adaptax.few_shot import History, MetaTrained, Sinusoids, SinusoidTask, adapt, maml_train, sinusoid_network
from adaptax.optimization.inner_optimizers import SGD, InnerOptimizer
from adaptax.optimization.update_rules import Gates, LSTMOptimizer, gates_of_adaptation, spread_by_group
from adaptax.reports.gate_figures import plot_gates

SHOTS, STEPS = 10, 5
RULE_RATE, MAML_RATE = 0.01, 0.01
"""α at the start of the rule's training, and MAML's (Finn et al. 2017, section 5.1)."""
VALIDATION_TASKS, TEST_TASKS, TEST_POINTS = 1000, 2000, 100
RATES = np.geomspace(1e-3, 0.3, 41)
DECAYS = (1.3, 1.15, 1.0, 0.9, 0.8, 0.7, 0.5)
"""Factor on the rate from each step to the next."""


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--second-order", action="store_true", help="differentiate the gradients too")
    parser.add_argument("--outer-steps", type=int, default=2000, help="default %(default)s")
    parser.add_argument("--tasks", type=int, default=10, help="sinusoids in an outer step; default %(default)s")
    parser.add_argument("--size", type=int, default=10, help="units of the rule's LSTM; default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default %(default)s")
    parser.add_argument("--out", default="gates.png", help="where to draw the gates; default %(default)s")
    return parser.parse_args()


def train(options: argparse.Namespace, inner: InnerOptimizer, first_order: bool) -> MetaTrained:
    """Meta-train through five steps: Adam, its rate rising over a tenth of the run and falling to 0."""
    schedule = optax.warmup_cosine_decay_schedule(0.0, 3e-3, options.outer_steps // 10, options.outer_steps)
    optimizer = optax.apply_if_finite(optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule)), 100)
    key = jax.random.key(options.seed)
    return maml_train(
        sinusoid_network(key),
        optimizer,
        Sinusoids(SHOTS),
        STEPS,
        options.outer_steps,
        inner_optimizer=inner,
        first_order=first_order,
        tasks_per_step=options.tasks,
        key=key,
        on_progress=say_progress,
    )


def say_progress(done: int, history: History) -> None:
    """How far it is, in one line of standard error that is written over."""
    line = f"\r{done:,} outer steps: loss {history.before[-1]:.4g} -> {history.after[-1]:.4g}   "
    print(line, end="", file=sys.stderr, flush=True)


def errors(model: Any, tasks: SinusoidTask, steps: int = STEPS, **method: Any) -> jax.Array:
    """Mean squared error of each task after adaptation, `[task]`."""
    return jax.lax.map(lambda task: task.query_loss(adapt(model, task, steps, **method)), tasks, batch_size=100)


def tune(model: Any, tasks: SinusoidTask, decays: tuple[float, ...]) -> SGD:
    """Gradient descent with the rate, and the decay among `decays`, of the least mean error after five steps."""
    grid = np.asarray([(rate, decay) for rate in RATES for decay in decays], np.float32)

    def mean(pair: jax.Array) -> jax.Array:
        return jnp.mean(errors(model, tasks, inner_optimizer=SGD(pair[0], pair[1])))

    found = np.asarray(jax.jit(lambda pairs: jax.lax.map(mean, pairs))(grid))
    rate, decay = grid[np.nanargmin(found)]  # where steps are too long, errors are infinite or not numbers
    return SGD(float(rate), float(decay))


def compare(options: argparse.Namespace, trained: MetaTrained, maml: MetaTrained) -> None:
    """Print the table."""

    def split(number: int, count: int) -> SinusoidTask:
        key = jax.random.fold_in(jax.random.key(options.seed), number)
        return jax.vmap(Sinusoids(SHOTS, TEST_POINTS))(jax.random.split(key, count))

    validation, test = split(1, VALIDATION_TASKS), split(2, TEST_TASKS)
    model, rule = trained.model, {"inner_optimizer": trained.inner_optimizer, "learned": trained.learned}
    constant, decaying = tune(model, validation, (1.0,)), tune(model, validation, DECAYS)
    tuned_maml = tune(maml.model, validation, DECAYS)
    rows = {
        "learned rule": (model, rule),
        "  from the same initialisation:": None,
        f"SGD, rate {constant.learning_rate:.3g}": (model, {"inner_optimizer": constant}),
        f"SGD, rate {decaying.learning_rate:.3g} × {decaying.decay:.3g}^k": (model, {"inner_optimizer": decaying}),
        "no step": (model, {"steps": 0}),
        "  from MAML's initialisation:": None,
        f"SGD, rate {MAML_RATE} (as trained)": (maml.model, {"inner_optimizer": maml.inner_optimizer}),
        f"SGD, rate {tuned_maml.learning_rate:.3g} × {tuned_maml.decay:.3g}^k": (
            maml.model,
            {"inner_optimizer": tuned_maml},
        ),
    }
    print(f"{SHOTS} shots, {STEPS} steps: mean squared error on {TEST_TASKS} held-out sinusoids, ± standard error")
    print(f"{'':34}{'error':>17}{'less the rule (paired)':>26}{'t':>8}")
    base = None
    for name, row in rows.items():
        if row is None:
            print(name)
            continue
        found = np.asarray(jax.jit(lambda model=row[0], method=row[1]: errors(model, test, **method))(), np.float64)
        base = found if base is None else base
        line = f"{name:34}{found.mean():8.4f} ± {_error(found):.4f}"
        if found is not base:
            difference = found - base
            line += f"{difference.mean():+17.4f} ± {_error(difference):.4f}"
            line += f"{difference.mean() / _error(difference):8.1f}"
        print(line)


def _error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def draw(options: argparse.Namespace, trained: MetaTrained) -> None:
    """The gates of each layer in the five steps, over 200 sinusoids."""
    parameters, static = eqx.partition(trained.model, eqx.is_inexact_array)

    def gates(task: SinusoidTask) -> Gates:
        def loss(parameters: Any) -> jax.Array:
            return task.support_loss(eqx.combine(parameters, static))

        return gates_of_adaptation(trained.inner_optimizer, trained.learned, parameters, loss, STEPS)

    tasks = jax.vmap(Sinusoids(SHOTS))(jax.random.split(jax.random.fold_in(jax.random.key(options.seed), 3), 200))
    groups = spread_by_group(jax.jit(jax.vmap(gates))(tasks), parameters)
    plot_gates(options.out, groups, title="Gates of the learned rule, by layer (the band: the middle half)")
    print(f"drawn: {options.out}")


def main() -> None:
    """Train, tune, compare, draw."""
    options = parse()
    trained = train(options, LSTMOptimizer(RULE_RATE, options.size), first_order=not options.second_order)
    maml = train(options, SGD(MAML_RATE), first_order=False)
    compare(options, trained, maml)
    draw(options, trained)


if __name__ == "__main__":
    main()
