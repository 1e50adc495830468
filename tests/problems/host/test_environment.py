"""What is simulated on the host does what the same family does in JAX: trials, updates, evaluations."""

import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms.gradient.maml import MAML
from adaptax.algorithms.memory.rl2 import RL2
from adaptax.algorithms.standard_rl.a2c import A2C
from adaptax.algorithms.standard_rl.meta_gradient_rl import MetaGradientRL
from adaptax.algorithms.standard_rl.ppo import PPO
from adaptax.algorithms.standard_rl.reinforce import Reinforce
from adaptax.core.algorithm import init
from adaptax.core.errors import EnvironmentContractError, UseError
from adaptax.core.host_program import HostProgram
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import replace
from adaptax.evaluation.evaluator import evaluate
from adaptax.problems.task_informed import informed
from adaptax.training import loop
from tests.problems.host.walks import Walk, faulty, noisy, twins, walks

RL2_TINY = RL2(num_updates=3, num_tasks=4, num_minibatches=2, num_epochs=2, memory_size=6, critic_size=8)
MAML_TINY = MAML(num_updates=2, num_tasks=3, trajectories=2, inner_steps=2, hidden_size=8)


def trained(algorithm, problem, num_updates=2, seed=0, num_seeds=1):
    """The state after some updates, and their metrics."""
    seen = []
    state = loop.train(
        algorithm, problem, init(algorithm, problem, seed=seed, num_seeds=num_seeds), num_updates=num_updates,
        num_seeds=num_seeds, chunk=1, on_chunk=lambda progress: seen.append(progress.metrics),
    )  # fmt: skip
    return state, seen


def assert_near(one, other, **tolerance):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    for a, b in pairs:
        if not jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            np.testing.assert_allclose(a, b, **tolerance)


def in_slots(problem, monkeypatch):
    monkeypatch.setattr(type(problem), "streams", False)
    return problem


@pytest.mark.compiles
@pytest.mark.parametrize("algorithm", [RL2_TINY, MAML_TINY], ids=["rl2", "maml"])
def test_an_update_is_that_of_the_same_family_in_jax(algorithm, monkeypatch):
    here, there = trained(algorithm, walks(), 1), trained(algorithm, in_slots(twins(), monkeypatch), 1)
    lost = here[1][0].pop("trials_lost")
    assert lost == 0
    for name in ("return", "return_0", "env_steps"):
        if name in there[1][0]:
            np.testing.assert_allclose(here[1][0][name], there[1][0][name], rtol=1e-5)
    assert_near(here[0].meta, there[0].meta, rtol=2e-2, atol=2e-3)


@pytest.mark.compiles
def test_an_evaluation_is_that_of_the_same_family_in_jax():
    for algorithm in (RL2_TINY, MAML_TINY):
        problems = [replace(problem, episodes=6) for problem in (walks(), twins())]
        meta = init(algorithm, problems[1], seed=1).meta
        found = [evaluate(TrainedAgent(algorithm, p, meta), num_tasks=70, seed=3, explore=True) for p in problems]
        np.testing.assert_array_equal(found[0].steps, found[1].steps)
        np.testing.assert_allclose(found[0].returns, found[1].returns, rtol=1e-5)
        if found[1].evaluation_episodes is not None:
            np.testing.assert_allclose(found[0].evaluation_episodes, found[1].evaluation_episodes, rtol=1e-4)


IN_A_TASK = {"hidden_size": 4, "streams": 2}


@pytest.mark.compiles
@pytest.mark.parametrize(
    "algorithm",
    [
        A2C(**IN_A_TASK, num_steps=3),
        MetaGradientRL(**IN_A_TASK, num_steps=3),
        PPO(**IN_A_TASK, num_minibatches=3),
        Reinforce(**IN_A_TASK),
    ],
    ids=lambda algorithm: type(algorithm).__name__,
)
def test_who_learns_in_a_task_learns_from_simulators_what_it_learns_in_jax(algorithm):
    problems = [replace(problem, episodes=8) for problem in (walks(), twins())]
    meta = init(algorithm, problems[1], seed=1).meta
    here, there = (evaluate(TrainedAgent(algorithm, p, meta), num_tasks=3, seed=3) for p in problems)
    np.testing.assert_allclose(here.returns, there.returns, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(here.evaluation_episodes, there.evaluation_episodes, rtol=1e-3, atol=1e-3)


@pytest.mark.compiles
def test_a_run_is_the_same_run_with_workers_too_and_another_with_another_seed():
    one, two = trained(RL2_TINY, noisy()), trained(RL2_TINY, noisy())
    other = trained(RL2_TINY, noisy(workers=2))
    for found in (two, other):
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(found), strict=True):
            np.testing.assert_array_equal(
                *(jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x for x in (a, b))
            )
    assert trained(RL2_TINY, noisy(), seed=1)[1][0]["return"] != one[1][0]["return"]


@pytest.mark.compiles
def test_several_seeds_train_side_by_side():
    _, seen = trained(RL2_TINY, walks(), 1, num_seeds=2)
    assert seen[0]["return"].shape == (1, 2)
    assert len(set(seen[0]["return"][0].tolist())) == 2


@pytest.mark.process
def test_trials_whose_simulator_is_lost_are_thrown_away_and_counted(tmp_path, monkeypatch):
    faults = tmp_path / "faults"
    for folder in (faults, tmp_path / "faults.done"):
        folder.mkdir()
    problem = faulty()
    state = init(RL2_TINY, problem, seed=0)
    monkeypatch.setenv("WALK_FAULTS", str(faults))
    kinds, lost, returns = ["kill", "raise", "hang", "nonsense"], [], []

    def see(progress):
        lost.append(int(progress.metrics["trials_lost"][0, 0]))
        returns.append(float(progress.metrics["return"][0, 0]))
        if kinds:
            (faults / f"{len(lost)}-{kinds.pop(0)}").touch()

    # Workers have been started before the variable was set: begin them anew.
    problem.env.simulators._pool.close()
    longer = RL2(**{**vars(RL2_TINY), "num_updates": 6})
    state = loop.train(longer, problem, state, num_updates=6, chunk=1, on_chunk=see)
    assert lost[0] == lost[5] == 0
    assert [min(lost[1:5]), lost[2], lost[4]] == [1, 1, 1]
    assert max(lost) == 2
    assert all(-20 < value < -1 for value in returns), returns
    assert np.isfinite(jax.tree.leaves(state.meta)[0]).all()

    agent = TrainedAgent(longer, problem, state.meta)
    undisturbed = evaluate(agent, num_tasks=5, seed=2)
    (faults / "9-kill").touch()
    before = problem.env.losses[0]
    again = evaluate(agent, num_tasks=5, seed=2)
    assert problem.env.losses[0] > before
    np.testing.assert_array_equal(undisturbed.returns, again.returns)


@pytest.mark.nightly
def test_thirty_faults_cost_their_trials_and_nothing_else(tmp_path, monkeypatch):
    """20 workers are killed, 5 hang and 5 raise, at random times."""
    faults = tmp_path / "faults"
    for folder in (faults, tmp_path / "faults.done"):
        folder.mkdir()
    monkeypatch.setenv("WALK_FAULTS", str(faults))
    problem, num_updates = faulty(), 400
    algorithm = RL2(**{**vars(RL2_TINY), "num_updates": num_updates, "num_tasks": 16})
    rng = np.random.default_rng(0)
    kinds = rng.permutation(["kill"] * 20 + ["hang"] * 5 + ["raise"] * 5).tolist()
    planted = dict(zip(np.sort(rng.choice(np.arange(5, 390), 30, replace=False)).tolist(), kinds, strict=True))
    lost, times = [], [time.monotonic()]

    def see(progress):
        lost.append(int(progress.metrics["trials_lost"][0, 0]))
        times.append(time.monotonic())
        if kind := planted.get(progress.done):
            (faults / f"{progress.done:03}-{kind}").touch()

    state = init(algorithm, problem, seed=0)
    processes = set(problem.env.simulators._pool.processes)
    state = loop.train(algorithm, problem, state, num_updates=num_updates, chunk=1, on_chunk=see)
    processes |= set(problem.env.simulators._pool.processes)
    assert not list(faults.iterdir())
    disturbed = [update for update in range(num_updates) if lost[update]]
    assert disturbed == sorted(planted)  # each fault strikes in the update after it was planted
    assert all(lost[update] == 1 for update, kind in planted.items() if kind == "raise")
    assert all(lost[update] == 8 for update, kind in planted.items() if kind != "raise")  # all of one worker's
    assert max(np.diff(times[2:])) < 2.0 + 5.0  # the timeout, and beginning a process anew
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(state.meta))
    problem.env.simulators._pool.close()
    assert not any(Path(f"/proc/{process}").exists() for process in processes)


class Hopeless(Walk):
    """It breaks in every episode."""

    def step(self, action):
        raise RuntimeError("no power")


def test_where_all_is_lost_it_ends_with_the_reason():
    from adaptax.problems.host.gymnasium_problems import gymnasium_problem

    problem = gymnasium_problem(Hopeless, {"goal": (0.0, 1.0)}, horizon=3)
    with pytest.raises(EnvironmentContractError, match=r"episodes were lost.*task goal = 0.*no power"):
        init(RL2_TINY, problem, seed=0)


def test_a_state_at_the_beginning_can_be_gone_on_from_twice_and_one_in_the_middle_cannot():
    problem = walks()
    task = problem.train.sample(jax.random.key(0))
    env, action = problem.env, jnp.asarray([0.5])

    def twice(key):
        state, _ = env.reset(task, key)
        first = env.step(state, action, task, key)
        return first.observation, env.step(state, action, task, key).observation

    assert_near(*HostProgram(twice)(jax.random.key(1)))

    def from_the_middle(key):
        state, _ = env.reset(task, key)
        middle = env.step(state, action, task, key).state
        after = env.step(middle, action, task, key)
        return after.observation, env.step(middle, action + after.reward, task, key).observation

    with pytest.raises(UseError, match="one can go on once"):
        HostProgram(from_the_middle)(jax.random.key(1))


@pytest.mark.compiles
def test_the_policy_that_is_told_the_task_sees_it():
    problem = informed(walks())
    tasks = jax.vmap(problem.train.sample)(jax.random.split(jax.random.key(0), 3))
    keys = jax.random.split(jax.random.key(1), 3)
    shown = HostProgram(jax.vmap(lambda task, key: problem.env.reset(task, key)[1]))(tasks, keys)
    assert shown.shape == (3, 4)
    assert len(np.unique(np.asarray(shown[:, 2:]))) == 6
