"""What a run begins from; how it is trained on: `tests/strangers/test_going_on.py`."""

import dataclasses
import hashlib
from collections import namedtuple
from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.errors import CheckpointError, ConfigError
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import TrainState
from adaptax.experiment import source
from adaptax.experiment.source import Source, source_of
from adaptax.runs.directory import save_config
from tests.claims.tiny_run import options, recipe

State = namedtuple("State", "meta")


class Layer(eqx.Module):
    """What is learned, and what it is for."""

    weight: jax.Array
    kind: str = eqx.field(static=True, default="tanh")


def agent_of(*shape, num_seeds=1, **more):
    meta = {"layer": Layer(jnp.arange(float(np.prod(shape))).reshape(shape), **more), "key": jax.random.key(3)}
    if num_seeds > 1:
        meta = jax.tree.map(lambda x: jnp.stack([x] * num_seeds), meta)
    return TrainedAgent(None, SimpleNamespace(env=None), meta, num_seeds)


@pytest.fixture
def begins(tmp_path, monkeypatch):
    """Begins from a run that holds an agent after 30 updates, where weights of three numbers are to be trained."""
    save_config(tmp_path, recipe(), options())
    monkeypatch.setattr(source, "first_state", lambda *given: State(agent_of(3).meta))

    def begin(agent, other=tmp_path, wanted="rl2", num_seeds=1):
        monkeypatch.setattr(source, "read_agent", lambda directory, say: (agent, 30))
        return source_of(other, dataclasses.replace(recipe(), algorithm=wanted), None, None, num_seeds, pytest.fail)

    return begin


def test_what_is_written_down_is_its_name_and_what_it_has_learned(begins, tmp_path):
    agent = agent_of(3)
    numbers = jax.random.key_data(agent.meta["key"]), agent.meta["layer"].weight  # in the order of their names
    digest = hashlib.sha256(b"".join(np.asarray(x).tobytes() for x in numbers)).hexdigest()
    for other in (tmp_path, str(tmp_path), SimpleNamespace(directory=tmp_path)):
        found = begins(agent, other)
        assert found.agent is agent
        assert found.written == {"from_": tmp_path.name, "from_update": 30, "from_sha256": digest}
    assert begins(agent_of(3, num_seeds=2), num_seeds=2).written["from_sha256"] != digest
    assert begins(agent, num_seeds=4).written == found.written  # of one, for all


@pytest.mark.parametrize(
    ("size", "held", "num_seeds", "says"),
    [
        (3, {"num_seeds": 2}, 1, "expected a run of 1 training; found 2 in "),
        (3, {"num_seeds": 2}, 3, "expected a run of 1 or 3 trainings, as --seeds says; found 2 in "),
        (4, {}, 1, r".*\['layer'\]\.weight: expected float32\[3\], found float32\[4\]$"),
        (4, {"num_seeds": 2}, 2, r".*\['layer'\]\.weight: expected float32\[3\], found float32\[4\]$"),
        (3, {"kind": "relu"}, 1, ".*: arrays of the same sizes, but other activations or spaces of obs"),
    ],
)
def test_another_network_or_number_of_trainings_is_refused(begins, size, held, num_seeds, says):
    with pytest.raises(ConfigError, match=f"^--from: {says}"):
        begins(agent_of(size, **held), num_seeds=num_seeds)


def test_what_one_of_them_has_and_the_other_has_not_is_named(begins):
    agent = agent_of(3)
    more = dataclasses.replace(agent, meta={**agent.meta, "more": jnp.zeros(2)})
    with pytest.raises(ConfigError, match=r"\['more'\]: expected nothing, found float32\[2\]$"):
        begins(more)
    with pytest.raises(ConfigError, match=r"\['key'\]: expected key<fry>\[\], found nothing$"):
        begins(dataclasses.replace(agent, meta={"layer": agent.meta["layer"]}))


def test_it_is_a_run_of_the_same_algorithm(begins, tmp_path):
    with pytest.raises(ConfigError, match=r"^--from: expected a run of 'maml', which is to be trained; found 'rl2'"):
        begins(agent_of(3), wanted="maml")
    with pytest.raises(CheckpointError, match="no run there"):
        begins(agent_of(3), tmp_path / "nothing")


@pytest.mark.parametrize(("theirs", "ours"), [(1, 1), (2, 2), (1, 3)])
def test_parameters_are_put_into_a_state_as_copies_and_nothing_else_is(theirs, ours):
    agent = agent_of(3, num_seeds=theirs)
    state = TrainState(meta="θ", opt_state=jnp.ones(4), step=jnp.zeros((), jnp.int32), key=jax.random.key(5))
    found = Source(agent, {}).put_into(state, ours)
    wanted = np.broadcast_to([0.0, 1.0, 2.0], (3,) if ours == 1 else (ours, 3))
    np.testing.assert_array_equal(found.meta["layer"].weight, wanted)
    assert found.meta["key"].shape == wanted.shape[:-1]
    assert found.meta["layer"].weight is not agent.meta["layer"].weight
    found.meta["layer"].weight.delete()  # as training does
    assert not agent.meta["layer"].weight.is_deleted()
    assert (found.opt_state, found.step, found.key) == (state.opt_state, state.step, state.key)
