"""Encoders of a user's own, by MODULE:NAME: imported if the user names them, and only then."""

import sys

import pytest

from adaptax.core.errors import CheckpointError, ConfigError
from adaptax.deployment.agent import Agent
from adaptax.experiment.evaluation import evaluate
from adaptax.experiment.training import train
from adaptax.registry import encoders
from adaptax.registry.encoders import accept_encoder, expect_encoder, register_encoder

CODE = """
import equinox as eqx

def make(space, key):
    return eqx.nn.Linear(space.encoded_size, 3, key=key)

def broken(space, key):
    raise RuntimeError("no network today")
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    (tmp_path / "own_nets.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(encoders, "_accepted", {})
    yield "own_nets:make"
    sys.modules.pop("own_nets", None)


def quick(out, **changes):
    return train(
        "rl2",
        "point-robot",
        out=out,
        **{"num_updates": 1, "num_tasks": 4, "num_minibatches": 1, "horizon": 3, "num_episodes": 2, "eval_tasks": 0},
        **changes,
    )


@pytest.mark.compiles
def test_it_is_learned_with_the_rest_and_imported_again_only_if_it_is_named(nets, tmp_path, monkeypatch):
    run = quick(tmp_path / "run", encoder=nets)
    assert run.agent.meta.network.encoder.size == 3
    monkeypatch.setattr(encoders, "_accepted", {})  # as in another process
    with pytest.raises(CheckpointError, match="--encoder 'own_nets:make'"):
        Agent.load(tmp_path / "run")
    with pytest.raises(CheckpointError, match="imported only if you name it"):
        evaluate(tmp_path / "run", tasks=2)
    evaluate(tmp_path / "run", tasks=2, against=(), encoder=nets)
    agent = Agent.load(tmp_path / "run")
    agent.begin()
    assert agent.act([0.0, 0.0]).shape == (2,)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("own_nets:missing", "expected 'missing'"),
        ("no_nets:make", "expected a module"),
        ("resnet", "auto, none, or MODULE:NAME"),
        ("own_nets:broken", "no network today"),
    ],
)
def test_what_is_no_encoder_says_so(nets, name, says, tmp_path):
    with pytest.raises(ConfigError, match=says):
        quick(tmp_path / "run", encoder=name)


def test_functions_can_be_given_a_name():
    class Options:
        encoder = "my-encoder"

    with pytest.raises(ConfigError, match="my-encoder"):
        accept_encoder(Options())
    register_encoder("my-encoder", lambda space, key: None)
    accept_encoder(Options())
    encoders._accepted.pop("my-encoder")
    with pytest.raises(ConfigError, match=r"register_encoder\('my-encoder', make\) first"):
        expect_encoder(Options())
    with pytest.raises(ConfigError, match="of your own"):
        register_encoder("auto", lambda space, key: None)
