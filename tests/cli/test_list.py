from adaptax.cli.list import command
from adaptax.experiment.tables import tables
from adaptax.registry.registry import ALGORITHMS, PROBLEMS


def test_everything_is_listed(capsys):
    assert command([]) == 0
    printed = capsys.readouterr().out
    for name in (*ALGORITHMS, *PROBLEMS, *tables()):
        assert f"  {name} " in printed
