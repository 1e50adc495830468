import os
import threading
from pathlib import Path

import pytest

from adaptax.core.errors import short_repr
from adaptax.runs import atomic_files


def test_a_file_is_replaced_and_nothing_is_left_over(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    atomic_files.write(path, b"new" * 1000)
    assert path.read_bytes() == b"new" * 1000
    assert os.listdir(tmp_path) == ["x"]


def test_what_cannot_be_written_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        atomic_files.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]


def test_writing_is_flushed_before_it_is_renamed_and_the_folder_after(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace

    def flushed(descriptor):
        done.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("rename"), replace(a, b)))
    atomic_files.write(tmp_path / "x", b"data")
    assert done == ["file", "rename", "folder"]


def test_all_is_written_where_a_call_takes_only_a_part(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    atomic_files.write(tmp_path / "x", b"0123456789")
    assert (tmp_path / "x").read_bytes() == b"0123456789"


def test_a_link_or_a_pipe_with_the_temporary_name_is_not_written_through(tmp_path):
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    (tmp_path / "x.tmp").symlink_to(precious)
    atomic_files.write(tmp_path / "x", b"data")
    os.mkfifo(tmp_path / "x.tmp")  # opening it would wait for a reader
    atomic_files.write(tmp_path / "x", b"more")
    assert precious.read_bytes() == b"precious"
    assert (tmp_path / "x").read_bytes() == b"more"
    assert not (tmp_path / "x").is_symlink()


def odd(kind: str, path: Path) -> None:
    """Put something that is no regular file there."""
    match kind:
        case "link":
            path.with_name("target").write_bytes(b"target")
            path.symlink_to("target")
        case "loop":
            path.symlink_to(path.name)
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/zero")


@pytest.mark.parametrize("opener", [lambda path: atomic_files.read(path, 100), atomic_files.open_to_update])
@pytest.mark.parametrize("kind", ["link", "loop", "pipe", "folder", "device"])
def test_only_regular_files_are_opened(tmp_path, kind, opener):
    odd(kind, tmp_path / "x")
    failed = []

    def attempt():
        try:
            opener(tmp_path / "x")
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=attempt, daemon=True)  # it must not wait at a pipe
    thread.start()
    thread.join(5)
    assert failed
    if kind == "link":
        assert (tmp_path / "target").read_bytes() == b"target"


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path):
    with (tmp_path / "x").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(OSError, match="1,000,000,000,000 bytes, expected at most 100"):
        atomic_files.read(tmp_path / "x", 100)


def test_the_bound_is_not_what_is_allocated(tmp_path):
    (tmp_path / "x").write_bytes(b"few")
    assert atomic_files.read(tmp_path / "x", 10**18) == b"few"


def test_a_file_with_another_name_is_not_opened_for_writing(tmp_path):
    (tmp_path / "precious").write_bytes(b"precious")
    os.link(tmp_path / "precious", tmp_path / "x")
    with pytest.raises(OSError, match="another name"):
        atomic_files.open_to_update(tmp_path / "x")
    assert atomic_files.read(tmp_path / "x", 100) == b"precious"


def test_a_missing_file_is_made_to_be_updated_and_missed_to_be_read(tmp_path):
    os.close(atomic_files.open_to_update(tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == b""
    with pytest.raises(FileNotFoundError):
        atomic_files.read(tmp_path / "y", 1)


def test_what_a_file_says_is_shown_in_a_short_line():
    assert short_repr(3) == "3"
    assert short_repr("a\n\x1b[2J") == r"'a\n\x1b[2J'"
    assert len(short_repr("x" * 10**6)) < 100
    nested = []
    for _ in range(10**5):
        nested = [nested]
    assert short_repr(nested) == "a deeply nested list"
    while nested:  # or freeing it recurses
        nested = nested.pop()
