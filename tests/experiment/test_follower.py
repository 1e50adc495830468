"""How a process follows the writer chunk by chunk; what it refuses, and real training: `test_distributed.py`."""

import dataclasses
from pathlib import Path

import pytest

from adaptax.core.errors import ConfigError, DivergenceError
from adaptax.experiment import follower
from adaptax.experiment.distributed import Group
from adaptax.experiment.follower import follow
from adaptax.experiment.options import TrainOptions
from adaptax.experiment.signals import StopSignal
from adaptax.experiment.surroundings import Surroundings
from adaptax.runs import numerics
from adaptax.training.loop import Progress
from tests.claims.tiny_run import options, recipe


class Others:
    """Stands for the processes: what the writer sends, and who asks to stop after which update."""

    first, index = False, 2

    def __init__(self, options, stop_after=None):
        self.content = {
            "recipe": recipe().to_json(), "options": options, "devices": 1, "done": 10,
            "random": numerics.configured(numerics.RANDOM),
        }  # fmt: skip
        self.asked, self.left, self.stop_after = [], 0, stop_after

    def broadcast_json(self, content):
        return self.content

    def broadcast_tree(self, tree):
        return {"shapes": "first state"}[tree]

    def any(self, flag):
        self.asked.append(flag)
        return flag or len(self.asked) == self.stop_after

    def leave(self):
        self.left += 1


@pytest.fixture
def trained(monkeypatch):
    """What the loop was asked for, which tells of chunks of ten updates until it is to stop."""
    given = {}

    def train(algorithm, problem, state, *, on_chunk, on_compiled, num_updates, done, **more):
        given.update(more, state=state, num_updates=num_updates, begun=done)
        while not on_chunk(Progress(done := done + 10, {}, done / 8, f"state {done}")):
            pass
        return f"state {done}"

    monkeypatch.setattr(follower.loop, "train", train)
    monkeypatch.setattr(follower, "shapes", lambda *given: "shapes")
    return given


def followed(others, *asked, stop=None, said=None):
    say = (lambda line: None) if said is None else said.append
    return follow(Surroundings(on_message=say, stop=stop or StopSignal(), group=Group(others)), *asked)


def test_it_goes_on_where_the_writer_is_to_the_end(trained):
    others, said = Others(options()), []
    run = followed(others, said=said)
    assert trained == {"state": "first state", "num_updates": 40, "begun": 10, "num_seeds": 1, "devices": 1}
    assert (run.done, run.seconds, run.state, run.stopped, run.directory) == (40, 5.0, "state 40", False, None)
    assert run.recipe == recipe()
    assert others.asked == [False, False]  # after 20 and 30; after 40 there is nothing to ask
    assert others.left == 1
    assert said == ["process 2: trains with process 0, which writes and evaluates"]


def test_it_stops_with_the_others_whoever_was_asked(trained):
    run = followed(Others(options(), stop_after=2))
    assert (run.done, run.stopped, run.state) == (30, True, "state 30")
    stop = StopSignal()
    stop.ask()
    others = Others(options())
    run = followed(others, stop=stop)
    assert (run.done, run.stopped, others.asked) == (20, True, [True])
    assert others.left == 1


def test_it_has_as_many_trainings_as_the_writer(trained):
    assert followed(Others({**options(), "seeds": 3})).options == TrainOptions(seeds=3)
    assert trained["num_seeds"] == 3
    own = TrainOptions(seeds=3, eval_tasks=0, out=Path("mine"), json=True, from_=Path("other"))
    assert followed(Others({**options(), "seeds": 3}), recipe(), own).options is own  # of its own it may have these


@pytest.mark.parametrize(
    ("changes", "says"), [({"seeds": 2}, "--seeds: .*, 1; found 2"), ({"save_every": 3}, "--save-")]
)
def test_all_else_has_to_be_the_same(trained, changes, says):
    with pytest.raises(ConfigError, match=f"^{says}.* in process 2. Start all with the same words"):
        followed(Others(options()), recipe(), TrainOptions(eval_tasks=0, **changes))
    other = dataclasses.replace(recipe(), problem="gaussian-bandit")
    with pytest.raises(ConfigError, match=r"^--problem: expected the same as in process 0, 'bandit'; found 'gaussian"):
        followed(Others(options()), other, TrainOptions(eval_tasks=0))
    assert trained == {}


@pytest.mark.parametrize(("error", "left"), [(DivergenceError("NaN"), 1), (OSError("no"), 0)])
def test_after_what_all_notice_they_part_ways(error, left, trained, monkeypatch):
    def fail(*given, **more):
        raise error

    monkeypatch.setattr(follower.loop, "train", fail)
    others = Others(options())
    with pytest.raises(type(error)):
        followed(others)
    assert others.left == left
