"""What a tenth of wrong rewards does to agents in use that learn from windows: do they fall below what they were?

    python benchmarks/poisoned_rewards.py                               # the agent that ships: MAML, 2D navigation
    python benchmarks/poisoned_rewards.py runs/reptile-point-robot-1 …  # those of runs

Sessions of an agent live in held-out tasks, with a margin of 5 % (`Agent(margin=.05)`) and without. One step in ten
brings a wrong reward: "huge" ± 1e6, "opposite" the reward's negative, "best" and "worst" what the best and the worst
step of the same task has brought so far, "nan" what is none (it is refused, and told again rightly). Printed, a line
for each kind as JSON: the mean return of an episode, true rewards counted, of each window (the first is unadapted);
the part of its size that the worst later window has lost against the first, in the mean; how many sessions took an
adaptation back.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from adaptax import Agent
from adaptax.core.errors import UseError
from adaptax.core.rollout import num_windows
from adaptax.core.trained_agent import TrainedAgent
from adaptax.deployment import pretrained
from adaptax.evaluation.encounters import encounters
from adaptax.runs.load import load_agent

KINDS = ("none", "huge", "opposite", "best", "worst", "nan")
PART = 0.1
"""Of the steps, so many bring a wrong reward."""


class Poison:
    """Wrong rewards of one kind."""

    def __init__(self, kind: str, num: int, seed: int):
        self._kind, self._random = kind, np.random.default_rng(seed)
        self._best, self._worst = np.full(num, -np.inf), np.full(num, np.inf)

    def __call__(self, reward: np.ndarray) -> np.ndarray:
        """What is told instead of `reward`, `[session]`."""
        self._best, self._worst = np.maximum(self._best, reward), np.minimum(self._worst, reward)
        wrong = {
            "none": reward,
            "huge": self._random.choice([-1e6, 1e6], len(reward)),
            "opposite": -reward,
            "best": self._best,
            "worst": self._worst,
            "nan": np.full(len(reward), np.nan),
        }[self._kind]
        return np.where(self._random.random(len(reward)) < PART, wrong, reward)


def live(trained: TrainedAgent, kind: str, margin: float | None, *, sessions: int, seed: int) -> dict[str, Any]:
    """Live one trial in each of some tasks; what each window has brought."""
    problem = trained.problem
    env, windows = problem.env, num_windows(trained.algorithm, problem)
    tasks, keys = encounters(problem.test, sessions, seed)
    reset, step = jax.jit(jax.vmap(env.reset)), jax.jit(jax.vmap(env.step))
    fold = jax.jit(jax.vmap(jax.random.fold_in, in_axes=(0, None)))
    agents, poison = Agent(trained, margin=margin).sessions(sessions, seed=seed), Poison(kind, sessions, seed)
    earned = np.zeros((problem.episodes, sessions))
    for episode in range(problem.episodes):
        state, seen = reset(tasks, fold(keys, 2 * episode))
        for now in range(env.horizon):
            actions = agents.act(np.asarray(seen))
            found = step(state, actions, tasks, fold(keys, 2 * (episode * env.horizon + now) + 1))
            state, seen, reward = found.state, found.observation, np.asarray(found.reward, np.float64)
            earned[episode] += reward
            told, how = poison(reward), {"episode_over": now == env.horizon - 1}
            told = np.where(np.isfinite(told), told, _refused(agents, told, how, reward))
            agents.observe(told, **how)
    returns = earned.reshape(windows, -1, sessions).mean(1)
    lost = (returns[0].mean() - returns[1:].mean(1).min()) / abs(returns[0].mean())
    return {
        "agent": trained.title,
        "poison": kind,
        "margin": margin,
        "windows": [round(float(x), 2) for x in returns.mean(1)],
        "lost": round(float(lost), 4),
        "taken back": int((agents.taken_back > 0).sum()),
        "sessions": sessions,
    }


def _refused(agents: Any, told: np.ndarray, how: dict[str, Any], reward: np.ndarray) -> np.ndarray:
    """The true rewards, after the agent has refused those that are no numbers."""
    if not np.isfinite(told).all():
        try:
            agents.observe(told, **how)
        except UseError:
            return reward
        raise AssertionError("a reward that is no number was taken")
    return reward


def main() -> None:
    """Print a line for each agent, kind of poison and margin."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="*", help="directories of runs; by default the agent that ships")
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    options = parser.parse_args()
    runs = [Path(run) for run in options.run] or [pretrained.directory_of("point-robot")]
    for trained in [load_agent(run, print) for run in runs]:
        for kind in options.kinds:
            for margin in (None, 0.05):
                print(json.dumps(live(trained, kind, margin, sessions=options.sessions, seed=options.seed)), flush=True)


if __name__ == "__main__":
    main()
