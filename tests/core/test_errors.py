import errno

import pytest

from adaptax.core import errors


@pytest.mark.parametrize(
    ("name", "code"), [("AdaptaxError", 1), ("ConfigError", 2), ("CheckpointError", 5), ("OutputError", 6)]
)
def test_exit_codes(name, code):
    error = getattr(errors, name)("what to do")
    assert error.exit_code == code
    assert str(error) == "what to do"
    assert isinstance(error, errors.AdaptaxError)


def test_every_error_has_its_own_exit_code():
    classes = {errors.AdaptaxError, *errors.AdaptaxError.__subclasses__()} - {errors.MissingPackageError}
    assert len({cls.exit_code for cls in classes}) == len(classes)
    assert errors.MissingPackageError.exit_code == errors.ConfigError.exit_code  # what is asked for is not there


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "nothing (None)"),
        (3, "an int"),
        ({}, "a dict"),
        (dict, "the class dict"),
        (print, "a builtin_function_or_method"),
    ],
)
def test_what_was_found_is_told_in_words(found, words):
    assert errors.kind_in_words(found) == words


def test_E46_a_message_is_one_line_that_moves_no_cursor():
    assert errors.one_line("a\x1b[31m\x07\n\t\u202eb…ü\udc80") == "a\\x1b[31m\\x07\\n\\t\\u202eb…ü\\udc80"


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, 7), (errno.EDQUOT, 7), (errno.EACCES, 6), (None, 6)])
def test_E44_what_cannot_be_written_has_an_exit_code(number, code):
    error = errors.unwritten("a/b", OSError(number, "why") if number else OSError("why"), "Choose another")
    assert (error.exit_code, str(error)) == (code, "a/b: cannot write there (why). Choose another")
