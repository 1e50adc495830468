"""Which processes train together: the options of a training on several hosts, checked before JAX is imported."""

import dataclasses

from adaptax.core.errors import ConfigError, short_repr
from adaptax.core.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class HostOptions(Settings):
    """Who trains together. Each process is started with the same words, and its own number.

    Attributes:
        distributed: Train together with other processes, here or on other hosts. Who they are is found out from SLURM,
            Open MPI or Kubernetes, or said by the next three.
        coordinator: HOST:PORT at which all can reach process 0, which listens there.
        num_processes: How many processes there are.
        process_id: Which of them this is, from 0: the one that writes the run's directory.
        heartbeat: Seconds of silence after which another process is taken for lost, and all end.
    """

    distributed: bool = False
    coordinator: str | None = setting(None, only={"distributed": (True,)})
    num_processes: int | None = setting(None, low=1, high=100_000, only={"distributed": (True,)})
    process_id: int | None = setting(None, low=0, high=99_999, only={"distributed": (True,)})
    heartbeat: int = setting(30, low=2, high=3600, only={"distributed": (True,)})

    def __post_init__(self):
        """Check every field, and that they suit each other."""
        super().__post_init__()
        said = {
            "--coordinator": self.coordinator,
            "--num-processes": self.num_processes,
            "--process-id": self.process_id,
        }
        given = [name for name, value in said.items() if value is not None]
        if given and len(given) < len(said):
            missing = next(name for name in said if name not in given)
            raise ConfigError(f"{missing}: expected together with {given[0]}; found nothing")
        if self.num_processes is not None and self.process_id is not None and self.process_id >= self.num_processes:
            raise ConfigError(
                f"--process-id: expected less than --num-processes, {self.num_processes}; found {self.process_id}"
            )
        if self.coordinator is not None:
            host, _, port = self.coordinator.rpartition(":")
            if not host or not (port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 2**16):
                raise ConfigError(
                    "--coordinator: expected HOST:PORT, with a port between 1 and 65535; found "
                    f"{short_repr(self.coordinator)}"
                )
