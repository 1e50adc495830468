import contextlib
import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from adaptax.core import atomic_files
from adaptax.core.errors import OutputError, ResourceError, short_repr


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


@pytest.mark.parametrize("kind", ["link", "dangling", "loop", "pipe", "device"])
def test_E43_what_is_in_a_files_place_is_replaced_and_never_written_through(tmp_path, kind):
    odd(kind, tmp_path / "x")
    atomic_files.write(tmp_path / "x", b"data")
    assert not (tmp_path / "x").is_symlink()
    assert (tmp_path / "x").read_bytes() == b"data"
    rest = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != "x"}
    assert rest == ({"target": b"target"} if kind == "link" else {})


def test_E43_a_folder_in_a_files_place_stays_and_is_told_in_a_line(tmp_path):
    (tmp_path / "x").mkdir()
    says = r"cannot write the file: Is a directory; what was there"
    with pytest.raises(OutputError, match=says) as refused, atomic_files.explained("the file"):
        atomic_files.write(tmp_path / "x", b"data")
    assert refused.value.exit_code == 6
    assert os.listdir(tmp_path) == ["x"]


def test_E43_a_full_disk_is_no_wrong_directory():
    with pytest.raises(ResourceError, match="No space left"), atomic_files.explained("the file"):
        raise OSError(28, "No space left on device")


def test_E43_a_name_of_its_own_so_that_nobody_elses_temporary_file_is_touched(tmp_path, monkeypatch):
    (tmp_path / "x.tmp").mkdir()  # as a fixed name would be
    used = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (used.append(a), replace(a, b)))
    for _ in range(2):
        atomic_files.write(tmp_path / "x", b"data")
    assert used[0] != used[1]
    assert all(path.parent == tmp_path and f".{os.getpid()}-" in path.name for path in used)
    assert sorted(os.listdir(tmp_path)) == ["x", "x.tmp"]


def test_E43_a_second_ctrl_c_leaves_nothing_half_written(tmp_path, monkeypatch):
    def interrupted(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        atomic_files.write(tmp_path / "x", b"new")
    assert os.listdir(tmp_path) == []


WRITER = """
import json, sys
from pathlib import Path
from adaptax.core import atomic_files
failed = 0
for number in range(400):
    try:
        atomic_files.write(Path("evaluation.json"), json.dumps([sys.argv[1]] * (1 + number * 7 % 900)).encode())
    except OSError:
        failed += 1
print(failed)
"""


def test_E43_two_writers_of_one_file_never_fail_and_it_is_always_whole(tmp_path, start):
    writers = [
        start([sys.executable, "-c", WRITER, name], cwd=tmp_path, stdout=subprocess.PIPE, text=True) for name in "ab"
    ]
    looked = 0
    while any(writer.poll() is None for writer in writers):
        with contextlib.suppress(FileNotFoundError):
            assert set(json.loads((tmp_path / "evaluation.json").read_bytes())) in ({"a"}, {"b"})
            looked += 1
    assert [writer.communicate()[0] for writer in writers] == ["0\n", "0\n"]
    assert looked > 0
    assert os.listdir(tmp_path) == ["evaluation.json"]


def odd(kind: str, path: Path) -> None:
    """Put something that is no regular file there."""
    match kind:
        case "link":
            path.with_name("target").write_bytes(b"target")
            path.symlink_to("target")
        case "dangling":
            path.symlink_to("nowhere")
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


@pytest.mark.parametrize("obstacle", ["a folder of that name", "no folder to write into", "no room"])
def test_E44_what_cannot_be_written_is_named_as_the_user_knows_it(tmp_path, monkeypatch, obstacle):
    path = tmp_path / "folder" / "figures.json"
    if obstacle != "no folder to write into":
        path.parent.mkdir()
    if obstacle == "a folder of that name":
        path.mkdir()
    if obstacle == "no room":

        def full(descriptor, data):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match=rf"'{path}'$") as refused:
        atomic_files.write(path, b"figures")
    assert refused.value.filename == str(path)
    assert not list(path.parent.glob("*.tmp"))
