"""The self-test's own code; that the guard sees what it must; and that nothing here can run what is in a file."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import adaptax
from tests.claims import fuzz, hostile
from tests.claims.attacks import corpus
from tests.claims.children import environment_for_tests
from tests.claims.forging import begin_again, precious
from tests.claims.guard import fingerprint
from tests.claims.tiny_run import TinyRun

SOURCE = Path(adaptax.__file__).parent
LOADING = (
    "runs/checkpoints",
    "core/atomic_files",
    "runs/directory",
    "runs/recipe",
    "runs/load",
    "runs/metrics_log",
    "deployment/agent",
)
"""Modules that read what somebody else may have written."""
FORBIDDEN = ("pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "yaml")


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_module_can_run_what_is_in_a_file(path):
    tree = ast.parse(path.read_text())
    imported = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {(node.module or "").split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not imported & set(FORBIDDEN)
    assert not called & {"eval", "exec", "compile", "__import__"}


@pytest.mark.parametrize("name", LOADING)
def test_modules_that_load_do_not_even_mention_it(name):
    text = (SOURCE / f"{name}.py").read_text()
    assert not re.findall(r"pickle|dill\b|joblib|\beval\(|\bexec\(|yaml|import_module|np\.load\b", text)


WATCHED = """
import os, sys, threading
from pathlib import Path
from tests.claims.guard import Guard, TooLong
import tests.claims.guard as module
folder = Path(sys.argv[1])
guard = Guard()
module.SECONDS = 1
def outcome(code):
    compiled = compile(code, "x", "exec")
    try:
        with guard.watching(folder):
            exec(compiled)  # counts as one
    except TooLong:
        return "too long"
    return len(guard.broken) - 1
codes = sys.argv[2:]
print([outcome(code) for code in codes], guard.memory > 50_000_000)
"""


def test_the_guard_sees_what_is_run_imported_and_written(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to("../elsewhere")
    inside, outside, link = (str(path) for path in (folder / "x", tmp_path / "y", folder / "link"))
    codes = {
        "pass": 0,
        f"open({inside!r}, 'w').close()": 0,
        f"open({outside!r}, 'w').close()": 1,
        f"open({link!r}, 'w').close()": 1,
        f"os.close(os.open({outside!r}, os.O_RDWR))": 1,
        f"open({outside!r}).close()": 0,
        f"os.rename({inside!r}, {outside!r})": 1,
        f"os.unlink({link!r})": 0,
        f"os.unlink({outside!r})": 1,
        "os.system('true')": 1,
        "import colorsys": 3,  # the import, and what it runs
        "while True: pass": "too long",
        "bytearray(100_000_000)": 0,
    }
    command = [sys.executable, "-c", WATCHED, str(folder), *codes]
    seen = subprocess.run(command, env=environment_for_tests(), capture_output=True, text=True, check=True).stdout
    figures, grew = seen.strip().rsplit(" ", 1)
    found = dict(zip(codes, ast.literal_eval(figures), strict=True))
    assert found.pop("import colorsys") >= 1
    codes.pop("import colorsys")
    assert found == codes
    assert grew == "True"


def test_a_fingerprint_changes_with_everything_but_reading(tmp_path):
    (tmp_path / "x").write_bytes(b"one")
    before = fingerprint(tmp_path)
    (tmp_path / "x").read_bytes()
    assert fingerprint(tmp_path) == before
    (tmp_path / "x").write_bytes(b"two")
    assert fingerprint(tmp_path) != before


@pytest.mark.compiles
def test_every_attack_changes_the_run_and_nothing_dear(tmp_path):
    (tmp_path / "root" / "run").mkdir(parents=True)
    tiny = TinyRun(tmp_path / "root" / "run", 0)
    attacks = corpus(tmp_path / "canary")
    assert len(attacks) > 300
    assert set(hostile.COMMANDS) <= set(attacks)
    begin_again(tiny)
    good = {name: facts[3:] for name, facts in fingerprint(tmp_path).items()}
    for name, attack in attacks.items():
        begin_again(tiny)
        attack.plant(tiny)
        assert {name: facts[3:] for name, facts in fingerprint(tmp_path).items()} != good, name
        assert precious(tiny).read_bytes() == b"precious"
    for kind in fuzz.KINDS:
        begin_again(tiny)
        fuzz.plant(tiny, kind, np.random.default_rng(0))
        assert {name: facts[3:] for name, facts in fingerprint(tmp_path).items()} != good, kind


TRIAL = {"kind": "corpus", "name": "x", "door": "load", "outcome": "refused", "seconds": 0.1, "memory": 0, "size": 0}


@pytest.mark.parametrize(
    "wrong",
    [
        {"faults": {"ran": "exec"}},
        {"faults": {"canary": "it exists"}},
        {"faults": {"hung": "trial 3"}},
        {"faults": {}, "seconds": 6.0},
        {"faults": {}, "memory": 300_000_000, "size": 1000},
    ],
)
def test_one_bad_trial_is_enough(wrong):
    good = [{**TRIAL, "name": str(i), "faults": {}} for i in range(60)]
    assert all(check.passed for check in hostile._verdict("corpus", good))
    assert not all(check.passed for check in hostile._verdict("corpus", [*good, {**TRIAL, **wrong}]))


@pytest.mark.nightly
@pytest.mark.process
def test_the_corpus_can_do_nothing():
    checks = list(hostile.run(1, 2))
    assert all(check.passed for check in checks), "\n".join(check.line() for check in checks)
    assert json.dumps([check.figure for check in checks])
