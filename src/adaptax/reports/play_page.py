"""The page in which an exported agent runs, beside somebody who knows better, and against whoever reads it."""

import json
from collections.abc import Mapping
from typing import Any

from adaptax.core.version import __version__
from adaptax.reports.html import TEMPLATES, render
from adaptax.reports.play_words import WORDS

SCRIPTS = (
    "scenes.js",
    "play/environments.js",
    "play/beside.js",
    "play/learner.js",
    "play/seats.js",
    "play/play.js",
)


def play_page(
    *,
    problem: str,
    settings: Mapping[str, Any],
    agent_script: str,
    agent: str,
    stated: str,
    plan: Mapping[str, Any] | None,
    seed: int,
    command: str,
) -> str:
    """The page.

    Args:
        problem: One of `WORDS`.
        settings: The problem's.
        agent_script: The agent in JavaScript, as `adaptax export --format js` writes it.
        agent: Who it is, in words.
        stated: What it earned when that was measured, in words.
        plan: Of grid navigation, the best search; None: not known.
        seed: Number of the first task.
        command: What wrote the page.
    """
    words = WORDS[problem]
    about = {"family": problem, "settings": dict(settings), "plan": plan, "seed": seed, "speed": words.speed}
    texts = {name: text for name, text in words._asdict().items() if name != "speed"}
    scripts = [agent_script, *((TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS)]
    return render(
        "play/play.html",
        **texts,
        title=f"Play {problem} with an agent that learned to learn",
        agent=agent,
        stated=stated,
        settable=problem in ("grid-navigation", "point-robot", "point-robot-sparse"),
        style=(TEMPLATES / "play/play.css").read_text(encoding="utf-8"),
        about=json.dumps(about).replace("<", "\\u003c"),
        scripts=[script.replace("</script", "<\\/script") for script in scripts],
        command=command,
        version=__version__,
    )
