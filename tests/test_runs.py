import json
import os
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax import runs
from adaptax.errors import CheckpointError, OutputError
from adaptax.presets import settings_for

RECIPE = runs.Recipe("rl2", "bandit", *settings_for("rl2", "bandit"))


def state():
    return {
        "w": jnp.arange(6.0).reshape(2, 3),
        "n": jnp.asarray(3),
        "key": jax.random.key(7),
        "none": None,
        "empty": jnp.zeros((0, 4)),
    }


def test_a_state_comes_back_bitwise(tmp_path):
    runs.save_state(tmp_path, state())
    loaded = runs.load_state(tmp_path, jax.eval_shape(state))
    for a, b in zip(jax.tree.leaves(state()), jax.tree.leaves(loaded), strict=True):
        assert a.dtype == b.dtype
        if jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)  # noqa: PLW2901
        np.testing.assert_array_equal(a, b)
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize(
    ("like", "says"),
    [
        ({**state(), "w": jnp.zeros((3, 2))}, r"\['w'\].*\[3, 2\].*\[2, 3\]"),
        ({**state(), "n": jnp.zeros(())}, r"\['n'\]: expected float32"),
        ({**state(), "more": jnp.zeros(1)}, "missing or unknown.*more"),
    ],
)
def test_another_structure_is_refused_and_the_leaf_named(tmp_path, like, says):
    runs.save_state(tmp_path, state())
    with pytest.raises(CheckpointError, match=says):
        runs.load_state(tmp_path, like)


def test_a_truncated_state_is_refused(tmp_path):
    runs.save_state(tmp_path, state())
    path = tmp_path / runs.STATE
    whole = path.read_bytes()
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            runs.load_state(tmp_path, jax.eval_shape(state))


def test_recipes_come_back(tmp_path):
    runs.save_config(tmp_path, RECIPE, {"seeds": 2})
    assert runs.read_recipe(tmp_path) == (RECIPE, {"seeds": 2})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 2}, "expected format 1, found 2"),
        ({"algorithm": "rl3"}, "did you mean 'rl2'"),
        ({"algorithm_settings": {"memory_sise": 3}}, "memory_sise"),
        ({"problem_settings": {"num_arms": -1}}, "num_arms"),
    ],
)
def test_a_wrong_configuration_file_is_refused(tmp_path, change, says):
    runs.save_config(tmp_path, RECIPE, {})
    path = tmp_path / runs.CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match=says):
        runs.read_recipe(tmp_path)


def test_each_of_many_simultaneous_runs_gets_a_directory_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    got = []
    threads = [threading.Thread(target=lambda: got.append(runs.create_directory(None, "x"))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(str(d) for d in got) == sorted(f"runs/x-{n}" for n in range(1, 21))


def test_a_path_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write there"):
        runs.create_directory(tmp_path / "file", "x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_directory_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot write there"):
        runs.create_directory(tmp_path / "x", "x")


def test_a_title_says_what_was_trained_on_what():
    assert RECIPE.title() == "rl2 on bandit (num_arms 10, num_pulls 100)"
