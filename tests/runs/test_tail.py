import json

from adaptax.runs import tail
from adaptax.runs.tail import Tail


def line(number):
    return json.dumps({"update": number}) + "\n"


def numbers(found):
    fresh, rows = found
    return fresh, [row["update"] for row in rows]


def test_each_row_is_read_once_and_half_a_line_waits(tmp_path):
    path = tmp_path / "rows"
    following = Tail(path)
    assert numbers(following.read()) == (False, [])  # it is not there yet
    path.write_text(line(1) + line(2)[:5])
    assert numbers(following.read()) == (True, [1])
    assert numbers(following.read()) == (False, [])
    path.write_text(line(1) + line(2) + line(3))
    assert numbers(following.read()) == (False, [2, 3])
    assert following.changed == path.stat().st_mtime


def test_a_file_that_was_cut_or_replaced_or_removed_begins_anew(tmp_path):
    path = tmp_path / "rows"
    path.write_text(line(1) + line(2))
    following = Tail(path)
    following.read()
    path.write_text(line(1))
    assert numbers(following.read()) == (True, [1])
    other = tmp_path / "other"
    other.write_text(line(5) + line(6) + line(7))
    other.rename(path)
    assert numbers(following.read()) == (True, [5, 6, 7])
    path.unlink()
    assert numbers(following.read()) == (True, [])
    assert following.changed == 0


def test_what_is_no_object_is_counted(tmp_path):
    path = tmp_path / "rows"
    path.write_bytes(line(1).encode() + b"[1]\n\xff\xfe\n{\n" + b"[" * 10**5 + b"\n" + line(2).encode())
    following = Tail(path)
    assert numbers(following.read()) == (True, [1, 2])
    assert following.unreadable == 4


def test_of_a_long_file_the_end_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(tail, "LARGEST", 40)
    path = tmp_path / "rows"
    path.write_text("".join(map(line, range(10, 20))))
    assert numbers(Tail(path).read()) == (True, [18, 19])
    following = Tail(path)
    following.read()
    assert following.unreadable == 0


def test_links_and_pipes_are_not_waited_for(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    assert numbers(Tail(tmp_path / "pipe").read()) == numbers(Tail(tmp_path / "link").read()) == (False, [])
