from adaptax.experiment.notebook import html_table, text_table

HEADER, ROWS = ("agent", "return"), [("RL²", "12.3 ± 0.1"), ("<b>&random", "9.98")]


def test_columns_are_aligned_and_lines_have_no_blanks_at_their_ends():
    assert text_table("bandit", HEADER, [*ROWS, ("none", "")]).splitlines() == [
        "bandit",
        "agent           return",
        "RL²         12.3 ± 0.1",
        "<b>&random        9.98",
        "none",
    ]


def test_without_a_title_the_header_comes_first():
    assert text_table("", HEADER, ROWS).splitlines()[0].split() == ["agent", "return"]
    assert "<caption>" not in html_table("", HEADER, ROWS)


def test_in_a_page_nothing_is_markup_but_the_table():
    page = html_table("a < b", HEADER, ROWS)
    assert "<caption>a &lt; b</caption>" in page
    assert "<td>&lt;b&gt;&amp;random</td><td>9.98</td>" in page
    assert page.count("<tr>") == 3
    assert page.count("<th>") == 2
