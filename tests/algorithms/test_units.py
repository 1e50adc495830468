"""Learning curves are the same in any units of observations and of rewards, up to what seeds differ by (E32, E33).

Episodes have one length here: where they may end early, a constant added to rewards is another task.
"""

import numpy as np
import pytest

from adaptax.algorithms import DQN, MAML, PPO, RL2, MultiTaskPPO
from tests.units import VARIANTS, curves

SEEN = {"normalize_observations": True}
BOTH = {**SEEN, "normalize_rewards": True}
RL2_SIZES = {"memory": "gru", "memory_size": 16, "critic_size": 16, "num_tasks": 64, "num_minibatches": 4}
MAML_SIZES = {"hidden_size": 16, "num_tasks": 10, "trajectories": 8, "inner_steps": 1, "initial_std": 0.7}
DQN_SIZES = {"hidden_size": 32, "learning_starts": 100, "train_every": 2, "target_every": 50, "buffer_size": 4000}
ALL_SIZES = {"hidden_size": 16, "streams": 2, "num_tasks": 40, "num_minibatches": 4, "num_updates": 40}
LEARNERS = {
    "rl2": (RL2(**RL2_SIZES, num_updates=40, learning_rate=5e-3, gae_lambda=0.95, **SEEN), {"episodes": 2}),
    "maml": (MAML(**MAML_SIZES, num_updates=25, objective="every-step", gae_lambda=0.95, **SEEN), {"episodes": 16}),
    "multitask-ppo": (MultiTaskPPO(**ALL_SIZES, **BOTH), {"episodes": 2}),
    "ppo": (PPO(hidden_size=16, streams=10, num_minibatches=5, **SEEN), {"episodes": 400}),
    "dqn": (
        DQN(**DQN_SIZES, discount=0.9, batch_size=32, epsilon_episodes=50, **BOTH),
        {"episodes": 150, "discrete": True},
    ),
}


@pytest.mark.learning
@pytest.mark.nightly
@pytest.mark.parametrize("name", LEARNERS)
def test_E32_E33_it_learns_the_same_in_any_units(name):
    algorithm, problem = LEARNERS[name]
    found = curves(algorithm, horizon=10, **problem)
    last = max(found.shape[-1] // 5, 1)
    first, end = found[..., : max(last // 4, 1)].mean(-1), found[..., -last:].mean(-1)
    # Who is not told the goal can only stay near the start, and RL² has learned no more by then (but see its own test).
    if name not in ("multitask-ppo", "rl2"):
        assert end[0].mean() > first[0].mean() + 3 * end[0].std(ddof=1)
    error = end[0].std(ddof=1) / np.sqrt(len(end[0]) / 2) + 0.02 * abs(end[0].mean())
    for variant, other in zip(list(VARIANTS)[1:], end[1:], strict=True):
        assert abs(other.mean() - end[0].mean()) < 3 * error, f"{variant}: {other} instead of {end[0]}"
