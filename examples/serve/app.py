"""A web service of adaptive sessions: each user has one, and it learns what this user likes while it acts.

    pip install "adaptax[serve]"
    adaptax train rl2 bandit --num-arms 5 --num-pulls 50
    python examples/serve/app.py runs/rl2-bandit-1 --port 8000

    curl -X POST localhost:8000/sessions -d '{"id": "ada"}'                                 # a new user, a new task
    curl -X POST localhost:8000/sessions/ada/act -d '{"step": 0}'                           # {"action": 3, ...}
    curl -X POST localhost:8000/sessions/ada/observe -d '{"step": 0, "reward": 1, "episode_over": true}'
    curl localhost:8000/sessions/ada                                                        # how far it is
    curl -X DELETE localhost:8000/sessions/ada

(With `-H 'content-type: application/json'`.) Calls that come at the same time are answered together, by one compiled
program (`agent.sessions`), and each is in a database before it is answered: kill the service with -9, start it again,
and it goes on. Steps have numbers, so that whoever got no answer asks again: what was done is not done twice. What
cannot be followed is refused with what is wrong, and changes nothing: 422 a wrong input, 409 another step, 404 no such
session, 503 try again.

It is one process that listens on this machine. Who may ask for which session is for what stands before it to say.
"""

import argparse
import asyncio
import contextlib
import gc
import sys
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from engine import Call, Engine, Refusal
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adaptax import Agent
from adaptax.core.errors import AdaptaxError, one_line, short_repr

SWITCH = 0.0005
"""Seconds after which threads take turns: the web must not wait for the agent's arithmetic longer than that."""
Name = Annotated[str, Field(min_length=1, max_length=100)]
Step = Annotated[int, Field(ge=0, strict=True)]


class Strict(BaseModel):
    """What is asked; other names than those that are expected are refused."""

    model_config = ConfigDict(extra="forbid")


class Begin(Strict):
    """A new session; by default with a name that is made up."""

    id: Name | None = None


class Act(Strict):
    """What is seen; nothing by default, as in a bandit."""

    step: Step
    observation: Any = []


class Observe(Strict):
    """What the action of a step brought; as `Agent.observe`."""

    step: Step
    reward: Annotated[float, Field(strict=True)]
    episode_over: Annotated[bool, Field(strict=True)] = False
    terminated: Annotated[bool, Field(strict=True)] | None = None
    observation: Any = None


class Batcher:
    """Hands all calls that wait to the engine, in its thread, and then those that came meanwhile."""

    def __init__(self, engine: Engine):
        self._engine, self._thread = engine, ThreadPoolExecutor(1)
        self._waiting: asyncio.Queue[tuple[Call, asyncio.Future[Any]]] = asyncio.Queue()

    async def ask(self, call: Call) -> dict[str, Any]:
        """Wait for the answer of one call."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        await self._waiting.put((call, answer))
        found: dict[str, Any] = await answer
        return found

    async def work(self) -> None:
        """Answer calls, for ever."""
        while True:
            batch = [await self._waiting.get()]
            while not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            try:
                answers = await asyncio.get_running_loop().run_in_executor(
                    self._thread, self._engine.process, [call for call, _ in batch]
                )
            except Exception as error:  # of one batch; others are answered
                answers = [Refusal(500, one_line(f"{type(error).__name__}: {error}"))] * len(batch)
            for (_, future), answer in zip(batch, answers, strict=True):
                if future.done():  # who asked has gone
                    continue
                if isinstance(answer, Refusal):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)


def body_of(kind: type[BaseModel]) -> dict[str, Any]:
    """What the documentation says of a body that a function reads by itself, in a third of the time."""
    return {"requestBody": {"content": {"application/json": {"schema": kind.model_json_schema()}}, "required": True}}


def make_app(engine: Engine) -> FastAPI:
    """The service around an engine."""
    batcher = Batcher(engine)

    @contextlib.asynccontextmanager
    async def working(app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(batcher.work())
        yield
        task.cancel()

    app = FastAPI(title="adaptax", lifespan=working)

    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, error.status)

    @app.exception_handler(ValidationError)
    @app.exception_handler(RequestValidationError)
    async def wrong(request: Request, error: ValidationError | RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
        said = f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}; found {short_repr(first.get('input'))}"
        return JSONResponse({"detail": f"{said}. Nothing was done"}, 422)

    async def answer(call: Call, status: int = 200) -> JSONResponse:
        return JSONResponse(await batcher.ask(call), status)  # nothing is to be checked or converted once more

    @app.get("/health")
    async def health() -> JSONResponse:
        return JSONResponse({"ready": True})

    @app.post("/sessions")
    async def begin(asked: Begin) -> JSONResponse:
        return await answer(Call("begin", asked.id or str(uuid.uuid4())), 201)

    @app.post("/sessions/{session}/act", openapi_extra=body_of(Act))
    async def act(session: str, request: Request) -> JSONResponse:
        return await answer(Call("act", session, vars(Act.model_validate_json(await request.body()))))

    @app.post("/sessions/{session}/observe", openapi_extra=body_of(Observe))
    async def observe(session: str, request: Request) -> JSONResponse:
        return await answer(Call("observe", session, vars(Observe.model_validate_json(await request.body()))))

    @app.get("/sessions/{session}")
    async def state(session: str) -> JSONResponse:
        return await answer(Call("state", session))

    @app.delete("/sessions/{session}")
    async def delete(session: str) -> JSONResponse:
        return await answer(Call("delete", session))

    return app


def main() -> int:
    """Serve a run's agent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="the directory of a run")
    parser.add_argument("--data", type=Path, help="the database of the sessions; default RUN/sessions.sqlite")
    parser.add_argument("--port", type=int, default=8000, help="default %(default)s")
    parser.add_argument("--capacity", type=int, default=256, help="sessions in memory; default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the sessions; default %(default)s")
    parser.add_argument("--durable", action="store_true", help="outlive a loss of power too, which takes longer")
    options = parser.parse_args()
    try:
        agent, data = Agent.load(options.run), options.data or Path(options.run) / "sessions.sqlite"
        engine = Engine(agent, data, capacity=options.capacity, seed=options.seed, durable=options.durable)
    except AdaptaxError as error:
        print(f"error[{error.exit_code}]: {one_line(error)}", file=sys.stderr)
        return error.exit_code
    sys.setswitchinterval(SWITCH)
    gc.collect()
    gc.freeze()  # what is loaded by now stays: to look for garbage among it takes tens of milliseconds
    uvicorn.run(make_app(engine), host="127.0.0.1", port=options.port, log_level="warning", access_log=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
