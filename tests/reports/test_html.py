import base64

import jinja2
import pytest

from adaptax.reports.html import TEMPLATES, data_uri, environment, render


def shown(source, **context):
    """A template of a line, with the parts of all pages."""
    parts = '{% from "parts.html" import picture, table %}'
    return environment().from_string(parts + source).render(**context)


HOSTILE = """<script>alert("1")</script> & 'co' {{ 7 * 7 }}"""


def test_what_comes_from_outside_is_escaped_and_never_a_template():
    whole = render("page.html", title=HOSTILE)
    table = shown("{{ table(headers, rows) }}", headers=[HOSTILE], rows={HOSTILE: [HOSTILE, ("1", HOSTILE)]})
    picture = shown("{{ picture(svg, text, text) }}", svg=b"<svg/>", text=HOSTILE)
    for text, times in ((whole, 1), (table, 4), (picture, 2)):
        assert "<script" not in text
        assert "49" not in text
        assert text.count("&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt; &amp; &#39;co&#39; {{ 7 * 7 }}") == times


def test_a_picture_is_within_the_page():
    found = shown("{{ picture(svg, alt, caption) }}", svg=b"<svg/>", alt='a "picture"', caption="1 < 2")
    assert data_uri(b"<svg/>") == f"data:image/svg+xml;base64,{base64.b64encode(b'<svg/>').decode()}"
    assert f'src="{data_uri(b"<svg/>")}"' in found
    assert 'alt="a &#34;picture&#34;"' in found
    assert "1 &lt; 2" in found


def test_a_table_has_a_row_for_each_name_and_small_print_below():
    rows = {"rl2": [("5", "4 … 6")], "random": ["n/a"]}
    found = shown("{{ table(headers, rows, ['rl2']) }}", headers=["agent", ("50 %", "normalized")], rows=rows)
    assert found.count("<tr") == 3
    assert '<tr class="trained"><td>rl2</td><td>5<small>4 … 6</small></td></tr>' in found
    assert '<td class="none">n/a</td>' in found
    assert "<th>50 %<small>normalized</small></th>" in found


def test_a_name_that_a_template_does_not_get_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="title"):
        render("page.html")


def test_templates_load_nothing_from_elsewhere():
    for path in (path for path in TEMPLATES.rglob("*") if path.is_file()):
        text = path.read_text()
        assert "http" not in text, path
        assert "| safe" not in text, path
        assert "|safe" not in text, path
