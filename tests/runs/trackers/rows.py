"""What trackers are to be given of a run."""

import json


def numbers(directory):
    """What stands in metrics.jsonl, as trackers are given it."""
    found = []
    for row in map(json.loads, (directory / "metrics.jsonl").read_text().splitlines()):
        left_out = ("update", "env_steps", "tasks") if "split" in row else ("update",)
        found.append((row["update"], {k: v for k, v in row.items() if k not in left_out and type(v) in (int, float)}))
    return found


def without_speed(rows):
    return [(step, {k: v for k, v in row.items() if k != "steps_per_second"}) for step, row in rows]
