"""Which commit this package is of: a clone knows, and distributions have it written down when they are built."""

import re
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
WRITTEN = "commit.txt"
"""Where a distribution has it, beside the package's modules."""
_LONGEST = 200


def commit(package: Path = PACKAGE) -> str:
    """Its first twelve digits; empty where nobody knows."""
    found = _read(package / WRITTEN)
    if not found and package.parent.name == "src":
        found = _of_clone(package.parents[1])
    return found[:12] if re.fullmatch(r"[0-9a-f]{40}", found) else ""


def _of_clone(root: Path) -> str:
    git = root / ".git"
    if git.is_file():  # a worktree, which says where its own directory is
        git = Path(_read(git).removeprefix("gitdir: "))
    head = _read(git / "HEAD")
    if not head.startswith("ref: "):
        return head
    name = head.removeprefix("ref: ")
    common = _read(git / "commondir")
    for place in (git, git / common) if common else (git,):
        if found := _read(place / name):
            return found
        packed = re.search(rf"^([0-9a-f]{{40}}) {re.escape(name)}$", _read(place / "packed-refs", most=10**7), re.M)
        if packed:
            return packed[1]
    return ""


def _read(path: Path, most: int = _LONGEST) -> str:
    try:
        return path.read_text(encoding="utf-8")[:most].strip()
    except (OSError, UnicodeDecodeError):
        return ""
