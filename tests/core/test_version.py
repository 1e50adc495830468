import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import adaptax
from adaptax.core.version import __version__

ROOT = Path(__file__).parents[2]


def test_there_is_one_version_and_what_is_installed_has_it():
    assert adaptax.__version__ == __version__ == version("adaptax")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in project["project"]
    assert (ROOT / project["tool"]["hatch"]["version"]["path"]).read_text().count(__version__) == 1
    found = [path for path in (ROOT / "src").rglob("*.py") if f'"{__version__}"' in path.read_text()]
    assert [path.name for path in found] == ["version.py"]


def test_the_changelog_knows_it():
    assert re.search(rf"^## {re.escape(__version__)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_who_cites_it_cites_this_version():
    text = (ROOT / "CITATION.cff").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert re.search(r"^version: (.*)$", text, re.MULTILINE)[1] == __version__
    assert re.search(r"^license: (.*)$", text, re.MULTILINE)[1] == project["license"]


def test_asking_for_it_imports_nothing_dear():
    code = (
        "import sys, adaptax; print(adaptax.__version__);"
        "print([m for m in ('jax', 'numpy', 'importlib.metadata', 'equinox') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {[str(ROOT / 'src')]!r}; {code}"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.split("\n")[:2] == [__version__, "[]"]


@pytest.mark.process
def test_distributions_say_that_the_package_is_typed(tmp_path):
    pytest.importorskip("hatchling")
    for kind in ("sdist", "wheel"):
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(tmp_path)],
            cwd=ROOT, check=True, capture_output=True,
        )  # fmt: skip
    (wheel,) = tmp_path.glob(f"adaptax-{__version__}-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "adaptax/py.typed" in names
    assert "adaptax/core/version.py" in names
    assert not [name for name in names if name.startswith("tests")]
    if (ROOT / ".git").exists():
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
        assert zipfile.ZipFile(wheel).read("adaptax/commit.txt") == head
        assert not (ROOT / "src" / "adaptax" / "commit.txt").exists()
    import tarfile

    with tarfile.open(tmp_path / f"adaptax-{__version__}.tar.gz") as archive:
        assert f"adaptax-{__version__}/src/adaptax/py.typed" in archive.getnames()
