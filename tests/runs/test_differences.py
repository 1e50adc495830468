import pytest

from adaptax.runs.differences import difference, unknown_field

RUN = {"algorithm": "rl2", "settings": {"rate": 0.1, "layers": [3, 4]}, "options": {}}


def test_what_is_expected_is_all_that_counts():
    assert difference(RUN, RUN) is None
    assert difference(RUN, {**RUN, "more": 1, "settings": {**RUN["settings"], "later": 2}}) is None
    assert difference({}, {"anything": 1}) is None
    assert difference(3, 3) is None


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({**RUN, "algorithm": "maml"}, ("algorithm", "'rl2'", "'maml'")),
        ({"algorithm": "rl2", "options": {}}, ("settings", repr(RUN["settings"]), "nothing")),
        ({**RUN, "settings": {"layers": [3, 4]}}, ("settings.rate", "0.1", "nothing")),
        ({**RUN, "settings": {"rate": 0.1, "layers": [4, 3]}}, ("settings.layers", "[3, 4]", "[4, 3]")),
        ({**RUN, "settings": None}, ("settings", repr(RUN["settings"]), "None")),
        ([1] * 40, ("about", repr(RUN), repr([1] * 40)[:80] + " …")),
        # Names in order: of several differences it is always the same that is told.
        ({"settings": {}, "algorithm": 0}, ("algorithm", "'rl2'", "0")),
        ({**RUN, "settings": {"rate": 1, "layers": 1}}, ("settings.layers", "[3, 4]", "1")),
    ],
)
def test_the_first_difference_by_name(found, expected):
    assert difference(RUN, found) == expected


def test_a_file_does_not_choose_how_deep_it_is_looked_into():
    deep = inner = {}
    for _ in range(100_000):
        inner["a"] = inner = {}
    assert difference({"a": 1}, {"a": deep}) == ("a", "1", "a deeply nested dict")
    assert unknown_field({"a": 1}, {"a": deep}) is None


def test_a_field_for_which_there_is_none_is_named_with_its_place():
    assert unknown_field(RUN, RUN) is None
    assert unknown_field(RUN, {**RUN, "later": 1}) == "about.'later'"
    assert unknown_field(RUN, {**RUN, "settings": {"rate": 0.1, "k": 1, "l": 2}}) == "about.settings.'k'"
    assert unknown_field(RUN, {**RUN, "options": {"x": 1}, "later": 1}) == "about.'later'"
    assert unknown_field(RUN, {"algorithm": {"x": 1}}) is None
    assert unknown_field(RUN, {"x" * 100: 1}) == "about." + repr("x" * 100)[:80] + " …"
    assert unknown_field(1, {"x": 1}) is unknown_field(RUN, [RUN]) is None
