"""A user's own code in detail; what becomes of it by its name: `test_resolve.py`."""

import inspect
import os
import sys

import pytest

from adaptax.core.errors import CheckpointError, ConfigError, UseError
from adaptax.registry import user_code
from adaptax.registry.user_code import (
    LONGEST,
    called,
    described,
    expect_defaults,
    expect_module,
    is_reference,
    load_reference,
    parameters_of,
    split_reference,
)


def test_module_and_name():
    assert split_reference("my_envs:make") == ("my_envs", "make")
    assert split_reference("my.envs.of_mine:make") == ("my.envs.of_mine", "make")
    assert [is_reference(name) for name in ("my_envs:make", ":", "bandit")] == [True, True, False]
    assert split_reference("a" * (LONGEST - 2) + ":b")[1] == "b"
    for name in ("a" * (LONGEST - 1) + ":b", "a", ":", "a:", ":b", "a:b:c", "a:b.c", "a..b:c", ".a:b", "a/b:c", "1a:b"):
        with pytest.raises(ConfigError, match="expected MODULE:NAME, as in my_envs:make_problem; found something else"):
            split_reference(name)


def test_the_working_directory_is_on_the_path_only_while_a_factory_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = [*sys.path]
    assert called("mine", lambda **given: (sys.path[0], given), {"a": 1}) == (os.getcwd(), {"a": 1})
    assert sys.path == before

    def tidy():  # a factory may have taken it off itself
        sys.path.remove(os.getcwd())

    called("mine", tidy, {})
    with pytest.raises(ConfigError):
        called("mine", lambda: 1 / 0, {})
    assert sys.path == before
    monkeypatch.setattr(sys, "path", [str(tmp_path), *before])
    called("mine", lambda: None, {})
    assert sys.path == [str(tmp_path), *before]  # it was there already


def raising(error):
    def factory():
        raise error

    return factory


@pytest.mark.parametrize("error", [ValueError("7 is\ntoo much"), UseError("7 is\ntoo much"), SystemExit("7 is\nmuch")])
def test_whatever_a_factory_raises_is_told_in_a_line(error):
    said = rf"^mine: making it raised {type(error).__name__}: 7 is \(test_user_code\.py, line \d+\)$"
    with pytest.raises(ConfigError, match=said) as refused:
        called("mine", raising(error), {})
    assert refused.value.__cause__ is error


@pytest.mark.parametrize("error", [ConfigError("say size"), CheckpointError("gone"), KeyboardInterrupt()])
def test_what_says_itself_what_is_wrong_is_let_through(error):
    with pytest.raises(type(error)) as raised:
        called("mine", raising(error), {})
    assert raised.value is error


def test_a_factory_needs_defaults_for_all_but_what_may_be_anything():
    expect_defaults("mine", lambda a=1, *others, b=2, **more: None)
    expect_defaults("mine", dict)  # nothing is known of its arguments
    with pytest.raises(ConfigError, match=r"^mine: expected a function .* found one that needs a, b\. Give them"):
        expect_defaults("mine", lambda a, c=1, *, b: None)
    for wrong in (3, None, "make"):
        with pytest.raises(ConfigError, match=r"^mine: expected a function; found "):
            expect_defaults("mine", wrong)


def test_annotations_in_quotes_are_looked_up_if_they_can_be():
    def known(size: "int | None" = None):
        pass

    def unknown(size: "Missing" = 3, rate: float = 0.5):
        pass

    assert parameters_of(known)["size"].annotation == int | None
    assert [p.annotation for p in parameters_of(unknown).values()] == ["Missing", float]
    assert parameters_of(unknown)["size"].default == 3
    assert parameters_of(3) == {}
    assert parameters_of(known)["size"].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD


def test_of_an_error_within_a_library_the_users_own_line_is_told(tmp_path, monkeypatch):
    (tmp_path / "reads_json.py").write_text("import json\n\n\ndef make():\n    return json.loads('{')\n")
    monkeypatch.chdir(tmp_path)
    try:
        make = load_reference("reads_json:make")
        with pytest.raises(ConfigError, match=r"raised JSONDecodeError: Expecting .* \(reads_json\.py, line 5\)$"):
            called("reads_json:make", make, {})
    finally:
        sys.modules.pop("reads_json", None)
    assert described(KeyError()) == "KeyError (no line known)"


def test_where_the_working_directory_was_deleted_installed_modules_are_found(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    expect_module("json:loads")
    assert load_reference("json:loads") is __import__("json").loads
    with pytest.raises(ConfigError, match=r"^no_such_module: expected a module, here or installed; found none$"):
        expect_module("no_such_module:x")
    assert not os.path.exists(user_code._here())
