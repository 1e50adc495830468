import jax
import jax.numpy as jnp
import pytest

from adaptax.errors import ConfigError
from adaptax.hosts import Hosts, _name, join


def test_alone_everything_is_the_identity():
    hosts, tree = Hosts(), {"a": jnp.ones(2), "key": jax.random.key(0)}
    assert hosts.first
    assert hosts.any(True) is True
    assert hosts.any(False) is False
    assert hosts.told({"a": 1}) == {"a": 1}
    assert hosts.same(tree) is tree
    hosts.part()
    hosts.leave()
    assert (hosts.index, hosts.count) == (0, 1)


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
        join(None, None, None, silence=5, on_lost=lambda peer, how: None, say=print)
