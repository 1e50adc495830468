import subprocess
import sys

import pytest

import adaptax


def test_every_name_can_be_used():
    for name in adaptax.__all__:
        assert getattr(adaptax, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = adaptax.nothing


def test_importing_the_package_does_not_import_jax():
    code = "import sys, adaptax; print('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
