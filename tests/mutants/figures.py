"""Bugs in the evaluation, in what is said of it, in the work of several devices, and in what is kept."""

from tests.mutants.mutant import Mutant

EVALUATION, STATISTICS = ("tests/evaluation/test_evaluator.py",), ("tests/evaluation/test_statistics.py",)
COMPARISON, PARALLEL = ("tests/evaluation/test_comparison_statistics.py",), ("tests/core/test_parallel.py",)

BUGS = (
    Mutant(
        "training tasks in the evaluation",
        "evaluation/evaluator.py",
        "agent.problem.test if family is None else family",
        "agent.problem.train if family is None else family",
        "E21: the benchmark that was trained on",
        EVALUATION,
    ),
    Mutant(
        "all evaluation tasks share one trial's randomness",
        "evaluation/encounters.py",
        "jax.random.split(trial_key, num_tasks)",
        "jax.random.split(trial_key, 1)[np.zeros(num_tasks, int)]",
        "E20: one key on every device, so that thousands of trials are one",
        EVALUATION,
    ),
    Mutant(
        "repetitions that fill up a chunk are counted",
        "evaluation/trials.py",
        "use = min(self._chunk, self._num_tasks - begin)",
        "use = self._chunk",
        "E24: some tasks count twice",
        EVALUATION,
    ),
    Mutant(
        "who adapts does not explore in the evaluation",
        "evaluation/evaluator.py",
        "explore=explore or adapts, with_evaluation=with_evaluation",
        "explore=explore, with_evaluation=with_evaluation",
        "E15: gradients of a deterministic policy's windows",
        EVALUATION,
    ),
    Mutant(
        "the interquartile mean is of the upper half",
        "evaluation/statistics.py",
        "low, high = 0.25 * up_to[-1], 0.75 * up_to[-1]",
        "low, high = 0.5 * up_to[-1], up_to[-1]",
        "E22: the best runs",
        STATISTICS,
    ),
    Mutant(
        "the interquartile mean trims a quarter in all",
        "evaluation/statistics.py",
        "low, high = 0.25 * up_to[-1], 0.75 * up_to[-1]",
        "low, high = 0.125 * up_to[-1], 0.875 * up_to[-1]",
        "25 % in all instead of 25 % at each end",
        STATISTICS,
    ),
    Mutant(
        "an interval over seeds resamples tasks alone",
        "evaluation/statistics.py",
        "return resamples.over_seeds(scores @ by_task / by_task.sum(0))",
        "return (scores @ by_task / by_task.sum(0)).mean(0)",
        "E23: thousands of tasks make a narrow interval, and say nothing of the next seed",
        STATISTICS,
    ),
    Mutant(
        "an interval of 95 % is one of 90 %",
        "evaluation/statistics.py",
        "tail = (1 - confidence) / 2",
        "tail = 1 - confidence",
        "5 % at each end",
        STATISTICS,
    ),
    Mutant(
        "few seeds spread as many do",
        "evaluation/statistics.py",
        "squares = 2 * gammaincinv((size - 1) / 2, chances)",
        "squares = np.full(half, size - 1.0)",
        "E23: the normal distribution instead of Student's t",
        STATISTICS,
    ),
    Mutant(
        "the standard error takes all trials for independent",
        "evaluation/statistics.py",
        "math.sqrt(max(of_seeds, of_tasks, of_seeds + of_tasks - twice))",
        "math.sqrt(scores.var(ddof=1) / scores.size)",
        "E23: the usual formula, in a crossed design",
        STATISTICS,
    ),
    Mutant(
        "a tie is an improvement",
        "evaluation/comparison_statistics.py",
        "(a > b) + 0.5 * (a == b)",
        "1.0 * (a >= b)",
        "an agent beats itself",
        COMPARISON,
    ),
    Mutant(
        "scores are normalized from the oracle to random",
        "evaluation/comparison_statistics.py",
        "return (returns - floor) / np.where(span > 0, span, np.nan)",
        "return (target - returns) / np.where(span > 0, span, np.nan)",
        "what is missing for what was reached",
        COMPARISON,
    ),
    Mutant(
        "the oracle is that of other tasks",
        "evaluation/comparison.py",
        "tasks, _ = encounters(family, num_tasks, seed)",
        "tasks, _ = encounters(family, num_tasks, seed + 1)",
        "E24: regret against the optimum of tasks that nobody met",
        ("tests/evaluation/test_comparison.py::test_E24_the_oracle_is_that_of_the_tasks_that_were_met",),
    ),
    Mutant(
        "a decoder's penalty is chosen by what it was fitted on",
        "evaluation/linear_probes.py",
        "/ (1 - influence)[:, None]) ** 2).mean(0))",
        "/ np.ones_like(influence)[:, None]) ** 2).mean(0))",
        "the error on training data is least without any penalty",
        ("tests/evaluation/test_linear_probes.py",),
    ),
    Mutant(
        "the memory is decoded in the tasks of the fit",
        "evaluation/inspection.py",
        "decoded = fit_decoder(x, features.train)(y)",
        "decoded = fit_decoder(y, features.test)(y)",
        "E21: R² of the training set",
        ("tests/evaluation/test_inspection.py",),
    ),
    Mutant(
        "the meta-gradient of devices is their sum",
        "core/parallel.py",
        "means = jax.lax.pmean(",
        "means = jax.lax.psum(",
        "twice the devices, twice the learning rate",
        PARALLEL,
    ),
    Mutant(
        "devices share out tasks across minibatches",
        "core/parallel.py",
        "shares = x.reshape(groups, devices, each, *x.shape[1:])",
        "shares = jax.numpy.swapaxes(x.reshape(devices, groups, each, *x.shape[1:]), 0, 1)",
        "E20: another number of devices is another experiment",
        PARALLEL,
    ),
    Mutant(
        "devices' steps are joined instead of their gradients",
        "optimization/minibatches.py",
        """\
        gradient = parallel.mean(gradient)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes its integer counter with floats
            updates, opt_state = optimizer.update(gradient, opt_state, parameters)
""",
        """\
        with jax.numpy_dtype_promotion("standard"):  # optax mixes its integer counter with floats
            updates, opt_state = optimizer.update(gradient, opt_state, parameters)
        updates = parallel.mean(updates)
""",
        "Adam's step of a mean is not the mean of Adam's steps",
        ("tests/optimization/test_minibatches.py",),
    ),
    Mutant(
        "what is told of an update is told of the first of its chunk",
        "training/loop.py",
        "all_.at[index].set(x)",
        "all_.at[0].set(x)",
        "metrics of a chunk are those of its last update, and zeros",
        ("tests/training/test_loop.py",),
    ),
    Mutant(
        "an update with NaN is taken",
        "training/loop.py",
        "lambda new, old: old, new, state)",
        "lambda new, old: new, new, state)",
        "what was good is lost",
        ("tests/training/test_loop.py",),
    ),
    Mutant(
        "a checkpoint's checksum is not looked at",
        "runs/checkpoints.py",
        "if seals.digest_of(data) != digest:",
        "if not seals.digest_of(data):",
        "E27: a damaged state goes on",
        ("tests/runs/test_checkpoints.py",),
    ),
)
