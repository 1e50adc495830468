"""Bugs in how agents go through trials and remember: boundaries, inputs, keys, memories, problems."""

from tests.mutants.mutant import Mutant

ROLLOUT = ("tests/core/test_rollout.py",)
RL2, RL2_UPDATE = ("tests/algorithms/memory/test_rl2.py",), ("tests/algorithms/memory/test_rl2_update.py",)
RECURRENT, SPACES = ("tests/networks/memory/test_recurrent.py",), ("tests/core/test_spaces.py",)

BUGS = (
    Mutant(
        "memory is lost when an episode ends",
        "core/rollout.py",
        "return replace(state, env_state=env_state, timestep=timestep, active=active)",
        "due = (clock + 1) % problem.env.horizon == 0\n"
        "    memory = jax.tree.map(lambda x: jnp.where(due, jnp.zeros_like(x), x), state.memory)\n"
        "    return replace(state, memory=memory, env_state=env_state, timestep=timestep, active=active)",
        "E8: the memory of RL² is reset with the environment",
        ROLLOUT,
    ),
    Mutant(
        "the previous action is forgotten when an episode begins",
        "core/rollout.py",
        "return env_state, TimeStep(observation, timestep.action, timestep.reward, yes), yes",
        "return env_state, TimeStep(observation, problem.env.action_space.null(), timestep.reward, yes), yes",
        "E12: what the last action of an episode has brought is not known to be its doing",
        ROLLOUT,
    ),
    Mutant(
        "a trial begins with a reward",
        "core/rollout.py",
        "timestep = TimeStep(observation, problem.env.action_space.null(), jnp.zeros(()), jnp.asarray(True))",
        "timestep = TimeStep(observation, problem.env.action_space.null(), jnp.ones(()), jnp.asarray(True))",
        "E12: the previous reward is not 0 where there was none",
        ROLLOUT,
    ),
    Mutant(
        "an episode begins one step late",
        "core/rollout.py",
        "body = jax.lax.cond((clock + 1) % problem.env.horizon == 0, reset, lambda body: body, body)",
        "body = jax.lax.cond(clock % problem.env.horizon == 0, reset, lambda body: body, body)",
        "E9: off by one",
        ROLLOUT,
    ),
    Mutant(
        "both terminated and truncated",
        "core/rollout.py",
        "active & last & ~terminated,",
        "active & last,",
        "E11: the last step of an episode that ends just in time",
        ROLLOUT,
    ),
    Mutant(
        "one key for all episodes' starts",
        "core/rollout.py",
        "problem.env.reset(task, jax.random.fold_in(key, clock))",
        "problem.env.reset(task, key)",
        "E20: all episodes of a window begin in the same place",
        ROLLOUT,
    ),
    Mutant(
        "the agent and its environment share their keys",
        "core/rollout.py",
        "env_keys = jax.random.split(env_key, (steps, num_envs))",
        "env_keys = jax.random.split(agent_key, (steps, num_envs))",
        "E20: what is drawn for an action is what is drawn for its outcome",
        ROLLOUT,
    ),
    Mutant(
        "one key for all windows",
        "core/rollout.py",
        "rollout_key, adapt_key = jax.random.split(jax.random.fold_in(trial_key, index))",
        "rollout_key, adapt_key = jax.random.split(trial_key)",
        "E20: every inner step meets the same luck",
        ROLLOUT,
    ),
    Mutant(
        "one inner step too few",
        "core/rollout.py",
        "agent = jax.lax.cond(index < windows - 1, learn, lambda agent: agent, agent)",
        "agent = jax.lax.cond(index < windows - 2, learn, lambda agent: agent, agent)",
        "E4: the last window is acted in by the policy before",
        ROLLOUT,
    ),
    Mutant(
        "evaluation episodes are learned from",
        "core/rollout.py",
        "state.adapted, evaluation_key, explore=evaluation_explores\n            )",
        "state.adapted, evaluation_key, explore=evaluation_explores\n            )\n"
        "            agent = AgentState(state.adapted, state.memory)\n"
        "            learned = algorithm.adapt(meta, agent, evaluated, evaluation_key).adapted\n"
        "            state = replace(state, adapted=learned)",
        "E26: looking changes what is looked at",
        ROLLOUT,
    ),
    Mutant(
        "evaluation episodes do not say that an episode begins",
        "core/rollout.py",
        "fresh = replace(fresh, adapted=adapted)",
        "seen = replace(fresh.timestep, first=~fresh.active)\n"
        "    fresh = replace(fresh, adapted=adapted, timestep=seen)",
        "E15: an agent that counts its steps goes on counting",
        ROLLOUT,
    ),
    Mutant(
        "RL²'s return stops at an episode's end",
        "algorithms/memory/rl2.py",
        "ended=jnp.broadcast_to(last_step, values.shape),",
        "ended=jnp.broadcast_to(last_step, values.shape) | trajectory.terminated | trajectory.truncated,",
        "E10: nobody explores for an episode that does not count",
        RL2_UPDATE,
    ),
    Mutant(
        "every update sees the same tasks",
        "core/experience.py",
        "keys = jax.random.split(jax.random.fold_in(state.key, state.step), (num_tasks, num_keys))",
        "keys = jax.random.split(state.key, (num_tasks, num_keys))",
        "E20: a key that nobody folds the step into",
        RL2_UPDATE,
    ),
    Mutant(
        "a task and the trial in it share a key",
        "core/meta_learner.py",
        "jax.vmap(trial, out_axes=1)(tasks, keys[:, 1])",
        "jax.vmap(trial, out_axes=1)(tasks, keys[:, 0])",
        "E20: a key used twice, so that a task's parameters and its luck may be the same numbers",
        RL2_UPDATE,
    ),
    Mutant(
        "rewards enter raw",
        "algorithms/memory/rl2.py",
        "reward = jnp.clip(timestep.reward / self.reward.std, -REWARD_BOUND, REWARD_BOUND)[..., None]",
        "reward = jnp.clip(timestep.reward, -REWARD_BOUND, REWARD_BOUND)[..., None]",
        "E13: RL² does not learn where rewards are large",
        RL2,
    ),
    Mutant(
        "recomputing pairs an outcome with the present state",
        "algorithms/memory/rl2.py",
        "return jnp.where(valid[:, None], observation, last), last",
        "return jnp.where(valid[:, None], observation, last), observation",
        "E9: inputs while learning are not those while acting",
        RL2,
    ),
    Mutant(
        "the critic's target is in other units than its output",
        "algorithms/memory/rl2.py",
        "targets = ((advantages + values) / remaining - meta.reward.mean) / meta.reward.std",
        "targets = (advantages + values) / remaining",
        "a normaliser that is applied to the prediction and not to the target",
        RL2_UPDATE,
    ),
    Mutant(
        "idle steps change the memory in the learner",
        "networks/memory/recurrent.py",
        "    if valid is None:\n        return new\n",
        "    if True:\n        return new\n",
        "E9: padding is fed to the memory while learning, and was not while acting",
        RECURRENT,
    ),
    Mutant(
        "the LSTM's gates change places",
        "networks/memory/recurrent.py",
        "i, f, o, g = jnp.split(from_input + from_hidden, 4, -1)",
        "f, i, o, g = jnp.split(from_input + from_hidden, 4, -1)",
        "E30: two libraries order the gates in two ways; biases meant to remember make it forget",
        RECURRENT,
    ),
    Mutant(
        "no action is the first action",
        "core/spaces.py",
        "return jnp.asarray(-1, jnp.int32)",
        "return jnp.asarray(0, jnp.int32)",
        "E12: a trial begins as if action 0 had just been taken for nothing",
        SPACES,
    ),
    Mutant(
        "splits overlap: tasks are not stamped",
        "core/problem.py",
        "return stamp(self.draw(draw_key), self.split, stamp_key)",
        "return self.draw(draw_key)",
        "E21: training tasks may come up in the evaluation",
        ("tests/problems/test_conformance.py::test_E21_train_validation_and_test_tasks_are_disjoint",),
    ),
    Mutant(
        "splits overlap: all stamps are those of training",
        "core/problem.py",
        "marks = jnp.asarray(SPLITS[split], jnp.int32)",
        'marks = jnp.asarray(SPLITS["train"], jnp.int32)',
        "E21: the split is an argument that nobody reads",
        ("tests/core/test_problem.py",),
    ),
    Mutant(
        "cart-pole moves by the new velocities",
        "problems/cart_poles.py",
        "derivative = jnp.stack([velocity, acceleration, spin, angle_acceleration])",
        "velocity, spin = velocity + TIME_STEP * acceleration, spin + TIME_STEP * angle_acceleration\n"
        "        derivative = jnp.stack([velocity, acceleration, spin, angle_acceleration])",
        "E28: another integrator than in the original",
        ("tests/problems/test_cart_poles.py",),
    ),
    Mutant(
        "the point robot is paid for where it was",
        "problems/point_robots.py",
        "left = position - task.position",
        "left = state - task.position",
        "E9, E28: the reward of the position before the move",
        ("tests/problems/test_point_robots.py",),
    ),
)
