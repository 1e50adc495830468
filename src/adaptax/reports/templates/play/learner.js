// The agent in one task, at work with its exported step: one that remembers has one lane, one that learns from windows
// as many as a window has environments, side by side, and adapts when all of them are at the window's end.
const adaptaxLearner = (() => {
  "use strict";
  class Learner {
    constructor(agent, seed = 0) {
      this.agent = agent; this.about = agent.manifest; this.seed = seed; this.tasks = 0;
      this.learns = this.about.window !== null;
      this.lanes = this.learns ? this.about.window.envs : 1;
      this.begin();
    }
    begin() { // a new task
      const split = this.about.adapted, initial = this.array(this.about.state, this.agent.initial);
      this.tasks += 1; this.drawn = 0; this.adaptations = 0;
      this.adapted = initial.slice(0, split);
      this.lane = Array.from({ length: this.lanes }, () => this.fresh(initial.slice(split)));
      return this;
    }
    fresh(memory) {
      const action = this.about.programs.act.inputs[1];
      return { memory, action: this.array([action], [this.about.action.null])[0], reward: 0, first: true, steps: [] };
    }
    array(ports, values) {
      const kinds = { float32: Float32Array, int32: Int32Array, uint32: Uint32Array, bool: Uint8Array, uint8: Uint8Array };
      return ports.map((port, i) => {
        const made = new kinds[port.dtype](port.size), x = values[i];
        made.set(typeof x === "number" || typeof x === "boolean" ? [Number(x)] : x);
        return made;
      });
    }
    key() { // of what is drawn next
      this.drawn += 1;
      return Uint32Array.of((this.seed ^ Math.imul(this.tasks, 0x9e3779b9)) >>> 0, this.drawn);
    }
    // The action in a lane: drawn as in training for who learns from windows, else the best one known.
    act(observation, at = 0) {
      const lane = this.lane[at], inputs = this.about.programs.act.inputs;
      const [seen] = this.array([inputs[0]], [observation]);
      const told = [seen, lane.action, [lane.reward], [lane.first ? 1 : 0], ...this.adapted, ...lane.memory];
      const found = this.learns ? this.agent.programs.explore(...told, this.key()) : this.agent.programs.act(...told);
      const memory = lane.memory.length, outputs = found.map((x) => x.slice());
      lane.acted = { seen, before: lane.action, reward: lane.reward, first: lane.first, chosen: outputs[0],
        aux: outputs.slice(1 + memory) };
      lane.memory = outputs.slice(1, 1 + memory);
      lane.action = this.clipped(outputs[0]);
      return this.plain(lane.action);
    }
    // What it would do with what it knows now; nothing is learned from that.
    best(observation, action = this.about.action.null, reward = 0, first = true) {
      const told = this.array(this.about.programs.act.inputs.slice(0, 4), [observation, action, reward, first]);
      return this.plain(this.clipped(this.agent.programs.act(...told, ...this.adapted, ...this.lane[0].memory)[0].slice()));
    }
    clipped(action) {
      const { low, high } = this.about.action;
      return action.map((x, i) => Math.min(Math.max(x, low[i]), high[i]));
    }
    plain(action) {
      return this.about.programs.act.outputs[0].shape.length ? Array.from(action) : action[0];
    }
    observe(reward, over, terminated, after, at = 0) {
      const lane = this.lane[at];
      if (this.learns) lane.steps.push({ ...lane.acted, brought: reward, terminated, truncated: over && !terminated, after });
      lane.reward = reward; lane.first = over;
    }
    // The window that the lanes have lived, as `adapt` takes it: [time, lane, ...]; after an episode's end nothing happens.
    window() {
      const { envs, steps } = this.about.window, ports = this.about.programs.adapt.inputs;
      const rows = this.lane.map(({ steps: lived }) => Array.from({ length: steps }, (_, t) => {
        if (t < lived.length) return { ...lived[t], valid: true };
        return { ...lived[lived.length - 1], brought: 0, terminated: false, truncated: false, valid: false };
      }));
      const leaves = (row) => [row.seen, row.before, [row.reward], [row.first], row.chosen, [row.brought], [row.terminated],
        [row.truncated], row.after, ...row.aux, [row.valid]];
      const begin = this.about.state.length, made = this.array(ports.slice(begin, -1), ports.slice(begin, -1).map(() => []));
      for (let t = 0; t < steps; t++) {
        for (let e = 0; e < envs; e++) {
          leaves(rows[e][t]).forEach((x, i) => {
            const size = made[i].length / (steps * envs), from = typeof x === "number" ? [x] : x;
            for (let j = 0; j < size; j++) made[i][(t * envs + e) * size + j] = Number(from[j]);
          });
        }
      }
      return made;
    }
    adapt() { // to the window, which is then empty
      const found = this.agent.programs.adapt(...this.adapted, ...this.lane[0].memory, ...this.window(), this.key());
      this.adapted = found.slice(0, this.about.adapted).map((x) => x.slice());
      this.adaptations += 1;
      for (const lane of this.lane) lane.steps = [];
    }
    // What it knows, as numbers to be drawn: the memory, or what adapting has changed.
    get known() {
      if (!this.learns) return this.lane[0].memory;
      const initial = this.array(this.about.state, this.agent.initial);
      return this.adapted.map((x, i) => x.map((y, j) => y - initial[i][j]));
    }
  }
  return { Learner };
})();
if (typeof module !== "undefined") module.exports = adaptaxLearner;
