"""Bugs in learners from scratch, in classical agents, and in the figures that all agents are judged by."""

from tests.mutants.mutant import Mutant

TABLES, DQN = (
    ("tests/algorithms/standard_rl/test_temporal_difference.py",),
    ("tests/algorithms/standard_rl/test_dqn.py",),
)
BUFFER = ("tests/core/test_replay_buffer.py",)
BANDITS, GITTINS = (
    ("tests/algorithms/classical/test_bandit_agents.py",),
    ("tests/algorithms/classical/test_gittins.py",),
)
TABULAR = ("tests/algorithms/classical/test_tabular_agents.py",)
TAUGHT = (
    "tests/algorithms/memory/test_meta_policy_gradient.py::"
    "test_E6_an_update_ascends_what_an_exploration_has_taught_more_than_others_of_its_task",
)

BUGS = (
    Mutant(
        "Q-learning learns from the mean of what comes after",
        "algorithms/standard_rl/temporal_difference.py",
        "jnp.max(self.after(table, step.index, transition)), ended, step.waiting)",
        "jnp.mean(self.after(table, step.index, transition)), ended, step.waiting)",
        "that is expected SARSA of a policy that is random",
        TABLES,
    ),
    Mutant(
        "SARSA is Q-learning",
        "algorithms/standard_rl/temporal_difference.py",
        "self.towards(table, table.pending, table.quality[t, s, a], jnp.asarray(False), pending)",
        "self.towards(table, table.pending, jnp.max(table.quality[t, s]), jnp.asarray(False), pending)",
        "the best action in the target instead of the one that is taken",
        TABLES,
    ),
    Mutant(
        "values after a terminal step are learned from",
        "algorithms/standard_rl/temporal_difference.py",
        "self.discount * jnp.where(ended, 0.0, value)",
        "self.discount * value",
        "the next episode's first state is taken for what comes after",
        TABLES,
    ),
    Mutant(
        "the value of what comes after is that of this time",
        "algorithms/standard_rl/temporal_difference.py",
        "time = jnp.minimum(index[0] + 1, table.quality.shape[0] - 1)",
        "time = jnp.minimum(index[0], table.quality.shape[0] - 1)",
        "E9: off by one in a table that knows the time left",
        TABLES,
    ),
    Mutant(
        "ε grows instead of falling",
        "algorithms/standard_rl/temporal_difference.py",
        "share = jnp.minimum(episodes / self.epsilon_episodes, 1.0)",
        "share = 1.0 - jnp.minimum(episodes / self.epsilon_episodes, 1.0)",
        "a schedule whose ends change places",
        TABLES,
    ),
    Mutant(
        "the target network is the network",
        "algorithms/standard_rl/dqn.py",
        "copied = steps % self.target_every == 0",
        "copied = steps >= 0",
        "a copy at every step is none",
        DQN,
    ),
    Mutant(
        "the target network is never updated",
        "algorithms/standard_rl/dqn.py",
        "copied = steps % self.target_every == 0",
        "copied = steps < 0",
        "learning goes on towards values of a network that knows nothing",
        DQN,
    ),
    Mutant(
        "double Q-learning is single",
        "algorithms/standard_rl/dqn.py",
        "best = jnp.argmax(network(batch.after) if self.double else after, -1)",
        "best = jnp.argmax(after, -1)",
        "the target network chooses the action that it values",
        DQN,
    ),
    Mutant(
        "the buffer draws places that nothing was written to",
        "core/replay_buffer.py",
        "(num,), 0, jnp.clip(self.count, 1, len(self.reward)))",
        "(num,), 0, len(self.reward))",
        "zeros count as experience until the memory is full",
        BUFFER,
    ),
    Mutant(
        "steps that never happened are put into the buffer",
        "core/replay_buffer.py",
        "jnp.where(valid, index % capacity, capacity)",
        "jnp.where(valid, index % capacity, index % capacity)",
        "idle time of a trial overwrites experience",
        BUFFER,
    ),
    Mutant(
        "a time limit is stored as a termination",
        "algorithms/standard_rl/dqn.py",
        "window.terminated,\n            window.valid",
        "window.terminated | window.truncated,\n            window.valid",
        "E11: `done` is stored, which is both",
        DQN,
    ),
    Mutant(
        "Thompson sampling counts successes as failures, too",
        "algorithms/classical/bandit_agents.py",
        "failures = statistics.pulls - statistics.total\n        return beta(",
        "failures = statistics.pulls\n        return beta(",
        "β is the number of pulls instead of failures",
        BANDITS,
    ),
    Mutant(
        "the normal posterior has its ratio of variances inverted",
        "algorithms/classical/bandit_agents.py",
        "return statistics.pulls + (self.noise / self.scale) ** 2",
        "return statistics.pulls + (self.scale / self.noise) ** 2",
        "with unit variances nothing shows",
        BANDITS,
    ),
    Mutant(
        "Gittins' horizon has one pull too few",
        "algorithms/classical/gittins.py",
        "remaining = jnp.maximum(self.num_pulls - jnp.sum(pulls), 1)",
        "remaining = jnp.maximum(self.num_pulls - jnp.sum(pulls) - 1, 1)",
        "E9: off by one, which costs hundredths of a reward",
        GITTINS,
    ),
    Mutant(
        "Gittins discounts what comes after",
        "algorithms/classical/gittins.py",
        "np.maximum(value, 0, out=after_failure)",
        "np.maximum(0.95 * value, 0, out=after_failure)",
        "the index of endless, discounted bandits, where pulls are numbered and count alike",
        GITTINS,
    ),
    Mutant(
        "a reward is booked to the state that it led to",
        "algorithms/classical/tabular_agents.py",
        "counts = count(memory.counts, memory.state, timestep)",
        "counts = count(memory.counts, timestep.observation, timestep)",
        "E12: the previous action with the present observation",
        TABULAR,
    ),
    Mutant(
        "a reset is counted as a transition",
        "algorithms/classical/tabular_agents.py",
        "after = jnp.where(timestep.first, 0.0, jax.nn.one_hot(timestep.observation, num_states))",
        "after = jax.nn.one_hot(timestep.observation, num_states)",
        "E9: the first state of an episode follows from the last of the one before",
        TABULAR,
    ),
    Mutant(
        "an explorer is paid for what it has spoilt",
        "algorithms/memory/meta_policy_gradient.py",
        "gain = (after - before).reshape(-1, self.replicas)",
        "gain = (before - after).reshape(-1, self.replicas)",
        "a sign",
        TAUGHT,
    ),
    Mutant(
        "an explorer is compared with explorers of other tasks",
        "algorithms/memory/meta_policy_gradient.py",
        "others = (jnp.sum(gain, 1, keepdims=True) - gain) / (self.replicas - 1)",
        "others = jnp.mean(gain)",
        "E6: an easy task is taken for good exploring",
        TAUGHT,
    ),
)
