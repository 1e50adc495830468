from html.parser import HTMLParser

import pytest

from adaptax.core.notebook import MOST_ROWS, evenly_spaced, html_table, text_table


class Read(HTMLParser):
    """Texts of a page, and the tags that are open: every one is closed in its turn."""

    def __init__(self, page):
        super().__init__()
        self.open, self.texts = [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


HEADERS, ROWS = ("agent", "return"), [("RL²", "12.3 ± 0.1"), ("<b>&random", "9.98")]


def test_columns_are_aligned_and_lines_have_no_blanks_at_their_ends():
    assert text_table("bandit", HEADERS, [*ROWS, ("none", "")]).splitlines() == [
        "bandit",
        "agent           return",
        "RL²         12.3 ± 0.1",
        "<b>&random        9.98",
        "none",
    ]


def test_without_a_title_the_headers_come_first():
    assert text_table("", HEADERS, ROWS).splitlines()[0].split() == ["agent", "return"]
    assert Read(html_table("", HEADERS, ROWS)).texts[:2] == ["agent", "return"]


def test_a_table_has_its_title_headers_rows_and_note():
    page = html_table("Title", ("a", "b"), [("one", "1"), ("two", "2")], "A note.")
    assert Read(page).texts == ["Title", "a", "b", "one", "1", "two", "2", "A note."]
    assert Read(html_table("Title", (), [("one", "1")])).texts == ["Title", "one", "1"]


def test_what_is_put_into_it_is_escaped():
    nasty = "<script>alert('x')</script> & \"quotes\""
    page = html_table(nasty, (nasty,), [(nasty, nasty)], nasty)
    assert "<script" not in page
    assert Read(page).texts == [nasty] * 5


@pytest.mark.parametrize("number", [0, 1, MOST_ROWS, MOST_ROWS + 1, 100, 12345])
def test_rows_are_few_and_have_the_first_and_the_last(number):
    rows = evenly_spaced(number)
    assert len(rows) == min(number, MOST_ROWS)
    assert rows == sorted(set(rows))
    assert not rows or (rows[0], rows[-1]) == (0, number - 1)
