import os
import sys
import threading
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event

from adaptax.runs.tensorboard import TensorBoard


def events(folder):
    """All events in a folder, file by file."""
    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data = path.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            found.append(Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return found


def begun(folder, on_message, first_step=0):
    board = TensorBoard(folder, on_message)
    board.start(first_step)
    return board


def test_scalars_are_written_with_their_steps(tmp_path):
    board = begun(tmp_path / "b", print, 5)
    board.log(10, {"return": 2.5, "entropy": 1.0})
    board.finish("finished")
    version, start, *scalars = events(tmp_path / "b")
    assert version.file_version == "brain.Event:2"
    assert start.step == 5
    assert start.session_log.status == 1  # what earlier files say of later steps no longer holds
    assert [(e.step, value.tag, value.simple_value) for e in scalars for value in e.summary.value] == [
        (10, "return", 2.5),
        (10, "entropy", 1.0),
    ]


def test_two_of_one_second_have_files_of_their_own(tmp_path):
    for step in range(3):
        begun(tmp_path, print, step).finish("finished")
    assert len(list(tmp_path.iterdir())) == 3


def test_no_thread_is_started_that_could_be_waited_for(tmp_path):
    before = threading.active_count()
    board = begun(tmp_path, print)
    for step in range(100):
        board.log(step, {"x": 0.0})
    assert threading.active_count() == before
    board.finish("finished")


def full(*arguments):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("method", ["write_event", "close"])
def test_a_full_disk_is_said_once_and_stops_nothing(tmp_path, monkeypatch, method):
    said = []
    board = begun(tmp_path, said.append)
    close = [board._writer.close]

    def fails(*arguments):
        if method == "close" and close:
            close.pop()()  # or the file would stay open
        full()

    monkeypatch.setattr(board._writer, method, fails)
    for step in range(20):
        board.log(step, {"x": 0.0})
    board.finish("finished")
    board.finish("finished")
    assert len(said) == 1
    assert "No space left" in said[0]


def test_it_writes_through_no_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "b").symlink_to("elsewhere")
    said = []
    board = begun(tmp_path / "b", said.append)
    board.log(1, {"x": 0.0})
    board.finish("finished")
    assert "is a link" in said[0]
    assert not list((tmp_path / "elsewhere").iterdir())


def test_without_tensorboardx_nothing_is_written_and_it_is_said_once(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "tensorboardX"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    said = []
    board = begun(tmp_path / "tensorboard", said.append)
    board.log(1, {"x": 0.0})
    board.finish("finished")
    assert not list(tmp_path.iterdir())
    (line,) = said
    assert "tensorboard/ is left out: TensorBoard needs tensorboardX" in line
    assert 'pip install "adaptax[tensorboard]"' in line


@pytest.mark.parametrize("kind", ["link", "pipe", "file"])
def test_E43_events_go_into_a_new_file_or_nowhere(tmp_path, monkeypatch, kind):
    """Whatever the name of the file is: here it is known beforehand."""
    monkeypatch.setattr("time.time", lambda: 1.0)
    monkeypatch.setattr("time.monotonic_ns", lambda: 2)
    begun(tmp_path, print).finish("finished")
    (path,) = tmp_path.iterdir()
    path.unlink()
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    {"link": lambda: path.symlink_to(precious), "pipe": lambda: os.mkfifo(path), "file": path.touch}[kind]()
    said = []
    board = begun(tmp_path, said.append)
    board.log(1, {"x": 0.0})
    board.finish("finished")
    assert said == [f"warning: {tmp_path}: File exists; no more is written for TensorBoard"]
    assert precious.read_bytes() == b"precious"


def test_a_folder_that_looks_like_a_place_in_the_cloud_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    begun(Path("gs:run"), print).finish("finished")
    assert len(list((tmp_path / "gs:run").iterdir())) == 1
