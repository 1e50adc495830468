import io

import pytest
from rich.console import Console

from adaptax.reports.text_table import WIDTH, Table


def test_a_plain_table_by_hand():
    table = Table("Title", ("agent", "return", "score"), caption="what it means")
    table.add_row("rl2", "11.00 ± 1.15", "83%", emphasis="bold")
    table.add_row("random", "0.00", "–")
    assert str(table).splitlines() == [
        "Title",
        "agent         return  score",
        "───────────────────────────",
        "rl2     11.00 ± 1.15    83%",
        "random          0.00      –",
        "what it means",
    ]


def test_long_names_are_folded_and_captions_are_broken():
    table = Table("", ("agent", "return"), fold=True, caption="word " * 50)
    table.add_row("a/long/name/" * 20, "1.0")
    lines = str(table).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert "".join(line.split("  ")[0].strip() for line in lines[2:5]) == "a/long/name/" * 20


def test_what_is_in_cells_is_text_and_no_markup():
    table = Table("[b]title[/b]", ("[i]agent[/i]",), caption="[caption]")
    table.add_row("[red]rl2[/red] [/nothing]")
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(table)
    shown = console.export_text()
    for text in (table.title, table.headers[0], table.caption, table.rows[0][0]):
        assert text in shown
        assert text in str(table)


def test_a_row_has_a_cell_for_each_column():
    with pytest.raises(ValueError, match="expected 2 cells, found 1"):
        Table("", ("a", "b")).add_row("1")
