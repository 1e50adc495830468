"""`adaptax train … --distributed`: several processes train together; the first writes, the others only compute."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adaptax.core.errors import AdaptaxError, DivergenceError
from adaptax.experiment import jax_setup
from adaptax.experiment.options import HostOptions
from adaptax.experiment.progress import OnMessage, log
from adaptax.experiment.signals import STOPPED, StopSignal


class Group:
    """The processes that train together; by default, this one alone.

    Attributes:
        directory: The run's directory, in the process that writes it.
    """

    def __init__(self, hosts: Any = None):
        self._hosts = hosts
        self.directory: Path | None = None

    @property
    def is_writer(self) -> bool:
        """Whether this process does what is done once: it writes, says how far it is, and evaluates."""
        return self._hosts is None or bool(self._hosts.first)

    @property
    def index(self) -> int:
        """Number of this process, from 0."""
        return 0 if self._hosts is None else int(self._hosts.index)

    def broadcast(self, content: Any = None) -> Any:
        """The writer's `content`, plain data, in every process. All must call it."""
        return content if self._hosts is None else self._hosts.broadcast_json(content)

    def broadcast_arrays(self, tree: Any) -> Any:
        """The writer's arrays, to the bit; those of the others say shapes and types only. All must call it."""
        return tree if self._hosts is None else self._hosts.broadcast_tree(tree)

    def any(self, flag: bool) -> bool:
        """Whether `flag` is set in any process. All must call it."""
        return flag if self._hosts is None else bool(self._hosts.any(flag))

    def leave(self) -> None:
        """Part ways: from here on each may end when it likes. All must leave; it waits for them."""
        if self._hosts is not None:
            self._hosts.leave()

    @contextlib.contextmanager
    def training(self) -> Iterator[None]:
        """Train in it: afterwards, and if numbers diverged, which all notice in the same chunk, they part ways."""
        try:
            yield
        except DivergenceError:
            self.leave()
            raise
        self.leave()


@contextlib.contextmanager
def joined(options: HostOptions, stop: StopSignal, on_message: OnMessage = log) -> Iterator[Group]:
    """Meet the other processes, if there are to be any (JAX is imported only then; it must not have computed yet).

    Args:
        options: Who they are.
        stop: Ends this process, if another is lost: whoever computes with it would wait for ever.
        on_message: Called with lines for a person.

    Raises:
        ConfigError: if nothing says who they are.
        LostError: if they do not come, or one is lost and the heartbeat did not end this process.
    """
    if not options.distributed:
        yield Group()
        return
    import jax

    from adaptax.training.multihost import join

    group = Group()

    def on_lost(peer: Any, how: str) -> None:
        where = f": adaptax train --resume {group.directory}" if group.directory else ""
        stop.end(f"error[{STOPPED}]: {peer} is lost ({how}). The last checkpoint can be resumed{where}")

    def on_absent(what: str) -> None:
        stop.end(f"error[{STOPPED}]: {what}; nothing was changed. Start all, each with its own --process-id")

    def on_farewell(peer: Any, why: str) -> None:
        code, _, said = why.partition(" ")
        known = code if code.isdigit() and len(code) < 3 else str(STOPPED)
        stop.end(f"error[{known}]: {peer} has ended: {said}", int(known))

    on_message("waiting for the other processes …")
    with jax_setup.explained():
        hosts = join(
            options.coordinator,
            options.num_processes,
            options.process_id,
            silence=options.heartbeat,
            on_absent=on_absent,
            on_lost=on_lost,
            on_farewell=on_farewell,
            on_message=on_message,
        )
    group, farewell = Group(hosts), ""
    try:
        yield group
    except AdaptaxError as error:
        # Without it, the others would take this process for lost, and start all again.
        farewell = f"{error.exit_code} {error}"
        raise
    except jax.errors.JaxRuntimeError as error:
        if hosts.count == 1 or "RESOURCE_EXHAUSTED" in str(error):
            raise
        raise hosts.lost(error) from error
    finally:
        stop.abrupt = hosts.count > 1  # the others know nothing of it, or are gone
        hosts.part(farewell)
