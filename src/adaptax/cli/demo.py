"""`adaptax demo [NAME]`: a small trained agent, at work in the terminal."""

import json
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from adaptax.cli.options import parse, scan
from adaptax.deployment import pretrained
from adaptax.experiment.options import DemoOptions

if TYPE_CHECKING:
    from adaptax.experiment.demonstration import Demonstration, Shown

DEFAULT = "bandit"
LOOKS = {"agent": "bold dark_orange", "goal": "green", "soft": "bright_black", "known": "blue", "": ""}
EVERY = 10
"""Where there is no terminal, one moment of so many is told, in a line."""


def command(arguments: Sequence[str]) -> int:
    """Check what was typed, then do it."""
    given, _ = scan([DemoOptions], arguments, 0, program="adaptax demo")
    typed = parse(
        {"demo": DemoOptions()},
        [*arguments, *([] if given else [DEFAULT])],
        program="adaptax demo",
        names={"NAME": "a pretrained agent"},
        description="Watch a small agent that was trained before, and ships with the package, in tasks that it has "
        "never seen. NAME: bandit (by default), grid-navigation or point-robot.",
    )
    options: DemoOptions = typed["demo"]
    from adaptax.experiment.demonstration import check_name, demo

    name = check_name(typed["names"][0])
    found = demo(name, options, on_trial=lambda shown: None if options.json else show(shown, options.speed))
    if options.json:
        print(json.dumps(found.to_json()))
        return 0
    tell_end(found, options)
    return 0


def show(shown: "Shown", speed: float) -> None:
    """Play a trial: live in a terminal, some lines elsewhere."""
    from adaptax.reports.terminal_pictures import lines

    film = shown.film
    moments = [{**film["still"], **moment} for moment in film["moments"]]
    live = _live()
    if live is None:
        print(film["title"])
        for number, moment in enumerate(moments, 1):
            if number % EVERY == 0 or number == len(moments):
                print(f"  {moment['text']}")
        return
    from adaptax.reports.moving_picture import PACE

    with live:
        for moment in moments:
            live.update(_panel(film["title"], lines(film["kind"], moment)), refresh=True)
            time.sleep(1 / (PACE[film["kind"]] * speed))


def _live() -> Any:
    """What draws again and again in a terminal; None: there is none, or `rich` is not installed."""
    try:
        import rich.console
        import rich.live
    except ModuleNotFoundError:
        return None
    console = rich.console.Console()
    return rich.live.Live(console=console, auto_refresh=False) if console.is_terminal and sys.stdout.isatty() else None


def _panel(title: str, drawn: Any) -> Any:
    from rich.panel import Panel
    from rich.text import Text

    text = Text("\n").join(Text.assemble(*((piece, LOOKS[look]) for piece, look in line)) for line in drawn)
    return Panel(text, title=title, expand=False, padding=(1, 2))


def tell_end(found: "Demonstration", options: DemoOptions) -> None:
    """What was earned, beside others, and what to do next."""
    result, many = found.result, "in the last episode of each" if found.name != "bandit" else "in each"
    mine = [sum(x.returns) if found.name == "bandit" else x.returns[-1] for x in found.trials]
    length = len(found.trials[0].returns) if found.name == "bandit" else 1

    def mean(values: Sequence[float]) -> str:
        return f"{sum(values) / len(values):.2f}"

    print(
        f"\nearned in {len(mine)} new task{'s'[: len(mine) > 1]}, {many}: {mean(mine)} "
        f"(random {mean([length * x.by_chance for x in found.trials])}, "
        f"whoever knows the task {mean([length * x.best for x in found.trials])})"
    )
    figures = {key: f"{result[key]['mean']:.2f} ± {result[key]['stderr']:.2f}" for key in ("trained", "untrained")}
    print(
        f"in {pretrained.tasks_in_words(result)} ({result['measure']}): {figures['trained']}; before training "
        f"{figures['untrained']}; {result['best']['name']} {result['best']['mean']:.2f}"
    )
    if options.out is not None:
        print(f"picture {options.out}")
    next_steps = {
        f"adaptax play {found.name}": "the same agent in your browser, beside you",
        f"adaptax train {result['agent'].replace(' on ', ' ')}": "train one yourself",
    }
    for number, (line, what) in enumerate(next_steps.items()):
        print(f"{'' if number else 'next':<5} {line:<36}# {what}")
