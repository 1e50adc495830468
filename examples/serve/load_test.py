"""Many users at once against the service, which is killed in the middle: is anything lost, how long do they wait?

    python examples/serve/load_test.py runs/rl2-bandit-1 --sessions 200

Each user has an action, thinks about a second, tells what it brought, and so on; whoever gets no answer asks again.
The service is started here, killed by SIGKILL when half of all is done, and started once more. In the end the actions
of every session are compared with those of the same session alone, without any service. Waiting times are of all calls
that were answered at the first try.
"""

import argparse
import asyncio
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from adaptax import Agent

PATIENCE = 300.0
"""Seconds that a user asks again."""
AGAIN = 0.1, 1.0
"""Seconds until then, at first and later."""


class Http:
    """One connection that is kept: a small client, so that the service is measured and not this."""

    def __init__(self, port: int):
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and content of an answer.

        Raises:
            OSError: if there is none.
            asyncio.IncompleteReadError: the same.
        """
        reader, writer = self._streams = self._streams or await asyncio.open_connection("127.0.0.1", self._port)
        data = json.dumps(body).encode() if body is not None else b""
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n"
        )
        writer.write(head.encode() + b"\r\n" + data)
        answer = await reader.readuntil(b"\r\n\r\n")
        status = int(answer.split(b" ", 2)[1])
        lines = answer.lower().split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        return status, json.loads(await reader.readexactly(length) or b"null")

    def close(self) -> None:
        """Ask on another connection from here on."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


@dataclass
class User:
    """Who uses a session.

    Attributes:
        number: Decides what this one likes.
        seed: The session's.
        actions: What the service did.
        waited: Seconds until each answer that came at the first try.
        asked_again: Calls without an answer.
    """

    number: int
    seed: int = -1
    actions: list[Any] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    asked_again: int = 0


def reward(user: int, step: int, action: int) -> float:
    """What an action brings this user, the same whoever asks: one of their own favourites, mostly."""
    return float(random.Random(f"{user} {step} {action}").random() < random.Random(f"{user} {action}").random())


async def use(user: User, port: int, rounds: int, think: float, done: list[int]) -> None:
    """Live one session to its end."""
    http, name, luck = Http(port), f"user-{user.number}", random.Random(user.number)

    async def ask(method: str, path: str, body: Any = None) -> Any:
        begun, first, pause = time.monotonic(), True, AGAIN[0]
        while True:
            asked = time.perf_counter()
            try:
                status, found = await http.ask(method, path, body)
            except (OSError, asyncio.IncompleteReadError):
                status, found = 503, "no answer"
                http.close()
            if status in (200, 201):
                user.waited += [time.perf_counter() - asked] * first
                return found
            if status != 503 or time.monotonic() - begun > PATIENCE:
                raise RuntimeError(f"{method} {path}: {status} {found}")
            user.asked_again, first = user.asked_again + 1, False
            await asyncio.sleep(pause * luck.uniform(0.5, 1.5))
            pause = min(2 * pause, AGAIN[1])

    await asyncio.sleep(luck.uniform(0, 2 * think))
    user.seed = (await ask("POST", "/sessions", {"id": name}))["seed"]
    for step in range(rounds):
        found = await ask("POST", f"/sessions/{name}/act", {"step": step, "observation": []})
        user.actions.append(found["action"])
        await asyncio.sleep(luck.uniform(0.5, 1.5) * think)
        told = {"step": step, "reward": reward(user.number, step, found["action"]), "episode_over": True}
        await ask("POST", f"/sessions/{name}/observe", told)
        done[0] += 1
    found = await ask("GET", f"/sessions/{name}")
    if (found["step"], found["action"]) != (rounds, None):
        raise RuntimeError(f"{name}: lost: {found}")
    http.close()


def alone(agent: Agent, users: Sequence[User], rounds: int) -> list[list[Any]]:
    """What the same sessions do without any service, each by itself."""
    found = []
    for user in users:
        session, actions = agent.sessions(1, seed=user.seed), []
        for step in range(rounds):
            (action,) = session.act([[]]).tolist()
            actions.append(action)
            session.observe([reward(user.number, step, action)], episode_over=True)
        found.append(actions)
    return found


def begin(run: str, data: Path, port: int) -> subprocess.Popen[bytes]:
    """Start the service."""
    app = Path(__file__).with_name("app.py")
    return subprocess.Popen([sys.executable, str(app), run, "--data", str(data), "--port", str(port)])


async def ready(service: subprocess.Popen[bytes], port: int) -> float:
    """Wait until it answers; return how long that took."""
    begun, http = time.monotonic(), Http(port)
    while True:
        if service.poll() is not None:
            raise RuntimeError(f"the service ended with {service.returncode}")
        try:
            await http.ask("GET", "/health")
            http.close()
            return time.monotonic() - begun
        except (OSError, asyncio.IncompleteReadError):
            http.close()
            await asyncio.sleep(0.05)


async def load(run: str, data: Path, *, sessions: int, rounds: int, think: float, kill: bool) -> dict[str, Any]:
    """Have all users at once, and the service killed in the middle; what they saw."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    users, done = [User(number) for number in range(sessions)], [0]
    service = begin(run, data, port)
    down = 0.0
    try:
        await ready(service, port)
        begun = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for user in users:
                group.create_task(use(user, port, rounds, think, done))
            while kill and done[0] < sessions * rounds // 2:
                await asyncio.sleep(0.01)
            if kill:
                service.send_signal(signal.SIGKILL)
                service.wait()
                service = begin(run, data, port)
                down = await ready(service, port)
        seconds = time.monotonic() - begun
    finally:
        service.kill()
        service.wait()
    waited = np.array([x for user in users for x in user.waited]) * 1e3
    agent = Agent.load(run)
    wrong = sum(user.actions != actions for user, actions in zip(users, alone(agent, users, rounds), strict=True))
    return {
        "sessions": sessions,
        "steps": sessions * rounds,
        "calls_per_second": len(waited) / (seconds - down),
        "mixed": wrong,
        "seeds": len({user.seed for user in users}),
        "asked_again": sum(user.asked_again for user in users),
        "down_seconds": down,
        **{f"p{p}_ms": float(np.percentile(waited, p)) for p in (50, 90, 99)},
        "longest_ms": float(waited.max()),
    }


def main() -> None:
    """Load the service."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="the directory of a run on the problem bandit")
    parser.add_argument("--sessions", type=int, default=200, help="users at once; default %(default)s")
    parser.add_argument("--rounds", type=int, default=40, help="steps of each; default %(default)s")
    parser.add_argument("--think", type=float, default=1.0, help="seconds between two calls; default %(default)s")
    parser.add_argument("--no-kill", action="store_true", help="let the service live")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(
            load(
                options.run,
                Path(folder) / "sessions.sqlite",
                sessions=options.sessions,
                rounds=options.rounds,
                think=options.think,
                kill=not options.no_kill,
            )
        )
    print(json.dumps(found, indent=2))
    sys.exit(int(found["mixed"] > 0 or found["seeds"] < options.sessions))


if __name__ == "__main__":
    main()
