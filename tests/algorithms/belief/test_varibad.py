"""VariBAD: the ELBO against sums that are written out, beliefs that are never stale, yoked trials, HyperX's bonuses."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms.belief.elbo import VariBADParams, kl_to_previous, some
from adaptax.algorithms.belief.varibad import VariBAD
from adaptax.algorithms.belief.yoked import yoked_trials
from adaptax.core import parallel
from adaptax.core.errors import UseError
from adaptax.core.experience import sample_tasks
from adaptax.core.types import replace
from adaptax.networks.memory.belief import gaussian
from adaptax.problems import grid_navigation, point_robot
from adaptax.problems.exact import GRID_MOVES
from tests.sample_problems import program, quick_jit, same

SMALL = {
    "memory_size": 4, "critic_size": 4, "policy_size": 4, "decoder_size": 4, "latent_size": 2, "num_tasks": 4,
    "num_minibatches": 2, "elbo_updates": 2, "elbo_batch": 3, "buffer_size": 8, "num_updates": 4,
}  # fmt: skip
COUNTED = {"reward_decoder": "next-state", "reward_likelihood": "bernoulli"}
GRID = grid_navigation(num_episodes=2, size=3, horizon=2)


@functools.cache
def case(**changes):
    """An algorithm, its state before the first update, and what it collects."""
    algorithm = VariBAD(**{**SMALL, **COUNTED, **changes})
    state = quick_jit(lambda key: algorithm.init(GRID, key))(jax.random.key(0))
    return algorithm, state, quick_jit(lambda state: algorithm.collect(GRID, state))(state)


def learned(state):
    return state.meta.network.memory, state.meta.decoder


def test_KL_of_a_belief_from_the_one_before():
    log = np.log
    # One number of m; means and deviations of two trials over two steps.
    mean, std = np.array([[0.0, 1.0], [2.0, 1.0]]), np.array([[1.0, 0.5], [0.5, 0.5]])
    belief = jnp.stack([jnp.asarray(mean), jnp.asarray(log(std))], -1).astype(jnp.float32)
    starts = jnp.array([[True, True], [False, True]])
    # KL(N(μ, σ²) ‖ N(ν, τ²)) = log τ/σ + (σ² + (μ − ν)²) / 2τ² − 1/2
    from_prior = log(1 / 0.5) + (0.25 + 1) / 2 - 0.5
    expected = [[0.0, from_prior], [log(1 / 0.5) + (0.25 + 4) / 2 - 0.5, from_prior]]
    np.testing.assert_allclose(kl_to_previous(belief, starts), expected, rtol=1e-6)


@pytest.mark.compiles
@pytest.mark.parametrize("decoded_trial", ["own", "yoked"])
def test_ELBO_of_two_steps_written_out(decoded_trial):
    problem = grid_navigation(num_episodes=1, size=3, horizon=2)
    algorithm = VariBAD(**{**SMALL, **COUNTED, "decoded_trial": decoded_trial, "kl_weight": 0.5})
    state = quick_jit(lambda key: algorithm.init(problem, key))(jax.random.key(3))
    experience = quick_jit(lambda state: algorithm.collect(problem, state))(state)
    kept, meta = algorithm._keep(state.meta, experience), state.meta
    keys = jax.random.split(jax.random.key(4), 4)
    loss, metrics = quick_jit(lambda parts: algorithm._elbo_loss(problem, meta, parts, (kept, keys)))(
        (meta.network.memory, None, meta.decoder)
    )

    trajectory = jax.tree.map(lambda x: x.squeeze(2), experience.trajectory)
    done = trajectory if decoded_trial == "own" else experience.extra[1]
    belief = np.asarray(trajectory.aux["hidden"])[..., :4]
    total = divergence = 0.0
    for trial in range(4):
        noise = np.asarray(jax.random.normal(keys[trial], (2, 2)))
        before = np.zeros(4)
        for t in range(2):
            mean, log_std = belief[t, trial, :2], belief[t, trial, 2:]
            ratio = np.exp(2 * (log_std - before[2:]))
            away = (mean - before[:2]) / np.exp(before[2:])
            divergence += 0.5 * np.sum(ratio + away**2 - 1 - 2 * (log_std - before[2:]))
            logits = np.asarray(meta.decoder.rewards.table(jnp.asarray(mean + np.exp(log_std) * noise[t])))
            for step in range(2):  # past and future alike
                p = 1 / (1 + np.exp(-logits[int(done.next_observation[step, trial])]))
                total += np.log(p if done.reward[step, trial] > 0 else 1 - p)
            before = belief[t, trial]
    fit, kl = total / 8, divergence / 8  # a mean over 4 trials × 2 beliefs
    np.testing.assert_allclose(metrics["log_likelihood"], fit / 2, rtol=1e-4)
    np.testing.assert_allclose(metrics["kl"], kl, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(loss, (0.5 * kl - fit) / 2, rtol=1e-4)


@pytest.mark.compiles
def test_E17_beliefs_in_PPOs_passes_are_those_that_were_acted_on():
    algorithm, state, experience = case(num_epochs=2)
    trajectory = jax.tree.map(lambda x: x.squeeze(2), experience.trajectory)
    acted_on = trajectory.aux["hidden"]
    np.testing.assert_allclose(program(algorithm.remember)(state.meta, trajectory), acted_on, rtol=1e-5, atol=1e-6)
    assert same(algorithm.kept(trajectory.aux), acted_on)
    # The policy's update leaves encoder and decoder as they were; what changes them comes after it.
    own = replace(experience, extra=None)
    policy_only = replace(state, opt_state=state.opt_state.policy)
    improved, _ = quick_jit(lambda s: algorithm.improve(GRID, s, own))(policy_only)
    assert same(learned(improved), learned(state))
    assert not same(improved.meta.network.policy, state.meta.network.policy)
    after, _ = quick_jit(lambda s: algorithm.learn(GRID, s, experience))(state)
    assert same(after.meta.network.policy, improved.meta.network.policy)
    assert not same(after.meta.network.memory, state.meta.network.memory)
    assert not same(after.meta.decoder, state.meta.decoder)


@pytest.mark.compiles
def test_E17_the_policys_gradient_reaches_the_encoder_only_if_it_is_asked_to():
    algorithm, state, experience = case(rl_gradient=True)
    own = replace(experience, extra=None)
    policy_only = replace(state, opt_state=state.opt_state.policy)
    improved, _ = quick_jit(lambda s: algorithm.improve(GRID, s, own))(policy_only)
    assert not same(improved.meta.network.memory, state.meta.network.memory)


def test_E17_a_trial_begins_with_the_prior_whatever_the_task():
    _, _, experience = case()
    hidden = np.asarray(experience.trajectory.aux["hidden"][:, :, 0])
    assert (hidden[0, :, :4] == 0).all()
    assert (hidden[1:, :, :4] != 0).all()  # the second episode goes on with what the first has told


@pytest.mark.compiles
def test_E17_the_buffer_holds_whole_trials_with_their_own_tasks():
    algorithm, state, _ = case(decoded_trial="yoked")
    update = quick_jit(lambda state: (sample_tasks(GRID, state, 4, 2)[0].cell, algorithm.update(GRID, state)[0]))
    expected = []
    for _ in range(3):  # 12 trials into 8 places
        goals, state = update(state)
        expected += goals.tolist()
    kept = state.opt_state.buffer.trials
    tasks = np.asarray(expected)[[8, 9, 10, 11, 4, 5, 6, 7]]
    for trial in (kept.trajectory, kept.decoded):
        paid = np.asarray(trial.reward) > 0
        np.testing.assert_array_equal(paid, np.asarray(trial.next_observation) == tasks[:, None])
    mean, std = np.asarray(state.meta.task.mean), np.asarray(state.meta.task.std)
    np.testing.assert_allclose(kept.features[:, 0], (tasks - mean) / std, rtol=1e-5)


def test_yoked_trials_do_what_another_trial_did():
    algorithm, _, experience = case(decoded_trial="yoked")
    yoked, goals = experience.extra[1], np.asarray(experience.tasks.cell)
    actions = np.roll(np.asarray(experience.trajectory.action[:, :, 0]), 1, axis=1)
    np.testing.assert_array_equal(yoked.action, actions)
    for trial, goal in enumerate(goals):
        place = np.zeros(2, int)
        for t, action in enumerate(actions[:, trial]):
            place = np.clip((0 if t % 2 == 0 else place) + np.array(GRID_MOVES[action]), 0, 2)
            cell = int(place[0] * 3 + place[1])
            assert yoked.next_observation[t, trial] == cell
            assert yoked.reward[t, trial] == (1.0 if cell == goal else np.float32(-0.1))
    assert algorithm.update_steps(GRID) == 2 * 4 * 4 == algorithm.steps_taken(experience)


def test_what_acts_does_not_see_the_decoder_or_the_task():
    algorithm, state, _ = case()
    other = jax.tree.map(lambda x: x + 1.0, state.meta.decoder)
    changed = replace(state, meta=replace(state.meta, decoder=other))
    collect = quick_jit(lambda state: algorithm.collect(GRID, state).trajectory)
    assert same(collect(changed), collect(state))


@pytest.mark.compiles
def test_two_devices_learn_what_one_does():
    algorithm, state, _ = case(decoded_trial="yoked", elbo_batch=4)

    def update(state):
        return algorithm.update(GRID, state)

    one, two = quick_jit(update)(state)[0], quick_jit(parallel.over_devices(update, 2))(state)[0]
    assert same(one.opt_state.buffer, two.opt_state.buffer)
    for a, b in zip(jax.tree.leaves(one.meta), jax.tree.leaves(two.meta), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.compiles
def test_without_bonuses_HyperX_is_VariBAD_bitwise():
    algorithm, state, experience = case()
    assert state.opt_state.novelty is None
    plain, _ = quick_jit(lambda s: algorithm.learn(GRID, s, experience))(state)
    paying, before, _ = case(novelty_bonus=1.0, surprise_bonus=1.0)
    assert same(before.meta, state.meta)

    def learn(state, weight):
        none = dataclasses.replace(paying, novelty_bonus=weight, surprise_bonus=weight)
        return none.learn(GRID, state, experience)[0]

    learn = quick_jit(learn)
    assert same(learn(before, jnp.asarray(0.0)).meta, plain.meta)
    paid = learn(before, jnp.asarray(1.0))
    assert not same(paid.meta.network.policy, plain.meta.network.policy)
    assert not same(paid.opt_state.novelty.learned, before.opt_state.novelty.learned)
    assert same(paid.opt_state.novelty.target, before.opt_state.novelty.target)


@pytest.mark.compiles
def test_bonuses_are_those_written_out():
    algorithm, state, experience = case(novelty_bonus=2.0, surprise_bonus=3.0, bonus_share=0.5)
    state = replace(state, step=jnp.asarray(1))  # of 4: bonuses have fallen to 1/2
    bonus, _ = quick_jit(lambda s: algorithm._bonus(GRID, s, experience.trajectory))(state)
    trajectory = jax.tree.map(lambda x: x.squeeze(2), experience.trajectory)
    hidden, novelty = trajectory.aux["hidden"], state.opt_state.novelty
    error = np.mean((np.asarray(novelty.target(hidden)) - np.asarray(novelty.learned(hidden))) ** 2, -1)
    expected = np.zeros(bonus.shape)
    expected[:-1] += 2.0 * error[1:]
    logits = np.asarray(state.meta.decoder.rewards.table(gaussian(hidden[..., :4]).mean))
    for t, trial in np.ndindex(*bonus.shape):
        p = 1 / (1 + np.exp(-logits[t, trial, int(trajectory.next_observation[t, trial])]))
        expected[t, trial] -= 3.0 * np.log(p if trajectory.reward[t, trial] > 0 else 1 - p)
    np.testing.assert_allclose(bonus, 0.5 * expected, rtol=1e-4)


@pytest.mark.compiles
def test_after_their_share_of_the_run_there_are_no_bonuses():
    algorithm, state, experience = case(novelty_bonus=2.0, bonus_share=0.5)
    for step, paid in ((1, True), (2, False), (3, False)):
        at = replace(state, step=jnp.asarray(step))
        bonus, _ = algorithm._bonus(GRID, at, experience.trajectory)
        assert bool((bonus != 0).any()) == paid


def test_rewards_that_are_paid_are_not_those_that_are_believed():
    """Bonuses reach advantages alone: what is kept, read and reported are the environment's rewards."""
    algorithm, state, experience = case(novelty_bonus=5.0)
    trajectory = experience.trajectory
    kept = algorithm._keep(state.meta, experience)
    np.testing.assert_array_equal(kept.trajectory.reward, np.asarray(trajectory.reward[:, :, 0]).T)


def test_goal_probabilities_average_over_the_belief():
    algorithm, state, _ = case()
    belief = jnp.array([0.3, -0.2, -1.0, 0.5])
    found = algorithm.goal_probabilities(state.meta, belief, jax.random.key(0), 8)
    noise = np.asarray(jax.random.normal(jax.random.key(0), (8, 2)))
    drawn = np.array([0.3, -0.2]) + np.exp([-1.0, 0.5]) * noise
    logits = np.asarray(state.meta.decoder.rewards.table(jnp.asarray(drawn, jnp.float32)))
    np.testing.assert_allclose(found, (1 / (1 + np.exp(-logits))).mean(0), rtol=1e-5)
    gaussian_decoder = VariBAD(**{**SMALL, "reward_decoder": "next-state"})
    meta = replace(state.meta, decoder=gaussian_decoder._decoder(GRID, state.meta, jax.random.key(0)))
    with pytest.raises(UseError, match=r"--reward-likelihood bernoulli; found next-state and gaussian"):
        gaussian_decoder.goal_probabilities(meta, belief, jax.random.key(0))


def test_no_table_of_states_where_they_have_no_numbers():
    algorithm = VariBAD(**SMALL, reward_decoder="next-state")
    with pytest.raises(UseError, match="next-state"):
        jax.eval_shape(lambda key: algorithm.init(point_robot(num_episodes=1, horizon=2), key), jax.random.key(0))


@pytest.mark.parametrize(
    "changes",
    [
        {"decodes": "transitions", "elbo_beliefs": 2, "decoded_steps": 3, "decoded_trial": "yoked"},
        {"decodes": "task", "memory": "lstm"},
        {"rl_gradient": True, "elbo_updates": 0},
    ],
    ids=lambda changes: next(iter(changes.values())),
)
def test_an_update_keeps_the_shapes_of_its_state(changes):
    algorithm, problem = VariBAD(**{**SMALL, **changes}), point_robot(num_episodes=2, horizon=3)
    state = jax.eval_shape(lambda key: algorithm.init(problem, key), jax.random.key(0))
    after, metrics = jax.eval_shape(lambda state: algorithm.update(problem, state), state)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert [(x.shape, x.dtype) for x in jax.tree.leaves(after)] == [(x.shape, x.dtype) for x in jax.tree.leaves(state)]
    assert ("kl" in metrics) == (changes.get("elbo_updates", 1) > 0)
    assert isinstance(state.meta, VariBADParams)


def test_some_steps_of_each_trial_stand_for_all():
    """What is drawn is weighted so that its sum is, on average, that of all steps."""
    values = jnp.arange(12.0).reshape(4, 3)
    keys = jax.random.split(jax.random.key(0), (2000, 3))
    drawn = jax.vmap(lambda k: some(values, 2, k, "steps"))(keys)
    np.testing.assert_allclose(drawn.sum(1).mean(0) * 4 / 2, values.sum(0), rtol=0.03)
    assert set(np.asarray(drawn[:, :, 1]).ravel().tolist()) == {1.0, 4.0, 7.0, 10.0}


def test_keys_of_yoked_trials_are_not_those_of_the_trials():
    _, state, experience = case(decoded_trial="yoked")
    keys = sample_tasks(GRID, state, 4, 2)[1][:, 1]
    again = yoked_trials(GRID, experience.tasks, experience.trajectory.action[:, :, 0], keys, 2)
    assert same(again.reward, experience.extra[1].reward)  # nothing is random on the grid
