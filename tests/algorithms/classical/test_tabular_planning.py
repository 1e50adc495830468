"""Plans against all policies, and against linear programs."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

from adaptax.algorithms.classical.tabular_planning import anywhere, optimistic_plan, plan


def random_mdp(seed, states, actions):
    rng = np.random.default_rng(seed)
    rewards = rng.normal(size=(states, actions)).astype(np.float32)
    return rewards, rng.dirichlet(np.ones(states), size=(states, actions)).astype(np.float32)


def test_a_plan_is_as_good_as_the_best_of_all_policies():
    states, actions, horizon = 2, 2, 3
    rewards, transitions = random_mdp(0, states, actions)

    def value(policy):
        value = np.zeros(states)
        for choice in reversed(policy):
            value = np.array([rewards[s, a] + transitions[s, a] @ value for s, a in enumerate(choice)])
        return value

    choices = list(itertools.product(range(actions), repeat=states))
    policies = list(itertools.product(choices, repeat=horizon))
    best = np.max([value(policy) for policy in policies], axis=0)
    quality = np.asarray(plan(jnp.asarray(rewards), jnp.asarray(transitions), horizon))
    assert quality.shape == (horizon, states, actions)
    np.testing.assert_allclose(quality[0].max(-1), best, rtol=1e-5)
    np.testing.assert_allclose(value(quality.argmax(-1)), best, rtol=1e-5)
    np.testing.assert_array_equal(quality[-1], rewards)


def test_optimistic_backups_solve_the_linear_program():
    states, actions = 4, 3
    rewards, transitions = random_mdp(1, states, actions)
    slack = np.linspace(0, 2.2, states * actions).reshape(states, actions).astype(np.float32)
    quality = np.asarray(optimistic_plan(*map(jnp.asarray, (rewards, transitions, slack)), 2))
    np.testing.assert_allclose(quality[1], rewards, rtol=1e-6)
    value = quality[1].max(-1)
    for s, a in itertools.product(range(states), range(actions)):
        # Maximise (p̂ + up − down)·value over up, down ≥ 0 with Σ up = Σ down and Σ (up + down) ≤ slack.
        answer = scipy.optimize.linprog(
            np.concatenate([-value, value]),
            A_ub=[[1.0] * 2 * states],
            b_ub=[slack[s, a]],
            A_eq=[[1.0] * states + [-1.0] * states],
            b_eq=[0.0],
            bounds=[(0, 1 - p) for p in transitions[s, a]] + [(0, p) for p in transitions[s, a]],
        )
        expected = rewards[s, a] + transitions[s, a] @ value - answer.fun
        np.testing.assert_allclose(quality[0, s, a], expected, rtol=1e-4, atol=1e-5)


def test_optimism_without_slack_is_a_plan_and_with_all_of_it_a_wish():
    rewards, transitions = map(jnp.asarray, random_mdp(2, 3, 2))
    none, all_of_it = jnp.zeros((3, 2)), jnp.full((3, 2), 2.0)
    np.testing.assert_allclose(optimistic_plan(rewards, transitions, none, 4), plan(rewards, transitions, 4), rtol=1e-5)
    wish = optimistic_plan(rewards, transitions, all_of_it, 4)
    np.testing.assert_allclose(wish[0], rewards + 3 * jnp.max(rewards), rtol=1e-5)


def test_anywhere_is_one_scalar_for_all_of_a_batch():
    flags = jnp.asarray([[False, False], [False, True]])
    both = jax.vmap(jax.vmap(anywhere))
    assert np.all(both(flags))
    assert not np.any(both(jnp.zeros((2, 2), bool)))

    def work(condition):
        return lambda flag, x: jax.lax.cond(condition(flag), lambda: x + 1, lambda: x)

    kept = str(jax.make_jaxpr(jax.vmap(work(anywhere)))(flags[0], jnp.zeros(2)))
    lost = str(jax.make_jaxpr(jax.vmap(work(lambda flag: flag)))(flags[0], jnp.zeros(2)))
    assert "cond[" in kept
    assert "cond[" not in lost
