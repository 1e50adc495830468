import hashlib
import random
import shutil

from tests.claims import fuzz_runs


def digests():
    files = sorted(path for run in fuzz_runs.GOLDEN for path in run.rglob("*") if path.is_file())
    assert files
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_kind_of_change_comes_up(tmp_path):
    before, done = digests(), set()
    for number in range(300):
        said, words = fuzz_runs.trial(5, number, tmp_path)
        done.update(said.split(", "))
        assert words[1] in ("run", "--resume")
    assert {kind.__name__ for kind in fuzz_runs.KINDS} <= done
    assert digests() == before


def test_what_is_done_through_a_link_is_done_to_a_copy(tmp_path):
    before, links, run = digests(), 0, tmp_path / "run"
    for number in range(100):
        rng = random.Random(number)
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(fuzz_runs.GOLDEN[0], run)
        fuzz_runs.exchange(rng, run)
        for path in run.rglob("*"):
            if path.is_symlink() and path.is_file():
                links += 1
                path.write_bytes(b"written through")
    assert links > 2
    assert digests() == before


def test_the_same_number_is_the_same_trial(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert fuzz_runs.trial(5, 7, tmp_path / "a") == fuzz_runs.trial(5, 7, tmp_path / "b")
