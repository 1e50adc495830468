import collections
import dataclasses
import inspect

import pytest

from adaptax.core.entry import Entry, load_target, modules_of


@pytest.mark.parametrize("target", ["collections:OrderedDict", collections.OrderedDict])
def test_a_target_is_imported_by_its_name_or_there_already(target):
    assert Entry(target, "an ordered dictionary").load() is collections.OrderedDict


@pytest.mark.parametrize(
    ("target", "error"), [("collections:Nothing", AttributeError), ("nowhere_to_be_found:x", ModuleNotFoundError)]
)
def test_what_is_not_there_is_an_error(target, error):
    with pytest.raises(error):
        load_target(target)


def test_names_in_python_and_their_modules():
    tables = {"a": Entry("collections:OrderedDict", "")}, {"b": Entry("inspect:signature", ""), "c": Entry(len, "")}
    assert modules_of(*tables) == {"OrderedDict": "collections", "signature": "inspect"}


def test_an_entry_documents_every_field_and_cannot_be_changed():
    entry = Entry("collections:OrderedDict", "")
    for field in dataclasses.fields(Entry):
        assert field.name in inspect.getdoc(Entry).partition("Attributes:")[2]
    with pytest.raises(dataclasses.FrozenInstanceError):
        entry.summary = "x"
