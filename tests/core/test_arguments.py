import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.arguments import flag, in_words, instance, whole_number
from adaptax.core.errors import UseError
from adaptax.core.trained_agent import TrainedAgent


@pytest.mark.parametrize("found", [3, np.int8(3), np.uint64(3), np.array(3), jnp.asarray(3)], ids=type)
def test_integers_of_all_kinds_are_python_s(found):
    number = whole_number("f(x)", found, 0, 3)
    assert type(number) is int
    assert number == 3


@pytest.mark.parametrize("found", [True, np.True_, 3.0, "3", None, [3], np.array([3]), -1, 4, 10**5000], ids=type)
def test_what_is_no_integer_in_the_range_is_refused(found):
    with pytest.raises(UseError, match=r"^f\(x\): expected an integer, 0 to 3, found .*; nothing was done$"):
        whole_number("f(x)", found, 0, 3)
    if found != 4:
        return
    assert whole_number("f(x)", found, 0) == 4
    with pytest.raises(UseError, match="5 or more"):
        whole_number("f(x)", found, 5)


def test_flags_are_bools():
    assert flag("f(x)", np.True_) is True
    assert flag("f(x)", False) is False
    for found in (1, 0.0, "no", None, np.ones(1, bool), jnp.asarray(True)):
        with pytest.raises(UseError, match=r"^f\(x\): expected True or False, found"):
            flag("f(x)", found)


def test_an_instance_of_another_class_is_named():
    with pytest.raises(UseError, match=r"^f\(x\): expected a TrainedAgent, found 3; nothing was done\. Do this$"):
        instance("f(x)", 3, TrainedAgent, "Do this")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (np.zeros((2, 3)), "float64 of shape (2, 3)"),
        (jnp.zeros(3), "float32 of shape (3,)"),
        ("two\nlines", r"'two\nlines'"),
        ([1], "a list"),
        (None, "nothing (None)"),
        (1.5, "1.5"),
    ],
    ids=str,
)
def test_what_was_found_is_said_in_one_line(found, said):
    assert in_words(found) == said
