"""The page in which an exported agent runs, beside somebody who knows better, and against whoever reads it."""

import json
from collections.abc import Mapping
from typing import Any

from adaptax.core.errors import needs
from adaptax.core.version import __version__
from adaptax.reports.html import render
from adaptax.reports.pages import script
from adaptax.reports.play_words import WORDS

with needs("reports", "an HTML page"):
    from markupsafe import Markup

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
    harmless = agent_script.replace("</script", "<\\/script").replace("<!--", "<\\!--")
    return render(
        "play/play.html",
        **texts,
        title=f"Play {problem} with an agent that learned to learn",
        agent=agent,
        stated=stated,
        settable=problem in ("grid-navigation", "point-robot", "point-robot-sparse"),
        style=script("play/play.css"),
        about=Markup(json.dumps(about).replace("<", "\\u003c")),
        scripts=[Markup(harmless), *map(script, SCRIPTS)],
        command=command,
        version=__version__,
    )
