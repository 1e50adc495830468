import jax
import pytest

from adaptax.cli import session
from adaptax.cli.session import cores, devices_for
from adaptax.errors import ConfigError


def test_there_is_a_core():
    assert cores() >= 1


def test_threads_of_one_core_are_counted_once(monkeypatch, tmp_path):
    for thread, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        (tmp_path / str(thread)).write_text(siblings + "\n")
    monkeypatch.setattr(session, "_SIBLINGS", str(tmp_path / "{}"))
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1, 2, 3})
    assert cores() == 2
    monkeypatch.setattr(session, "_SIBLINGS", str(tmp_path / "nothing {}"))
    assert cores() == 4


def test_of_several_processes_each_has_as_many_devices(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    monkeypatch.setattr(jax, "device_count", lambda: 6)
    assert devices_for(0, 12) == 6
    assert devices_for(0, 9) == 3
    assert devices_for(3, 12) == 3
    with pytest.raises(ConfigError, match="as many for each of the 3 processes; found 4"):
        devices_for(4, 12)
    with pytest.raises(ConfigError, match="that 3 processes can share evenly; found 16 in a minibatch"):
        devices_for(0, 16)


def test_devices_divide_the_tasks_of_a_minibatch():
    # The tests run on two devices.
    assert devices_for(0, 64) == 2
    assert devices_for(0, 3) == 1
    assert devices_for(1, 64) == 1
    with pytest.raises(ConfigError, match="at most 2"):
        devices_for(3, 66)
    with pytest.raises(ConfigError, match="a divisor of the 3 tasks"):
        devices_for(2, 3)
