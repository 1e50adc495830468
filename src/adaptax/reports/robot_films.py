"""Films of MuJoCo's robots: their limbs from the side, moving along the ground."""

import importlib
from typing import Any

import numpy as np

from adaptax.evaluation.recording import Recording
from adaptax.reports.film_parts import Film, ends_of, episode_name, figures, film_of, numbers, of_task, steps_shown


def has_skeleton(env: Any) -> bool:
    """Whether it is told how a robot stands from what it sees (`adaptax.problems.mujoco.locomotion.Locomotion`)."""
    return hasattr(env, "engine") and hasattr(env, "poses")


def robot_film(recording: Recording, task: int) -> Film:
    """A robot step by step, seen across the direction in which it is to go."""
    env: Any = recording.problem.env
    draw = importlib.import_module("adaptax.problems.mujoco.skeleton").skeleton  # MuJoCo is an extra
    hidden, wanted, along, goal = _wanted(of_task(recording.tasks, task))
    moments: list[dict[str, Any]] = []
    marks: list[tuple[int, str]] = []
    radii = np.zeros(0)
    for number, episode in enumerate(recording.episodes):
        steps, name = ends_of(recording, task, number), episode_name(recording, episode)
        shown = steps_shown(steps, len(recording.episodes))
        poses = env.poses(recording.observations[task, number, : steps + 1].astype(np.float64))
        lines, radii, places = draw(env.engine, poses)
        marks.append((len(moments), name))
        come, aside = places[:, :2] @ along, places[:, :2] @ (along[1], -along[0])
        seen = np.stack([lines[..., :2] @ along, lines[..., 2]], -1).reshape(len(lines), -1, 4)
        earned = np.concatenate([[0.0], recording.rewards[task, number, :steps].cumsum(dtype=np.float64)])
        for step in shown:
            speed = (come[step] - come[step - 1]) / env.engine.time_step if step else 0.0
            fell = step == steps < recording.rewards.shape[2]
            moments.append({
                "text": f"{name}, step {step} of {steps}: {_told(come[step], aside[step], speed, fell=fell)}; "
                f"return so far {numbers(earned[step])}.",
                "lines": [figures(line) for line in seen[step]],
                "x": figures(come[step])[0], "speed": figures(speed)[0] if step else None,
            })  # fmt: skip
    still = {"radii": figures(radii), "wanted": wanted, "goal": goal}
    note = "" if env.sees_where_it_is else "Where it is, it does not see: its velocities were summed up."
    return film_of("figure", task, still, moments, marks, hidden=hidden, note=note)


def _wanted(task: Any) -> tuple[str, str, np.ndarray, float | None]:
    """What is hidden; what it is; the direction that is to the right in the picture; how far away a goal is."""
    right = np.array([1.0, 0.0])
    if hasattr(task, "goal"):
        return "the velocity that is wanted", f"wanted: {numbers(task.goal)} m/s", right, None
    if hasattr(task, "sign"):
        return "the direction that is wanted", f"wanted: {'forwards' if task.sign > 0 else 'backwards'}", right, None
    if hasattr(task, "angle"):
        along = np.array([np.cos(task.angle), np.sin(task.angle)], np.float64)
        words = f"wanted: {numbers(np.degrees(task.angle) % 360)}°, to the right here"
        return "the direction that is wanted", words, along, None
    if hasattr(task, "position"):
        place = np.asarray(task.position, np.float64)
        away = float(np.hypot(*place))
        return "the goal", f"goal {numbers(away)} m away", place / away if away else right, figures(away)[0]
    return "", "", right, None


def _told(come: float, aside: float, speed: float, *, fell: bool) -> str:
    """Where it is and how fast, in words."""
    if not np.isfinite([come, aside, speed]).all():
        return "where it is, is no number"
    come, aside, speed = (round(float(x), 2) + 0.0 for x in (come, abs(aside), speed))
    where = f"at {numbers(come)} m" + (f", {numbers(aside)} m aside" if aside else "")
    return f"{where}, {'fallen' if fell else f'{numbers(speed)} m/s'}"
