import json
import os

from adaptax.runs.times import FILE, Times


def rows(directory):
    return [json.loads(line) for line in (directory / FILE).read_text().splitlines()]


def written(directory, done, *chunks):
    said = []
    times = Times(directory, done, said.append)
    for chunk in chunks:
        times.write(*chunk)
    times.close()
    return said


def test_seconds_add_up_over_processes_and_what_was_lost_is_cut_off(tmp_path):
    written(tmp_path, 0, (10, 100, 1.5), (20, 200, 3.0), (30, 300, 4.0))
    assert written(tmp_path, 20, (30, 300, 2.0)) == []
    assert rows(tmp_path) == [
        {"update": 10, "env_steps": 100, "seconds": 1.5},
        {"update": 20, "env_steps": 200, "seconds": 3.0},
        {"update": 30, "env_steps": 300, "seconds": 5.0},
    ]
    written(tmp_path, 0)
    assert rows(tmp_path) == []


def test_what_is_none_of_ours_is_cut_off(tmp_path):
    for odd in (b"[" * 9999, b"{}", b'{"update": 20, "seconds": NaN}', b'{"update": 20, "seconds": 1', b"\xff"):
        written(tmp_path, 0, (10, 100, 1.5))
        with (tmp_path / FILE).open("ab") as file:
            file.write(odd + b"\n")
        assert written(tmp_path, 20, (30, 300, 2.0)) == []
        assert [row["seconds"] for row in rows(tmp_path)] == [1.5, 3.5]


def test_E43_it_is_written_through_no_link_and_training_goes_on_without(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    os.symlink(precious, tmp_path / FILE)
    (said,) = written(tmp_path, 10, (20, 200, 1.0))
    assert said.startswith(f"warning: {tmp_path / FILE}: ")
    assert precious.read_text() == "precious"
