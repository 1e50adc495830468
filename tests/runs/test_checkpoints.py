import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.errors import CheckpointError
from adaptax.runs import checkpoints, numerics, schemas

ABOUT = {"algorithm": "x", "settings": {"rate": 0.1, "layers": [3, 4]}, "options": {"seed": 0}}


def state(number=0.0):
    return {
        "w": jnp.arange(6.0).reshape(2, 3) + number,
        "n": jnp.asarray(3),
        "key": jax.random.key(7),
        "none": None,
        "empty": jnp.zeros((0, 4)),
    }


LIKE = jax.eval_shape(state)


def same(a, b):
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert one.dtype == other.dtype
        if jax.dtypes.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, other = jax.random.key_data(one), jax.random.key_data(other)  # noqa: PLW2901
        np.testing.assert_array_equal(one, other)


def saved(directory, *updates, **options):
    for update in updates:
        checkpoints.save(directory, state(update), update=update, about=ABOUT, **options)


def newest(directory, about=ABOUT, like=LIKE):
    said = []
    found = checkpoints.newest(directory, like, about, said.append)
    return found, said


def reseal(directory, update, /, **changes):
    path = directory / checkpoints.FOLDER / f"update-{update:08d}.json"
    path.write_bytes(checkpoints.seal({**json.loads(path.read_bytes())["manifest"], **changes}))


def test_a_state_comes_back_bitwise(tmp_path):
    saved(tmp_path, 10, metrics={"size": 3})
    found, said = newest(tmp_path)
    same(found.state, state(10))
    assert (found.update, found.manifest["metrics"], said) == (10, {"size": 3}, [])
    assert not list((tmp_path / checkpoints.FOLDER).glob("*.tmp"))


def test_the_newest_three_are_kept_and_multiples_for_good(tmp_path):
    saved(tmp_path, 0, 10, 20, 30, 40, 50, keep_every=20)
    assert checkpoints.updates_in(tmp_path) == [20, 30, 40, 50]


def test_what_died_in_between_is_removed_by_the_next(tmp_path):
    saved(tmp_path, 10)
    folder = tmp_path / checkpoints.FOLDER
    (folder / "update-00000015.json.tmp").write_bytes(b"half")
    (folder / "update-00000005.safetensors").write_bytes(b"without a manifest")
    saved(tmp_path, 20)
    assert sorted(os.listdir(folder)) == [
        f"update-000000{n}.{ending}" for n in (10, 20) for ending in ("json", "safetensors")
    ]


def test_a_checkpoint_written_after_damaged_ones_is_not_pruned_for_them(tmp_path):
    saved(tmp_path, 10, 70, 80, 90)
    for path in (tmp_path / checkpoints.FOLDER).glob("*.safetensors"):
        if "10" not in path.name:
            path.write_bytes(b"")
    saved(tmp_path, 20)
    found, _ = newest(tmp_path)
    assert found.update == 20


def test_what_cannot_be_removed_does_not_undo_a_checkpoint(tmp_path):
    saved(tmp_path, 10)
    (tmp_path / checkpoints.FOLDER / "update-00000005.json").mkdir()
    saved(tmp_path, 20, 30, 40)
    assert newest(tmp_path)[0].update == 40


def test_a_damaged_one_is_named_and_passed_over(tmp_path):
    saved(tmp_path, 10, 20, 30)
    path = tmp_path / checkpoints.FOLDER / "update-00000030.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    (tmp_path / checkpoints.FOLDER / "update-00000020.json").unlink()
    found, said = newest(tmp_path)
    same(found.state, state(10))
    assert said == ["checkpoint 30 damaged (weights: checksum); checkpoint 20 damaged (manifest: missing); using 10"]


def test_if_none_is_good_each_is_named(tmp_path):
    saved(tmp_path, 10, 20)
    for path in (tmp_path / checkpoints.FOLDER).glob("*.json"):
        path.write_bytes(b"{}")
    with pytest.raises(CheckpointError, match=r"none can be used: checkpoint 20 damaged .*; checkpoint 10 damaged"):
        newest(tmp_path)


def test_where_there_is_none_that_is_said(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint there"):
        newest(tmp_path)


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ({**ABOUT, "options": {"seed": 1}}, r"another run: options.seed: expected 1 .*found 0"),
        ({**ABOUT, "settings": {"rate": 0.2, "layers": [3, 4]}}, r"settings.rate: expected 0.2 .*found 0.1"),
        ({**ABOUT, "settings": {"rate": 0.1, "layers": [3, 5]}}, r"settings.layers: expected \[3, 5\].*found \[3, 4\]"),
        ({**ABOUT, "more": 1}, r"more: expected 1 .*found nothing"),
    ],
)
def test_of_another_run_the_field_is_named(tmp_path, about, says):
    saved(tmp_path, 10)
    with pytest.raises(CheckpointError, match=says):
        newest(tmp_path, about)


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ({"algorithm": "x", "settings": ABOUT["settings"]}, "says about.'options';"),
        ({**ABOUT, "settings": {"layers": [3, 4]}}, "says about.settings.'rate';"),
    ],
)
def test_a_field_that_is_not_known_is_named_with_both_versions_and_nothing_older_is_used(tmp_path, about, says):
    checkpoints.save(tmp_path, state(10), update=10, about=about)
    saved(tmp_path, 20)
    reseal(tmp_path, 20, versions={"adaptax": "0.9"})
    here = numerics.versions()["adaptax"]
    with pytest.raises(
        CheckpointError, match=rf"checkpoint 20 was made by adaptax '0.9' and {says} this is {here} .*newer"
    ):
        newest(tmp_path, about)


def test_of_another_run_comes_before_a_field_that_is_not_known(tmp_path):
    saved(tmp_path, 10)
    with pytest.raises(CheckpointError, match="another run: algorithm: expected 'y'"):
        newest(tmp_path, {"algorithm": "y"})


def test_fields_that_were_not_there_yet_are_completed(tmp_path):
    checkpoints.save(tmp_path, state(10), update=10, about={"algorithm": "x", "settings": {"rate": 0.1}})
    complete = lambda about: {**ABOUT, **about, "settings": {"layers": [3, 4], **about["settings"]}}  # noqa: E731
    found = checkpoints.newest(tmp_path, LIKE, ABOUT, print, complete)
    same(found.state, state(10))
    other = {**ABOUT, "settings": {"rate": 0.1, "layers": [3, 5]}}
    with pytest.raises(CheckpointError, match=r"another run: settings.layers: expected \[3, 5\] .*found \[3, 4\]"):
        checkpoints.newest(tmp_path, LIKE, other, print, complete)


def test_one_of_another_run_is_passed_over_if_there_is_one_of_this(tmp_path):
    saved(tmp_path, 10)
    checkpoints.save(tmp_path, state(20), update=20, about={**ABOUT, "options": {"seed": 1}})
    found, said = newest(tmp_path)
    assert found.update == 10
    assert "checkpoint 20 is of another run: options.seed" in said[0]


@pytest.mark.parametrize(
    ("like", "says"),
    [
        ({**state(), "w": jnp.zeros((3, 2))}, r"\['w'\].*float32\[3, 2\].*float32\[2, 3\]"),
        ({**state(), "n": jnp.zeros(())}, r"\['n'\]: expected float32\[\], found int32\[\]"),
        ({**state(), "more": jnp.zeros(1)}, r"1 are missing or unknown.*more"),
    ],
)
def test_of_another_structure_the_leaf_is_named_with_both_shapes(tmp_path, like, says):
    saved(tmp_path, 10)
    with pytest.raises(CheckpointError, match=says):
        newest(tmp_path, like=jax.eval_shape(lambda: like))


def test_of_another_version_both_are_named(tmp_path):
    saved(tmp_path, 10)
    reseal(tmp_path, 10, schema=3, versions={"adaptax": "0.9"})
    here = numerics.versions()["adaptax"]
    with pytest.raises(CheckpointError, match=rf"made by adaptax '0.9' \(schema 3\); this is {here} \(schema 2\)"):
        newest(tmp_path)


@pytest.mark.parametrize("schema", [True, 0, -1, 1.0, "1", None, [1]])
def test_what_is_no_schema_is_refused(tmp_path, schema):
    saved(tmp_path, 10)
    reseal(tmp_path, 10, schema=schema)
    with pytest.raises(CheckpointError, match=r"this is .* \(schema 2\)"):
        newest(tmp_path)


def test_there_is_a_migration_from_every_schema_that_ever_was():
    assert set(schemas.MIGRATIONS) | set(schemas.ADDED) == set(range(1, schemas.SCHEMA))


def migrating(monkeypatch, *renames):
    now = schemas.SCHEMA
    monkeypatch.setattr(schemas, "MIGRATIONS", dict(enumerate(renames, now)))
    monkeypatch.setattr(schemas, "SCHEMA", len(renames) + now)


def test_leaves_that_were_renamed_since_are_found_and_written_by_their_new_names(tmp_path, monkeypatch):
    saved(tmp_path, 10)
    migrating(
        monkeypatch,
        lambda name: name.replace("['w']", "['weights']"),
        lambda name: name.replace("['weights']", "['matrix']").replace("['n']", "['w']"),  # a name that was used before
    )
    new = lambda number: {"matrix" if k == "w" else "w" if k == "n" else k: x for k, x in state(number).items()}  # noqa: E731
    found, said = newest(tmp_path, like=jax.eval_shape(new, 0.0))
    same(found.state, new(10))
    assert said == []
    checkpoints.save(tmp_path, found.state, update=20, about=ABOUT)
    manifest = json.loads((tmp_path / checkpoints.FOLDER / "update-00000020.json").read_bytes())["manifest"]
    assert manifest["schema"] == schemas.SCHEMA
    assert set(manifest["leaves"]) == {"['matrix']", "['w']", "['key']", "['empty']"}
    same(newest(tmp_path, like=jax.eval_shape(new, 0.0))[0].state, new(10))


def test_without_its_migration_a_renamed_leaf_is_not_found(tmp_path, monkeypatch):
    saved(tmp_path, 10)
    migrating(monkeypatch, lambda name: name)
    with pytest.raises(CheckpointError, match=r"2 are missing or unknown, the first is .*'w'"):
        newest(
            tmp_path,
            like=jax.eval_shape(lambda: {**{k: x for k, x in state().items() if k != "w"}, "weights": state()["w"]}),
        )


def test_two_leaves_that_come_to_one_name_are_refused(tmp_path, monkeypatch):
    saved(tmp_path, 10)
    migrating(monkeypatch, lambda name: name.replace("['n']", "['w']"))
    with pytest.raises(CheckpointError, match=r"checkpoint 10 damaged \(weights: names of leaves\)"):
        newest(tmp_path)


def test_a_manifest_says_what_it_is_of(tmp_path):
    saved(tmp_path, 10)
    manifest = json.loads((tmp_path / checkpoints.FOLDER / "update-00000010.json").read_bytes())["manifest"]
    assert manifest["about"] == ABOUT
    assert manifest["leaves"]["['w']"] == {"shape": [2, 3], "dtype": "float32"}
    assert manifest["versions"]["jax"] == jax.__version__


def test_a_seal_is_of_every_byte(tmp_path):
    saved(tmp_path, 10)
    path = tmp_path / checkpoints.FOLDER / "update-00000010.json"
    good = path.read_bytes()
    for place in range(0, len(good), 7):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(CheckpointError, match="checkpoint 10 "):
            newest(tmp_path)
    path.write_bytes(good + b"\n")
    with pytest.raises(CheckpointError, match="checksum"):
        newest(tmp_path)


def test_a_link_for_the_folder_is_neither_read_nor_written(tmp_path):
    saved(tmp_path, 10)
    (tmp_path / checkpoints.FOLDER).rename(tmp_path / "elsewhere")
    (tmp_path / checkpoints.FOLDER).symlink_to("elsewhere")
    before = sorted(os.listdir(tmp_path / "elsewhere"))
    with pytest.raises(CheckpointError, match="is a link"):
        newest(tmp_path)
    with pytest.raises(OSError, match="is a link"):
        saved(tmp_path, 20)
    assert sorted(os.listdir(tmp_path / "elsewhere")) == before


@pytest.mark.parametrize("update", [-1, 10**30, "10", None, True, 10.0, [10], {"10": 10}])
def test_E43_a_sealed_manifest_of_an_impossible_update_is_passed_over(tmp_path, update):
    saved(tmp_path, 10, 20)
    reseal(tmp_path, 20, update=update)
    found, said = newest(tmp_path)
    assert found.update == 10
    assert "checkpoint 20 damaged (manifest: is of update " in said[0]


def test_E43_a_checkpoint_of_an_update_beyond_the_runs_last_is_passed_over(tmp_path):
    saved(tmp_path, 10, 20)
    said = []
    assert checkpoints.newest(tmp_path, LIKE, ABOUT, said.append, at_most=19).update == 10
    assert said == ["checkpoint 20 damaged (manifest: is of update 20, and the run has 19); using 10"]


def test_updates_may_have_more_digits_than_names_are_filled_up_to(tmp_path):
    saved(tmp_path, 99_999_999, 100_000_000)
    assert checkpoints.updates_in(tmp_path) == [99_999_999, 100_000_000]
    assert newest(tmp_path)[0].update == 100_000_000
    (tmp_path / checkpoints.FOLDER / "update-0100000001.json").touch()  # not as we write it
    assert checkpoints.updates_in(tmp_path) == [99_999_999, 100_000_000]


@pytest.mark.parametrize("ending", ["safetensors", "json"])
def test_E43_of_very_many_files_a_few_are_named(tmp_path, ending):
    saved(tmp_path, 10)
    for number in range(2000):
        (tmp_path / checkpoints.FOLDER / f"update-{10**7 + number}.{ending}").touch()
    found, said = newest(tmp_path)
    assert found.update == 10
    assert said[0].startswith("checkpoint 10001999 damaged (manifest: ")
    assert said[0].endswith("; and 1,995 more; using 10")
    assert len(said[0]) < 500
    (tmp_path / checkpoints.FOLDER / "update-00000010.json").unlink()
    with pytest.raises(CheckpointError, match="and 1,996 more") as refused:
        newest(tmp_path)
    assert len(str(refused.value)) < 800


def test_E43_files_without_a_manifest_are_not_opened_one_by_one(tmp_path, monkeypatch):
    saved(tmp_path, 10)
    for number in range(200):
        (tmp_path / checkpoints.FOLDER / f"update-{10**7 + number}.safetensors").touch()
    read, opened = checkpoints.atomic_files.read, []
    monkeypatch.setattr(
        checkpoints.atomic_files, "read", lambda path, at_most: opened.append(path.name) or read(path, at_most)
    )
    newest(tmp_path)
    assert opened == ["update-00000010.json", "update-00000010.safetensors"]


@pytest.mark.parametrize("kind", ["without weights", "beyond the run's last"])
def test_E45_of_very_many_files_that_cannot_be_good_few_are_opened(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(checkpoints, "_OPENED", 20)
    saved(tmp_path, 10)
    for number in range(300):
        for ending in ["json"] if kind == "without weights" else ["json", "safetensors"]:
            (tmp_path / checkpoints.FOLDER / f"update-{10**7 + number}.{ending}").touch()
    read, opened = checkpoints.atomic_files.read, []
    monkeypatch.setattr(
        checkpoints.atomic_files, "read", lambda path, at_most: opened.append(path.name) or read(path, at_most)
    )
    said, last = [], None if kind == "without weights" else 50
    assert checkpoints.newest(tmp_path, LIKE, ABOUT, said.append, at_most=last).update == 10
    assert len(opened) == 20 + 2
    assert said[0].endswith("; and 295 more; using 10")
    assert checkpoints._OPENED < 10_000


@pytest.mark.parametrize("at_most", [None, 15])
def test_a_checkpoint_of_a_newer_version_is_told_whatever_it_calls_its_weights(tmp_path, at_most):
    saved(tmp_path, 10, 20)
    reseal(tmp_path, 20, schema=3, versions={"adaptax": "0.9"})
    (tmp_path / checkpoints.FOLDER / "update-00000020.safetensors").rename(tmp_path / "update-20.weights")
    with pytest.raises(CheckpointError, match=r"made by adaptax '0.9' \(schema 3\)"):
        checkpoints.newest(tmp_path, LIKE, ABOUT, print, at_most=at_most)


def test_E42_what_a_training_removes_while_it_is_read_is_no_damage(tmp_path, monkeypatch):
    saved(tmp_path, 10, 20, 30)
    read, more = checkpoints.atomic_files.read, [40, 50, 60]

    def meanwhile(path, at_most):
        while more:  # all that there was is old now, and removed
            saved(tmp_path, more.pop(0))
        return read(path, at_most)

    monkeypatch.setattr(checkpoints.atomic_files, "read", meanwhile)
    found, said = newest(tmp_path)
    assert (found.update, said) == (60, [])


@pytest.mark.parametrize("name", ["metrics.jsonl", "validation.json", "evaluation.json", "training.png", "tensorboard"])
def test_E43_checkpoints_that_were_deleted_are_said_to_be_missing(tmp_path, name):
    with pytest.raises(CheckpointError, match="killed before its first one"):
        newest(tmp_path)
    (tmp_path / name).symlink_to("nowhere")
    with pytest.raises(CheckpointError, match=rf"checkpoints: no checkpoint there, though {name} says .*Restore"):
        newest(tmp_path)
