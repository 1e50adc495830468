"""Recorded trials as films: what `templates/scenes.js` draws and `templates/player.js` plays, as plain data.

A film is of one trial. Its kind follows from the problem: arms, a grid, a plane, a cart with a pole, a robot; anything
else is shown as series of numbers. What a moment of each kind contains is said at the top of `templates/scenes.js`.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import numpy as np

from adaptax.core.spaces import Discrete
from adaptax.evaluation.exploration import is_bandit
from adaptax.evaluation.recording import Recording
from adaptax.reports.bandit_films import bandit_film
from adaptax.reports.film_parts import (
    Film,
    ends_of,
    episode_name,
    figures,
    film_of,
    numbers,
    of_task,
    steps_shown,
)
from adaptax.reports.results import goals_of, known
from adaptax.reports.robot_films import has_skeleton, robot_film

Maker: TypeAlias = Callable[[Recording, int], Film]
MOST_POINTS = 600
"""A series has so many points at most."""
MOST_SERIES = 4
"""So many entries of an observation, and of an action, are shown at most."""


def films(recording: Recording) -> list[Film]:
    """A film of each recorded task."""
    make = maker(recording)
    return [make(recording, task) for task in range(len(recording.rewards))]


def maker(recording: Recording) -> Maker:
    """What makes films of a problem's trials."""
    problem, tasks = recording.problem, recording.tasks
    env = problem.env
    shape = getattr(env.observation_space, "shape", None)
    if is_bandit(problem):
        return bandit_film
    size = getattr(env, "size", None)
    if isinstance(size, int) and hasattr(tasks, "cell") and getattr(env.observation_space, "num", None) == size * size:
        return grid_film
    if shape == (2,) and goals_of(tasks) is not None:
        return plane_film
    if has_skeleton(env):
        return robot_film
    if shape == (4,) and isinstance(env.action_space, Discrete) and hasattr(tasks, "half_length"):
        return cart_pole_film
    return series_film


def grid_film(recording: Recording, task: int) -> Film:
    """A walk on a grid, and where the goal may still be."""
    size = recording.problem.env.size  # type: ignore[attr-defined]
    begins = getattr(recording.problem.env, "pays_where_it_begins", False)
    goal = int(of_task(recording.tasks, task).cell)
    moments: list[dict[str, Any]] = []
    marks: list[tuple[int, str]] = []
    path: list[tuple[int, int]] = []
    belief = _prior(recording, size)
    for number, episode in enumerate(recording.episodes):
        cells = recording.observations[task, number].astype(int)
        begin, total = len(path), 0.0
        path += [divmod(int(cell), size) for cell in cells]
        marks.append((len(moments), episode_name(recording, episode)))
        name, found = episode_name(recording, episode), belief is not None and bool((belief > 0).sum() == 1)
        moments.append(_walk(f"{name} begins in the corner.", begin, begin, belief, found))
        for step, reward in enumerate(recording.rewards[task, number]):
            total += float(reward)
            if belief is not None:
                belief = _learned(belief, int(cells[step + (not begins)]), float(reward))
                found = bool((belief > 0).sum() == 1)
            row, column = path[begin + step + 1]
            what = f"goes to row {row + 1}, column {column + 1}"
            what = "is on the goal" if int(cells[step + 1]) == goal else what
            left = "" if belief is None else _left(belief)
            text = f"{name}, step {step + 1}: {what}, reward {numbers(reward)}; return so far {numbers(total)}.{left}"
            moments.append(_walk(text, begin, begin + step + 1, belief, found))
    still = {
        "rows": size, "columns": size, "start": [0, 0], "goal": list(divmod(goal, size)), "path": path, "up": True,
    }  # fmt: skip
    note = (
        "" if belief is None else "Blue: where the goal may still be, for one who remembers all and knows the family."
    )
    return film_of("grid", task, still, moments, marks, hidden="the goal", note=note)


def _walk(text: str, begin: int, end: int, belief: np.ndarray | None, found: bool) -> dict[str, Any]:
    shade = None if belief is None else figures(belief)
    return {"text": text, "span": [begin, end], "belief": shade, "found": found}


def _left(belief: np.ndarray) -> str:
    places = int((belief > 0).sum())
    return " Where the goal is, is known now." if places == 1 else f" It may still be in {places} cells."


def _prior(recording: Recording, size: int) -> np.ndarray | None:
    """Chance of each cell before anything is seen; None if what was seen before is not all in the recording."""
    problem = recording.problem
    families = (problem.train, problem.validation, problem.test)
    goals: Any = [getattr(family, "goals", None) for family in families]
    whole = [episode.number for episode in recording.episodes] == list(range(recording.total))
    if not whole or any(episode.known for episode in recording.episodes) or any(goal is None for goal in goals):
        return None
    chance = np.zeros(size * size)
    chance[sorted({cell for some in goals for cell in some})] = 1.0
    return chance / chance.sum()


def _learned(belief: np.ndarray, cell: int, reward: float) -> np.ndarray:
    """What is left after a step that was paid by a cell: the goal is there, or it is not."""
    after = np.zeros_like(belief) if reward > 0 else belief.copy()
    after[cell] = 1.0 if reward > 0 else 0.0
    return after / after.sum() if after.sum() > 0 else belief


def plane_film(recording: Recording, task: int) -> Film:
    """Paths in a plane, before and after each step of adaptation, or episode by episode."""
    goal = np.asarray(of_task(recording.tasks, task).position, np.float64)
    radius = getattr(recording.problem.env, "goal_radius", None)
    seen = [goal[None], np.zeros((1, 2))]
    paths: list[dict[str, Any]] = []
    moments: list[dict[str, Any]] = []
    marks: list[tuple[int, str]] = []
    for number, episode in enumerate(recording.episodes):
        steps = ends_of(recording, task, number)
        points = recording.observations[task, number, : steps + 1].astype(np.float64)
        seen.append(points)
        name = episode_name(recording, episode)
        learns = any(each.known for each in recording.episodes)
        paths.append({
            "points": [figures(point) for point in points], "label": name,
            "stage": episode.stage if learns else number,
        })  # fmt: skip
        marks.append((len(moments), name))
        earned = np.concatenate([[0.0], recording.rewards[task, number, :steps].cumsum(dtype=np.float64)])
        for step in steps_shown(steps, len(recording.episodes)):
            away = float(np.hypot(*(points[step] - goal)))
            moments.append({
                "text": f"{name}, step {step} of {steps}: {away:.2f} from the goal, "
                f"return so far {numbers(earned[step])}.",
                "now": [number, step],
            })  # fmt: skip
    every = np.concatenate(seen)
    low, high = every.min(0), every.max(0)
    room = 0.06 * max(float((high - low).max()), 1e-6)
    bounds = figures([low[0] - room, high[0] + room, low[1] - room, high[1] + room])
    still = {"bounds": bounds, "start": [0, 0], "goal": figures(goal), "radius": radius, "paths": paths}
    return film_of("plane", task, still, moments, marks, hidden="the goal")


def cart_pole_film(recording: Recording, task: int) -> Film:
    """A pole on a cart, episode by episode."""
    mine = of_task(recording.tasks, task)
    moments: list[dict[str, Any]] = []
    marks: list[tuple[int, str]] = []
    for number, episode in enumerate(recording.episodes):
        steps, name = ends_of(recording, task, number), episode_name(recording, episode)
        marks.append((len(moments), name))
        for step in steps_shown(steps, len(recording.episodes)):
            x, _, angle, _ = recording.observations[task, number, step].astype(float)
            push = 0 if step == steps else 2 * int(recording.actions[task, number, step]) - 1
            what = _leans(x, angle, push, last=step == steps, fell=steps < recording.rewards.shape[2])
            moments.append({
                "text": f"{name}, step {step} of {steps}: {what}",
                "x": round(x, 3), "angle": round(angle, 4), "push": push,
            })  # fmt: skip
    still = {"length": round(2 * float(mine.half_length), 3), "mass": round(float(mine.cart_mass), 3)}
    note = (
        f"Pole of {numbers(2 * mine.half_length)} m and {numbers(mine.pole_mass)} kg, cart of "
        f"{numbers(mine.cart_mass)} kg, pushed with {numbers(mine.force)} N."
    )
    return film_of("cart-pole", task, still, moments, marks, note=note)


def _leans(x: float, angle: float, push: int, *, last: bool, fell: bool) -> str:
    if last:
        return "the pole has fallen, or the cart has left the track." if fell else "still upright at the end."
    side = "right" if push > 0 else "left"
    return f"cart at {numbers(x)} m, the pole leans {numbers(np.degrees(angle))}°; pushed to the {side}."


def series_film(recording: Recording, task: int) -> Film:
    """Rewards, actions and a few observations over time: for problems that have no picture of their own."""
    lengths = [ends_of(recording, task, number) for number in range(len(recording.episodes))]
    every = max(1, -(-sum(lengths) // MOST_POINTS))
    columns: dict[str, list[Any]] = {}
    breaks, place = [], 0
    for number, length in enumerate(lengths):
        breaks.append(place)
        for name, values, shape in _series(recording, task, number, length, every):
            columns.setdefault(name, [shape]).extend(figures(values))
        place += -(-length // every)
    series = [{"name": name, "values": values, "shape": shape} for name, (shape, *values) in columns.items()]
    moments: list[dict[str, Any]] = []
    marks: list[tuple[int, str]] = []
    for number, (episode, begin) in enumerate(zip(recording.episodes, breaks, strict=True)):
        name, count = episode_name(recording, episode), -(-lengths[number] // every)
        marks.append((len(moments), name))
        earned = recording.rewards[task, number, : lengths[number]].cumsum(dtype=np.float64)
        for point in steps_shown(count - 1, len(recording.episodes)) if count else ():
            step = min((point + 1) * every, lengths[number])
            text = f"{name}, step {step} of {lengths[number]}: return so far {numbers(earned[step - 1])}."
            moments.append({"text": text, "at": begin + point})
    note = f"One point for {every} steps: the sum of their rewards, and the last of the others." if every > 1 else ""
    return film_of("generic", task, {"series": series, "breaks": breaks}, moments, marks, note=note)


def _series(recording: Recording, task: int, number: int, length: int, every: int) -> list[tuple[str, np.ndarray, str]]:
    """Name, values and shape of each series in an episode."""
    starts = np.arange(0, length, every)
    last = np.minimum(starts + every, length) - 1
    rewards = recording.rewards[task, number, :length].astype(np.float64)
    found = [("reward", np.add.reduceat(rewards, starts) if length else rewards, "bars")]
    parts = {"action": recording.actions[task, number, :length], "seen": recording.observations[task, number, :length]}
    for name, values in parts.items():
        whole = np.issubdtype(values.dtype, np.integer) or values.dtype == bool
        entries = values.reshape(length, -1)[:, :MOST_SERIES] if values.ndim < 3 else values[:, :0]  # no images
        for entry, column in enumerate(entries.T.astype(np.float64)):
            label = name if entries.shape[1] == 1 else f"{name} {entry + 1}"
            found.append((label, column[last] if length else column, "steps" if whole else "line"))
    return found


def caption(recording: Recording) -> str:
    """What all films of a recording show, in a sentence or two."""
    if not any(episode.known for episode in recording.episodes):
        every = len(recording.episodes) == recording.total
        return (
            "Whole trials."
            if every
            else f"{len(recording.episodes)} of the {recording.total:,} episodes of each trial."
        )
    return (
        "For each stage of adaptation: some of the episodes that the agent learned from, with sampled actions, and one "
        "by the best action known, from which nothing was learned."
    )


def task_in_words(recording: Recording, task: int) -> str:
    """A task's numbers, as far as they are few."""
    parts = []
    for path, leaf in jax.tree_util.tree_flatten_with_path(of_task(recording.tasks, task))[0]:
        name = jax.tree_util.keystr(path, simple=True, separator=".") or "task"
        if np.size(leaf) <= 12 and np.issubdtype(np.asarray(leaf).dtype, np.number) and known(float(np.sum(leaf))):
            parts.append(f"{name} {', '.join(numbers(x) for x in np.ravel(leaf))}")
    return "; ".join(parts[:8])
