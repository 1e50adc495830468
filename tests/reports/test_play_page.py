"""The page in which an agent plays: that it is the agent, and that the page can be used."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import MAML, RL2
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import TimeStep, Transition
from adaptax.deployment.export.javascript import javascript
from adaptax.deployment.export.parity import Found, check, recorded
from adaptax.deployment.export.traced import exported
from adaptax.problems import bernoulli_bandit, grid_navigation, point_robot
from adaptax.reports.play_page import play_page
from adaptax.reports.play_words import WORDS
from tests.reports.browser import in_chromium, in_node, needs_chromium, needs_node

SMALL = {"num_tasks": 4, "num_minibatches": 2}
BANDIT = "bandit", {"num_arms": 10, "num_pulls": 100}, bernoulli_bandit()
GRID = "grid-navigation", {"size": 3, "horizon": 6, "num_episodes": 3}, grid_navigation(3, size=3, horizon=6)
ROBOT = "point-robot", {"horizon": 5, "num_episodes": 6}, point_robot(horizon=5, num_episodes=6)
AGENTS = {
    "lstm": (RL2(memory_size=16, **SMALL), BANDIT),
    "gru": (RL2(memory="gru", memory_size=16, **SMALL), GRID),
    "symmetric": (RL2(memory="symmetric", memory_size=8, **SMALL), BANDIT),
    "maml": (MAML(trajectories=2, hidden_size=16), ROBOT),
}
MOST = 1_000_000
"""Bytes of a page."""


@pytest.fixture(scope="module")
def made():
    """Each agent once: written down, and its page."""
    kept = {}

    def get(name):
        if name not in kept:
            algorithm, (problem, settings, family) = AGENTS[name]
            agent = TrainedAgent.initial(algorithm, family, seed=1, name=name)
            written = exported(agent)
            page = play_page(
                problem=problem, settings=settings, agent_script=javascript(written), agent="An agent.", stated="",
                plan=None, seed=1, command="adaptax play",
            )  # fmt: skip
            kept[name] = agent, written, page
        return kept[name]

    return get


LIVED = """
const kinds = {float32: Float32Array, int32: Int32Array, uint32: Uint32Array, bool: Uint8Array, uint8: Uint8Array};
const agent = adaptaxAgent, plain = (x) => Array.from(x);
const called = (name, inputs) => agent.programs[name](
  ...inputs.map((x, i) => kinds[agent.manifest.programs[name].inputs[i].dtype].from(x)));
const memory = agent.manifest.state.length - agent.manifest.adapted;
const found = {actions: [], drawn: [], kept: [], learned: []};
let state, number = 0;
for (const [seen, before, reward, first, begins] of given.steps) {
  if (begins) state = agent.initial.map(plain);
  const told = [seen, before, reward, first, ...state];
  found.actions.push(plain(called("act", told)[0]));
  const outs = called("explore", [...told, [0, number++]]).map(plain);
  found.drawn.push(outs[0]);
  found.kept.push(outs.slice(1, 1 + memory).flat());
  state = [...state.slice(0, agent.manifest.adapted), ...outs.slice(1, 1 + memory)];
}
if (given.window) found.learned = called("adapt", given.window).map(plain);
"""


@needs_chromium
@pytest.mark.compiles
@pytest.mark.parametrize("name", AGENTS)
def test_the_agent_of_a_page_does_what_the_agent_does(name, made, tmp_path):
    agent, written, page = made(name)
    record = recorded(written, agent.problem.env.observation_space, steps=1000)
    steps = [[*(np.ravel(x).astype(float).tolist() for x in step[:4]), bool(step[4])] for step in record.steps]
    window = None if record.window is None else [np.ravel(x).astype(float).tolist() for x in record.window]
    probe = (
        f"<script>const given = {json.dumps({'steps': steps, 'window': window})};{LIVED}"
        "const put = document.createElement('pre'); put.id = 'found'; put.textContent = JSON.stringify(found);"
        "document.body.appendChild(put);</script></body>"
    )
    path = tmp_path / "page.html"
    path.write_text(page.replace("</body>", probe), encoding="utf-8")
    found, said = in_chromium(path)
    assert said == []
    found = Found(**{key: [np.asarray(x, float) for x in rows] for key, rows in found.items()})
    assert check(written, record, found, "the page") <= 1e-5
    assert len(found.actions) == 1000
    assert bool(found.learned) == (name == "maml")


@pytest.mark.compiles
@pytest.mark.parametrize("name", AGENTS)
def test_a_page_is_small_and_asks_nobody(name, made):
    page = made(name)[2]
    assert len(page.encode()) <= MOST
    assert set(re.findall(r"https?://[^\s\"'<>)]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(?:link|img|iframe)\b|<script[^>]*\bsrc=|@import|\burl\(|\bfetch\(|XMLHttpRequest", page)


USED = """<!DOCTYPE html><body><script>
const found = [];
function use(width) {
  return new Promise((done) => {
    const frame = document.createElement("iframe");
    frame.style.cssText = `width:${width}px;height:900px;border:0`;
    frame.src = "page.html";
    frame.onload = () => setTimeout(() => {
      const { document: page, adaptaxPlay: play, KeyboardEvent: Event } = frame.contentWindow, one = {width};
      const text = (id) => page.getElementById(id).textContent;
      const press = (key) => page.dispatchEvent(new Event("keydown", {key, bubbles: true, cancelable: true}));
      press("Enter"); one.stepped = play.agent.seat.steps;
      press(" "); one.playing = text("play"); press(" "); one.paused = text("play");
      const wide = () => page.documentElement.scrollWidth;
      one.widest = wide(); one.hidden = text("reveal"); press("r"); one.shown = text("reveal");
      for (const speed of [0, 1.5, 2.5]) { // what is said of it is of other lengths
        const slider = page.getElementById("speed");
        slider.value = speed; slider.dispatchEvent(new frame.contentWindow.Event("input"));
        one.widest = Math.max(one.widest, wide());
      }
      press(given.move); one.moved = play.you.seat.steps; one.said = text("said");
      for (let i = 0; i < 60 && !play.over(); i++) { play.tick(); play.render(); }
      press("e"); one.over = play.over(); play.render(); one.earned = text("agent-earned");
      one.widest = Math.max(one.widest, wide());
      const all = (what, right) => [...page.querySelectorAll(what)].every(right);
      const named = (x) => x.getAttribute("aria-label") || x.getAttribute("aria-labelledby");
      one.names = all("button", (x) => x.textContent || x.ariaLabel);
      one.labels = all("[role=img]", named); one.inputs = all("input, select", (x) => x.labels.length > 0);
      const before = JSON.stringify(play.task); press("n"); one.fresh = JSON.stringify(play.task) !== before;
      play.setTask(given.task); one.set = play.task; one.begun = play.agent.seat.steps;
      found.push(one); done();
    }, 300);
    document.body.appendChild(frame);
  });
}
const given = GIVEN;
use(400).then(() => use(1280)).then(() => {
  const put = document.createElement("pre"); put.id = "found"; put.textContent = JSON.stringify(found);
  document.body.appendChild(put);
});
</script></body>"""
PLAYED = {
    "lstm": ("3", {"probabilities": [0.1] * 9 + [0.9]}),
    "gru": ("ArrowUp", {"cell": 8}),
    "maml": ("ArrowRight", {"position": [0.2, 0.3]}),
}


@needs_chromium
@pytest.mark.compiles
@pytest.mark.parametrize("name", PLAYED)
def test_a_page_is_used_by_keys_at_any_width(name, made, tmp_path):
    move, task = PLAYED[name]
    (tmp_path / "page.html").write_text(made(name)[2], encoding="utf-8")
    around = tmp_path / "around.html"
    around.write_text(USED.replace("GIVEN", json.dumps({"move": move, "task": task})), encoding="utf-8")
    found, said = in_chromium(around)
    assert said == []
    assert [one["width"] for one in found] == [400, 1280]
    for one in found:
        assert one["widest"] <= one["width"]
        assert one["stepped"] == 1
        assert (one["playing"], one["paused"]) == ("Pause", "Play")
        assert (one["hidden"], one["shown"]) == ("Reveal the task", "Hide the task")
        assert one["moved"] == 1
        assert one["said"].startswith("You: ")
        assert one["over"]
        assert re.fullmatch(r"−?\d+(\.\d\d)? in (100 pulls|episode 3)", one["earned"])
        assert one["names"]
        assert one["labels"]
        assert one["inputs"]
        assert one["fresh"]
        assert one["set"] == task
        assert one["begun"] == 0


@needs_node
@pytest.mark.compiles
def test_what_a_page_s_agent_learns_from_is_what_it_has_lived(made):
    agent, written, _ = made("maml")
    code = """
      const { families } = adaptaxEnvironments, family = families["point-robot"], task = { position: [0.05, -0.1] };
      const learner = new adaptaxLearner.Learner(adaptaxAgent, 5), lived = [[], []];
      for (let lane = 0; lane < 2; lane++) {
        let [state, seen] = family.reset();
        for (let t = 0; t < (lane ? 3 : given.horizon); t++) { // the second episode ends early
          const before = learner.lane[lane], told = [seen, Array.from(before.action), before.reward, before.first];
          const action = learner.act(seen, lane), found = family.step(given, task, state, action);
          const over = t === (lane ? 2 : given.horizon - 1), ended = lane === 1 && over;
          learner.observe(found.reward, over, ended, found.observation, lane);
          const { chosen, aux } = learner.lane[lane].acted;
          const put = aux.map((x) => Array.from(x)), ends = [ended, over && !ended];
          lived[lane].push([...told, Array.from(chosen), found.reward, ...ends, found.observation, put]);
          state = found.state; seen = found.observation;
        }
      }
      learner.adapt();
      return [lived, learner.adapted.map((x) => Array.from(x)), learner.best([0, 0])];"""
    scripts = ["play/environments.js", javascript(written), "play/learner.js"]
    lived, adapted, best = in_node(scripts, code, {"horizon": 5})
    state = agent.algorithm.begin(agent.meta, jax.random.key(0))
    first = TimeStep(jnp.zeros(2), jnp.zeros(2), jnp.zeros(()), jnp.asarray(True))
    aux = agent.algorithm.act(agent.meta, state, first, jax.random.key(0), explore=True)[2]

    def transition(row, *, valid=True):
        seen, before, reward, begins, chosen, brought, ended, cut, after, put = row
        told = TimeStep(np.float32(seen), np.float32(before), np.float32(reward), np.bool_(begins))
        leaves = [np.float32(x).reshape(y.shape) for x, y in zip(put, jax.tree.leaves(aux), strict=True)]
        ends = np.bool_(ended and valid), np.bool_(cut and valid)
        brought = np.float32(brought if valid else 0)
        put = jax.tree.unflatten(jax.tree.structure(aux), leaves)
        return Transition(told, np.float32(chosen), brought, *ends, np.float32(after), put, np.bool_(valid))

    lanes = []
    for lane in lived:
        steps = [*map(transition, lane), *[transition(lane[-1], valid=False)] * (5 - len(lane))]
        lanes.append(jax.tree.map(lambda *x: np.stack(x), *steps))
    window = jax.tree.map(lambda *x: jnp.stack(x, 1), *lanes)
    wanted = jax.jit(agent.algorithm.adapt)(agent.meta, state, window, jax.random.key(0))
    for found, leaf in zip(adapted, jax.tree.leaves(wanted.adapted), strict=True):
        # Of so small a window other last digits change more than 1e-5; the step itself is compared to that above.
        np.testing.assert_allclose(found, np.ravel(leaf), rtol=1e-4, atol=1e-4)
    moved = zip(jax.tree.leaves(wanted.adapted), jax.tree.leaves(state.adapted), strict=True)
    assert max(float(np.max(np.abs(x - y))) for x, y in moved) > 1e-2
    action = agent.algorithm.act(agent.meta, wanted, first, jax.random.key(0), explore=False)[0]
    np.testing.assert_allclose(best, agent.problem.env.action_space.clip(action), atol=1e-4)


def test_every_family_has_its_words():
    assert set(WORDS) == {"bandit", "grid-navigation", "point-robot", "point-robot-sparse", "cart-pole"}
    page = play_page(
        problem="bandit", settings={"num_arms": 2, "num_pulls": 3}, agent_script="// </script>",
        agent="<b>bold</b>", stated="", plan=None, seed=1, command="adaptax play",
    )  # fmt: skip
    assert "&lt;b&gt;bold" in page
    assert "// <\\/script>" in page
