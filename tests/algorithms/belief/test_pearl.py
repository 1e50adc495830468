import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import PEARL
from adaptax.algorithms.belief.pearl_params import Batch
from adaptax.core.errors import UseError
from adaptax.core.rollout import collect, evaluation_episodes
from adaptax.core.task_buffers import Steps
from adaptax.core.types import AgentState, TimeStep, Transition, replace
from adaptax.evaluation.linear_probes import fit_decoder
from adaptax.optimization import soft_actor_critic
from adaptax.problems import grid_navigation, linear_bandit
from adaptax.problems.linear_bandits import conjugate_posterior
from tests.sample_problems import quick_jit, same
from tests.shops import shops

SMALL = {"hidden_size": 8, "num_layers": 1, "num_train_tasks": 6, "num_tasks": 2, "batch_tasks": 2, "batch_size": 4}
SMALL |= {"gradient_steps": 2, "num_updates": 4, "latent_size": 2, "buffer_size": 64, "context_size": 8}
RNG = np.random.default_rng(0)


@functools.cache
def case(kind="bandit", **changes):
    """A small agent, its problem, and the state before the first update."""
    problem = {"bandit": lambda: linear_bandit(num_pulls=4), "grid": lambda: grid_navigation(2, horizon=3)}[kind]()
    algorithm = PEARL(**{**SMALL, **changes})
    return algorithm, problem, quick_jit(lambda key: algorithm.init(problem, key))(jax.random.key(0))


def window_of(actions, rewards):
    """A window of pulls of the bandit, leaves `[time, env, ...]`."""
    actions, rewards = jnp.asarray(actions, jnp.float32)[:, None, None], jnp.asarray(rewards, jnp.float32)[:, None]
    yes = jnp.ones(rewards.shape, bool)
    nothing = jnp.zeros((*rewards.shape, 0))
    return Transition(TimeStep(nothing, actions, rewards, yes), actions, rewards, yes, ~yes, nothing, None, yes)


def test_a_task_begins_with_the_prior():
    algorithm, _, state = case()
    drawn = jax.vmap(lambda key: algorithm.begin(state.meta, key).adapted)(jax.random.split(jax.random.key(0), 2000))
    mean, variance = jax.vmap(lambda posterior: posterior.moments)(drawn)
    assert not mean.any()
    assert (variance == 1).all()
    assert abs(np.mean(drawn.latent)) < 4 / 4000**0.5
    assert abs(np.var(drawn.latent) - 1) < 4 * (2 / 4000) ** 0.5


def test_the_z_that_is_held_acts_and_the_mean_is_the_best_that_is_known():
    algorithm, problem, state = case()
    agent = algorithm.begin(state.meta, jax.random.key(0))
    seen = TimeStep(jnp.zeros(0), problem.env.action_space.null(), jnp.zeros(()), jnp.asarray(True))
    best, memory, _ = algorithm.act(state.meta, agent, seen, jax.random.key(1), explore=False)
    assert memory is None
    other = AgentState(replace(agent.adapted, latent=agent.adapted.latent + 1), None)
    assert best == algorithm.act(state.meta, other, seen, jax.random.key(1), explore=False)[0]
    act = functools.partial(algorithm.act, state.meta, timestep=seen, key=jax.random.key(1), explore=True)
    held = [replace(agent.adapted, latent=jnp.asarray(z)) for z in ([2.0, 2.0], [2.0, -2.0], [-2.0, 2.0], [-2.0, -2.0])]
    assert len({float(act(agent=AgentState(posterior, None))[0][0]) for posterior in held}) > 1


def test_permuted_context_changes_no_bit_of_the_posterior():
    algorithm, _, state = case()
    agent = algorithm.begin(state.meta, jax.random.key(0))
    adapt = quick_jit(lambda agent, window: algorithm.adapt(state.meta, agent, window, jax.random.key(1)))
    window = window_of(RNG.uniform(-1, 1, 12), RNG.normal(size=12))
    first = adapt(agent, window)
    assert not same(first, agent)
    for _ in range(3):
        order = RNG.permutation(12)
        assert same(first, adapt(agent, jax.tree.map(lambda x, order=order: x[order], window)))
    half = lambda part: jax.tree.map(lambda x: x[part], window)  # noqa: E731
    one_way = adapt(adapt(agent, half(slice(0, 6))), half(slice(6, 12)))
    assert same(one_way, adapt(adapt(agent, half(slice(6, 12))), half(slice(0, 6))))


def test_acting_and_learning_have_the_same_posterior():
    algorithm, _, state = case()
    window = window_of(RNG.uniform(-1, 1, 12), RNG.normal(size=12))
    agent = algorithm.adapt(state.meta, algorithm.begin(state.meta, jax.random.key(0)), window, jax.random.key(1))
    step, reward = state.meta.told(state.meta.experienced(jax.tree.map(lambda x: x[:, 0], window)))
    context = jnp.concatenate([step, reward[:, None]], -1)
    learned = state.meta.network.context(context, jnp.ones(12, bool)).product()
    for acting, learning in zip(agent.adapted.moments, learned, strict=True):
        np.testing.assert_allclose(acting, learning, atol=1e-4)


def test_posteriors_of_a_trial_are_those_that_acting_holds():
    algorithm, _, state = case()
    window = window_of(RNG.uniform(-1, 1, 5), RNG.normal(size=5))
    means, variances = algorithm.posteriors(state.meta, window)
    agent = algorithm.begin(state.meta, jax.random.key(0))
    for pull in range(6):
        for found, held in zip((means, variances), agent.adapted.moments, strict=True):
            np.testing.assert_allclose(found[pull], held, atol=1e-4)
        one = jax.tree.map(lambda x, pull=pull: x[pull : pull + 1], window)
        agent = algorithm.adapt(state.meta, agent, one, jax.random.key(1)) if pull < 5 else agent
    assert not np.allclose(means[5], 0, atol=1e-2)


def test_training_tasks_take_turns_and_none_is_entered_twice():
    algorithm = PEARL(**{**SMALL, "num_train_tasks": 7, "num_tasks": 3})
    turns = [np.asarray(algorithm._turn(jnp.asarray(step))).tolist() for step in range(7)]
    assert turns[:3] == [[0, 1, 2], [3, 4, 5], [6, 0, 1]]
    assert sorted(task for turn in turns for task in turn) == sorted(list(range(7)) * 3)


def test_trials_go_into_the_buffers_of_their_own_tasks():
    algorithm, problem, state = case()

    def both(state):
        experience = algorithm.collect(problem, state)
        return experience, algorithm.learn(problem, state, experience)[0]

    first, after = quick_jit(both)(state)
    second, last = quick_jit(both)(after)
    again, _ = quick_jit(both)(replace(state, step=jnp.asarray(3)))  # the first tasks' next turn
    np.testing.assert_array_equal(first.extra, [0, 1])
    np.testing.assert_array_equal(second.extra, [2, 3])
    assert same(again.tasks, first.tasks)
    assert not same(again.trajectory.reward, first.trajectory.reward)
    buffers = last.opt_state.buffers
    np.testing.assert_array_equal(buffers.count, [4, 4, 4, 4, 0, 0])
    for experience in (first, second):
        for index, task in enumerate(np.asarray(experience.extra)):
            np.testing.assert_array_equal(buffers.steps.reward[task, :4], experience.trajectory.reward[:, index, 0])
            np.testing.assert_array_equal(
                buffers.steps.action[task, :4, 0], experience.trajectory.action[:, index, 0, 0]
            )


def test_E16_contexts_begin_recent_trials_of_the_same_task_and_batches_are_of_all():
    algorithm, problem, state = case(batch_size=64, recent_trials=2)
    buffers = state.opt_state.buffers
    for trial in range(3):  # rewards say which task, trial and step
        rewards = jnp.asarray([[task + 10.0 * trial + step for step in range(4)] for task in (100, 200)])
        steps = jax.tree.map(lambda x: jnp.zeros((2, 4, *x.shape[2:]), x.dtype), buffers.steps)
        buffers = buffers.add(jnp.asarray([1, 4]), replace(steps, reward=rewards), jnp.ones((2, 4), bool))
    seen = set()
    for seed in range(30):
        batch = algorithm._batch(problem, buffers, jax.random.key(seed))
        for index in range(2):
            context = np.asarray(batch.context.reward[index])[np.asarray(batch.there[index])]
            task, trial = divmod(context[0], 100)
            assert trial in (10, 20)
            np.testing.assert_array_equal(context, context[0] + np.arange(len(context)))
            drawn = set(np.asarray(batch.steps.reward[index]) - 100 * task)
            assert len(drawn) > 8
            assert drawn <= {10 * trial + step for trial in range(3) for step in range(4)}
            seen.add((task, trial, len(context)))
    assert {(task, trial) for task, trial, _ in seen} == {(1, 10), (1, 20), (2, 10), (2, 20)}
    assert {size for *_, size in seen} == {1, 2, 3, 4}


def _gradients(objective, name, **changes):
    """Size of the gradient of one loss by each part of the network."""
    algorithm, problem, state = case(encoder_objective=objective, **changes)
    experience = algorithm.collect(problem, state)
    buffers = state.opt_state.buffers
    trajectory = jax.tree.map(lambda x: jnp.swapaxes(x.squeeze(2), 0, 1), experience.trajectory)
    buffers = buffers.add(experience.extra, state.meta.experienced(trajectory), trajectory.valid)
    batch = jax.tree.map(lambda x: x[0], algorithm._batch(problem, buffers, jax.random.key(1)))

    def loss(network):
        meta = replace(state.meta, network=network)
        return algorithm._task_losses(problem, meta, network.critics, batch)[name]

    gradient = quick_jit(jax.grad(loss))(state.meta.network)
    size = lambda tree: float(sum(jnp.sum(jnp.abs(x)) for x in jax.tree.leaves(tree)))  # noqa: E731
    return {part: size(getattr(gradient, part)) for part in ("context", "policy", "critics", "rewards")}


@pytest.mark.compiles
@pytest.mark.parametrize("objective", ["critic", "reward"])
def test_E16_the_critics_loss_trains_the_encoder_unless_rewards_do(objective):
    found = _gradients(objective, "critic_loss")
    assert (found["context"] > 0) == (objective == "critic")
    assert found["critics"] > 0
    assert found["policy"] == found["rewards"] == 0
    of_policy = _gradients(objective, "policy_loss")
    assert of_policy["policy"] > 0
    assert of_policy["context"] == of_policy["critics"] == 0
    assert _gradients(objective, "kl")["context"] > 0


@pytest.mark.compiles
def test_likely_rewards_teach_encoder_and_model_alone():
    found = _gradients("reward", "reward_loss")
    assert found["context"] > 0
    assert found["rewards"] > 0
    assert found["policy"] == found["critics"] == 0


def test_E11_a_time_limit_is_no_end():
    algorithm, problem, state = case("grid")
    tasks = jax.vmap(problem.train.sample)(jax.random.split(jax.random.key(0), 2))
    trials = collect(algorithm, problem, state.meta, tasks, jax.random.split(jax.random.key(1), 2))
    assert trials.truncated.any()
    assert not state.meta.experienced(trials).terminated.any()


@pytest.mark.compiles
def test_E27_what_is_saved_goes_on_bitwise(tmp_path):
    algorithm, problem, state = case()
    update = quick_jit(lambda state: algorithm.update(problem, state)[0])
    middle = update(state)
    leaves, structure = jax.tree.flatten(middle)
    numbers = [
        np.asarray(jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x) for x in leaves
    ]
    np.savez(tmp_path / "state.npz", *numbers)
    stored = np.load(tmp_path / "state.npz")
    read = [
        jax.random.wrap_key_data(jnp.asarray(x)) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else jnp.asarray(x)
        for x, leaf in zip(stored.values(), leaves, strict=True)
    ]
    assert same(update(middle), update(jax.tree.unflatten(structure, read)))
    empty = replace(middle.opt_state, buffers=state.opt_state.buffers)
    assert not same(update(middle).meta, update(replace(middle, opt_state=empty)).meta)  # buffers decide the future


def test_too_many_combinations_of_choices_are_refused_before_anything_is_trained(monkeypatch):
    monkeypatch.setattr(soft_actor_critic, "MOST_COMBINATIONS", 7)
    with pytest.raises(UseError, match=r"PEARL: expected at most 7 combinations .* found 8, .* Try rl2"):
        jax.eval_shape(lambda key: PEARL(**SMALL).init(shops("two"), key), jax.random.key(0))


def test_E11_nothing_comes_after_an_end_and_something_after_a_time_limit():
    algorithm, problem, state = case("grid", discount=0.5)
    meta, network, space = state.meta, state.meta.network, problem.env.observation_space
    cells = space.encode(jnp.asarray([0, 1]))
    actions = problem.env.action_space.encode(jnp.asarray([2, 1]))
    nothing = jnp.zeros((3, space.encoded_size))
    context = Steps(nothing, jnp.zeros((3, actions.shape[1])), jnp.zeros(3), nothing, jnp.zeros(3, bool))

    def loss(ended):
        steps = Steps(cells, actions, jnp.asarray([3.0, -1.0]), cells[::-1], jnp.asarray(ended))
        batch = Batch(steps, context, jnp.zeros(3, bool), jax.random.key(5))
        return algorithm._task_losses(problem, meta, network.critics, batch)["critic_loss"]

    latent = jax.random.normal(jax.random.split(jax.random.key(5), 3)[0], (2,))  # of no context: the prior's
    qualities = np.asarray([jnp.sum(x * actions, -1) for x in network.critics.of_all(cells, latent)])
    log_probs = np.asarray(network.policy(cells[::-1], latent).log_probs())
    after = np.min([np.asarray(x) for x in network.critics.of_all(cells[::-1], latent)], 0)
    value = (np.exp(log_probs) * (after - 0.1 * log_probs)).sum(-1)
    units = np.asarray(meta.paid.units(jnp.asarray([3.0, -1.0]))) / 1.75
    for ended in ([False, False], [True, False], [True, True]):
        goal = units + 0.5 * np.where(ended, 0, value)
        np.testing.assert_allclose(loss(ended), 0.5 * ((qualities - goal) ** 2).sum(0).mean(), rtol=1e-4)


PULLS = 12


@functools.cache
def trained():
    """An agent that knows linear bandits, its problem, its untrained θ and its own."""
    problem = linear_bandit(num_pulls=PULLS)
    algorithm = PEARL(
        num_train_tasks=200, num_tasks=50, batch_tasks=32, batch_size=12, context_size=12, recent_trials=5,
        gradient_steps=150, num_updates=16, hidden_size=32, buffer_size=60, encoder_objective="reward", latent_size=1,
        learning_rate=3e-3,
    )  # fmt: skip
    state = quick_jit(lambda key: algorithm.init(problem, key))(jax.random.key(1000))
    update = jax.jit(lambda state: algorithm.update(problem, state)[0])
    after = state
    for _ in range(algorithm.num_updates):
        after = update(after)
    return algorithm, problem, state.meta, after.meta


NUM_TASKS = 128


@functools.cache
def tried(seed=1):
    """Held-out tasks, what the trained agent did in them, and what it would do at last; leaves `[task, ...]`."""
    algorithm, problem, _, meta = trained()
    keys = jax.random.split(jax.random.key(seed), (NUM_TASKS, 2))
    tasks = jax.vmap(problem.test.sample)(keys[:, 0])
    trials = quick_jit(lambda: collect(algorithm, problem, meta, tasks, keys[:, 1]))()
    return tasks, jax.tree.map(lambda x: np.asarray(x[:, :, 0]).swapaxes(0, 1), replace(trials, aux=None))


def posteriors(meta, actions, rewards):
    """Means and variances after all pulls, `[task]`."""
    algorithm = trained()[0]
    agent = algorithm.begin(meta, jax.random.key(0))
    one = lambda a, r: algorithm.adapt(meta, agent, window_of(a, r), jax.random.key(1)).adapted  # noqa: E731
    found = jax.vmap(one)(jnp.asarray(actions), jnp.asarray(rewards))
    return found, *jax.tree.map(lambda x: np.asarray(x)[:, 0], jax.vmap(lambda x: x.moments)(found))


@pytest.mark.compiles
def test_E16_what_is_earned_with_z_of_the_posterior_is_more_than_of_the_prior():
    _, problem, _, _ = trained()
    rewards = tried()[1].reward
    prior, posterior = rewards[:, 0], rewards[:, -1]
    assert abs(prior.mean()) < 4 * prior.std() / NUM_TASKS**0.5
    assert (posterior - prior).mean() > 4 * (posterior - prior).std() / NUM_TASKS**0.5
    assert posterior.mean() <= problem.optimum[-1] + 4 * posterior.std() / NUM_TASKS**0.5  # trap E24


@pytest.mark.compiles
def test_it_beats_its_untrained_self():
    algorithm, problem, before, after = trained()
    keys = jax.random.split(jax.random.key(3), (NUM_TASKS, 2))
    tasks = jax.vmap(problem.test.sample)(keys[:, 0])
    ask = quick_jit(
        lambda meta: jax.vmap(lambda task, key: evaluation_episodes(algorithm, problem, meta, task, key).reward[-1])(
            tasks, keys[:, 1]
        )
    )
    gain = np.asarray(ask(after) - ask(before)).ravel()
    assert gain.mean() > 4 * gain.std() / NUM_TASKS**0.5


@pytest.mark.compiles
def test_E16_swapped_contexts_swap_behaviour():
    algorithm, problem, _, meta = trained()
    actions = np.tile(np.linspace(-1, 1, PULLS), (2, 1))
    rewards = actions * np.asarray([[1.5], [-1.5]]) + 0.3 * RNG.normal(size=actions.shape)
    found = posteriors(meta, actions, rewards)[0]
    seen = TimeStep(jnp.zeros(0), problem.env.action_space.null(), jnp.zeros(()), jnp.asarray(True))

    def does(posterior):
        return float(algorithm.act(meta, AgentState(posterior, None), seen, jax.random.key(0), explore=False)[0][0])

    up, down = (does(jax.tree.map(lambda x, i=i: x[i], found)) for i in (0, 1))
    assert up > 0.5
    assert down < -0.5
    swapped = posteriors(meta, actions[::-1], rewards[::-1])[0]
    assert (does(jax.tree.map(lambda x: x[0], swapped)), does(jax.tree.map(lambda x: x[1], swapped))) == (down, up)


@pytest.mark.compiles
def test_E16_z_tells_the_task():
    _, _, before, after = trained()
    tasks, trials = tried()
    weights = np.asarray(tasks.weights)
    exact = np.asarray([
        conjugate_posterior(a, r, 1.0)[0] for a, r in zip(trials.action, trials.reward, strict=True)
    ])  # fmt: skip

    def unexplained(meta, targets):
        mean = posteriors(meta, trials.action[..., 0], trials.reward)[1][:, None]
        decoder, rest = fit_decoder(mean[:64], targets[:64]), slice(64, NUM_TASKS)
        return np.mean((decoder(mean[rest]) - targets[rest]) ** 2) / np.var(targets[rest])

    assert unexplained(after, exact) < 0.03  # what can be known
    assert unexplained(after, weights) < 0.25  # the exact posterior's own is about 1/13 of a variance of 1, and chance
    assert unexplained(after, exact) < 0.5 * unexplained(before, exact)


@pytest.mark.compiles
def test_the_posterior_narrows_as_the_exact_one_does():
    _, _, _, meta = trained()
    actions = np.tile(np.where(np.arange(PULLS) % 2, 1.0, -1.0), (64, 1))
    weights = RNG.normal(size=(64, 1))
    rewards = actions * weights + RNG.normal(size=actions.shape)
    exact = np.sum(actions * rewards, 1) / (1 + PULLS)
    scale = np.polyfit(posteriors(meta, actions, rewards)[1], exact, 1)[0]  # z says w up to a sign and a scale
    for pulls in (1, 3, PULLS):
        variance = posteriors(meta, actions[:, :pulls], rewards[:, :pulls])[2].mean()
        assert 0.6 < scale**2 * variance * (1 + pulls) < 1.67
