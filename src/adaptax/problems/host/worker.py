"""A process that simulates some rows for another one, until that closes the line. It imports no JAX.

The row that is simulated stands in a few bytes of shared memory, so that the other process can tell which environment
hangs, or has taken its process with it.
"""

import mmap
import os
import sys
from multiprocessing.connection import Connection
from typing import Any

from adaptax.problems.host.simulations import Simulations


def serve(line: Connection, board: mmap.mmap) -> None:
    """Do what is asked, one thing after the other: (method, arguments) each, answered by what the method returns."""

    def at(row: int) -> None:
        board[:8] = row.to_bytes(8, "little", signed=True)

    # What a simulator prints is not for the line, nor for the terminal's reader of results.
    os.dup2(2, 1)
    simulations = Simulations(line.recv().fn, at)
    line.send(None)  # ready
    while True:
        try:
            asked: tuple[str, Any] = line.recv()
        except (EOFError, ConnectionResetError):
            break
        line.send(getattr(simulations, asked[0])(*asked[1]))
    simulations.close()


if __name__ == "__main__":
    descriptor, shared = (int(text) for text in sys.argv[1:3])
    serve(Connection(descriptor), mmap.mmap(shared, 8))
