"""Agents written down do what they do here."""

import json
import shutil

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from adaptax.algorithms import A2C, ANIL, CAVIA, MAML, PEARL, PPO, RL2, MetaLSTM, OffPolicyRL2, VariBAD
from adaptax.core.errors import DivergenceError, UseError
from adaptax.core.trained_agent import TrainedAgent
from adaptax.deployment.agent import Agent
from adaptax.deployment.export import runners
from adaptax.deployment.export.files import FORMATS, write_checked
from adaptax.deployment.export.parity import Found, check, recorded
from adaptax.deployment.export.traced import exported
from adaptax.problems import bernoulli_bandit, cart_pole, grid_navigation, point_robot
from tests.shops import shops

SMALL = {"num_tasks": 4, "num_minibatches": 2}
BANDIT = bernoulli_bandit(num_arms=3, num_pulls=6)
ROBOT = point_robot(horizon=5, num_episodes=4)
INNER = {"trajectories": 2, "hidden_size": 8}
AGENTS = {
    "rl2-lstm": (RL2(memory_size=8, **SMALL), BANDIT),
    "rl2-gru": (RL2(memory="gru", memory_size=8, policy_size=8, **SMALL), grid_navigation(size=3, horizon=4)),
    "rl2-hypernetwork": (RL2(memory_size=8, policy_size=4, policy_network="hypernetwork", **SMALL), ROBOT),
    "rl2-symmetric": (RL2(memory="symmetric", memory_size=4, **SMALL), BANDIT),
    "rl2-counting": (RL2(memory="counting", memory_size=4, **SMALL), BANDIT),
    "rl2-lru": (RL2(memory="lru", memory_size=8, memory_layers=2, **SMALL), BANDIT),
    "rl2-transformer": (RL2(memory="transformer", memory_size=8, memory_window=4, **SMALL), BANDIT),
    "rl2-numbers": (RL2(memory="gru", memory_size=8, normalize_observations=True, **SMALL), ROBOT),
    "rl2-masks": (RL2(memory_size=8, **SMALL), shops()),
    "off-policy-rl2": (OffPolicyRL2(memory_size=4, critic_size=4, num_tasks=4, batch_size=4), BANDIT),
    "varibad": (VariBAD(memory_size=4, policy_size=4, latent_size=3, **SMALL), ROBOT),
    "maml": (MAML(**INNER), ROBOT),
    "maml-discrete": (MAML(**INNER), cart_pole(horizon=5, num_episodes=4)),
    "cavia": (CAVIA(**INNER), ROBOT),
    "anil": (ANIL(**INNER), ROBOT),
    "meta-lstm": (MetaLSTM(**INNER), ROBOT),
}
LANGUAGES = {"numpy": None, "c": "cc", "js": "node", "onnx": None}
"""With the program that each needs to be checked."""


def untrained(name):
    return TrainedAgent.initial(*AGENTS[name], seed=1)


@pytest.fixture(scope="module")
def traced():
    """Each agent once, with what it does."""
    kept = {}

    def get(name):
        if name not in kept:
            agent = untrained(name)
            made = exported(agent)
            kept[name] = agent, made, recorded(made, agent.problem.env.observation_space, steps=300)
        return kept[name]

    return get


@pytest.mark.compiles
@pytest.mark.parametrize("form", LANGUAGES)
@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_acts_draws_and_adapts_as_here(name, form, traced, tmp_path):
    if LANGUAGES[form] and shutil.which(LANGUAGES[form]) is None:
        pytest.skip(f"needs {LANGUAGES[form]}")
    if form == "onnx":
        pytest.importorskip("onnxruntime")
    _, made, record = traced(name)
    for file, data in FORMATS[form].files(made).items():
        (tmp_path / file).write_bytes(data)
    found = FORMATS[form].run(tmp_path / FORMATS[form].main, made, record)
    assert check(made, record, found, form) <= 1e-5
    assert (record.window is not None) == ("adapt" in made.programs)


@pytest.mark.compiles
def test_stablehlo_takes_batches_of_any_size(traced, tmp_path):
    pytest.importorskip("flatbuffers")
    from jax import export

    agent, made, _ = traced("maml")
    write_checked(made, agent.problem.env.observation_space, "stablehlo", tmp_path)
    act = export.deserialize(bytearray((tmp_path / "act.stablehlo").read_bytes()))
    rng = np.random.default_rng(0)
    for size in (1, 7):
        given = [rng.normal(size=(size, *p.shape)).astype(p.dtype) for p in made.programs["act"].inputs]
        found = act.call(*given)
        for row in range(size):
            alone = made.programs["act"].call(*(x[row] for x in given))
            np.testing.assert_allclose(found[0][row], alone[0], rtol=1e-6, atol=1e-6)


@pytest.mark.compiles
@pytest.mark.parametrize("name", ["rl2-gru", "maml"])
def test_onnx_takes_batches_of_any_size(name, traced, tmp_path):
    pytest.importorskip("onnxruntime")
    agent, made, _ = traced(name)
    write_checked(made, agent.problem.env.observation_space, "onnx", tmp_path)
    begun = load_file(tmp_path / "initial.safetensors")
    for port, x in zip(made.state, made.initial, strict=True):
        np.testing.assert_array_equal(begun[port.name], x, strict=True)
    rng = np.random.default_rng(0)
    for program in made.programs.values():
        session = runners.onnx_session(tmp_path / f"{program.name}.onnx")
        assert [x.name for x in session.get_inputs()] == [p.name for p in program.inputs]
        assert [x.name for x in session.get_outputs()] == [p.name for p in program.outputs]
        for size in (1, 7):
            given = [
                rng.normal(size=(size, *p.shape)).astype(p.dtype)
                if p.dtype == "float32"
                else rng.integers(0, 2, (size, *p.shape)).astype(p.dtype)
                for p in program.inputs
            ]
            found = session.run(None, {p.name: x for p, x in zip(program.inputs, given, strict=True)})
            for row in range(size):
                for x, y in zip(found, program.call(*(x[row] for x in given)), strict=True):
                    np.testing.assert_allclose(x[row], y, rtol=1e-4, atol=1e-5)


@pytest.mark.compiles
@pytest.mark.parametrize("name", ["rl2-lstm", "rl2-numbers"])
def test_a_session_of_the_python_file_is_an_agent_in_use(name, traced, tmp_path):
    trained, made, _ = traced(name)
    for file, data in FORMATS["numpy"].files(made).items():
        (tmp_path / file).write_bytes(data)
    session, agent = runners.imported(tmp_path / "agent.py").Session(), Agent(trained)
    rng = np.random.default_rng(3)
    for _ in range(3):
        agent.begin()
        session.begin()
        for step in range(6):
            seen = rng.normal(size=trained.problem.env.observation_space.shape)
            wanted, found = agent.act(seen), session.act(seen)
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
            reward = float(rng.normal())
            agent.observe(reward, episode_over=step % 2 == 1)
            session.observe(reward, episode_over=step % 2 == 1)


C_SESSION = """
#include "agent.c"
#include <stdio.h>
int main(void) {
  adaptax_state s;
  int32_t action[1];
  float none[1] = {0};
  for (int task = 0; task < 2; task++) {
    adaptax_begin(&s);
    for (int step = 0; step < 6; step++) {
      adaptax_step(&s, none, action);
      printf("%d ", action[0]);
      adaptax_observe(&s, (float)((step * 7 + task) % 3), 1);
    }
  }
  return 0;
}
"""


@pytest.mark.compiles
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_a_session_of_the_c_file_is_an_agent_in_use_without_a_warning(traced, tmp_path):
    trained, made, _ = traced("rl2-lstm")
    (tmp_path / "agent.c").write_bytes(FORMATS["c"].files(made)["agent.c"])
    (tmp_path / "main.c").write_text(C_SESSION, encoding="utf-8")
    strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-O2"]
    runners.done(["cc", *strict, "-o", str(tmp_path / "main"), str(tmp_path / "main.c"), "-lm"])
    agent, wanted = Agent(trained), []
    for task in range(2):
        agent.begin()
        for step in range(6):
            wanted.append(int(agent.act([])))
            agent.observe(float((step * 7 + task) % 3), episode_over=True)
    assert [int(x) for x in runners.done([str(tmp_path / "main")]).split()] == wanted
    assert len(set(wanted)) > 1


@pytest.mark.compiles
def test_what_does_something_else_is_not_written(traced, tmp_path, monkeypatch):
    agent, made, _ = traced("maml")

    def other(exported_agent):
        files = FORMATS["numpy"].files(exported_agent)
        return {**files, "agent.py": files["agent.py"].replace(b"np.tanh(", b"np.sin(", 1)}

    monkeypatch.setitem(FORMATS, "wrong", FORMATS["numpy"]._replace(files=other))
    with pytest.raises(DivergenceError, match=r"wrong and the agent part at step .*Nothing was written"):
        write_checked(made, agent.problem.env.observation_space, "wrong", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.compiles
def test_what_remembers_something_else_is_not_written_though_its_actions_are_the_same(traced):
    _, made, record = traced("rl2-lstm")
    found = Found(record.actions, record.drawn, [x + 1e-4 for x in record.kept], record.learned)
    with pytest.raises(DivergenceError, match="c and the agent part at step 1, what is remembered"):
        check(made, record, found, "c")


@pytest.mark.compiles
def test_who_draws_at_a_trials_start_is_refused():
    with pytest.raises(UseError, match="PPO begins every trial with something that it draws"):
        exported(TrainedAgent.initial(PPO(), ROBOT))
    with pytest.raises(UseError, match="A2C begins every trial"):
        exported(TrainedAgent.initial(A2C(), ROBOT))
    with pytest.raises(UseError, match=r"PEARL begins every trial with something that it draws .*use adaptax.Agent"):
        exported(TrainedAgent.initial(PEARL(num_train_tasks=4, num_tasks=2, batch_tasks=2), BANDIT))


@pytest.mark.compiles
def test_several_trainings_are_refused():
    with pytest.raises(UseError, match="expected one training, found 2"):
        exported(TrainedAgent.initial(*AGENTS["rl2-lstm"], num_seeds=2))


@pytest.mark.compiles
def test_the_manifest_says_what_goes_in_and_out(traced, tmp_path):
    agent, made, _ = traced("maml")
    write_checked(made, agent.problem.env.observation_space, "numpy", tmp_path)
    about = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert about["written_as"] == "numpy"
    assert about["window"] == {"envs": 2, "steps": 5}
    act = about["programs"]["act"]
    assert [x["name"] for x in act["inputs"]][:4] == ["observation", "previous_action", "reward", "first"]
    assert act["outputs"][0]["shape"] == [2]
    assert about["action"]["low"] == [-0.1, -0.1] or about["action"]["low"] == jax.device_get(made.low).tolist()
