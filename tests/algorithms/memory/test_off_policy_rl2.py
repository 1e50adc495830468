"""Off-policy RL²: what it keeps, what critics are to say, the fixed point of its losses, and what changes nothing."""

import dataclasses
import functools
import itertools
from typing import get_args, get_origin

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import OffPolicyRL2
from adaptax.algorithms.memory.off_policy_settings import OffPolicyRL2Settings
from adaptax.algorithms.memory.soft_learner import Learned, Replayed, places_of
from adaptax.algorithms.memory.soft_losses import Judged
from adaptax.core import parallel
from adaptax.core.errors import UseError
from adaptax.core.experience import Experience
from adaptax.core.rollout import evaluate_trial
from adaptax.core.types import TimeStep, Transition, replace
from adaptax.networks.memory import transformer
from adaptax.optimization import soft_actor_critic
from adaptax.optimization.moments import Moments
from adaptax.problems import bernoulli_bandit, point_robot
from adaptax.problems.bandit import BernoulliArms
from adaptax.runs import checkpoints
from tests.sample_problems import clockwork, odd_bandit, quick_jit, random_state, same, train
from tests.shops import shops

TINY = {
    "memory_size": 4, "policy_size": 4, "critic_size": 4, "num_tasks": 4, "num_updates": 10, "batch_size": 4,
    "buffer_size": 6, "replay_ratio": 2,
}  # fmt: skip
GREEDY = {name: value for name, value in TINY.items() if name != "critic_size"} | {"learner": "q-learning"}
bandit = functools.partial(bernoulli_bandit, 2, 3)
robot = functools.partial(point_robot, num_episodes=2, horizon=2)
ending = functools.partial(clockwork, horizon=3, episodes=2, num_actions=2)


@functools.cache
def _updated(algorithm, problem, num_updates=2):
    """State and metrics after some updates."""
    return train(algorithm, problem, num_updates)


# ---------------------------------------------------------------- what it keeps


@pytest.mark.compiles
@pytest.mark.parametrize("make", [bandit, robot, ending], ids=["bandit", "robot", "early ends"])
def test_trials_go_into_the_buffer_whole_and_the_newest_stay(make):
    problem, algorithm = make(), OffPolicyRL2(**TINY)
    state = random_state(algorithm, problem)
    update = quick_jit(lambda state: (algorithm.update(problem, state)[0], algorithm.collect(problem, state)))
    seen = []
    for _ in range(2):
        state, experience = update(state)
        seen.append(experience.trajectory)
    buffer = state.opt_state.buffer
    assert buffer.count == 8
    rewards = np.concatenate([x.reward[:, :, 0] for x in seen], 1).T
    np.testing.assert_array_equal(buffer.trials.steps.reward, rewards[[6, 7, 2, 3, 4, 5]])
    actions = np.concatenate([x.timestep.action[:, :, 0] for x in seen], 1).swapaxes(0, 1)
    np.testing.assert_array_equal(buffer.trials.steps.timestep.action, actions[[6, 7, 2, 3, 4, 5]])
    assert (buffer.trials.steps.valid is None) == (not problem.env.ends_early)


@pytest.mark.compiles
def test_E27_from_a_checkpoint_it_goes_on_bitwise_with_the_trials_that_it_had(tmp_path):
    problem, algorithm = ending(), OffPolicyRL2(**TINY)
    update = quick_jit(lambda state: algorithm.update(problem, state)[0])
    state = update(random_state(algorithm, problem))
    about = {"algorithm": "off-policy-rl2", "settings": {}, "options": {}}
    checkpoints.save(tmp_path, state, update=1, about=about)
    again = checkpoints.newest(tmp_path, jax.eval_shape(lambda: state), about, pytest.fail).state
    assert again.opt_state.buffer.count == 4
    assert same(again, state)
    assert same(update(again), update(state))


DEEP = {"memory_layers": 2, "memory_heads": 2, "memory_window": 3}
MEMORIES = {
    "lstm": {}, "symmetric": {}, "lru": {"memory_layers": 2}, "transformer": DEEP, "blocks": DEEP,
    "memax:ffm": {"memory_layers": 2},
}  # fmt: skip


@pytest.mark.compiles
@pytest.mark.parametrize("memory", MEMORIES)
def test_E9_what_is_learned_from_is_what_has_acted(memory, monkeypatch):
    if memory.startswith("memax"):
        pytest.importorskip("memax")
    problem = bernoulli_bandit(3, 7)
    if memory == "blocks":  # as whole trials are attended to that have more than 256 steps
        monkeypatch.setattr(transformer, "WHOLE", 2)
        monkeypatch.setattr(transformer, "BLOCK", 3)
    algorithm = OffPolicyRL2("transformer" if memory == "blocks" else memory, **TINY, **MEMORIES[memory])
    state = random_state(algorithm, problem)

    @quick_jit
    def both(state):
        trajectory = jax.tree.map(lambda x: x.squeeze(2), algorithm.collect(problem, state).trajectory)
        hidden, policy = algorithm.recompute(state.meta, trajectory)
        return trajectory.aux, {"hidden": hidden, "log_prob": policy.log_prob(trajectory.action)}

    acted, recomputed = both(state)
    for name in acted:
        np.testing.assert_allclose(acted[name], recomputed[name], rtol=1e-4, atol=1e-5)


def test_memories_have_the_layers_heads_and_window_that_are_asked_for():
    algorithm = OffPolicyRL2("transformer", "transformer", **TINY, **DEEP)
    state = jax.eval_shape(lambda key: algorithm.init(bandit(), key), jax.random.key(0))
    for network in (state.meta.network, state.opt_state.critic, state.opt_state.target):
        assert [(x.attention.heads, x.attention.window) for x in network.memory.layers] == [(2, 3), (2, 3)]


# ---------------------------------------------------------------- what critics are to say


def _targets(problem, reward, valid=None, clock=None, terminated=None, **settings):
    """Targets where values are (10, 20, 30, 40), entropies (1, 2, 3, 4), α = ½, rewards' deviation 2 and center 1."""
    algorithm = OffPolicyRL2(**TINY, discount=0.5, **settings)
    shapes = jax.eval_shape(lambda key: algorithm.init(problem, key), jax.random.key(0)).meta
    moments = Moments(jnp.ones(()), jnp.asarray(3.0), jnp.asarray(4.0))
    meta = replace(shapes, reward=moments, reward_center=jnp.asarray(1.0))
    column = lambda *x: jnp.asarray(x)[:, None]  # noqa: E731
    values, entropy = column(10.0, 20.0, 30.0, 40.0), column(1.0, 2.0, 3.0, 4.0)
    judged = Judged(values, entropy, jnp.zeros((4, 1)), (jnp.zeros(()), jnp.zeros(())))
    in_stream = {} if clock is None else {"clock": jnp.asarray(clock)[:, None]}
    ended = None if terminated is None else column(*terminated)
    steps = Transition(None, None, column(*reward), ended, None, None, None, valid, **in_stream)  # type: ignore[arg-type]
    places = places_of(problem, steps, 0.5)
    return algorithm._targets(problem, meta, steps, places, judged, jnp.asarray(0.5))[:, 0]


def test_E10_E11_targets_of_a_trial_of_two_episodes_by_hand():
    problem = clockwork(horizon=2, episodes=2, ends_early=False, num_actions=2)
    # In deviations: (0, 1, 2, 3). The end of the first episode, after two steps, is none.
    one = _targets(problem, (1.0, 3.0, 5.0, 7.0), num_steps=1)
    np.testing.assert_allclose(one, [0 + 20 / 2, 1 + 30 / 2, 2 + 40 / 2, 3])
    two = _targets(problem, (1.0, 3.0, 5.0, 7.0), num_steps=2)
    np.testing.assert_allclose(two, [0 + (1 + 1) / 2 + 30 / 4, 1 + (2 + 1.5) / 2 + 40 / 4, 2 + (3 + 2) / 2, 3])


def test_where_episodes_end_early_rewards_are_compared_with_nothing():
    valid = jnp.asarray([[True], [False], [True], [True]])
    targets = _targets(clockwork(horizon=2, episodes=2, num_actions=2), (2.0, 0.0, 4.0, 6.0), valid, num_steps=1)
    np.testing.assert_allclose(targets, [1 + 30 / 2, 0, 2 + 40 / 2, 3])


def test_E10_E11_where_trials_follow_each_other_nothing_comes_after_one_and_what_is_cut_off_is_estimated():
    problem = clockwork(horizon=2, episodes=2, num_actions=2)
    # An episode of one step, one of two: that is a trial. Then an episode goes on where the stream is cut off.
    ends, clock, rewards = (True, False, False, False), (0, 2, 3, 0), (2.0, 4.0, 6.0, 8.0)
    one = _targets(problem, rewards, clock=clock, terminated=ends, num_steps=1)
    np.testing.assert_allclose(one, [1 + 20 / 2, 2 + 30 / 2, 3, 0])  # an episode's end is none; a trial's is
    three = _targets(problem, rewards, clock=clock, terminated=ends, num_steps=3)
    np.testing.assert_allclose(three, [1 + (2 + 1) / 2 + (3 + 1.5) / 4, 2 + (3 + 1.5) / 2, 3, 0])
    # The same clocks, but the third step goes on in the same episode, whose value at the cut stands for the rest.
    two = _targets(problem, rewards, clock=(0, 1, 2, 2), terminated=(False,) * 4, num_steps=2)
    np.testing.assert_allclose(two[:3], [1 + (2 + 1) / 2 + 30 / 4, 2 + (3 + 1.5) / 2 + 40 / 4, 3 + 40 / 2])


@pytest.mark.compiles
def test_in_streams_no_step_is_idle_and_acting_is_recomputed_over_the_ends_of_trials():
    problem, algorithm = ending(), OffPolicyRL2(**TINY)
    state = random_state(algorithm, problem)

    @quick_jit
    def both(state):
        experience = algorithm.collect(problem, state)
        trajectory = jax.tree.map(lambda x: x.squeeze(2), experience.trajectory)
        kept = algorithm._replayed(problem, state.meta, trajectory, experience.tasks).steps
        steps = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), kept)
        return trajectory, steps.clock, algorithm.recompute(state.meta, steps)[0]

    trajectory, clock, hidden = both(state)
    assert trajectory.valid.all()
    assert (np.asarray(clock)[1:] == 0).any()
    np.testing.assert_allclose(hidden, trajectory.aux["hidden"], rtol=1e-4, atol=1e-5)
    _, metrics = _updated(algorithm, problem)
    assert (np.asarray(metrics["env_steps"]) == algorithm.update_steps(problem)).all()


# ---------------------------------------------------------------- the fixed point

ARMS = ((0.25, 0.75), (0.75, 0.25))
"""Two tasks, equally probable; a trial has two pulls."""
TEMPERATURE = 0.2


def _every_trial():
    """All trials of uniform actions, each as often as it is probable: task, a₀, r₀, a₁, r₁, `[trial, 5]`."""
    rows = []
    for task, *played in itertools.product(range(2), range(2), range(2), range(2), range(2)):
        chances = [ARMS[task][a] if r else 1 - ARMS[task][a] for a, r in (played[:2], played[2:])]
        rows += [(task, *played)] * round(16 * chances[0] * chances[1])
    assert len(rows) == 128
    return np.asarray(rows)


def _experience():
    task, first, paid, second, then = jnp.asarray(_every_trial()).T
    stack = lambda *x: jnp.stack(x)[:, :, None]  # noqa: E731
    yes = jnp.ones((2, 128, 1), bool)
    paid = paid.astype(jnp.float32)
    before = stack(jnp.full(128, -1), first).astype(jnp.int32), stack(jnp.zeros(128), paid)
    nothing = jnp.zeros((2, 128, 1, 0))
    steps = TimeStep(nothing, *before, yes)
    action, reward = stack(first, second).astype(jnp.int32), stack(paid, then.astype(jnp.float32))
    trajectory = Transition(steps, action, reward, yes, ~yes, nothing, None, yes)
    return Experience(BernoulliArms(jnp.asarray(ARMS)[task]), trajectory)


def _soft_values(temperature, discount):
    """Q in deviations of rewards by induction over what is known: of the first pull, `[action]`; of h₁ = (a₀, r₀)."""
    second, first = np.zeros((2, 2, 2)), np.zeros(2)
    for a, r in itertools.product(range(2), range(2)):
        likelihood = np.asarray([p[a] if r else 1 - p[a] for p in ARMS])
        second[a, r] = (likelihood / likelihood.sum() @ np.asarray(ARMS) - 0.5) / 0.5
    value = temperature * np.log(np.exp(second / temperature).sum(-1))
    for a in range(2):
        first[a] = discount * value[a].mean()  # either reward is as probable, and worth 0 on average
    return first, second


LONG = {
    "memory_size": 8, "policy_size": 0, "num_tasks": 128, "batch_size": 128, "buffer_size": 128, "num_updates": 60,
    "replay_ratio": 50, "num_steps": 1, "discount": 0.9, "learning_rate": 1e-2, "polyak": 0.1,
}  # fmt: skip


def _at_the_fixed_point(algorithm):
    """The state after learning from all trials for long, those trials, and which each was."""
    problem, experience = bernoulli_bandit(2, 2), _experience()
    state = jax.jit(lambda key: algorithm.init(problem, key))(jax.random.key(0))
    moments = Moments(jnp.asarray(1e6), jnp.asarray(0.5), jnp.asarray(0.25))  # of all trials, so they stay
    state = replace(state, meta=replace(state.meta, reward=moments, reward_center=jnp.asarray(0.5)))
    learn, log_temperature = jax.jit(lambda state: algorithm.learn(problem, state, experience)[0]), jnp.log(TEMPERATURE)
    for _ in range(algorithm.num_updates):
        if state.opt_state.critic is not None:  # the temperature is kept where it is, but for an update at a time
            state = replace(state, opt_state=replace(state.opt_state, log_temperature=log_temperature))
        state = learn(state)
    steps = jax.tree.map(lambda x: x[:, :, 0], replace(experience.trajectory, aux=None))
    return state, steps, places_of(problem, steps, algorithm.discount), *_every_trial()[:, 1:3].T


@pytest.mark.compiles
@pytest.mark.parametrize("critic_loss", ["squared", "two-hot"])
def test_the_fixed_point_is_that_of_soft_value_iteration_over_histories(critic_loss):
    algorithm = OffPolicyRL2(**LONG, critic_size=16, informed_critic=False, critic_loss=critic_loss)
    state, steps, places, a, r = _at_the_fixed_point(algorithm)
    critic = state.opt_state.critic
    hidden = algorithm.recall(replace(state.meta, network=critic), steps)
    outputs = critic(hidden, jnp.zeros((128, 0)), places.time)
    said = np.mean([algorithm._scale.values(x, places.remaining) for x in outputs], 0)
    log_probs = np.asarray(algorithm.recompute(state.meta, steps)[1].log_probs())
    first, second = _soft_values(TEMPERATURE, 0.9)
    np.testing.assert_allclose(said[0], np.broadcast_to(first, (128, 2)), atol=0.04)
    np.testing.assert_allclose(said[1], second[a, r], atol=0.06)
    wanted = np.exp(second / TEMPERATURE) / np.exp(second / TEMPERATURE).sum(-1, keepdims=True)
    np.testing.assert_allclose(np.exp(log_probs[1]), wanted[a, r], atol=0.05)


@pytest.mark.compiles
def test_the_fixed_point_of_q_learning_is_that_of_value_iteration_over_histories():
    algorithm = OffPolicyRL2(**LONG, learner="q-learning")
    state, steps, places, a, r = _at_the_fixed_point(algorithm)
    hidden, policy = algorithm.recompute(state.meta, steps)
    outputs = state.meta.network.policy.outputs(state.meta.features(hidden, steps.timestep))
    said = np.asarray(algorithm._scale.values(outputs, places.remaining))
    first, second = _soft_values(1e-3, 0.9)  # with a temperature of nearly 0 the soft maximum is the maximum
    np.testing.assert_allclose(said[0], np.broadcast_to(first, (128, 2)), atol=0.04)
    np.testing.assert_allclose(said[1], second[a, r], atol=0.06)
    np.testing.assert_array_equal(policy.mode()[1], second[a, r].argmax(-1))
    assert state.meta.network.policy.epsilon == 0


def test_the_share_of_chance_falls_over_the_run_to_0():
    algorithm = OffPolicyRL2(**GREEDY, exploration=0.8)
    state = random_state(algorithm, bandit())
    epsilon = [float(algorithm._exploring(state.meta.network, jnp.asarray(n)).policy.epsilon) for n in (0, 5, 10, 99)]
    np.testing.assert_allclose(epsilon, [0.8, 0.1, 0, 0], atol=1e-6)


@pytest.mark.compiles
def test_q_learning_changes_what_acts_and_its_older_copy_follows():
    problem, algorithm = ending(), OffPolicyRL2(**GREEDY, critic_loss="two-hot", num_categories=5)
    before = random_state(algorithm, problem)
    assert before.opt_state.critic is before.opt_state.log_temperature is None
    state, metrics = _updated(algorithm, problem)
    assert {"critic_loss", "value", "return"} <= set(metrics)
    assert all(np.isfinite(x).all() for x in metrics.values())
    assert not same(state.meta.network.policy.layer, before.meta.network.policy.layer)
    assert not same(state.opt_state.target.policy.layer, state.meta.network.policy.layer)
    np.testing.assert_allclose(state.meta.network.policy.epsilon, 0.8**3, rtol=1e-5)


@pytest.mark.compiles
def test_no_loss_moves_what_is_anothers():
    """The policy's loss does not reach the critics, nor theirs the policy, nor either the temperature."""
    problem, algorithm = robot(), OffPolicyRL2(**TINY)
    state = random_state(algorithm, problem)
    filled = quick_jit(lambda state: algorithm.update(problem, state)[0])(state).opt_state.buffer.trials
    drawn = Replayed(jax.tree.map(lambda x: jnp.swapaxes(x[:4], 0, 1), filled.steps), filled.task[:4])
    critic = random_state(algorithm, problem, 1).opt_state.critic
    critic = jax.tree.map(lambda x: jax.random.normal(jax.random.key(x.size), x.shape), critic)
    learned = Learned(state.meta.network, critic, jnp.zeros(()))
    keys = jax.random.split(jax.random.key(0), 4)

    @quick_jit
    def slopes(learned, target):
        return jax.grad(lambda x: algorithm._loss(problem, state, target, x, drawn, keys)[0])(learned)

    base = slopes(learned, critic)
    other_target = jax.tree.map(lambda x: 2 * x, critic)
    changed = slopes(learned, other_target)
    assert same(base.actor, changed.actor)  # targets are the critics' business
    assert same(base.log_temperature, changed.log_temperature)
    assert not same(base.critic, changed.critic)
    assert all(np.asarray(x).any() for x in jax.tree.leaves(base.critic.heads[0].out))


# ---------------------------------------------------------------- settings, scale, seeds, devices

CHANGED = {
    "num_tasks": 2, "num_updates": 20, "replay_ratio": 4, "batch_size": 2, "buffer_size": 4, "learning_rate": 1e-2,
    "discount": 0.5, "num_steps": 1, "polyak": 0.5, "critic_loss": "two-hot", "target_entropy": 0.9,
    "initial_temperature": 1.0, "max_gradient_norm": 1e-3, "informed_critic": False,
    "exploration": 0.1,
}  # fmt: skip
SHAPES = {
    "memory": "lstm",
    "critic_memory": "symmetric",
    "memory_size": 5,
    "policy_size": 5,
    "critic_size": 5,
}
OF_OTHERS = {
    "num_categories": (5, {"critic_loss": "two-hot"}),
    "memory_layers": (2, {"memory": "lru"}),
    "memory_heads": (1, {"memory": "transformer", "memory_size": 6}),
    "memory_window": (2, {"memory": "transformer"}),
}
"""Settings that have an effect only beside others, with those."""


def test_E1d_every_setting_is_in_these_tests():
    names = {field.name for field in dataclasses.fields(OffPolicyRL2Settings)}
    elsewhere = {"normalize_observations", "encoder"}  # test_normalization.py, test_encoders.py
    assert names == {*CHANGED, *SHAPES, *OF_OTHERS, *elsewhere, "learner"}
    for field in dataclasses.fields(OffPolicyRL2Settings):
        if get_origin(field.type) is not None:
            assert {**SHAPES, **CHANGED, **GREEDY}[field.name] in get_args(field.type)


@pytest.mark.nightly
@pytest.mark.parametrize("name", CHANGED)
def test_E1d_every_setting_changes_what_is_learned(name):
    beside = GREEDY if name == "exploration" else TINY
    base, changed = OffPolicyRL2(**beside), OffPolicyRL2(**beside | {name: CHANGED[name]})
    problem = bernoulli_bandit(2, 5)  # more pulls than a target has rewards, so that critics are asked
    assert not same(*(_updated(algorithm, problem, 3)[0].meta.network for algorithm in (base, changed)))


@pytest.mark.parametrize("name", [*SHAPES, *OF_OTHERS])
def test_E1d_every_setting_of_the_networks_changes_them(name):
    value, beside = OF_OTHERS.get(name, (SHAPES.get(name), {}))
    described = []
    for algorithm in (OffPolicyRL2(**TINY | beside), OffPolicyRL2(**TINY | beside | {name: value})):
        state = jax.eval_shape(lambda key, a=algorithm: a.init(bandit(), key), jax.random.key(0))
        memory = algorithm.begin(state.meta, jax.random.key(0)).memory
        described.append([x.shape for x in jax.tree.leaves((state.meta.network, state.opt_state.critic, memory))])
    assert described[0] != described[1]


@pytest.mark.compiles
def test_E13_scale_of_rewards_changes_nothing():
    # A power of two is exact in floating point, so nothing may differ but the rewards and their moments.
    algorithm = OffPolicyRL2(**TINY)
    one, thousand = (_updated(algorithm, odd_bandit(2, 3, scale=scale))[0] for scale in (1.0, 1024.0))
    assert same(one.meta.network, thousand.meta.network)
    assert same(one.opt_state.critic, thousand.opt_state.critic)
    np.testing.assert_array_equal(1024 * one.meta.reward.mean, thousand.meta.reward.mean)


@pytest.mark.compiles
@pytest.mark.parametrize("make", [bandit, robot], ids=["bandit", "robot"])
def test_E20_two_devices_do_the_work_of_one(make):
    problem, algorithm = make(), OffPolicyRL2(**TINY)
    one = two = random_state(algorithm, problem)
    update = lambda state: algorithm.update(problem, state)  # noqa: E731
    alone, both = quick_jit(update), quick_jit(parallel.over_devices(update, 2))
    for _ in range(2):
        (one, one_metrics), (two, two_metrics) = alone(one), both(two)
    assert same(one.opt_state.buffer.count, two.opt_state.buffer.count)
    for a, b in zip(
        jax.tree.leaves((one.meta, one.opt_state)), jax.tree.leaves((two.meta, two.opt_state)), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    for name, value in one_metrics.items():
        np.testing.assert_allclose(value, two_metrics[name], rtol=1e-3, atol=1e-4, err_msg=name)


def test_devices_share_both_the_tasks_and_the_trials_of_a_step():
    assert OffPolicyRL2(num_tasks=12, batch_size=32).tasks_per_minibatch == 4


def test_an_update_learns_from_each_step_so_often():
    assert OffPolicyRL2(num_tasks=16, batch_size=32, replay_ratio=8).gradient_steps == 4
    assert OffPolicyRL2(num_tasks=16, batch_size=1024, replay_ratio=8).gradient_steps == 1


@pytest.mark.parametrize("settings", [TINY, GREEDY], ids=["soft-actor-critic", "q-learning"])
def test_too_many_combinations_of_choices_are_refused_before_anything_is_trained(settings, monkeypatch):
    monkeypatch.setattr(soft_actor_critic, "MOST_COMBINATIONS", 7)
    init = OffPolicyRL2(**settings).init
    with pytest.raises(UseError, match=r"OffPolicyRL2: expected at most 7 combinations .* found 8, .* Try rl2"):
        jax.eval_shape(lambda key: init(shops("two"), key), jax.random.key(0))


def test_q_learning_is_for_discrete_actions():
    with pytest.raises(UseError, match=r"learner='q-learning'\): expected discrete actions, got Box"):
        jax.eval_shape(lambda key: OffPolicyRL2(**GREEDY).init(robot(), key), jax.random.key(0))


# ---------------------------------------------------------------- learning

LEARNING = {
    "bandit": (
        functools.partial(bernoulli_bandit, 5, 10),
        {"num_tasks": 64, "batch_size": 64, "num_updates": 60, "replay_ratio": 8, "discount": 0.9},
    ),
    "robot": (
        functools.partial(point_robot, num_episodes=2, horizon=20),
        {"num_tasks": 16, "batch_size": 16, "num_updates": 80, "replay_ratio": 8, "discount": 0.95},
    ),
}


@pytest.mark.learning
@pytest.mark.parametrize("name", LEARNING)
def test_it_beats_its_untrained_self(name):
    make, changes = LEARNING[name]
    problem = make()
    algorithm = OffPolicyRL2(memory_size=32, policy_size=32, critic_size=64, learning_rate=3e-3, **changes)
    before = jax.jit(lambda key: algorithm.init(problem, key))(jax.random.key(0))
    after, _ = train(algorithm, problem, algorithm.num_updates)
    keys = jax.random.split(jax.random.key(123), (512, 2))
    tasks = jax.vmap(problem.test.sample)(keys[:, 0])

    @quick_jit
    def returns(meta):
        one = lambda task, key: evaluate_trial(algorithm, problem, meta, task, key).returns.sum()  # noqa: E731
        return jax.vmap(one)(tasks, keys[:, 1])

    gain = np.asarray(returns(after.meta) - returns(before.meta), np.float64)
    assert gain.mean() > 6 * gain.std(ddof=1) / np.sqrt(len(gain))
