import jax
import pytest

from adaptax.core.errors import ConfigError
from adaptax.experiment import jax_setup
from adaptax.experiment.jax_setup import cores, devices_for


def test_there_is_a_core():
    assert cores() >= 1


def test_threads_of_one_core_are_counted_once(monkeypatch, tmp_path):
    for thread, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        (tmp_path / str(thread)).write_text(siblings + "\n")
    monkeypatch.setattr(jax_setup, "_SIBLINGS", str(tmp_path / "{}"))
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1, 2, 3})
    assert cores() == 2
    monkeypatch.setattr(jax_setup, "_SIBLINGS", str(tmp_path / "nothing {}"))
    assert cores() == 4


@pytest.mark.parametrize(
    ("processes", "requested", "tasks", "expected"),
    [(1, 0, 64, 2), (1, 0, 3, 1), (1, 1, 64, 1), (3, 0, 12, 6), (3, 0, 9, 3), (3, 3, 12, 3)],
)
def test_as_many_devices_of_each_process_as_divide_the_tasks_of_a_minibatch(
    monkeypatch, processes, requested, tasks, expected
):
    _start(monkeypatch, processes)
    assert devices_for(requested, tasks) == expected


@pytest.mark.parametrize(
    ("processes", "requested", "tasks", "message"),
    [
        (1, 3, 66, "at most 2"),
        (1, 2, 3, "a divisor of the 3 tasks"),
        (3, 4, 12, "as many for each of the 3 processes; found 4"),
        (3, 0, 16, "that 3 processes can share evenly; found 16 in a minibatch"),
    ],
)
def test_other_numbers_of_devices_are_refused(monkeypatch, processes, requested, tasks, message):
    _start(monkeypatch, processes)
    with pytest.raises(ConfigError, match=message):
        devices_for(requested, tasks)


def _start(monkeypatch, processes):
    """So many processes, of two devices each."""
    monkeypatch.setattr(jax, "process_count", lambda: processes)
    monkeypatch.setattr(jax, "device_count", lambda: 2 * processes)


def test_E44_without_a_home_compiled_programs_are_kept_where_it_is_said_or_nowhere(monkeypatch, tmp_path):
    def unknown(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(jax_setup.Path, "home", classmethod(unknown))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert jax_setup._cache() == tmp_path / "adaptax" / "xla"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert jax_setup._cache() is None


def test_E46_what_decides_the_devices_is_told_with_their_number(monkeypatch):
    _start(monkeypatch, 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(ConfigError, match=r"at most 2, the devices here with .*CUDA_VISIBLE_DEVICES=0,1; found 3"):
        devices_for(3, 66)
