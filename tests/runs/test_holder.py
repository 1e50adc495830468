import os
import socket
import subprocess
import sys
import time

import pytest

from adaptax.core.errors import ConfigError, DivergenceError, LostError, OutputError
from adaptax.runs import holder
from adaptax.runs.directory import ENDED, LOCK, claim
from adaptax.runs.holder import Holder, holder_of


@pytest.mark.parametrize("listed", [True, False])
def test_who_works_there_is_seen_without_taking_the_lock(tmp_path, listed, monkeypatch):
    if not listed:  # as where the system keeps no list
        monkeypatch.setattr(holder, "_LOCKS", tmp_path / "nothing")
    assert holder_of(tmp_path, 0.0) == Holder(False, "")
    with claim(tmp_path, fresh=True):
        before = (tmp_path / LOCK).read_bytes(), os.stat(tmp_path / LOCK).st_mtime_ns
        assert holder_of(tmp_path, 0.0) == Holder(True, "")
        assert ((tmp_path / LOCK).read_bytes(), os.stat(tmp_path / LOCK).st_mtime_ns) == before
    if listed:  # a lock that is free was signed by a process that still lives: this one
        assert holder_of(tmp_path, 0.0) == Holder(False, "")


def test_whoever_looks_keeps_nobody_out(tmp_path):
    program = f"""
import sys
from pathlib import Path
from adaptax.runs.holder import holder_of
while True:
    holder_of(Path({str(tmp_path)!r}), 0.0)
    print(flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as looking:
        looking.stdout.readline()
        for _ in range(200):
            with claim(tmp_path, fresh=True):  # would be refused if the other had it
                pass
        looking.kill()


def test_a_process_that_was_killed_holds_nothing(tmp_path):
    program = f"""
import os, signal
from pathlib import Path
from adaptax.runs.directory import claim
with claim(Path({str(tmp_path)!r}), fresh=True):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], check=False)
    assert "process" in (tmp_path / LOCK).read_text()
    assert holder_of(tmp_path, time.time()) == Holder(False, "")


def test_what_somebody_has_failed_of_is_known_until_the_next_one_begins(tmp_path):
    with pytest.raises(DivergenceError), claim(tmp_path, fresh=True):
        raise DivergenceError("update 3: loss is NaN\nin two lines")
    assert holder_of(tmp_path, 0.0) == Holder(False, "update 3: loss is NaN\\nin two lines")
    with claim(tmp_path, fresh=True):
        assert holder_of(tmp_path, 0.0) == Holder(True, "")
    assert ENDED not in (tmp_path / LOCK).read_text()


@pytest.mark.parametrize("error", [ConfigError("refused"), LostError("another process is lost"), KeyboardInterrupt()])
def test_what_was_refused_or_stopped_has_not_failed(tmp_path, error):
    with pytest.raises(type(error)), claim(tmp_path, fresh=True):
        raise error
    assert holder_of(tmp_path, 0.0) == Holder(False, "")


def test_a_run_that_is_there_already_has_not_failed(tmp_path):
    (tmp_path / "config.json").touch()
    with pytest.raises(OutputError), claim(tmp_path, fresh=True):
        pass
    assert holder_of(tmp_path, 0.0) == Holder(False, "")


def test_on_another_host_it_is_told_by_what_is_written(tmp_path):
    (tmp_path / LOCK).write_text(f"process 1 on not-{socket.gethostname()}, since 2026-01-01T00:00:00+00:00\n")
    assert holder_of(tmp_path, time.time()).held
    assert not holder_of(tmp_path, time.time() - 1000).held


@pytest.mark.parametrize("text", [b"", b"\xff" * 20, b"process x on y, since z\n", b"process 0 on , since\n"])
def test_a_lock_that_says_nothing_is_nobodys(tmp_path, text, monkeypatch):
    (tmp_path / LOCK).write_bytes(text)
    assert holder_of(tmp_path, 0.0) == Holder(False, "")
    monkeypatch.setattr(holder, "_LOCKS", tmp_path / "nothing")
    assert holder_of(tmp_path, 0.0) == Holder(False, "")
