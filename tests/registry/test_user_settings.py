"""Which arguments and fields become settings, and what they say; by their names: `test_resolve.py`."""

import dataclasses
from typing import Literal, Optional

import pytest

from adaptax.core.errors import ConfigError
from adaptax.core.settings import Settings
from adaptax.problems import bernoulli_bandit, cart_pole
from adaptax.registry.user_settings import algorithm_settings, problem_maker, problem_settings

PERHAPS = Optional[float]  # noqa: UP045  (as it was written before 3.10)


def fields(kind):
    return {field.name: (field.type, field.default) for field in dataclasses.fields(kind)}


def test_arguments_that_can_be_typed_are_settings():
    def make(
        fixed=0, /, number: int = 1, rate: float = 2, flag: bool = False, word: str = "x", plain=3, words="y",
        later: "Missing" = 0.5, maybe: int | None = None, perhaps: PERHAPS = None,
        kind: Literal["a", "b"] = "a", *rest: int, only: int = 4,
        either: int | str = 1, named: str | None = None, sizes: tuple = (1,), level: Literal[1, 2] = 1, none=None,
        **more: int,
    ):  # fmt: skip
        """Whatever."""

    found = fields(problem_settings("mine", make, make))
    assert found == {
        "number": (int, 1), "rate": (float, 2), "flag": (bool, False), "word": (str, "x"), "plain": (int, 3),
        "words": (str, "y"), "later": (float, 0.5), "maybe": (int | None, None), "perhaps": (PERHAPS, None),
        "kind": (Literal["a", "b"], "a"), "only": (int, 4),
    }  # fmt: skip


def test_what_a_docstring_says_is_said_of_them():
    def make(size: int = 1, rate: float = 0.5):
        """Make it.

        More.

        Args:
            size: How large it is,
                and

                how wide.
            rate (float, optional): How fast.

        Returns:
            size: No argument.
        """

    kind = problem_settings("my_envs:make it", make, make)
    assert kind.__doc__ == ("Make it.\n\nAttributes:\n    size: How large it is, and how wide.\n    rate: How fast.")
    assert kind.__name__ == "make_it"

    bare = dataclasses.make_dataclass("Bare", [("size", int, 1)], frozen=True)
    assert problem_settings("mine", make, make, bare).__doc__ == "A user's own.\n\nAttributes:"


def test_what_a_problem_is_is_asked_of_the_problem_which_is_made_once():
    made = []

    def make(pulls=5, cart=False):
        made.append(pulls)
        return cart_pole(pulls, horizon=7) if cart else bernoulli_bandit(3, pulls)

    kind = problem_settings("mine", make, make)
    bandit, cart = kind(pulls=9), kind(cart=True)
    assert (bandit.horizon, bandit.episodes, bandit.continuous_actions, bandit.discrete_states) == (1, 9, False, True)
    assert (cart.horizon, cart.episodes, cart.continuous_actions, cart.discrete_states) == (7, 5, False, False)
    assert (kind(pulls=9).episodes, made) == (9, [9, 5])


def test_fields_of_a_dataclass_that_can_be_typed_are_settings():
    @dataclasses.dataclass(frozen=True)
    class Mine:
        size: int = 8
        sizes: list = dataclasses.field(default_factory=list)
        derived: int = dataclasses.field(default=0, init=False)
        net: object = None
        rate: "float" = 0.5

        def __post_init__(self):
            if self.size == 7:
                raise ValueError("not 7")

    kind = algorithm_settings("my_algos:Mine", Mine)
    assert fields(kind) == {"size": (int, 8), "rate": (float, 0.5)}
    assert kind.check_problem is Settings.check_problem
    with pytest.raises(ConfigError, match="my_algos:Mine: making it raised ValueError: not 7"):
        kind(size=7)
    with pytest.raises(ConfigError, match=r"Mine\.size: expected an integer; found 0\.5"):
        kind(size=0.5)


def test_what_cannot_be_settings_is_said():
    changing = dataclasses.make_dataclass("Changing", [("size", int, 1)])
    needing = dataclasses.make_dataclass("Needing", [("size", int)], frozen=True)
    for wrong, says in (
        (changing, "mine: expected a frozen dataclass; found one that can change. Say frozen=True"),
        (needing, r"mine\.size: expected a default, as every setting has; found none"),
        (dict, "mine: expected a frozen dataclass; found the class dict. Decorate it so"),
        (changing(), "mine: expected a frozen dataclass; found a Changing"),
    ):
        with pytest.raises(ConfigError, match=f"^{says}"):
            algorithm_settings("mine", wrong)
    with pytest.raises(ConfigError, match=r"^mine\.settings: expected a frozen dataclass; found one that can change"):
        problem_settings("mine", dict, dict, changing)


def test_a_problem_is_made_or_there_already():
    ready = bernoulli_bandit(2, 3)
    assert problem_maker("mine", ready)() is ready
    assert problem_maker("mine", lambda arms: bernoulli_bandit(arms, 4))(arms=5).env.num_arms == 5
    with pytest.raises(ConfigError, match=r"^mine: expected a Problem, .*; found nothing \(None\)\. `adaptax"):
        problem_maker("mine", lambda: None)()
