import base64

from adaptax.reports.html import page, paragraph, picture, table


def test_what_comes_from_outside_is_escaped_and_what_is_html_is_not():
    assert "<title>a &lt; b</title>" in page("a < b", [paragraph("<b>kept</b>")])
    assert paragraph("<b>kept</b>", "note") == '<p class="note"><b>kept</b></p>'
    assert "&lt;name&gt;" in table(["<head>"], {"<name>": ["<cell>"]})
    assert "<cell>" not in table(["<head>"], {"<name>": ["<cell>"]})


def test_a_picture_is_within_the_page():
    shown = picture(b"<svg/>", 'a "picture"', "1 < 2")
    assert base64.b64encode(b"<svg/>").decode() in shown
    assert 'alt="a &quot;picture&quot;"' in shown
    assert "1 &lt; 2" in shown


def test_a_table_has_a_row_for_each_name_and_small_print_below():
    shown = table(["agent", ("50 %", "of the way")], {"rl2": [("5", "4 … 6")], "random": ["n/a"]}, bold=["rl2"])
    assert shown.count("<tr") == 3
    assert '<tr class="trained"><td>rl2</td><td>5<small>4 … 6</small></td></tr>' in shown
    assert "<td class=none>n/a</td>" in shown
    assert "<th>50 %<small>of the way</small></th>" in shown
