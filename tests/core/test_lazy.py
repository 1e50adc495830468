import importlib
import sys

import pytest

from adaptax.core.lazy import by_name


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of two modules, of which it imports neither by itself."""
    folder = tmp_path / "lazy_rooms"
    folder.mkdir()
    (folder / "kitchen.py").write_text("TABLE, chair = 4, 'wood'\n")
    (folder / "broken.py").write_text("import nowhere_to_be_found\n")
    (folder / "__init__.py").write_text(
        "from adaptax.core.lazy import by_name, imported_when_used\n"
        "door = 'open'\n"
        "WHERE = by_name(__name__, {'kitchen': ('TABLE', 'chair'), 'broken': ('window',)})\n"
        "__getattr__, __dir__, __all__ = imported_when_used(__name__, WHERE)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("lazy_rooms")
    for name in [name for name in sys.modules if name.partition(".")[0] == "lazy_rooms"]:
        del sys.modules[name]


def test_a_name_imports_its_module_when_it_is_used_and_is_there_from_then_on(package):
    assert "lazy_rooms.kitchen" not in sys.modules
    assert package.TABLE == 4
    assert "lazy_rooms.kitchen" in sys.modules
    assert "TABLE" in vars(package)
    assert package.chair == "wood"


def test_names_are_listed_before_they_are_imported(package):
    assert package.__all__ == ["TABLE", "chair", "window"]
    assert {"TABLE", "chair", "window", "door"} <= set(dir(package))
    assert "lazy_rooms.kitchen" not in sys.modules


def test_what_is_not_there_is_said_as_of_any_module(package):
    with pytest.raises(AttributeError, match=r"^module 'lazy_rooms' has no attribute 'roof'$"):
        _ = package.roof
    assert not hasattr(package, "roof")


def test_an_error_of_the_module_itself_is_told_and_not_taken_for_a_missing_name(package):
    with pytest.raises(ModuleNotFoundError, match="nowhere_to_be_found"):
        _ = package.window


def test_modules_of_names():
    assert by_name("a", {"b": ("x", "y"), "c": ()}) == {"x": "a.b", "y": "a.b"}
