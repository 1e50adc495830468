from adaptax.experiment.progress import LINES, Bar


def test_without_a_terminal_it_says_something_ten_times(capsys):
    with Bar("work", 1000) as bar:
        for done in range(1, 1001):
            bar.update(done, f"at {done}")
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.strip().splitlines()
    assert len(lines) == LINES
    assert lines[-1] == "work 1000/1000 at 1000"
