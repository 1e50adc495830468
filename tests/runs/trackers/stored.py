"""What real trackers have stored of a run, read back from their files, against its metrics.

python stored.py wandb_rows|mlflow_rows|trackio_rows, where the run is `run`; where the packages are installed.
"""

import json
import sqlite3
import sys
from pathlib import Path

RUN = Path("run")
Rows = dict[tuple[int, str], float]


def expected() -> Rows:
    """What stands in metrics.jsonl, as it is logged."""
    found = {}
    for row in map(json.loads, (RUN / "metrics.jsonl").read_text().splitlines()):
        left_out = ("update", "tasks", "env_steps") if "split" in row else ("update",)
        for name, value in row.items():
            if name not in left_out and type(value) in (int, float):
                found[row["update"], name] = float(value)
    return found


def put(found: Rows, step: int, name: str, value: float) -> None:
    """Note a number; each may be there once."""
    if (step, name) in found:
        raise SystemExit(f"twice: {name} at {step}")
    found[step, name] = float(value)


def wandb_rows() -> Rows:
    """Of the files that `wandb sync` would send: records in blocks of 32 KiB, as LevelDB writes them."""
    from wandb.proto.wandb_internal_pb2 import Record

    found: Rows = {}
    names = set()
    for path in sorted(RUN.glob("wandb/offline-run-*/*.wandb")):
        data, at, whole = path.read_bytes(), 7, b""
        while at + 7 <= len(data):
            if 32768 - at % 32768 < 7:
                at += 32768 - at % 32768
                continue
            length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
            whole += data[at + 7 : at + 7 + length]
            at += 7 + length
            if kind not in (1, 4):  # the first or a middle part of a record
                continue
            record, whole = Record.FromString(whole), b""
            if record.WhichOneof("record_type") == "run":
                names.add(record.run.run_id)
            for item in record.history.item:
                name = item.key or "/".join(item.nested_key)
                if not name.startswith("_"):
                    put(found, record.history.step.num, name, json.loads(item.value_json))
    assert names == {json.loads((RUN / "tracker-wandb.json").read_text())["id"]}, names
    return found


def mlflow_rows() -> Rows:
    """Of its database."""
    data, found = sqlite3.connect("mlflow.db"), Rows()
    for name, value, step in data.execute("SELECT key, value, step FROM metrics"):
        put(found, step, name, value)
    assert data.execute("SELECT status, name FROM runs").fetchall() == [("FINISHED", "run")]
    assert dict(data.execute("SELECT key, value FROM params"))["algorithm"] == "rl2"
    return found


def trackio_rows() -> Rows:
    """Of its database."""
    data, found = sqlite3.connect("trackio/adaptax.db"), Rows()
    for step, metrics in data.execute("SELECT step, metrics FROM metrics"):
        for name, value in json.loads(metrics).items():
            put(found, step, name, value)
    (config,) = data.execute("SELECT config FROM configs").fetchone()
    assert json.loads(config)["algorithm"] == "rl2"
    return found


if __name__ == "__main__":
    stored = globals()[sys.argv[1]]()
    beside = ("evaluation/", "steps_per_second")
    rows = {key: value for key, value in stored.items() if not key[1].startswith(beside)}
    if rows != expected():
        raise SystemExit(f"stored: {sorted(rows.items())}\nexpected: {sorted(expected().items())}")
    ends = {step for step, name in stored if name == "evaluation/rl2/return"}
    print(f"{sys.argv[1]}: {len(rows)} numbers are as in metrics.jsonl; evaluations of updates {sorted(ends)}")
