"""Node and Chromium, for tests of what runs in a browser; tests that need one of them are skipped without it."""

import json
import re
import shutil
import subprocess
import tempfile
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from adaptax.reports.html import TEMPLATES

NODE = shutil.which("node")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_node = pytest.mark.skipif(NODE is None, reason="needs Node")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
PATIENCE = 300


def in_node(scripts: list[str], code: str, given: Any) -> Any:
    """What `code` returns, a function's body with `given`, after scripts of the templates (or texts of scripts)."""
    texts = [(TEMPLATES / x).read_text(encoding="utf-8") if x.endswith(".js") else x for x in scripts]
    texts = [re.sub(r"^if \(typeof module.*$", "", x, flags=re.MULTILINE) for x in texts]
    read = "JSON.parse(require('fs').readFileSync(0))"
    program = "\n".join([*texts, f"const given = {read};", f"console.log(JSON.stringify((() => {{ {code} }})()));"])
    assert NODE is not None
    with tempfile.TemporaryDirectory() as place:  # programs are longer than a command line may be
        path = Path(place) / "program.js"
        path.write_text(program, encoding="utf-8")
        ran = subprocess.run(
            [NODE, str(path)], input=json.dumps(given), capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return json.loads(ran.stdout)


def in_chromium(page: Path, width: int = 1280, height: int = 900) -> tuple[Any, list[str]]:
    """What a page has written as JSON into its element "found", and what it has said on the console."""
    assert CHROMIUM is not None
    ran = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
            "--enable-logging=stderr", "--v=0", f"--window-size={width},{height}", "--virtual-time-budget=60000",
            f"--user-data-dir={page.parent / 'profile'}", "--dump-dom", page.resolve().as_uri(),
        ],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    said = [line for line in ran.stderr.splitlines() if "CONSOLE" in line]
    found = re.search(r'<pre id="found">(.*?)</pre>', ran.stdout, re.DOTALL)
    assert found, (said, ran.stderr[-2000:])
    return json.loads(unescape(found.group(1))), said
