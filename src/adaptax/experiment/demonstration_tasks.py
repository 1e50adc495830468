"""The tasks of a demonstration, in NumPy: the rules of the problems of the same names, tested against those.

What happens is told as films are: a kind of picture, what stays the same in it, and moments, all as
`reports/templates/scenes.js` draws them.
"""

import math
from typing import Any, Protocol

import numpy as np
from scipy.special import betaincinv


class Family(Protocol):
    """A family of tasks, and a person's view of a trial in one.

    Attributes:
        kind: Of picture.
        horizon: Steps of an episode.
        episodes: Episodes of a trial.
    """

    kind: str
    horizon: int
    episodes: int

    def draw(self, rng: np.random.Generator) -> Any:
        """A task."""

    def reset(self, task: Any) -> tuple[Any, Any]:
        """State and observation at the start of an episode."""

    def step(self, task: Any, state: Any, action: Any, luck: float) -> tuple[Any, Any, float, bool]:
        """State, observation, reward, and whether the episode is over before its time. `luck` is ~ U[0, 1]."""

    def best(self, task: Any) -> float:
        """Return of an episode for whoever knows the task."""

    def by_chance(self, task: Any, rng: np.random.Generator) -> float:
        """Return of an episode of random actions."""


class Bandit:
    """Bernoulli arms."""

    kind, horizon = "bandit", 1

    def __init__(self, settings: Any):
        self.arms, self.episodes = int(settings.num_arms), int(settings.num_pulls)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Success probabilities."""
        return rng.uniform(size=self.arms)

    def reset(self, task: np.ndarray) -> tuple[None, np.ndarray]:
        """There is no state, and nothing to see."""
        return None, np.zeros(0)

    def step(self, task: np.ndarray, state: None, action: Any, luck: float) -> tuple[None, np.ndarray, float, bool]:
        """Pull an arm."""
        return None, np.zeros(0), float(luck < task[int(action)]), True

    def best(self, task: np.ndarray) -> float:
        """The best arm's probability."""
        return float(np.max(task))

    def by_chance(self, task: np.ndarray, rng: np.random.Generator) -> float:
        """Their mean."""
        return float(np.mean(task))

    def film(self, task: np.ndarray, trial: list[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Posteriors after each pull."""
        pulls, won, earned, moments = np.zeros(self.arms, int), np.zeros(self.arms), 0.0, []
        for number, step in enumerate(trial, 1):
            arm = int(step["action"])
            pulls[arm] += 1
            won[arm] += step["reward"]
            earned += step["reward"]
            low, high = (betaincinv(1 + won, 1 + pulls - won, share) for share in (0.025, 0.975))
            arms = [
                {
                    "pulls": int(n),
                    "mean": float((1 + w) / (2 + n)),
                    "low": float(a),
                    "high": float(b),
                    "truth": float(t),
                }
                for n, w, a, b, t in zip(pulls, won, low, high, task, strict=True)
            ]
            text = f"pull {number} of {self.episodes}: arm {arm + 1} paid {step['reward']:.0f}; earned {earned:.0f}"
            moments.append({"arms": arms, "chosen": arm, "reward": step["reward"], "text": text})
        return {}, moments


class Grid:
    """Cells, one of which is the goal."""

    kind = "grid"
    moves = ((0, 0), (1, 0), (0, 1), (-1, 0), (0, -1))

    def __init__(self, settings: Any):
        self.size, self.horizon, self.episodes = settings.size, settings.horizon, settings.num_episodes
        self.goals = [cell for cell in range(self.size**2) if max(divmod(cell, self.size)) > 1]

    def draw(self, rng: np.random.Generator) -> int:
        """The goal."""
        return int(rng.choice(self.goals))

    def reset(self, task: int) -> tuple[int, int]:
        """The corner."""
        return 0, 0

    def step(self, task: int, state: int, action: Any, luck: float) -> tuple[int, int, float, bool]:
        """Move a cell, or stay."""
        row, column = np.clip(np.asarray(divmod(state, self.size)) + self.moves[int(action)], 0, self.size - 1)
        cell = int(row * self.size + column)
        return cell, cell, 1.0 if cell == task else -0.1, False

    def best(self, task: int) -> float:
        """Walk there and stay."""
        reached = max(self.horizon - sum(divmod(task, self.size)) + 1, 0)
        return reached - 0.1 * (self.horizon - reached)

    def by_chance(self, task: int, rng: np.random.Generator) -> float:
        """One episode."""
        state, total = 0, 0.0
        for action in rng.integers(len(self.moves), size=self.horizon):
            state, _, reward, _ = self.step(task, state, action, 0.0)
            total += reward
        return total

    def film(self, task: int, trial: list[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The way, and where the goal may still be."""
        left, found, path, moments = set(self.goals), False, [(0, 0)], []
        for step in trial:
            path = [*(path if step["time"] else [(0, 0)]), divmod(step["state"], self.size)]
            found = found or step["reward"] > 0
            left = {task} if found else left - {step["state"]}
            belief = [1 / len(left) if cell in left else 0 for cell in range(self.size**2)]
            known = "has found the goal" if found else f"{len(left)} cells may be the goal"
            what = "on the goal" if step["reward"] > 0 else known
            text = f"episode {step['episode'] + 1} of {self.episodes}, step {step['time'] + 1}: {what}"
            moments.append({"path": path, "belief": belief, "found": found, "text": text})
        still = {"rows": self.size, "columns": self.size, "up": True, "start": (0, 0), "goal": divmod(task, self.size)}
        return still, moments


class Plane:
    """A point that moves to a goal, which only rewards tell of."""

    kind, reach, near = "plane", 0.1, 0.01

    def __init__(self, settings: Any):
        self.horizon, self.episodes = settings.horizon, settings.num_episodes

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """The goal."""
        return rng.uniform(-0.5, 0.5, 2)

    def reset(self, task: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The origin."""
        return np.zeros(2), np.zeros(2)

    def step(
        self, task: np.ndarray, state: np.ndarray, action: Any, luck: float
    ) -> tuple[np.ndarray, np.ndarray, float, bool]:
        """Move."""
        at = state + np.clip(action, -self.reach, self.reach)
        away = at - task
        return at, at, -math.hypot(*away), bool(np.all(np.abs(away) < self.near))

    def best(self, task: np.ndarray) -> float:
        """Straight there."""
        return self._walk(task, lambda at: task - at)

    def by_chance(self, task: np.ndarray, rng: np.random.Generator) -> float:
        """One episode."""
        return self._walk(task, lambda at: rng.uniform(-self.reach, self.reach, 2))

    def _walk(self, task: np.ndarray, policy: Any) -> float:
        state, total = np.zeros(2), 0.0
        for _ in range(self.horizon):
            state, _, reward, over = self.step(task, state, policy(state), 0.0)
            total += reward
            if over:
                break
        return total

    def film(self, task: np.ndarray, trial: list[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """What it would do after each window, among the episodes that it learns from."""
        moments, path = [], [[0.0, 0.0]]
        done: list[list[list[float]]] = []
        for step in trial:
            path = [*(path if step["time"] else [[0.0, 0.0]]), [float(x) for x in step["state"]]]
            stage = step["episode"] + 1
            exploring = [{"points": points[: step["time"] + 2], "stage": 0} for points in step["window"]]
            before = [{"points": points, "stage": i + 1} for i, points in enumerate(done)]
            adapted = f"after {stage - 1} gradient step{'s'[: stage > 2]}" if stage > 1 else "before it has adapted"
            text = f"{adapted}: {step['distance']:.2f} from the goal"
            moments.append({"paths": [*exploring, *before, {"points": path, "stage": stage}], "text": text})
            if step["last"]:
                done.append(path)
        bounds = (-0.62, 0.62, -0.62, 0.62)
        return {"bounds": bounds, "start": (0.0, 0.0), "goal": task.tolist()}, moments


FAMILIES: dict[str, type[Any]] = {"bandit": Bandit, "grid-navigation": Grid, "point-robot": Plane}
