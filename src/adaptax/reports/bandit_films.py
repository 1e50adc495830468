"""Films of bandits: pulls, what is known of each arm, and which is pulled next."""

from typing import Any

import jax
import numpy as np

from adaptax.core.spaces import Discrete
from adaptax.evaluation.recording import Recording
from adaptax.evaluation.statistics import CONFIDENCE, beta_quantile
from adaptax.reports.film_parts import Film, figures, film_of, numbers, of_task

FIRST = 60
"""So many pulls are all shown; of later ones, fewer and fewer."""
MOST = 160
"""Moments of a film, about."""
NORMAL_95 = 1.959964
BANDS = "Bands: 95 % of the posterior of each arm, from its own pulls"


def bandit_film(recording: Recording, task: int) -> Film:
    """Pull by pull: what is known of each arm from its own pulls."""
    space = recording.problem.env.action_space
    assert isinstance(space, Discrete)
    arms, rewards = recording.actions[task, :, 0].astype(int), recording.rewards[task, :, 0].astype(np.float64)
    truth, kind, noise = truths(recording, task, space.num)
    moments: list[dict[str, Any]] = []
    for count in pulls_shown(len(arms)):
        pulls = np.bincount(arms[:count], minlength=space.num)
        totals = np.bincount(arms[:count], weights=rewards[:count], minlength=space.num)
        mean, low, high = posterior(pulls, totals, kind, noise)
        columns = (figures(x) for x in (mean, low, high, truth))
        shown = [
            dict(zip(("pulls", "mean", "low", "high", "truth"), row, strict=True))
            for row in zip(pulls.tolist(), *columns, strict=True)
        ]
        arm = int(arms[count - 1]) if count else None
        reward = None if arm is None else figures(rewards[count - 1])[0]
        moments.append({
            "arms": shown, "chosen": arm, "reward": reward,
            "text": _text(count, len(arms), arm, reward, pulls, float(rewards[:count].sum())),
        })  # fmt: skip
    still = {"range": _range(rewards, truth, kind)}
    note = {
        "bernoulli": f"{BANDS} and a uniform prior; line: its mean.",
        "normal": f"{BANDS} and the prior N(0, 1); line: its mean.",
        "": "Line: mean of what the arm has brought.",
    }[kind]
    hidden = "the arms' true means" if np.isfinite(truth).all() else ""
    return film_of("bandit", task, still, moments, [(0, "Trial")], hidden=hidden, note=note)


def pulls_shown(total: int) -> list[int]:
    """After how many pulls there is a moment: before the first, after the first ones, then at growing distances."""
    if total <= MOST:
        return list(range(total + 1))
    later = np.round(np.geomspace(FIRST + 1, total, MOST - FIRST)).astype(int)
    return [*range(FIRST + 1), *np.unique(later).tolist()]


def truths(recording: Recording, task: int, num_arms: int) -> tuple[np.ndarray, str, float]:
    """True mean of each arm (NaN if it is not known), the kind of posterior ("": none), and the noise of rewards."""
    mine, env = of_task(recording.tasks, task), recording.problem.env
    fitting = [np.asarray(x, np.float64) for x in jax.tree.leaves(mine) if np.shape(x) == (num_arms,)]
    truth = fitting[0] if len(fitting) == 1 else np.full(num_arms, np.nan)
    if hasattr(mine, "probabilities") and np.isin(recording.rewards[task], (0.0, 1.0)).all():
        return truth, "bernoulli", 0.0
    if hasattr(mine, "means") and hasattr(env, "noise"):
        return truth, "normal", float(env.noise)
    return truth, "", 0.0


def posterior(
    pulls: np.ndarray, totals: np.ndarray, kind: str, noise: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean of each arm's posterior, and the ends of its middle 95 %; NaN where there is none.

    Args:
        pulls: How often each arm was pulled, `[arm]`.
        totals: What it brought, `[arm]`.
        kind: "bernoulli": Beta(1 + successes, 1 + failures); "normal": means ~ N(0, 1), rewards with `noise`; "": the
            mean of the rewards, without a band.
        noise: Standard deviation of a reward.
    """
    if kind == "bernoulli":
        a, b = 1.0 + totals, 1.0 + pulls - totals
        tail = (1 - CONFIDENCE) / 2
        return a / (a + b), beta_quantile(a, b, tail), beta_quantile(a, b, 1 - tail)
    if kind == "normal":
        variance = 1 / (1 + pulls / noise**2)
        mean, half = variance * totals / noise**2, NORMAL_95 * np.sqrt(variance)
        return mean, mean - half, mean + half
    mean = np.where(pulls > 0, totals / np.maximum(pulls, 1), np.nan)
    return mean, np.full(len(pulls), np.nan), np.full(len(pulls), np.nan)


def _range(rewards: np.ndarray, truth: np.ndarray, kind: str) -> list[Any]:
    if kind == "bernoulli":
        return [0, 1]
    seen = np.concatenate([truth[np.isfinite(truth)], [-2.0, 2.0] if kind == "normal" else [0.0, *rewards]])
    low, high = float(seen.min()), float(seen.max())
    return figures([low, high if high > low else low + 1])


def _text(count: int, total: int, arm: int | None, reward: Any, pulls: np.ndarray, earned: float) -> str:
    if arm is None:
        return f"Before the first of {total} pulls: nothing is known of any arm."
    times = "the first time" if pulls[arm] == 1 else f"pulled {pulls[arm]} times by now"
    return f"Pull {count} of {total}: arm {arm + 1} brings {numbers(reward)} ({times}); {numbers(earned)} in all."
