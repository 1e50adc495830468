"""The documentation as a site: pages that are made of the package, and a strict build."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from adaptax.cli.parser import typeable
from adaptax.registry.registry import CLASSICAL, LEARNERS

ROOT = Path(__file__).parents[2]
SITE = ROOT / "docs" / "site"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """What builds it, and all pages as they are built from."""
    sys.path.insert(0, str(SITE))
    try:
        build = importlib.import_module("build")
        into = tmp_path_factory.mktemp("site")
        navigation = build.write_pages(into)
    finally:
        sys.path.remove(str(SITE))
    return build, into, navigation


def flat(navigation):
    for where in navigation.values():
        yield from flat(where) if isinstance(where, dict) else [where]


def test_every_page_is_in_the_table_of_contents_and_there(site):
    _, into, navigation = site
    listed = list(flat(navigation))
    assert len(listed) == len(set(listed))
    there = {str(path.relative_to(into)) for path in into.rglob("*.md")}
    notebooks = {path for path in there if (ROOT / "examples" / "notebooks" / path).with_suffix(".ipynb").exists()}
    assert set(listed) == there - notebooks


def test_every_learner_has_a_page_and_every_classical_agent_a_line(site):
    _, into, _ = site
    pages = {path.stem for path in (into / "algorithms").glob("*.md")} - {"index"}
    assert pages == set(LEARNERS)
    index = (into / "algorithms" / "index.md").read_text()
    for name in CLASSICAL:
        assert f"`{name}`" in index


@pytest.mark.parametrize("name", LEARNERS)
def test_a_page_has_idea_source_differences_and_every_setting_explained(name, site):
    _, into, _ = site
    text = (into / "algorithms" / f"{name}.md").read_text()
    assert re.search(r"\b(19|20)\d\d\b", text.split("## ")[0])  # a citation
    pages = importlib.import_module("algorithm_pages")
    problem, settings = pages.settings_for_page(name)
    assert f"adaptax train {name} {problem}" in text
    rows = dict(re.findall(r"^\| `--([\w-]+)` \| .*? \| .*? \| (.*) \|$", text, re.M))
    assert set(rows) == {field.name.replace("_", "-") for field in typeable(settings)}
    assert all(rows.values()), [name for name, said in rows.items() if not said]


def test_measured_rows_are_those_of_the_results(site):
    _, into, _ = site
    page = (into / "algorithms" / "fomaml.md").read_text()
    row = next(x for x in (ROOT / "docs" / "results.md").read_text().splitlines() if x.startswith("| FOMAML | −38.6"))
    assert row in page
    assert "<svg" in page
    drawn = re.search(r'aria-label="FOMAML on 2D navigation: .*?: (.*?)"', page)[1]
    assert drawn == "-38.6, -11.2, -3.19, -1.52"
    assert "−9.2" in (into / "algorithms" / "maml.md").read_text()
    assert "| FOMAML" not in (into / "algorithms" / "maml.md").read_text().split("## Settings")[0]


def test_links_of_the_project_are_links_of_the_site(site):
    build, *_ = site
    assert build.at_home("[a](../README.md#words) [b](docs/x.md#y) [c](../examples/deploy.py)") == (
        "[a](index.md) [b](x.md#y) [c](examples.md#deploy)"
    )
    assert build.at_home("[d](CONTRIBUTING.md) [e](../CONTRIBUTING.md#a-problem)") == (
        "[d](contributing.md) [e](contributing.md#a-problem)"
    )


def test_modules_of_the_reference_are_there():
    sys.path.insert(0, str(SITE))
    pages = importlib.import_module("api_pages").PAGES
    sys.path.remove(str(SITE))
    for _, modules in pages.values():
        for module in modules:
            assert importlib.util.find_spec(module), module


@pytest.mark.process
def test_the_strict_build_is_green(tmp_path):
    pytest.importorskip("zensical")
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, str(SITE / "build.py"), "--out", str(out)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    home = (out / "index.html").read_text(encoding="utf-8")
    assert "Agents that learn how to learn" in home
    assert "googleapis" not in home
    assert 'src="play.html"' in home
    assert "<script" in (out / "play.html").read_text(encoding="utf-8")
    for name in LEARNERS:
        assert (out / "algorithms" / name / "index.html").exists()
    assert 'id="adaptax.deployment.agent.Agent.act"' in (out / "api/deployment/index.html").read_text(encoding="utf-8")


@pytest.mark.compiles
@pytest.mark.parametrize("name", ["maml_from_scratch", "what_an_lstm_knows"])
def test_a_notebook_runs_and_says_what_it_finds(name):
    sys.path.insert(0, str(SITE))
    notebooks = importlib.import_module("notebooks")
    sys.path.remove(str(SITE))
    path = ROOT / "examples" / "notebooks" / f"{name}.ipynb"
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        notebook, names = notebooks.executed(path)
    assert any(cell["outputs"] for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code")
    if name == "maml_from_scratch":
        assert names["exact"] == pytest.approx(names["differences"], rel=1e-6)
        assert names["outer_loss"](names["learned"], names["test"]) < 0.6
        assert names["outer_loss"](names["result"].model, names["test"]) < 0.6
    else:
        end = -1
        known, memory = (names["r2"](names[x][:, end], names["chances"]) for x in ("known", "memories"))
        assert 0.4 < memory < known + 0.02
    assert len(notebook["cells"]) > 8
