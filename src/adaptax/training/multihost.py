"""Several processes, on one host or many, that train one agent together.

Each runs the same program on its share of the tasks, and gradients meet in one mean (`adaptax.core.parallel`). The
first process does what is done once: it makes the first state or reads it, writes metrics and checkpoints, and
evaluates.
`jax.distributed` brings the processes together; `adaptax.training.heartbeat` notices if one is lost.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from adaptax.core.errors import ConfigError, LostError
from adaptax.core.types import key_data, shape_of_key_data, wrap_key_data
from adaptax.training import roll_call
from adaptax.training.heartbeat import Address, Heartbeat, Peer, Server, connect

PATIENCE = 300
"""Seconds in which all processes have to be there."""
_PARTING = 10
"""Seconds in which all have to leave, after the last thing that they did together."""
_BEYOND = 4
"""JAX's own heartbeat, in ours: it aborts the process, so ours has to notice first."""


class Hosts:
    """The processes that train together; by default, this one alone.

    Attributes:
        index: This process's number.
        count: How many there are.
    """

    def __init__(self, index: int = 0, count: int = 1, heartbeat: Heartbeat | None = None, silence: float = 0.0):
        self.index, self.count = index, count
        self._heartbeat, self._silence = heartbeat, silence

    @property
    def first(self) -> bool:
        """Whether this process does what is done once."""
        return self.index == 0

    def any(self, flag: bool) -> bool:
        """Whether `flag` is set in any process. All must call it."""
        if self.count == 1:
            return flag
        return bool(np.any(multihost_utils.process_allgather(np.asarray(flag))))

    def broadcast_json(self, content: Any = None) -> Any:
        """The first process's `content`, plain data. All must call it."""
        if self.count == 1:
            return content
        return json.loads(self._bytes(json.dumps(content).encode() if self.first else b""))

    def broadcast_tree(self, tree: Any) -> Any:
        """The first process's arrays, to the bit; those of the others say shapes and dtypes only. All must call it."""
        if self.count == 1:
            return tree
        leaves, structure = jax.tree.flatten(tree)
        mine = b"".join(np.asarray(key_data(x)).tobytes() for x in leaves) if self.first else b""
        data, got, at = self._bytes(mine), [], 0
        for leaf in leaves:
            shape = shape_of_key_data(leaf)
            size = shape.size * shape.dtype.itemsize
            array = jnp.asarray(np.frombuffer(data[at : at + size], shape.dtype).reshape(shape.shape))
            got.append(wrap_key_data(array, leaf))
            at += size
        return jax.tree.unflatten(structure, got)

    def leave(self) -> None:
        """Part ways: from here on each may end when it likes. All must leave; it waits for them."""
        if self._heartbeat is not None:
            self._heartbeat.close()
        if self.count > 1:
            self.any(False)
            jax.distributed.shutdown()
        self.count, self._heartbeat = 1, None

    def part(self, farewell: str = "") -> None:
        """Let go of the others, who may not know: those that still need this process notice at once, and end.

        Args:
            farewell: Why, if there is something to say.
        """
        if self._heartbeat is not None:
            self._heartbeat.hang_up(farewell)

    def lost(self, error: Exception) -> LostError:
        """What to say of an error in a computation with others, if the heartbeat has not said it soon after."""
        time.sleep(self._silence + 2)
        return LostError(f"a process was lost: {str(error).splitlines()[0]}")

    def _bytes(self, data: bytes) -> bytes:
        # As numbers: floating-point addition, by which JAX broadcasts, would make 0 of -0.
        size = int(multihost_utils.broadcast_one_to_all(np.asarray(len(data), np.int32)))
        mine = np.frombuffer(data, np.uint8) if self.first else np.zeros(size, np.uint8)
        return bytes(np.asarray(multihost_utils.broadcast_one_to_all(mine)).astype(np.uint8))


def join(
    coordinator: str | None,
    num_processes: int | None,
    process_id: int | None,
    *,
    silence: float,
    on_absent: Callable[[str], None],
    on_lost: Callable[[Peer, str], None],
    on_farewell: Callable[[Peer, str], None] = lambda peer, why: None,
    on_message: Callable[[str], None],
) -> Hosts:
    """Meet the other processes.

    Args:
        coordinator: HOST:PORT at which the first can be reached; None: as SLURM, Open MPI or Kubernetes have it.
        num_processes: How many there are; None: the same.
        process_id: Which of them this is; None: the same.
        silence: Seconds without a sign of life after which a process is taken for lost.
        on_absent: Called, in a thread, if they are not all there in time, with a line for a person; it must end the
            process, which JAX would otherwise abort.
        on_lost: Called, in a thread, with the first that is lost, and how it was noticed.
        on_farewell: Called, in a thread, with the first that ends and says why, and with what it says.
        on_message: Called with a line for a person.

    Raises:
        ConfigError: if nothing says who the others are, two have the same number, or the first cannot listen where they
            will look for it.
        LostError: if they do not come.
    """
    if coordinator is not None and num_processes is not None and process_id is not None:
        _call_roll(coordinator, num_processes, process_id)
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM to itself
    late = threading.Timer(PATIENCE, on_absent, [f"the other processes did not come in {PATIENCE} s"])
    late.daemon = True
    late.start()
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            initialization_timeout=2 * PATIENCE,
            heartbeat_timeout_seconds=int(_BEYOND * silence),
            shutdown_timeout_seconds=_PARTING,
        )
    except ValueError as error:
        raise ConfigError(
            f"--distributed: {str(error).rstrip('.')}. Nothing here (SLURM, Open MPI, Kubernetes) says who the other "
            "processes are: give --coordinator HOST:PORT, --num-processes and --process-id"
        ) from error
    except (RuntimeError, jax.errors.JaxRuntimeError) as error:
        raise LostError(f"the other processes did not come: {str(error).splitlines()[0]}") from error
    finally:
        late.cancel()
    hosts = Hosts(jax.process_index(), jax.process_count(), silence=silence)
    if hosts.count == 1:
        jax.distributed.shutdown()
        return Hosts()
    heartbeat = _heartbeat(hosts, coordinator, silence, on_lost, on_farewell, on_message)
    return Hosts(hosts.index, hosts.count, heartbeat, silence)


def _heartbeat(
    hosts: Hosts,
    coordinator: str | None,
    silence: float,
    on_lost: Callable[[Peer, str], None],
    on_farewell: Callable[[Peer, str], None],
    on_message: Callable[[str], None],
) -> Heartbeat | None:
    """Watch over the others; None, if some could not be reached."""
    server = Server(_name(coordinator)) if hosts.first else None
    host, port, token = hosts.broadcast_json((*server.address[:2], server.address.token.hex()) if server else None)
    address, lines = Address(host, port, bytes.fromhex(token)), {}
    try:
        lines = server.accept(hosts.count - 1, silence) if server else connect(address, hosts.index, silence)
    except OSError as error:
        on_message(f"warning: process {hosts.index} does not reach all others at port {address.port} ({error})")
    if hosts.any(not lines):
        on_message(
            f"warning: if a process is lost, the others are aborted after {_BEYOND * silence:g} s, without a message"
        )
        return None
    return Heartbeat(lines, silence, on_lost, on_farewell)


def _call_roll(coordinator: str, count: int, index: int) -> None:
    """Wait until all are there. A port that is in use is refused: JAX would share it, and wait in vain."""
    host, _, port = coordinator.rpartition(":")
    if index:
        return roll_call.answer(host.strip("[]"), int(port), index, count, PATIENCE)
    try:
        return roll_call.gather(int(port), count, PATIENCE)
    except OSError as error:
        raise ConfigError(
            f"--coordinator: expected a port at which process 0 can listen; found {coordinator} "
            f"({os.strerror(error.errno or 0)}). Choose another, or look for a process 0 that is there already"
        ) from error


def _name(coordinator: str | None) -> str:
    """The first process's host, as the others know it."""
    if coordinator is None:
        from jax._src.distributed import global_state  # noqa: PLC0415 (JAX tells what it found nowhere else)

        coordinator = global_state.coordinator_address
    return (coordinator or socket.gethostname()).rpartition(":")[0].strip("[]") or socket.gethostname()
