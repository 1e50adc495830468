import pytest

from adaptax.cli.session import cores, devices_for
from adaptax.errors import ConfigError


def test_there_is_a_core():
    assert cores() >= 1


def test_devices_divide_the_tasks_of_a_minibatch():
    # The tests run on two devices.
    assert devices_for(0, 64) == 2
    assert devices_for(0, 3) == 1
    assert devices_for(1, 64) == 1
    with pytest.raises(ConfigError, match="at most 2"):
        devices_for(3, 66)
    with pytest.raises(ConfigError, match="a divisor of the 3 tasks"):
        devices_for(2, 3)
