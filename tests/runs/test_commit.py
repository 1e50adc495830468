"""Which commit the package is of."""

import pytest

from adaptax.runs.commit import commit

ONE, TWO = "0123456789abcdef" * 2 + "01234567", "fedcba98" * 5


def package(root, **files):
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("dot", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "src" / "adaptax").mkdir(parents=True, exist_ok=True)
    return root / "src" / "adaptax"


def test_a_distribution_has_it_written_down(tmp_path):
    made = package(tmp_path, **{"src__adaptax__commit.txt": f"{ONE}\n", "dotgit__HEAD": TWO})
    assert commit(made) == ONE[:12]


def test_a_clone_says_it_by_its_branch_or_itself(tmp_path):
    made = package(tmp_path, dotgit__HEAD="ref: refs/heads/main\n", dotgit__refs__heads__main=f"{ONE}\n")
    assert commit(made) == ONE[:12]
    (tmp_path / ".git" / "refs" / "heads" / "main").unlink()
    (tmp_path / ".git" / "packed-refs").write_text(
        f"# pack-refs with: peeled\n{TWO} refs/heads/other\n{ONE} refs/heads/main\n"
    )
    assert commit(made) == ONE[:12]
    (tmp_path / ".git" / "HEAD").write_text(TWO)
    assert commit(made) == TWO[:12]


def test_a_worktree_says_where_its_clone_is(tmp_path):
    store = tmp_path / "clone" / ".git"
    own = store / "worktrees" / "here"
    own.mkdir(parents=True)
    (own / "HEAD").write_text("ref: refs/heads/side")
    (own / "commondir").write_text("../..\n")
    (store / "refs" / "heads").mkdir(parents=True)
    (store / "refs" / "heads" / "side").write_text(ONE)
    made = package(tmp_path / "here", dotgit=f"gitdir: {own}\n")
    assert commit(made) == ONE[:12]


@pytest.mark.parametrize("head", ["", "ref: refs/heads/none", "not a commit", "ref: ../../../etc/passwd"])
def test_what_is_not_known_is_not_said(head, tmp_path):
    assert commit(package(tmp_path, dotgit__HEAD=head)) == ""
    assert commit(tmp_path / "elsewhere" / "adaptax") == ""
