from adaptax.cli.list import command
from adaptax.published import TABLES
from adaptax.registry import ALGORITHMS, PROBLEMS


def test_everything_is_listed(capsys):
    assert command([]) == 0
    printed = capsys.readouterr().out
    for name in (*ALGORITHMS, *PROBLEMS, *TABLES):
        assert f"  {name} " in printed
