"""Few-shot regression of sinusoids with MAML: Finn et al. 2017, section 5.1 (arXiv 1703.03400).

    python examples/sinusoid.py                     # Meta-SGD, 10 shots
    python examples/sinusoid.py --method maml       # plain MAML
    python examples/sinusoid.py --shots 5

Trains the paper's network of 40-40 with ReLU, prints the mean squared error on 1,000 sinusoids that it has not seen,
after 0 to 10 inner steps, and draws some of them.
"""

import argparse
import sys
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
import optax.contrib

from adaptax.few_shot import History, MetaTrained, Sinusoids, SinusoidTask, maml_train, sinusoid_network
from adaptax.few_shot.sinusoids import INPUTS
from adaptax.optimization.inner_optimizers import MetaSGD

matplotlib.use("Agg")
import matplotlib.pyplot as plt

TEST_TASKS, TEST_POINTS, TEST_STEPS = 1000, 200, 10
PUBLISHED = {"MAML (Li et al. 2017)": 0.77, "Meta-SGD (Li et al. 2017)": 0.53, "CAVIA (Zintgraf et al. 2019)": 0.21}
"""Mean squared error with 10 shots after one inner step."""


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", choices=("meta-sgd", "maml"), default="meta-sgd", help="default %(default)s")
    parser.add_argument("--shots", type=int, default=10, help="K, points that are shown; default %(default)s")
    parser.add_argument("--outer-steps", type=int, help="default 40000 for meta-sgd, 60000 for maml")
    parser.add_argument("--tasks", type=int, default=25, help="sinusoids in an outer step; default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default %(default)s")
    parser.add_argument("--out", default="sinusoid.png", help="where to draw; default %(default)s")
    options = parser.parse_args()
    options.outer_steps = options.outer_steps or {"meta-sgd": 40_000, "maml": 60_000}[options.method]
    return options


def outer_optimizer(options: argparse.Namespace) -> optax.GradientTransformation:
    """Muon for the network's matrices, Adam for the rest, a tenth as fast for Meta-SGD's rates.

    Where rates have grown too far for one of the tasks, its loss is infinite: such an outer step is skipped.
    """
    warmup, steps = options.outer_steps // 10, options.outer_steps

    def schedule(peak: float) -> optax.Schedule:
        return optax.warmup_cosine_decay_schedule(0.0, peak, warmup, steps)

    optimizer: Any = optax.contrib.muon(schedule(0.01), consistent_rms=0.2)
    if options.method == "meta-sgd":
        parts = {"model": optimizer, "learned": optax.adam(schedule(0.001))}
        optimizer = optax.partition(parts, {"model": "model", "learned": "learned"})
    return optax.apply_if_finite(optax.chain(optax.clip_by_global_norm(1.0), optimizer), 100)


def train(options: argparse.Namespace) -> MetaTrained:
    """MAML takes one inner step. Meta-SGD takes five, of which the first counts four times as much as all others.

    Each step is shorter than the one before, so that rates may suit a first step and still not overshoot in a tenth.
    """
    if options.method == "maml":
        method: dict[str, Any] = {"inner_steps": 1, "inner_lr": 0.01}
    else:
        method = {"inner_steps": 5, "inner_optimizer": MetaSGD(0.01, decay=0.7), "outer_loss": (0.8, *(0.05,) * 4)}
    key = jax.random.key(options.seed)
    return maml_train(
        sinusoid_network(key),
        outer_optimizer(options),
        Sinusoids(options.shots),
        outer_steps=options.outer_steps,
        tasks_per_step=options.tasks,
        key=key,
        on_progress=say_progress,
        **method,
    )


def say_progress(done: int, history: History) -> None:
    """How far it is, in one line of standard error that is written over."""
    line = f"\r{done:,} outer steps: loss {history.before[-1]:.4g} -> {history.after[-1]:.4g}   "
    print(line, end="", file=sys.stderr, flush=True)


def held_out_errors(trained: MetaTrained, shots: int, key: jax.Array) -> np.ndarray:
    """Mean squared error of each test task after 0 to 10 inner steps, `[task, steps]`."""

    def curve(task: SinusoidTask) -> jax.Array:
        return jnp.stack([task.query_loss(trained.adapt(task, steps)) for steps in range(TEST_STEPS + 1)])

    tasks = jax.vmap(Sinusoids(shots, TEST_POINTS))(jax.random.split(key, TEST_TASKS))
    return np.asarray(jax.jit(lambda tasks: jax.lax.map(curve, tasks, batch_size=100))(tasks))


def draw(trained: MetaTrained, shots: int, key: jax.Array, path: str) -> None:
    """Four sinusoids, the points that are shown of them, and the model before and after adaptation."""
    x = jnp.linspace(*INPUTS, 200)
    figure, axes = plt.subplots(1, 4, figsize=(14, 3.2), sharey=True, layout="constrained")
    for axis, task_key in zip(axes, jax.random.split(key, 4), strict=True):
        task = Sinusoids(shots)(task_key)
        axis.plot(x, task.targets(x), color="black", label="sinusoid")
        axis.plot(task.support_inputs, task.targets(task.support_inputs), "o", color="black", label="shown")
        for steps, style in ((0, "C7:"), (1, "C0--"), (10, "C3-")):
            axis.plot(
                x,
                jax.vmap(trained.adapt(task, steps))(x[:, None])[:, 0],
                style,
                label=f"{steps} inner step{'s' * (steps != 1)}",
            )
        axis.set_xlabel("x")
    axes[0].set_ylabel("y")
    axes[0].legend(fontsize="small")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Train, evaluate, draw."""
    options = parse()
    trained = train(options)
    test_key, draw_key = jax.random.split(jax.random.fold_in(jax.random.key(options.seed), 1))
    errors = held_out_errors(trained, options.shots, test_key)
    print(f"{options.method}, {options.shots} shots: mean squared error on {TEST_TASKS} held-out sinusoids")
    for steps, column in enumerate(errors.T):
        print(f"  {steps:2d} inner steps  {column.mean():.4f} ± {column.std(ddof=1) / np.sqrt(TEST_TASKS):.4f} (s.e.)")
    if options.shots == 10:
        print("published, 1 inner step: " + ", ".join(f"{name} {value}" for name, value in PUBLISHED.items()))
    draw(trained, options.shots, draw_key, options.out)
    print(f"drawn: {options.out}")


if __name__ == "__main__":
    main()
