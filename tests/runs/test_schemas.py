"""Leaves by the names of older versions; through whole checkpoints: `test_checkpoints.py`."""

import jax
import numpy as np
import pytest

from adaptax.runs import schemas
from adaptax.runs.schemas import migrated
from adaptax.runs.seals import Damaged

CENTER, WEIGHT = ".meta.reward_center", ".meta.network.weight"
EXPECTED = {
    CENTER: jax.ShapeDtypeStruct((3,), np.float32),
    WEIGHT: jax.ShapeDtypeStruct((2,), np.float32),
    ".meta.reward_centre": jax.ShapeDtypeStruct((), np.float32),
}
OLD = {WEIGHT: np.array([1.0, 2.0], np.float32)}


def test_a_field_that_came_later_has_the_value_that_was_meant_without_it():
    found = migrated(dict(OLD), 1, EXPECTED)
    assert set(found) == {WEIGHT, CENTER}  # what nobody has added is not made up
    assert (found[CENTER].shape, found[CENTER].dtype) == ((3,), np.float32)
    np.testing.assert_array_equal(found[CENTER], np.zeros(3))
    assert found[WEIGHT] is OLD[WEIGHT]


def test_what_is_there_stays():
    kept = np.full(3, 7.0, np.float32)
    assert migrated({**OLD, CENTER: kept}, 1, EXPECTED)[CENTER] is kept


def test_of_the_present_version_nothing_is_changed():
    assert migrated(dict(OLD), schemas.SCHEMA, EXPECTED) == OLD


def test_versions_are_gone_through_one_after_the_other(monkeypatch):
    now = schemas.SCHEMA
    steps = {
        now: lambda name: name.replace(".weight", ".matrix"),
        now + 1: lambda name: name.replace(".network.matrix", ".net.matrix"),
    }
    monkeypatch.setattr(schemas, "MIGRATIONS", steps)
    monkeypatch.setattr(schemas, "ADDED", {now + 1: {"bias": 0.5}})
    monkeypatch.setattr(schemas, "SCHEMA", now + 2)
    expected = {".meta.net.bias": jax.ShapeDtypeStruct((1,), np.float16)}
    found = migrated(dict(OLD), now, expected)
    assert set(found) == {".meta.net.matrix", ".meta.net.bias"}
    assert (found[".meta.net.bias"].dtype, found[".meta.net.bias"].item()) == (np.float16, 0.5)
    assert set(migrated(dict(OLD), now + 1, {})) == {WEIGHT}  # the first step is behind it


def test_two_leaves_of_one_name_are_damage(monkeypatch):
    monkeypatch.setattr(schemas, "MIGRATIONS", {schemas.SCHEMA: lambda name: name[:5]})
    monkeypatch.setattr(schemas, "SCHEMA", schemas.SCHEMA + 1)
    with pytest.raises(Damaged, match="weights: names of leaves"):
        migrated({WEIGHT: 0, CENTER: 1}, schemas.SCHEMA - 1, {})
