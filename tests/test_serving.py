"""The example of a service: sessions of many users, none lost or mixed, whoever is killed when."""

import asyncio
import json
import random
import shutil
import sqlite3
import sys
from pathlib import Path

import numpy as np
import pytest

from adaptax import Agent, TrainedAgent
from adaptax.algorithms import RL2
from adaptax.core.errors import CheckpointError
from adaptax.problems import bernoulli_bandit
from tests.cli.conftest import SMALL_BANDIT, environment, run

FOLDER = Path(__file__).parents[1] / "examples/serve"
TINY = {"memory_size": 4, "critic_size": 4, "num_tasks": 4, "num_minibatches": 2}


@pytest.fixture(scope="module")
def engine():
    """The example's module."""
    sys.path.insert(0, str(FOLDER))
    try:
        import engine

        yield engine
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def agent():
    return Agent(TrainedAgent.initial(RL2(**TINY), bernoulli_bandit(num_arms=3, num_pulls=30)))


def brings(user, step, action):
    return float((7 * user + 3 * step + action) % 4 == 0)


class Users:
    """Users of an engine, and what each was answered."""

    def __init__(self, engine, number):
        self.engine, self.actions = engine, {k: [] for k in range(number)}
        self.seeds = {}

    def begin(self, served):
        for user, said in zip(self.actions, self.ask(served, "begin", {k: {} for k in self.actions}), strict=True):
            self.seeds[user] = said["seed"]

    def ask(self, served, kind, given):
        return served.process([self.engine.Call(kind, f"user {user}", dict(x)) for user, x in given.items()])

    def act(self, served, users):
        steps = {user: {"step": len(self.actions[user]), "observation": []} for user in users}
        for user, said in zip(users, self.ask(served, "act", steps), strict=True):
            assert said["step"] == len(self.actions[user])
            self.actions[user].append(said["action"])

    def observe(self, served, users):
        told = {}
        for user in users:
            step = len(self.actions[user]) - 1
            told[user] = {"step": step, "reward": brings(user, step, self.actions[user][step]), "episode_over": True}
            told[user] |= {"terminated": True if user % 3 == 0 else None, "observation": None}
        for user, said in zip(users, self.ask(served, "observe", told), strict=True):
            assert (said["step"], said["action"]) == (len(self.actions[user]), None)


def alone(agent, user, seed, steps):
    session, actions = agent.sessions(1, seed=seed), []
    for step in range(steps):
        actions.append(session.act([[]]).tolist()[0])
        session.observe([brings(user, step, actions[-1])], episode_over=True)
    return actions


def killed(path, folder):
    """The database as its files are now, which is what there would be after SIGKILL."""
    folder.mkdir()
    for file in path.parent.glob(f"{path.name}*"):
        shutil.copy(file, folder)
    return folder / path.name


@pytest.mark.compiles
def test_sessions_do_what_each_does_alone_whatever_comes_between(engine, agent, tmp_path, monkeypatch):
    """Any order, more users than room, states that are kept now and then, and a death after any answer."""
    monkeypatch.setattr(engine, "BACKLOG", 4)
    luck, users = random.Random(1), Users(engine, 7)
    path, capacity = tmp_path / "data.sqlite", 4
    served = engine.Engine(agent, path, capacity=capacity, seed=5)
    users.begin(served)
    assert sorted(users.seeds.values()) == list(range(6, 13))
    waiting = set()
    for turn in range(80):
        some = luck.sample(range(7), luck.randint(1, capacity))
        users.observe(served, here := [user for user in some if user in waiting])
        users.act(served, there := [user for user in some if user not in waiting])
        waiting = waiting - {*here} | {*there}
        if turn % 16 == 15:
            path = killed(path, tmp_path / str(turn))
            served = engine.Engine(agent, path, capacity=capacity, seed=5)
            assert len(served) == 7
    assert min(map(len, users.actions.values())) > 10
    for user, actions in users.actions.items():
        assert actions == alone(agent, user, users.seeds[user], len(actions)), user
    rows = sqlite3.connect(path).execute("SELECT count(*) FROM steps").fetchone()
    assert rows[0] < sum(map(len, users.actions.values()))  # older ones are in the states


@pytest.fixture
def served(engine, agent, tmp_path):
    made = engine.Engine(agent, tmp_path / "data.sqlite", capacity=3, seed=0)
    made.process([engine.Call("begin", "a"), engine.Call("begin", "b")])
    return made


def ask(engine, served, kind, **given):
    (said,) = served.process([engine.Call(kind, given.pop("id", "a"), given)])
    return said


def told(step, reward=1.0, **more):
    return {"step": step, "reward": reward, "episode_over": True, "terminated": None, "observation": None, **more}


@pytest.mark.compiles
def test_whoever_asks_again_is_answered_the_same_and_nothing_is_done_twice(engine, agent, served):
    first = ask(engine, served, "act", step=0, observation=[])
    assert ask(engine, served, "act", step=0, observation=[]) == first
    assert ask(engine, served, "begin") == first  # it was begun before
    assert ask(engine, served, "observe", **told(0))["step"] == 1
    assert ask(engine, served, "observe", **told(0))["step"] == 1
    second = ask(engine, served, "act", step=1, observation=[])
    session = agent.sessions(1, seed=first["seed"])
    assert session.act([[]]).tolist() == [first["action"]]
    session.observe([1.0], episode_over=True)
    assert session.act([[]]).tolist() == [second["action"]]
    both = served.process(
        [engine.Call("observe", "a", told(1)), engine.Call("act", "a", {"step": 2, "observation": []})]
    )
    assert [x["step"] for x in both] == [2, 2]  # two of one session in one batch, one after the other
    assert ask(engine, served, "delete") == ask(engine, served, "delete") == {"id": "a", "deleted": True}
    assert ask(engine, served, "act", step=2, observation=[]).status == 404
    assert len(served) == 1
    assert ask(engine, served, "begin")["seed"] not in (first["seed"], ask(engine, served, "state", id="b")["seed"])


@pytest.mark.compiles
def test_what_cannot_be_followed_changes_nothing_and_hinders_nobody(engine, served):
    call = engine.Call
    wrong = [
        (call("act", "a", {"step": 1, "observation": []}), 409, "step: expected 0; found 1. Nothing was done"),
        (call("observe", "a", told(0)), 409, "step: expected an act of step 0; found an observe of step 0"),
        (call("act", "a", {"step": 0, "observation": [1.0, 2.0]}), 422, "act(observations) 0: expected"),
        (call("act", "nobody", {"step": 0, "observation": []}), 404, "expected one that has begun; found 'nobody'"),
    ]
    for spoilt, status, said in wrong:
        refusal, fine = served.process([spoilt, call("state", "b")])
        assert refusal.status == status
        assert said in str(refusal)
        assert fine["step"] == 0
    refusal, fine = served.process([wrong[2][0], call("act", "b", {"step": 0, "observation": []})])
    assert refusal.status == 422
    assert fine["action"] in range(3)
    ask(engine, served, "act", step=0, observation=[])
    assert ask(engine, served, "observe", **told(3)).status == 409
    assert "finite number" in str(ask(engine, served, "observe", **told(0, float("nan"))))
    assert ask(engine, served, "observe", **told(0, terminated=True)).get("step") == 1


@pytest.mark.compiles
def test_what_cannot_be_written_down_has_not_happened(engine, agent, served):
    first = ask(engine, served, "act", step=0, observation=[])
    served._data.execute("CREATE TRIGGER full BEFORE UPDATE OF reward ON steps BEGIN SELECT RAISE(FAIL, 'full'); END")
    refused = ask(engine, served, "observe", **told(0))
    assert (refused.status, str(refused)) == (503, "cannot be written down: full; nothing was done")
    assert ask(engine, served, "state") == first
    served._data.execute("DROP TRIGGER full")
    assert ask(engine, served, "observe", **told(0))["step"] == 1
    second = ask(engine, served, "act", step=1, observation=[])["action"]
    session = agent.sessions(1, seed=first["seed"])
    assert session.act([[]]).tolist() == [first["action"]]
    session.observe([1.0], episode_over=True)
    assert session.act([[]]).tolist() == [second]


@pytest.mark.compiles
def test_a_database_of_another_agent_or_seed_is_refused(engine, agent, served, tmp_path):
    with pytest.raises(CheckpointError, match="--seed: expected 0"):
        engine.Engine(agent, tmp_path / "data.sqlite", capacity=3, seed=1)
    other = Agent(TrainedAgent.initial(RL2(**TINY), bernoulli_bandit(num_arms=3, num_pulls=30), seed=9))
    with pytest.raises(CheckpointError, match="expected a session of this agent"):
        engine.Engine(other, tmp_path / "data.sqlite", capacity=3)
    ask(engine, served, "act", step=0, observation=[])
    served._data.execute("UPDATE steps SET action = '7'")
    with pytest.raises(CheckpointError, match="expected the action 7 of step 0 once more"):
        engine.Engine(agent, tmp_path / "data.sqlite", capacity=3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of a few updates."""
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    pytest.importorskip("uvicorn", reason="the extra serve is not installed")
    cwd = tmp_path_factory.mktemp("served")
    small = ["--num-updates", "3", "--num-tasks", "8", "--memory-size", "4", "--critic-size", "4"]
    options = [*SMALL_BANDIT, *small, "--num-minibatches", "2", "--eval-tasks", "0", "--out", "run"]
    done = run("train", "rl2", "bandit", *options, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return str(cwd / "run")


def load(trained, folder, monkeypatch, **how):
    monkeypatch.syspath_prepend(FOLDER)
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    import load_test

    return asyncio.run(load_test.load(trained, folder / "sessions.sqlite", **how))


@pytest.mark.process
def test_a_service_that_is_killed_loses_and_mixes_nothing(trained, tmp_path, monkeypatch):
    found = load(trained, tmp_path, monkeypatch, sessions=20, rounds=15, think=0.1, kill=True)
    assert (found["mixed"], found["seeds"], found["steps"]) == (0, 20, 300)
    assert found["asked_again"] > 0
    assert found["down_seconds"] > 0


@pytest.mark.nightly
def test_200_sessions_wait_20_ms_at_most(trained, tmp_path, monkeypatch):
    found = load(trained, tmp_path, monkeypatch, sessions=200, rounds=20, think=1.0, kill=True)
    assert (found["mixed"], found["seeds"]) == (0, 200)
    assert found["p99_ms"] <= 20, found


@pytest.mark.process
def test_wrong_inputs_are_refused_in_words(engine, trained, tmp_path, monkeypatch):
    import app
    import uvicorn

    agent = Agent.load(trained)
    service = app.make_app(engine.Engine(agent, tmp_path / "data.sqlite", capacity=2))
    monkeypatch.syspath_prepend(FOLDER)
    import load_test

    async def asked():
        server = uvicorn.Server(uvicorn.Config(service, port=0, log_level="warning", lifespan="on"))
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        http = load_test.Http(server.servers[0].sockets[0].getsockname()[1])
        said = [
            await http.ask("POST", "/sessions", {"id": "a"}),
            await http.ask("POST", "/sessions/a/act", {"step": -1}),
            await http.ask("POST", "/sessions/a/act", {"step": 0, "observation": "x"}),
            await http.ask("POST", "/sessions/a/act", {"step": 0, "more": 1}),
            await http.ask("POST", "/sessions/a/act", {"step": 0}),
            await http.ask("POST", "/sessions/a/observe", {"step": 0, "reward": "high"}),
            await http.ask("POST", "/sessions/a/observe", {"step": 0, "reward": float("nan"), "episode_over": True}),
            await http.ask("POST", "/sessions/a/observe", {"step": 5, "reward": 1}),
            await http.ask("GET", "/sessions/b"),
            await http.ask("DELETE", "/sessions/a"),
            await http.ask("POST", "/sessions", {}),
        ]
        http.close()
        server.should_exit = True
        await task
        return said

    said = asyncio.run(asked())
    assert [status for status, _ in said] == [201, 422, 422, 422, 200, 422, 422, 409, 404, 200, 201]
    assert said[1][1]["detail"].startswith("step: input should be greater than or equal to 0; found -1")
    assert "act(observations) 0: expected" in said[2][1]["detail"]
    assert said[3][1]["detail"].startswith("more: extra inputs are not permitted; found 1")
    assert said[5][1]["detail"].startswith("reward: input should be a valid number; found 'high'")
    assert "observe(rewards) 0: expected a finite number" in said[6][1]["detail"]
    assert "step: expected what step 0 brought" in said[7][1]["detail"]
    assert len(said[10][1]["id"]) == 36
    assert isinstance(json.dumps(said), str)
    assert np.isscalar(said[4][1]["action"])
