"""Memory: what is needed, what is free, and what is said where the one is more than the other."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from adaptax import problems
from adaptax.algorithms import EMAML, ESMAML, MAML, PEARL, RL2, MultiTaskPPO, OffPolicyRL2, Reptile
from adaptax.core.algorithm import init
from adaptax.core.errors import ResourceError
from adaptax.core.types import is_key
from adaptax.experiment import memory
from adaptax.problems import bernoulli_bandit
from adaptax.runs import checkpoints
from adaptax.training.loop import train


def compiled(gigabytes):
    numbers = int(gigabytes * 1e9 / 4)
    return jax.jit(lambda x: jnp.sum(jnp.cumsum(jnp.broadcast_to(x, (numbers,))))).lower(jnp.ones(())).compile()


def test_what_a_program_needs_is_what_its_arrays_take():
    small, large = (memory.needed_bytes(compiled(size), 1) for size in (0.1, 1.0))
    assert large >= 1e9
    assert large == pytest.approx(10 * small, rel=0.01)
    assert memory.needed_bytes(compiled(1.0), 2) == 2 * large


def test_what_fits_is_silent_and_what_does_not_is_told_what_to_lower(monkeypatch):
    algorithm = RL2(num_tasks=512, num_minibatches=16)
    fits = memory.check(algorithm, 1)
    fits(compiled(0.1))
    needed = memory.needed_bytes(compiled(1.0), 1)
    monkeypatch.setattr(memory, "free_bytes", lambda: needed // 4)
    message = r"needs .* GB are free; nothing was trained. Largest: \d × \(\d+×16 float32, 1e\+03 MB\).*from 512 to 112"
    with pytest.raises(ResourceError, match=message):
        fits(compiled(1.0))


SMALL = {"hidden_size": 16, "num_layers": 1, "num_tasks": 64}
MEMORY = {"memory_size": 16, "critic_size": 16, "num_tasks": 64, "num_minibatches": 2}
TEN = {
    "RL², LSTM": (RL2(**MEMORY), lambda: problems.bernoulli_bandit(num_arms=5, num_pulls=40)),
    "RL², GRU": (RL2(**MEMORY, memory="gru"), lambda: problems.tabular_mdp(num_episodes=4)),
    "RL², symmetric": (RL2(**MEMORY, memory="symmetric"), lambda: problems.bernoulli_bandit(num_arms=5, num_pulls=40)),
    "RL², three seeds": (RL2(**MEMORY), lambda: problems.chain(length=4, horizon=8, num_episodes=4)),
    "MAML, TRPO": (MAML(**SMALL, trajectories=4), lambda: problems.point_robot(num_episodes=8, horizon=20)),
    "MAML, PPO": (MAML(**SMALL, trajectories=4, outer="ppo"), lambda: problems.tabular_mdp(num_episodes=8)),
    "Reptile": (Reptile(**SMALL, trajectories=4), lambda: problems.point_robot(num_episodes=8, horizon=20)),
    "E-MAML": (EMAML(**SMALL, trajectories=4), lambda: problems.point_robot(num_episodes=8, horizon=20)),
    "ES-MAML": (ESMAML(**SMALL, trajectories=4), lambda: problems.point_robot(num_episodes=8, horizon=20)),
    "PPO for all": (MultiTaskPPO(**SMALL, num_minibatches=2), lambda: problems.chain(length=4, horizon=40)),
}


@pytest.mark.nightly
@pytest.mark.parametrize("name", TEN)
def test_the_lower_setting_that_is_named_runs(name, monkeypatch):
    algorithm, problem = TEN[name][0], TEN[name][1]()
    algorithm = dataclasses.replace(algorithm, num_updates=1)
    seeds = 3 if "seeds" in name else 1

    def trained(algorithm):
        fits = memory.check(algorithm, 1)
        state = init(algorithm, problem, seed=0, num_seeds=seeds)
        return train(algorithm, problem, state, num_updates=1, num_seeds=seeds, on_compiled=fits)

    function, state = memory.program_of(algorithm, problem, 1, seeds)
    needed = memory.needed_bytes(jax.jit(function, donate_argnums=0).lower(state).compile(), 1)
    monkeypatch.setattr(memory, "free_bytes", lambda: int(0.6 * needed))
    with pytest.raises(ResourceError, match=r"out of memory.*Lower --num-tasks from 64 to \d+") as refused:
        trained(algorithm)
    fewer = int(str(refused.value).rsplit(" ", 1)[1])
    assert 16 <= fewer < 64
    assert (trained(dataclasses.replace(algorithm, num_tasks=fewer)).step == 1).all()


@pytest.mark.parametrize("share", [0.9, 0.5, 0.1, 0.02])
def test_advice_is_a_setting_that_is_allowed_and_small_enough(share):
    for algorithm in (RL2(), MAML()):
        advice = memory.advice(algorithm, share)
        if "from" in advice:
            fewer = int(advice.rsplit(" ", 1)[1])
            assert fewer <= share * algorithm.num_tasks
            type(algorithm)(num_tasks=fewer)


def test_free_memory_of_this_machine_is_known():
    assert memory.free_bytes() > 10**8


def test_where_trials_are_replayed_the_buffer_is_what_to_lower():
    said = memory.advice(OffPolicyRL2(buffer_size=500, batch_size=20), 0.1)
    assert said == "Lower --buffer-size (now 500 trials) or --batch-size (now 20)"


def test_a_buffer_that_is_more_than_there_is_is_refused_before_it_is_made(monkeypatch):
    algorithm, problem = OffPolicyRL2(buffer_size=10**6, memory_size=4), bernoulli_bandit(3, 1000)
    shapes = jax.eval_shape(lambda key: algorithm.init(problem, key), jax.random.key(0))
    buffer = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(shapes.opt_state.buffer))
    monkeypatch.setattr(memory, "free_bytes", lambda: buffer - 1)
    # An action, the one before it, what each has brought, and whether an episode begins: 17 bytes.
    assert buffer == 10**9 * 17 + 10**6 * 3 * 4 + 4
    said = (
        r"starts with 15\.8 GiB, 15\.8 GiB are free; nothing was trained\. Largest: opt_state\.buffer\..* with 3\.7 GiB"
    )
    with pytest.raises(ResourceError, match=rf"{said}\. Lower --buffer-size \(now 1000000 trials\)"):
        memory.check_state(algorithm, 1)(shapes)
    with pytest.raises(ResourceError, match="once for each of 2 devices"):
        memory.check_state(algorithm, 2)(shapes)
    monkeypatch.setattr(memory, "free_bytes", lambda: 2 * buffer)
    memory.check_state(algorithm, 1)(shapes)
    monkeypatch.setattr(memory, "free_bytes", lambda: None)
    memory.check_state(algorithm, 1)(shapes)


@pytest.mark.parametrize("name", ["off-policy-rl2", "pearl"])
def test_plan_counts_the_bytes_of_buffers_as_checkpoints_have_them(name, tmp_path):
    kind = {"off-policy-rl2": OffPolicyRL2, "pearl": PEARL}[name]
    sizes = {"num_tasks": 2, "batch_size": 2, "buffer_size": 3000}
    algorithm, problem = kind(**sizes), bernoulli_bandit(3, 4)
    shapes = jax.eval_shape(lambda key: algorithm.init(problem, key), jax.random.key(0))
    empty = lambda x: jnp.zeros(x.shape, x.dtype)  # noqa: E731
    state = jax.tree.map(lambda x: jax.random.key(0) if is_key(x) else empty(x), shapes)
    about = {"algorithm": name, "settings": {}, "options": {}}
    checkpoints.save(tmp_path, state, update=1, about=about)
    written = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    said = sum(map(memory.bytes_of, jax.tree.leaves(shapes)))
    assert said < written < 1.2 * said
