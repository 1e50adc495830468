"""What a distribution is built with: it knows the commit that it is of (`adaptax --version`)."""

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CommitHook(BuildHookInterface):
    """Puts `commit.txt` beside the package's modules, where the sources are a clone."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a distribution is built; one for editing reads the clone itself."""
        package = Path(self.root) / "src" / "adaptax"
        if version == "editable" or (package / "commit.txt").exists() or not (Path(self.root) / ".git").exists():
            return
        line = ["git", "rev-parse", "HEAD"]
        try:
            found = subprocess.run(line, cwd=self.root, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return
        if found.returncode:
            return
        self._kept = tempfile.TemporaryDirectory()
        path = Path(self._kept.name) / "commit.txt"
        path.write_text(found.stdout, encoding="utf-8")
        where = "adaptax/commit.txt" if self.target_name == "wheel" else "src/adaptax/commit.txt"
        build_data["force_include"][str(path)] = where

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Nothing is left behind."""
        if hasattr(self, "_kept"):
            self._kept.cleanup()
