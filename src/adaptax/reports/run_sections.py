"""The sections of a report about what was trained, and how training went."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adaptax.evaluation.statistics import student_95
from adaptax.reports.charts import Line, short
from adaptax.reports.pages import Figure, Section, Table, lines_figure
from adaptax.reports.results import BAYES_OPTIMAL, KNOWS
from adaptax.reports.run_facts import RunFacts, Setting

LEAST_SEEDS = 3
"""With fewer trainings, an interval over them says nothing."""
MOST_METRICS = 4
ROWS_OF = ("update", "env_steps", "return", "by_seed", "returns")


def look_of(name: str, number: int) -> str:
    """How an agent's line looks: the trained one is the first."""
    return "random" if name == "random" else f"c{number % 9 if number < 9 else 1 + number % 8}"


def looks(names: Sequence[str]) -> dict[str, str]:
    """The look of each agent's line."""
    others = [name for name in names if name != "random"]
    return {name: look_of(name, others.index(name) if name in others else 0) for name in names}


def in_words(value: Any) -> str:
    """A setting's value."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    return ", ".join(map(in_words, value)) if isinstance(value, (list, tuple)) else str(value)


def what_was_trained(facts: RunFacts) -> Section:
    """Settings, and which of them are no defaults."""
    every: list[Setting] = [*facts.settings, *facts.options]
    changed = [setting for setting in every if setting.changed]
    preset = f"the preset {facts.preset}" if facts.preset != "default" else "the defaults"
    answer = f"All settings are those of {preset}."
    if changed:
        many = "One setting differs" if len(changed) == 1 else f"{len(changed)} settings differ"
        answer = f"{many} from {preset}: " + ", ".join(f"{x.name} {in_words(x.value)}" for x in changed) + "."
    rows = {x.name: [in_words(x.value), in_words(x.default)] for x in every}
    about = [
        f"{name}: {text}." for name, text in zip((facts.algorithm, facts.problem), facts.about, strict=True) if text
    ]
    made = [", ".join(f"{name} {value}" for name, value in facts.made_with.items()) + "."] if facts.made_with else []
    tables = [Table(["", "here", "default"], {x.name: rows[x.name] for x in changed})] if changed else []
    tables += (
        [Table(["", "here", "default"], rows, [x.name for x in changed], "All settings", folded=True)] if rows else []
    )
    codes = {"command": facts.commands["train"]} if "train" in facts.commands else {}
    return Section("What was trained", answer, tables=tables, notes=[*about, *made], codes=codes)


def learning(facts: RunFacts) -> Section:
    """Learning curves."""
    section = Section("Learning curves")
    if not facts.metrics:
        section.missing.append(
            facts.missing.get("metrics", "No update was measured: there is nothing to train, or it was not begun.")
        )
        return section
    steps, returns = curves_of(facts.metrics)
    what = "an adapted episode" if facts.adapts else "a trial"
    lines = [*seed_lines(facts.algorithm, steps, returns), *validation_lines(facts), *levels(facts, steps[[0, -1]])]
    first, last = (float(part.mean()) for part in (returns[: _few(returns)], returns[-_few(returns) :]))
    section.answer = (
        f"In {len(steps):,} updates and {short(steps[-1])} environment steps the return of {what} in training went "
        f"from {short(first)} to {short(last)}."
    )
    if facts.planned is not None and int(facts.metrics[-1]["update"]) < facts.planned:
        section.missing.append(f"Training is not finished: {facts.metrics[-1]['update']} of {facts.planned} updates.")
    seeds = returns.shape[1]
    spread = f"Mean of {seeds} trainings; thin: each of them. " if seeds > 1 else "One training. "
    spread += "Band: 95 % over trainings. " if seeds >= LEAST_SEEDS else ""
    section.figures.append(
        lines_figure(
            lines, title=f"Return of {what}", x_label="environment steps", y_label="return",
            caption=f"{spread}In training: sampled actions in fresh training tasks"
            + ("; dots: the best actions known, in validation tasks." if facts.validations else "."),
            command=facts.commands.get("train", ""),
        )
    )  # fmt: skip
    section.figures += other_metrics(facts, steps)
    return section


def curves_of(metrics: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Environment steps `[update]` and returns `[update, seed]` of rows."""
    steps = np.array([row["env_steps"] for row in metrics], np.float64)
    rows = [row["by_seed"]["return"] if "by_seed" in row else row.get("returns", [row["return"]]) for row in metrics]
    return steps, np.array(rows, np.float64)


def seed_lines(name: str, steps: np.ndarray, returns: np.ndarray, look: str = "c0") -> list[Line]:
    """Mean over trainings, and each of them, averaged over neighbouring updates where they are many."""
    size = -(-len(steps) // 80)
    starts = [0, *range(len(steps) % size or size, len(steps), size)]
    at, values = (
        np.add.reduceat(x, starts) / np.diff([*starts, len(x)]).reshape(-1, *[1] * (x.ndim - 1))
        for x in (steps, returns)
    )
    mean, seeds = values.mean(1), values.shape[1]
    low = high = None
    if seeds >= LEAST_SEEDS:
        margin = student_95(seeds - 1) * values.std(1, ddof=1) / np.sqrt(seeds)
        low, high = mean - margin, mean + margin
    thin = [Line("", at, one, look=look, thin=True) for one in values.T] if seeds > 1 else []
    return [Line(name, at, mean, low, high, look=look), *thin]


def validation_lines(facts: RunFacts) -> list[Line]:
    """Evaluations on the way."""
    if not facts.validations:
        return []
    key = "validation_adapted_return" if "validation_adapted_return" in facts.validations[0] else "validation_return"
    x, y = ([float(row[name]) for row in facts.validations] for name in ("env_steps", key))
    return [Line("validation tasks", x, y, look="c2", dots=True)]


def levels(facts: RunFacts, ends: np.ndarray) -> list[Line]:
    """What to compare with: random, the best other agent, who knows the task, the Bayes-optimal one."""
    if facts.evaluation is None:
        return []
    agents, drawn = facts.evaluation["agents"], looks(list(facts.evaluation["agents"]))
    names = list(agents)
    others = [name for name in names[1:] if name != "random"]
    best = [max(others, key=lambda name: agents[name]["mean"])] if others else []
    found = []
    for name in [*best, *(["random"] if "random" in names else [])]:
        level = agents[name]["episode_returns"][-1] if facts.adapts else agents[name]["mean"]
        found.append(Line(name, ends, [level] * 2, look=drawn[name]))
    episodes = int(facts.protocol["episodes"])
    if np.isfinite(facts.oracle):
        found.append(Line(KNOWS, ends, [facts.oracle * (1 if facts.adapts else episodes)] * 2, look="knows"))
    if facts.optimum is not None:
        level = facts.optimum[-1] if facts.adapts else sum(facts.optimum)
        found.append(Line(BAYES_OPTIMAL, ends, [level] * 2, look="optimal"))
    return found


def other_metrics(facts: RunFacts, steps: np.ndarray) -> list[Figure]:
    """What else was measured in training."""
    found = []
    for name in [name for name in facts.metrics[-1] if name not in ROWS_OF][:MOST_METRICS]:
        rows = [row.get("by_seed", {}).get(name, [row.get(name, float("nan"))]) for row in facts.metrics]
        label = name.replace("_", " ")
        found.append(
            lines_figure(
                seed_lines(label, steps, np.array(rows, np.float64), "c1"), title=label.capitalize(),
                caption="Of each update.", x_label="environment steps", y_label=label,
                command=facts.commands.get("train", ""),
            )
        )  # fmt: skip
    return found


def speed(facts: RunFacts) -> Section:
    """How fast it was, and how large."""
    section = Section("Speed and memory")
    sound = [row for row in facts.times if row["seconds"] > 0]
    rows = dict(facts.sizes)
    if sound:
        seconds, steps = (np.array([row[name] for row in sound], np.float64) for name in ("seconds", "env_steps"))
        rows = {"training": duration(seconds[-1]), "environment steps": f"{int(steps[-1]):,}",
                "steps per second": f"{steps[-1] / seconds[-1]:,.0f}", **rows}  # fmt: skip
        section.answer = (
            f"{short(steps[-1])} environment steps in {duration(seconds[-1])}: {rows['steps per second']} per second, "
            "compilation apart."
        )
        if len(sound) > 1:
            pace = np.diff(steps, prepend=0.0) / np.maximum(np.diff(seconds, prepend=0.0), 1e-9)
            section.figures.append(
                lines_figure(
                    [Line("steps per second", seconds, pace)], title="Pace", x_label="seconds of training",
                    y_label="environment steps per second", caption="Of each chunk of updates, without compilation.",
                    command=facts.commands.get("train", ""), from_zero=True,
                )
            )  # fmt: skip
    else:
        section.missing.append(facts.missing.get("times", "How long training took was not written down."))
    if rows:
        section.tables.append(Table(["", ""], {name: [text] for name, text in rows.items()}))
    return section


def duration(seconds: float) -> str:
    """Seconds, in words."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def reproducing(facts: RunFacts) -> Section:
    """Every command, in one place."""
    kinds = {
        "train": "the run, and its learning curves",
        "evaluate": "adaptation, regret, the worst tasks",
        "inspect": "what the memory knows",
        "report": "this page, its films and families",
    }
    codes = {kinds[name]: line for name, line in facts.commands.items() if name in kinds}
    return Section(
        "How to make every figure again",
        codes=codes,
        notes=[
            "A training is bitwise the same on the same machine with the same versions; each figure has its command."
        ],
    )


def _few(returns: np.ndarray) -> int:
    return max(1, len(returns) // 10)
