"""Rooms of the package and the arrows between them: how many, upward, in circles. Fails above what was agreed."""

import graphlib
import sys
import tomllib
from pathlib import Path

import grimp

graph = grimp.build_graph("adaptax")
rooms = sorted(graph.find_children("adaptax") - {"adaptax.__main__"})  # `python -m adaptax` is a door, no room
pairs = [(a, b) for a in rooms for b in rooms if a != b]
arrows = [(a, b) for a, b in pairs if graph.direct_import_exists(importer=a, imported=b, as_packages=True)]
contracts = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
depth = {room: n for n, layer in enumerate(layers) for room in layer.split(" : ")}
upward = [(a, b) for a, b in arrows if depth.get(a, -1) > depth.get(b, -1)]
sorter = graphlib.TopologicalSorter({a: {y for x, y in arrows if x == a} for a in rooms})
try:
    circles, _ = [], list(sorter.static_order())
except graphlib.CycleError as error:
    circles = error.args[1]
print(
    f"{len(rooms)} rooms, {len(arrows)} arrows, {len(upward)} upward, {len(circles)} in circles, {len(layers)} layers"
)
if upward or circles:
    print(f"upward: {upward}; in circles: {circles}")
if len(rooms) > 15 or len(arrows) > 45 or len(layers) > 8 or upward or circles:
    sys.exit("Agreed are at most 15 rooms, 45 arrows and 8 layers, none upward, none in circles.")
