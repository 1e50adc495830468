import jax
import jax.numpy as jnp
import pytest

from adaptax.problems.checks.findings import RULES, Finding, raised


def caught(function):
    with pytest.raises(Exception) as error:  # noqa: PT011  (whatever it is)
        function()
    return error.value


def test_a_finding_is_one_line_whatever_is_in_it():
    line = Finding("types", "step.reward", "float32", "an\nodd   thing", "Mend it").line()
    assert line == "types: step.reward: expected float32, found an odd thing. Mend it"


def test_an_exception_is_told_with_its_place_and_first_line():
    def fails():
        raise ValueError("first\nsecond")

    found = raised("reset", caught(fails))
    assert (found.rule, found.where) == ("raises", "reset")
    assert found.found.startswith("ValueError: first (test_findings.py, line ")
    assert "second" not in found.line()
    assert found.rule in RULES


def test_an_exception_without_words_says_so():
    assert "KeyError: without a message" in raised("step", caught(_raise)).found


def _raise():
    raise KeyError


def test_what_cannot_be_traced_gets_another_advice():
    error = caught(lambda: jax.jit(lambda x: 1 if x > 0 else 2)(jnp.ones(())))
    assert raised("step", error).advice.startswith("Use jnp.where")
    assert raised("step", ValueError("x")).advice == "Correct it"
