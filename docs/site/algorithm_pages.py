"""A page for each algorithm: what its module and its settings say, what was measured of it, which mistakes are tested.

idea, equation, source and differences from the paper    its module's docstring
settings                                                  its settings' docstrings, fields and ranges
measured                                                  rows of the tables of `docs/results.md` that have its name
mistakes that its tests catch                             paragraphs of `docs/pitfalls.md` that name its tests
"""

import importlib
import inspect
import re
from pathlib import Path
from typing import Any, NamedTuple

from adaptax.cli.parser import help_of, typeable
from adaptax.core.settings import expectation, kind_of
from adaptax.registry.presets import named_presets, settings_for
from adaptax.registry.registry import CLASSICAL, LEARNERS, PROBLEMS, load_target

TITLES = {
    "rl2": "RL²", "off-policy-rl2": "Off-policy RL²", "pearl": "PEARL", "maml": "MAML", "fomaml": "FOMAML",
    "reptile": "Reptile", "meta-sgd": "Meta-SGD",
    "meta-lstm": "LSTM meta-learner", "cavia": "CAVIA", "anil": "ANIL", "e-maml": "E-MAML", "promp": "ProMP",
    "es-maml": "ES-MAML", "meta-policy-gradient": "Meta-policy gradient", "multitask-ppo": "Multi-task PPO",
    "finetuned-ppo": "Fine-tuned PPO", "oracle-ppo": "PPO that is told the task", "q-learning": "Q-learning",
    "sarsa": "SARSA", "dqn": "DQN", "reinforce": "REINFORCE", "a2c": "A2C", "meta-gradient-rl": "Meta-gradient RL",
    "ppo": "PPO", "varibad": "VariBAD",
}  # fmt: skip
"""How tables and headings call them."""
FAMILIES = {
    "memory": "Memory and exploration",
    "belief": "Beliefs about the task",
    "gradient": "Gradients through learning",
    "standard_rl": "All tasks at once, or from scratch",
}
CHECKED_ON = ("bandit", "point-robot", "cart-pole", "tabular-mdp")
"""Problems whose default settings are shown: the first that an algorithm suits."""


class Row(NamedTuple):
    """A row of a table in which an algorithm stands."""

    section: str
    header: tuple[str, ...]
    cells: tuple[str, ...]


def measured_rows(results: str) -> list[Row]:
    """All rows of all tables of a page."""
    rows, section, header = [], "", ()
    for line in results.splitlines():
        if line.startswith("#"):
            section, header = line.lstrip("# "), ()
        elif line.startswith("|"):
            cells = tuple(cell.strip() for cell in line.strip().strip("|").split("|"))
            if not header:
                header = cells
            elif not set("".join(cells)) <= set("-: "):
                rows.append(Row(section, header, cells))
        elif not line.strip():
            header = ()
    return rows


def is_of(row: Row, name: str) -> bool:
    """Whether a row's first cell is that algorithm's name, with or without a remark behind it."""
    first = re.split(r"[,(:]", row.cells[0].replace("`", ""))[0].strip().lower()
    return first in (name, TITLES[name].lower())


def anchor(section: str) -> str:
    """Where a heading is linked to."""
    return re.sub(r"[^\w\- ]", "", section.lower()).strip().replace(" ", "-")


def settings_for_page(name: str) -> tuple[str, Any]:
    """A problem that it suits, and its settings there."""
    first = ("point-robot",) if ".gradient." in LEARNERS[name].target else ()
    for problem in (*first, *CHECKED_ON, *PROBLEMS):
        ours, theirs = settings_for(name, problem)
        try:
            ours.check_problem(theirs)
        except ValueError:
            continue
        return problem, ours
    raise AssertionError(f"{name} suits no problem")


def settings_table(settings: Any) -> list[str]:
    """Each setting: as it is typed, where it starts, its range, and what it is, with the paper's symbol."""
    texts, lines = help_of(settings), ["| setting | here | range | what it is |", "|---|---|---|---|"]
    for field in typeable(settings):
        value = getattr(settings, field.name)
        typed = {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
        allowed = expectation(field) if kind_of(field) in (int, float) else ""
        text = texts.get(field.name, "").replace("|", "\\|")
        lines.append(f"| `--{field.name.replace('_', '-')}` | {typed} | {allowed} | {text} |")
    return lines


def doc_of(name: str) -> tuple[str, str, list[str]]:
    """First line, body, and differences from the paper of an algorithm's module."""
    module = importlib.import_module(LEARNERS[name].target.split(":")[0])
    first, _, rest = inspect.cleandoc(module.__doc__ or "").partition("\n\n")
    body, _, differences = rest.partition("Differences from the paper:\n")
    items = re.split(r"^ {4}- ", differences, flags=re.M)[1:]
    return " ".join(first.split()), body.strip(), [" ".join(item.split()) for item in items]


def body_lines(body: str) -> list[str]:
    """Paragraphs; what is indented is an equation or a table, and stays as it is."""
    lines = []
    for paragraph in re.split(r"\n\n+", body):
        if all(line.startswith("    ") for line in paragraph.splitlines()):
            lines += ["```text", *(line[4:] for line in paragraph.splitlines()), "```", ""]
        else:
            lines += [paragraph, ""]
    return lines


def pitfalls_of(name: str, pitfalls: str) -> list[str]:
    """Numbers and titles of mistakes whose tests are those of an algorithm's module."""
    module = LEARNERS[name].target.split(":")[0].rsplit(".", 1)
    folder, stem = module[0].rsplit(".", 1)[1], module[1]
    marks = (f"tests/algorithms/{folder}/test_{stem}", f"tests/algorithms/{folder}/test_inner_loop.py")
    marks = marks if folder == "gradient" else marks[:1]
    found = []
    for paragraph in re.split(r"\n\n+", pitfalls):
        head = re.match(r"\*\*(E\w+)\*\* \*(.+?)\*", paragraph, re.S)
        if head and any(mark in paragraph for mark in marks):
            found.append(f"- {head[1]}, {' '.join(head[2].split()).rstrip('.')}")
    return found


def page(name: str, results: list[Row], pitfalls: str) -> str:
    """The page of one algorithm."""
    entry = LEARNERS[name]
    first, body, differences = doc_of(name)
    problem, settings = settings_for_page(name)
    lines = [f"# {TITLES[name]}", "", f"**{first}**", "", *body_lines(body)]
    lines += ["```", f"adaptax train {name} {problem}", "```", ""]
    if differences:
        lines += ["## Differences from the paper", "", *(f"- {item}" for item in differences), ""]
    rows = [row for row in results if is_of(row, name)]
    if rows:
        lines += ["## Measured", "", *_adaptation(name, rows), *_tables(rows)]
    presets = {key: p for (a, key), ps in named_presets().items() if a == name for p in [", ".join(ps)]}
    if presets:
        lines += ["## Presets", "", *(f"- on `{where}`: {which}" for where, which in presets.items()), ""]
    if mistakes := pitfalls_of(name, pitfalls):
        lines += ["## Mistakes that its tests catch", "", "[What each is](../pitfalls.md).", "", *mistakes, ""]
    how = "[how](../methods.md#where-settings-start-on-a-problem)"
    about = f"As they are on `{problem}`; elsewhere they follow from the problem's size ({how})."
    lines += ["## Settings", "", about, "", *settings_table(settings), ""]
    target = entry.target.replace(":", ".")
    lines += [f"In Python: `{target}`.", ""]
    return "\n".join(lines)


def _tables(rows: list[Row]) -> list[str]:
    """Its rows, by the section that they stand in."""
    lines, before = [], None
    for row in rows:
        if (row.section, row.header) != before:
            lines += ["", f"[{row.section}](../results.md#{anchor(row.section)})", ""]
            lines += ["| " + " | ".join(row.header) + " |", "|" + "---|" * len(row.header)]
            before = row.section, row.header
        lines.append("| " + " | ".join(row.cells) + " |")
    return [*lines, ""]


def _number(text: str) -> float | None:
    found = re.match(r"[−-]?\d*\.?\d+", text.replace("−", "-"))
    return float(found[0]) if found else None


def _adaptation(name: str, rows: list[Row]) -> list[str]:
    """A picture of what an agent earns before and after each step of adaptation, where that was measured."""
    for row in rows:
        if row.header[1:5] == ("before", "1", "2", "3"):
            values = [_number(cell) for cell in row.cells[1:5]]
            if all(value is not None for value in values):
                return [drawing([float(value) for value in values if value is not None], TITLES[name]), ""]
    return []


def drawing(values: list[float], title: str) -> str:
    """An SVG of a few figures, one for each step of adaptation, from −40 to 0."""
    low, wide, high, left = -42.0, 360, 190, 46
    place = lambda i: left + 24 + i * (wide - left - 48) / (len(values) - 1)  # noqa: E731
    level = lambda y: 14 + (high - 44) * (y / low)  # noqa: E731
    said = ", ".join(f"{y:g}" for y in values)
    lines = [
        f'<svg class="curve" viewBox="0 0 {wide} {high}" role="img" aria-label="{title} on 2D navigation: return '
        f'before adaptation and after each step: {said}">'
    ]
    for tick in (0, -10, -20, -30, -40):
        y = level(tick)
        lines.append(f'<line class="grid" x1="{left}" x2="{wide}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{tick}</text>'.replace(">-", ">−"))
    points = " ".join(f"{place(i):.1f},{level(y):.1f}" for i, y in enumerate(values))
    lines.append(f'<polyline points="{points}"/>')
    for i, y in enumerate(values):
        lines.append(f'<circle cx="{place(i):.1f}" cy="{level(y):.1f}" r="4"/>')
        name = "before" if i == 0 else f"{i} step{'s' * (i > 1)}"
        lines.append(f'<text x="{place(i):.1f}" y="{high - 8}" text-anchor="middle">{name}</text>')
    return "\n".join([*lines, "</svg>"])


def overview() -> str:
    """The page before all others."""
    about = "Each page is made of what the algorithm's module and its settings say of themselves, and of the"
    lines = ["# Algorithms", "", about, "[results](../results.md).", ""]
    for folder, title in FAMILIES.items():
        lines += [f"## {title}", "", "| | | |", "|---|---|---|"]
        for name in _of(folder):
            lines.append(f"| [{TITLES[name]}]({name}.md) | `{name}` | {LEARNERS[name].summary} |")
        lines.append("")
    lines += ["## To be compared with", "", "They need no training.", "", "| | |", "|---|---|"]
    lines += [f"| `{name}` | {entry.summary} |" for name, entry in CLASSICAL.items()]
    return "\n".join([*lines, ""])


def _of(folder: str) -> list[str]:
    return [name for name, entry in LEARNERS.items() if f".{folder}." in entry.target]


def write(into: Path, docs: Path) -> dict[str, object]:
    """Write all pages; return their part of the table of contents."""
    (into / "algorithms").mkdir()
    results = measured_rows((docs / "results.md").read_text(encoding="utf-8"))
    pitfalls = (docs / "pitfalls.md").read_text(encoding="utf-8")
    (into / "algorithms" / "index.md").write_text(overview(), encoding="utf-8")
    contents: dict[str, object] = {"All": "algorithms/index.md"}
    for folder, title in FAMILIES.items():
        inside = {}
        for name in _of(folder):
            load_target(LEARNERS[name].target)  # it exists
            (into / "algorithms" / f"{name}.md").write_text(page(name, results, pitfalls), encoding="utf-8")
            inside[TITLES[name]] = f"algorithms/{name}.md"
        contents[title] = inside
    return contents
