import socket
import time

import jax
import jax.numpy as jnp
import pytest

from adaptax.core.errors import ConfigError
from adaptax.training import multihost
from adaptax.training.multihost import Hosts, _name, join


def test_alone_everything_is_the_identity():
    alone, tree = Hosts(), {"a": jnp.ones(2), "key": jax.random.key(0)}
    assert alone.first
    assert alone.any(True) is True
    assert alone.any(False) is False
    assert alone.broadcast_json({"a": 1}) == {"a": 1}
    assert alone.broadcast_tree(tree) is tree
    alone.part()
    alone.leave()
    assert (alone.index, alone.count) == (0, 1)


@pytest.mark.parametrize(
    ("coordinator", "name"), [("node7:1234", "node7"), ("10.0.0.1:80", "10.0.0.1"), ("[::1]:80", "::1")]
)
def test_the_first_process_is_where_the_coordinator_is(coordinator, name):
    assert _name(coordinator) == name


def test_without_anybody_to_say_who_the_others_are(monkeypatch):
    for variable in ("SLURM_JOB_ID", "OMPI_MCA_orte_hnp_uri", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(variable, raising=False)

    def initialize(*words, **more):
        raise ValueError("coordinator_address should be defined")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    with pytest.raises(ConfigError, match=r"--distributed: coordinator_address should be.*--coordinator HOST"):
        join(None, None, None, silence=5, on_absent=print, on_lost=lambda peer, how: None, on_message=print)


def test_a_port_that_is_in_use_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = f"localhost:{server.getsockname()[1]}"
        with pytest.raises(ConfigError, match=f"--coordinator: expected a port .* found {where} .*in use"):
            join(where, 2, 0, silence=5, on_absent=print, on_lost=lambda peer, how: None, on_message=print)


def test_others_that_do_not_come_are_told_of_before_jax_aborts(monkeypatch):
    said = []
    monkeypatch.setattr(multihost, "PATIENCE", 0.1)
    monkeypatch.setattr(multihost.roll_call, "answer", lambda *words: None)
    monkeypatch.setattr(jax.distributed, "initialize", lambda *words, **more: time.sleep(1))
    monkeypatch.setattr(jax.distributed, "shutdown", lambda: None)
    assert (
        join("a:1", 2, 1, silence=5, on_absent=said.append, on_lost=lambda peer, how: None, on_message=print).count == 1
    )
    assert said == ["the other processes did not come in 0.1 s"]
    monkeypatch.setattr(jax.distributed, "initialize", lambda *words, **more: None)
    join("a:1", 2, 1, silence=5, on_absent=said.append, on_lost=lambda peer, how: None, on_message=print)
    time.sleep(0.5)
    assert len(said) == 1
