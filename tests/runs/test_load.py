"""An agent is read from a run's directory, to the bit; how the best is chosen: `test_validations.py`."""

import jax
import jax.numpy as jnp
import pytest

from adaptax.core.errors import CheckpointError, UseError
from adaptax.core.types import replace
from adaptax.runs import checkpoints, load, validations
from adaptax.runs.load import load_agent, read_agent
from adaptax.runs.validations import Validation
from tests.claims.tiny_run import TinyRun, bitwise_equal


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return TinyRun(tmp_path_factory.mktemp("run"), 0)


@pytest.fixture
def tiny(written):
    written.restore()
    (written.directory / validations.FILE).unlink(missing_ok=True)
    return written


@pytest.fixture
def shaped(tiny, monkeypatch):
    """Shapes of a state are those of one that there is, so that no network is traced for them."""
    monkeypatch.setattr(load, "first_state", lambda *given: tiny.states[10])
    return tiny


def test_it_is_the_agent_of_the_last_checkpoint_to_the_bit(tiny):
    said = []
    agent, update = read_agent(tiny.directory, said.append)
    assert update == 30
    assert bitwise_equal(agent.meta, tiny.states[30].meta)
    assert (agent.name, agent.num_seeds, agent.algorithm.memory_size) == ("rl2", 1, 4)
    assert (agent.problem.env.num_arms, agent.problem.episodes) == (3, 5)
    assert said == [
        f"{tiny.directory}: training is not finished: 30 of 40 updates. "
        f"To go on: adaptax train --resume {tiny.directory}"
    ]


def test_by_default_what_there_is_to_say_is_a_warning(shaped):
    with pytest.warns(UserWarning, match="30 of 40 updates"):
        assert bitwise_equal(load_agent(shaped.directory).meta, shaped.states[30].meta)


def test_of_a_finished_run_nothing_is_said(shaped):
    checkpoints.save(shaped.directory, shaped.states[10], update=40, about=shaped.about)
    agent, update = read_agent(shaped.directory, pytest.fail)
    assert update == 40
    assert bitwise_equal(agent.meta, shaped.states[10].meta)


def test_the_best_is_read_if_it_is_known_and_asked_for(shaped):
    with pytest.raises(CheckpointError, match=r"no checkpoint of it was chosen by validation.*--checkpoint last"):
        read_agent(shaped.directory, pytest.fail, checkpoint="best")
    validations.write(shaped.directory, [Validation(20, 2.5, 0.1), Validation(30, 2.25, 0.1)])
    said = []
    agent, update = read_agent(shaped.directory, said.append, checkpoint="best")
    assert update == 20
    assert bitwise_equal(agent.meta, shaped.states[20].meta)
    assert said[0] == f"{shaped.directory}: using checkpoint 20, the best on validation tasks (2.5 in a trial)"
    assert "30 of 40 updates" in said[1]  # what was reached, though an older one is used
    assert read_agent(shaped.directory, said.append)[1] == 30  # it was not trained to be selected


def test_what_is_not_finite_is_refused_and_named(shaped):
    state = shaped.states[30]
    place, first = next(
        (path, x)
        for path, x in jax.tree_util.tree_leaves_with_path(state.meta)
        if jnp.issubdtype(x.dtype, jnp.floating)
    )
    broken = jax.tree_util.tree_map_with_path(lambda path, x: x * jnp.nan if path == place else x, state.meta)
    assert first.size
    checkpoints.save(shaped.directory, replace(state, meta=broken), update=40, about=shaped.about)
    with pytest.raises(CheckpointError, match="expected finite numbers in checkpoint 40, found NaN") as refused:
        load_agent(shaped.directory, pytest.fail)
    assert f"leaf {jax.tree_util.keystr(place)}. Nothing was changed; delete that checkpoint" in str(refused.value)


@pytest.mark.parametrize("word", ["newest", "", None, 30])
def test_another_word_is_refused_before_anything_is_read(word, tmp_path):
    with pytest.raises(UseError, match=r"load_agent\(checkpoint\): expected one of auto, last, best, .*nothing was"):
        load_agent(tmp_path / "nothing", checkpoint=word)
    with pytest.raises(CheckpointError, match="no run there"):
        load_agent(tmp_path / "nothing")
