"""How simulators run is said once, for whatever problem has them, and is no part of what a run is."""

import pytest

from adaptax.core.errors import ConfigError
from adaptax.experiment.options import SimulatorOptions
from adaptax.problems import bernoulli_bandit, informed
from adaptax.problems.host.pool import Workers
from adaptax.registry.simulation import accept_simulation, simulated
from tests.problems.host.walks import walks


@pytest.fixture(autouse=True)
def nothing_said():
    yield
    accept_simulation(SimulatorOptions())


def pool(problem):
    return getattr(problem.env, "env", problem.env).simulators._pool


def test_what_is_said_replaces_who_simulates_in_wrappers_too():
    accept_simulation(SimulatorOptions(workers=3, step_timeout=7.0))
    for problem in (walks(), informed(walks())):
        found = pool(simulated("walks", problem))
        assert (type(found), found.count, found.timeout) == (Workers, 3, 7.0)


def test_what_is_not_said_stays_as_the_problem_has_it():
    before = walks(workers=2, step_timeout=5.0)
    same = pool(before)
    accept_simulation(SimulatorOptions())
    assert pool(simulated("walks", before)) is same
    accept_simulation(SimulatorOptions(step_timeout=9.0))
    found = pool(simulated("walks", before))
    assert (found.count, found.timeout) == (2, 9.0)
    accept_simulation(SimulatorOptions(workers=0))
    found = pool(simulated("walks", before))
    assert not isinstance(found, Workers)
    assert found.timeout == 9.0


def test_a_problem_without_simulators_refuses_it():
    with pytest.raises(ConfigError, match=r"--workers: expected a problem of .* found bandit: it runs within"):
        accept_simulation(SimulatorOptions(workers=1), "bandit")
    accept_simulation(SimulatorOptions(step_timeout=2.0), "my:bandit")
    with pytest.raises(ConfigError, match=r"--step-timeout: expected .* found my:bandit: it runs within compiled"):
        simulated("my:bandit", bernoulli_bandit())
