"""The documentation as a site: pages of `docs/`, and pages made of the package itself, which cannot grow old.

    pip install -e ".[docs]" && python docs/site/build.py          # into site/; --out elsewhere

A warning (a link that leads nowhere, a name that does not exist) ends it with exit code 1.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import algorithm_pages
import api_pages
import example_pages

from adaptax.experiment import play

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
NAVIGATION = {
    "Home": "index.md",
    "Learn": {
        "Ten minutes": "tutorial.md",
        "Which algorithm?": "choosing.md",
        "How agents are measured": "evaluation.md",
        "Reports": "reports.md",
        "Pitfalls": "pitfalls.md",
        "Pictures": "gallery.md",
    },
    "Algorithms": {},
    "Your own": {
        "A family of tasks": "own_problem.md",
        "Simulators": "simulators.md",
        "An algorithm": "own_algorithm.md",
        "Any loss: few-shot learning": "few_shot.md",
        "Examples": "examples.md",
    },
    "At work": {
        "Deployment": "deployment.md",
        "Reliability": "reliability.md",
        "Performance": "performance.md",
        "Several devices and hosts": "scaling.md",
    },
    "Results": "results.md",
    "How it is built": {
        "Architecture": "architecture.md",
        "Methods": "methods.md",
        "Contributing": "contributing.md",
    },
    "API": {},
}
PLAY = "<!-- play -->"
FRAME = '<iframe class="play" src="play.html" title="A small trained agent on bandits, to play with"></iframe>'
CONFIGURATION = """\
[project]
site_name = "adaptax"
site_description = "Agents that learn how to learn: meta-reinforcement learning in JAX."
docs_dir = "docs"
site_dir = {out}
extra_css = ["style.css"]
nav = {navigation}

[project.theme]
variant = "modern"
font = false
features = ["navigation.indexes", "navigation.top", "content.code.copy", "search.highlight"]

[[project.theme.palette]]
media = "(prefers-color-scheme: light)"
scheme = "default"
toggle.icon = "lucide/sun"
toggle.name = "Dark"

[[project.theme.palette]]
media = "(prefers-color-scheme: dark)"
scheme = "slate"
toggle.icon = "lucide/moon"
toggle.name = "Light"

[project.plugins.mkdocstrings.handlers.python]
paths = [{source}]

[project.plugins.mkdocstrings.handlers.python.options]
docstring_style = "google"
show_source = false
show_root_heading = true
members_order = "source"
show_signature_annotations = true
separate_signature = true
"""


def quoted(value: str) -> str:
    """A string of TOML."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def navigation_of(entries: dict[str, object]) -> str:
    """The table of contents, as TOML."""
    parts = []
    for title, where in entries.items():
        inside = navigation_of(where) if isinstance(where, dict) else quoted(str(where))
        parts.append(f"{{{quoted(title)} = {inside}}}")
    return f"[{', '.join(parts)}]"


def at_home(text: str) -> str:
    """A page with links to files of the project that are pages here."""
    text = re.sub(r"\]\((?:\.\./)?README\.md(#[^)]*)?\)", "](index.md)", text)
    text = re.sub(r"\]\((?:\.\./)?CONTRIBUTING\.md(#[^)]*)?\)", r"](contributing.md\1)", text)
    text = re.sub(r"\]\(docs/", "](", text)
    return re.sub(r"\]\((?:\.\./)?examples/(\w+)\.py\)", r"](examples.md#\1)", text)


def write_pages(into: Path) -> dict[str, object]:
    """Put all pages into a directory; return the table of contents."""
    for path in DOCS.iterdir():
        if path.suffix == ".md":
            (into / path.name).write_text(at_home(path.read_text(encoding="utf-8")), encoding="utf-8")
        elif path.is_file():
            shutil.copy(path, into / path.name)
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (into / "contributing.md").write_text(at_home(contributing), encoding="utf-8")
    shutil.copy(Path(__file__).parent / "style.css", into / "style.css")
    home = (into / "index.md").read_text(encoding="utf-8")
    (into / "index.md").write_text(home.replace(PLAY, FRAME), encoding="utf-8")
    navigation = dict(NAVIGATION)
    navigation["Algorithms"] = algorithm_pages.write(into, DOCS)
    navigation["API"] = api_pages.write(into)
    example_pages.write(into, ROOT / "examples")
    return navigation


def build(out: Path, *, strict: bool = True) -> int:
    """Build the site; return the exit code of what builds it."""
    with tempfile.TemporaryDirectory(prefix="adaptax-site-") as temporary:
        place = Path(temporary)
        (place / "docs").mkdir()
        navigation = write_pages(place / "docs")
        configuration = CONFIGURATION.format(
            out=quoted("site"), navigation=navigation_of(navigation), source=quoted(str(ROOT / "src"))
        )
        (place / "zensical.toml").write_text(configuration, encoding="utf-8")
        line = [sys.executable, "-m", "zensical", "build", "-f", "zensical.toml", *(["--strict"] if strict else [])]
        done = subprocess.run(line, cwd=place, env={**os.environ, "NO_COLOR": "1"}, check=False)
        if done.returncode == 0:
            play("bandit", out=place / "site" / "play.html", open=False)
            shutil.rmtree(out, ignore_errors=True)
            shutil.copytree(place / "site", out)
            print(f"site    {out / 'index.html'}")
    return done.returncode


def main() -> None:
    """Read the words of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("site"), help="where; default %(default)s")
    parser.add_argument("--no-strict", action="store_true", help="go on where a link leads nowhere")
    options = parser.parse_args()
    sys.exit(build(options.out, strict=not options.no_strict))


if __name__ == "__main__":
    main()
