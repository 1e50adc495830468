"""Bugs that people really make in meta-reinforcement learning, one at a time, to be caught by the tests.

Each replaces a piece of source that occurs exactly once. They were chosen by what goes wrong in public code and papers
(the names in brackets), not by what is tested here.
"""

from typing import NamedTuple


class Mutant(NamedTuple):
    """One bug.

    Attributes:
        name: What it is.
        file: Where, under src/adaptax.
        old: The source as it is.
        new: The source with the bug.
        tests: Where it should be caught: arguments of pytest, files first, to keep the run short.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


LOSSES, DISTRIBUTIONS = ("tests/test_losses.py",), ("tests/test_distributions.py",)
INNER = ("tests/algorithms/test_maml.py", "tests/gradient_based", "tests/selftests/test_exactness.py")
RL2 = ("tests/algorithms/test_rl2_update.py", "tests/algorithms/test_rl2.py")
ROLLOUT = ("tests/test_rollout.py", "tests/algorithms/test_rl2.py")
EVALUATION = ("tests/test_evaluation.py",)
TABLES = ("tests/algorithms/test_temporal_difference.py",)
BANDITS = ("tests/algorithms/test_bandit_agents.py",)

MUTANTS = (
    Mutant(
        "stop-gradient too many: second order is first order (E2)",
        "inner.py",
        "if first_order:",
        "if True:",
        ("tests/test_inner.py", "tests/test_few_shot.py", *INNER),
    ),
    Mutant(
        "the inner step climbs the loss instead of descending it",
        "gradient_based/inner_loop.py",
        "return -jnp.mean(gain)",
        "return jnp.mean(gain)",
        INNER,
    ),
    Mutant(
        "advantages of the inner step are differentiated (E6)",
        "gradient_based/inner_loop.py",
        "return jax.lax.stop_gradient(advantages)",
        "return advantages",
        ("tests/algorithms/test_maml.py", "tests/gradient_based"),
    ),
    Mutant(
        "judged by the data before adaptation (E1b)",
        "gradient_based/inner_loop.py",
        "last = self.log_probs(meta.theta, agent.adapted.parameters, part(-1), agent.adapted.steps)",
        "last = self.log_probs(meta.theta, agent.adapted.parameters, part(-2), agent.adapted.steps)",
        INNER,
    ),
    Mutant(
        "the baseline is fitted on what it predicts (E6)",
        "baselines.py",
        "others = lambda x: jnp.sum(x, 0, keepdims=True) - x  # noqa: E731",
        "others = lambda x: jnp.sum(x, 0, keepdims=True) + 0 * x  # noqa: E731",
        ("tests/test_baselines.py",),
    ),
    Mutant(
        "LVC without the ratio is the biased surrogate (E1)",
        "estimators.py",
        "return jnp.exp(log_probs - old_log_probs) * advantages",
        "return log_probs * advantages",
        ("tests/test_estimators.py",),
    ),
    Mutant(
        "DiCE forgets what led here (E1c)",
        "estimators.py",
        "before = gae_lambda * before\n",
        "before = 0 * before\n",
        ("tests/test_estimators.py",),
    ),
    Mutant(
        "the sign of the log-ratio",
        "losses.py",
        "ratio = jnp.exp(log_probs - old_log_probs)",
        "ratio = jnp.exp(old_log_probs - log_probs)",
        LOSSES,
    ),
    Mutant(
        "PPO's minimum is a maximum: nothing is clipped that should be",
        "losses.py",
        "return jnp.minimum(ratio * advantages,",
        "return jnp.maximum(ratio * advantages,",
        LOSSES,
    ),
    Mutant(
        "a time limit counts as a termination (E11)",
        "losses.py",
        "next_value = jnp.where(ended, 0.0, jnp.where(cut, bootstrap, next_value))",
        "next_value = jnp.where(ended, 0.0, jnp.where(cut, 0.0, next_value))",
        LOSSES,
    ),
    Mutant(
        "advantages run on through the end of what is to be maximised (E10)",
        "losses.py",
        "advantage = jnp.where(ended | cut, 0.0, advantage)",
        "advantage = jnp.where(cut, 0.0, advantage)",
        LOSSES,
    ),
    Mutant(
        "the discount is applied twice",
        "losses.py",
        "reward + discount * next_value - value",
        "reward + discount * discount * next_value - value",
        LOSSES,
    ),
    Mutant(
        "steps that never happened enter the loss",
        "losses.py",
        "return jnp.sum(jnp.where(mask, x, 0.0)) / jnp.maximum(count, 1.0)",
        "return jnp.sum(x) / jnp.maximum(count, 1.0)",
        LOSSES,
    ),
    Mutant(
        "RL²'s return stops at an episode's end (E10)",
        "algorithms/rl2.py",
        "ended=jnp.broadcast_to(last_step, values.shape),",
        "ended=jnp.broadcast_to(last_step, values.shape) | trajectory.terminated | trajectory.truncated,",
        RL2,
    ),
    Mutant(
        "log-densities are means over dimensions (E5)",
        "distributions.py",
        "return jnp.sum(-0.5 * z**2 - self.log_std - _LOG_SQRT_2PI, -1)",
        "return jnp.mean(-0.5 * z**2 - self.log_std - _LOG_SQRT_2PI, -1)",
        DISTRIBUTIONS,
    ),
    Mutant(
        "the divergence is the other way round",
        "distributions.py",
        "return jnp.sum(jnp.exp(log_p) * (log_p - log_q), -1)",
        "return jnp.sum(jnp.exp(log_q) * (log_q - log_p), -1)",
        DISTRIBUTIONS,
    ),
    Mutant(
        "memory is lost when an episode ends (E8)",
        "rollout.py",
        "return Life(life.adapted, life.memory, *body)",
        "due = (clock + 1) % problem.env.horizon == 0\n"
        "    memory = jax.tree.map(lambda x: jnp.where(due, jnp.zeros_like(x), x), life.memory)\n"
        "    return Life(life.adapted, memory, *body)",
        ROLLOUT,
    ),
    Mutant(
        "the previous action is forgotten when an episode begins (E12)",
        "rollout.py",
        "return env_state, TimeStep(observation, timestep.action, timestep.reward, yes), yes",
        "return env_state, TimeStep(observation, problem.env.action_space.null(), timestep.reward, yes), yes",
        ROLLOUT,
    ),
    Mutant(
        "an episode begins one step late (E9)",
        "rollout.py",
        "body = jax.lax.cond((clock + 1) % problem.env.horizon == 0, reset, lambda body: body, body)",
        "body = jax.lax.cond(clock % problem.env.horizon == 0, reset, lambda body: body, body)",
        ROLLOUT,
    ),
    Mutant(
        "both terminated and truncated",
        "rollout.py",
        "timestep, action, reward, terminated, active & last & ~terminated, step.observation, aux, active",
        "timestep, action, reward, terminated, active & last, step.observation, aux, active",
        ROLLOUT,
    ),
    Mutant(
        "one key for all episodes' starts (E20)",
        "rollout.py",
        "problem.env.reset(task, jax.random.fold_in(key, clock))",
        "problem.env.reset(task, key)",
        ("tests/test_rollout.py", "tests/envs", "tests/algorithms/test_conformance.py"),
    ),
    Mutant(
        "the evaluation's probes learn",
        "rollout.py",
        "life, lived = jax.lax.scan(one_window, life, indices)\n        return life, (lived, probed)",
        "life, lived = jax.lax.scan(one_window, life, indices)\n"
        "        more = one_window(life, indices[-1])[0]\n        return more, (lived, probed)",
        ("tests/test_rollout.py", "-m", "slow or not slow"),
    ),
    Mutant(
        "training tasks in the evaluation (E21)",
        "evaluation.py",
        "encounters(problem.test if family is None else family, num_tasks, seed)",
        "encounters(problem.train if family is None else family, num_tasks, seed)",
        EVALUATION,
    ),
    Mutant(
        "splits overlap: tasks are not stamped (E21)",
        "envs/base.py",
        "return stamp(self.draw(draw_key), self.split, stamp_key)",
        "return self.draw(draw_key)",
        ("tests/envs/test_base.py", "tests/envs/test_bandit.py", "tests/envs/test_conformance.py"),
    ),
    Mutant(
        "every update sees the same tasks (E20)",
        "algorithms/rl2.py",
        "keys = jax.random.split(jax.random.fold_in(state.key, state.step), (self.num_tasks, 2))",
        "keys = jax.random.split(state.key, (self.num_tasks, 2))",
        ("tests/algorithms/test_rl2_update.py", "-m", "slow or not slow", "-k", "E20 or fresh or distinct"),
    ),
    Mutant(
        "a task and the life in it share a key (E20)",
        "algorithms/rl2.py",
        "trajectory = collect(self, problem, meta, tasks, keys[:, 1])",
        "trajectory = collect(self, problem, meta, tasks, keys[:, 0])",
        ("tests/algorithms/test_rl2_update.py", "tests/algorithms/test_rl2.py", "-m", "slow or not slow", "-k", "E20"),
    ),
    Mutant(
        "Q-learning learns from the mean of what comes after",
        "algorithms/temporal_difference.py",
        "jnp.max(self.after(table, step.index, transition)), ended, step.waiting)",
        "jnp.mean(self.after(table, step.index, transition)), ended, step.waiting)",
        TABLES,
    ),
    Mutant(
        "values after a terminal step are learned from",
        "algorithms/temporal_difference.py",
        "self.discount * jnp.where(ended, 0.0, value)",
        "self.discount * value",
        TABLES,
    ),
    Mutant(
        "ε grows instead of falling",
        "algorithms/temporal_difference.py",
        "share = jnp.minimum(episodes / self.epsilon_episodes, 1.0)",
        "share = 1.0 - jnp.minimum(episodes / self.epsilon_episodes, 1.0)",
        TABLES,
    ),
    Mutant(
        "the target network is the network",
        "algorithms/dqn.py",
        "copied = steps % self.target_every == 0",
        "copied = steps >= 0",
        ("tests/algorithms/test_dqn.py",),
    ),
    Mutant(
        "replay draws places that nothing was written to",
        "algorithms/dqn.py",
        "(self.batch_size,), 0, jnp.clip(memory.count, 1, self.buffer_size))",
        "(self.batch_size,), 0, self.buffer_size)",
        ("tests/algorithms/test_dqn.py",),
    ),
    Mutant(
        "Thompson sampling counts successes as failures, too",
        "algorithms/bandit_agents.py",
        "failures = statistics.pulls - statistics.total\n        return beta(",
        "failures = statistics.pulls\n        return beta(",
        BANDITS,
    ),
    Mutant(
        "the interquartile mean is of the upper half",
        "statistics.py",
        "low, high = 0.25 * up_to[-1], 0.75 * up_to[-1]",
        "low, high = 0.5 * up_to[-1], up_to[-1]",
        ("tests/test_statistics.py",),
    ),
    Mutant(
        "an interval over seeds resamples tasks alone",
        "statistics.py",
        "return (by_seed * (scores @ by_task)).sum(0) / (by_seed.sum(0) * by_task.sum(0))",
        "return (scores @ by_task).mean(0) / by_task.sum(0)",
        ("tests/test_statistics.py",),
    ),
    Mutant(
        "the meta-gradient of devices is their sum",
        "parallel.py",
        "return jax.lax.pmean(tree, AXIS) if num_devices() > 1 else tree",
        "return jax.lax.psum(tree, AXIS) if num_devices() > 1 else tree",
        ("tests/test_parallel.py",),
    ),
    Mutant(
        "an update with NaN is taken",
        "training.py",
        "jnp.where(sound, new, old), new, state)",
        "jnp.where(sound, new, new), new, state)",
        ("tests/test_training.py", "tests/test_checkpoints.py"),
    ),
    Mutant(
        "a checkpoint's checksum is not looked at",
        "checkpoints.py",
        "if _digest(data) != digest:",
        "if not _digest(data):",
        ("tests/test_checkpoints.py",),
    ),
)
