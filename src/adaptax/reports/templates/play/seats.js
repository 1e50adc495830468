// Who sits at a task: an environment, what has come of it so far, and the moment of it as Scenes draws it.
const adaptaxSeats = (() => {
  "use strict";
  const { families, noise, stream } = adaptaxEnvironments;
  const SCENES = { "bandit": "bandit", "grid-navigation": "grid", "point-robot": "plane", "point-robot-sparse": "plane",
    "cart-pole": "cart-pole" };

  // Ends of the middle 95 % of Beta(a, b), by bisection of its distribution function (a continued fraction).
  const logGamma = (x) => { // Lanczos' approximation
    const c = [76.18009172947146, -86.50532032941677, 24.01409824083091, -1.231739572450155, 1.208650973866179e-3, -5.395239384953e-6];
    const t = x + 5.5 - (x + 0.5) * Math.log(x + 5.5);
    return -t + Math.log(2.5066282746310005 * c.reduce((sum, v, i) => sum + v / (x + 1 + i), 1.000000000190015) / x);
  };
  function betaBelow(x, a, b) {
    if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
    if (x > (a + 1) / (a + b + 2)) return 1 - betaBelow(1 - x, b, a);
    const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(1 - x)) / a;
    let f = 1, c = 1, d = 0;
    for (let i = 0; i < 400; i++) {
      const m = Math.floor(i / 2);
      const step = i === 0 ? 1 : i % 2 ? -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        : m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
      d = 1 / (1 + step * d || 1e-30); c = 1 + step / c || 1e-30; f *= c * d;
      if (Math.abs(1 - c * d) < 1e-10) break;
    }
    return front * (f - 1);
  }
  const ends = new Map();
  function band(won, lost) {
    const key = won + "," + lost;
    if (!ends.has(key)) ends.set(key, [0.025, 0.975].map((share) => {
      let low = 0, high = 1;
      for (let i = 0; i < 30; i++) {
        const middle = (low + high) / 2;
        if (betaBelow(middle, 1 + won, 1 + lost) < share) low = middle; else high = middle;
      }
      return low;
    }));
    return ends.get(key);
  }

  class Seat {
    // `held`: the next episode waits until `next()` is called.
    constructor(name, settings, task, seed, held = false, lane = 0) {
      this.family = families[name]; this.name = name; this.settings = settings; this.task = task; this.seed = seed;
      this.held = held; this.lane = lane; this.scene = SCENES[name];
      this.horizon = this.family.horizon(settings); this.episodes = this.family.episodes(settings);
      this.episode = 0; this.steps = 0; this.earned = 0; this.sums = []; this.returns = []; this.last = null;
      this.pulls = []; this.won = []; this.visited = new Set(); this.found = false; this.done = false;
      this.enter();
    }
    enter() {
      [this.state, this.observation] = this.family.reset(this.settings, this.task, stream(this.seed, 7, this.episode));
      this.step = 0; this.got = 0; this.over = false;
    }
    next() { this.over = false; this.enter(); }
    act(action) {
      if (this.step === 0) this.path = [this.state];
      const pulled = this.pulls[action] || 0, luck = () => noise(this.seed, 3, action, pulled);
      const { state, observation, reward, terminated } = this.family.step(this.settings, this.task, this.state, action, luck);
      this.state = state; this.observation = observation; this.path.push(state);
      this.step += 1; this.steps += 1; this.earned += reward; this.got += reward; this.sums.push(this.earned);
      this.pulls[action] = pulled + 1; this.won[action] = (this.won[action] || 0) + reward;
      if (this.scene === "grid") { this.visited.add(state); this.found = this.found || reward > 0; }
      this.last = { action, reward };
      const over = terminated || this.step >= this.horizon;
      if (over) {
        this.returns.push(this.got); this.over = true; this.episode += 1;
        this.done = this.episode >= this.episodes;
        if (!this.done && !this.held) this.enter();
      }
      return { reward, over, terminated, after: observation };
    }
    // The last action, in words.
    get said() {
      if (!this.last) return "Nothing was done yet.";
      const { action, reward } = this.last, brought = adaptaxSeats.number(reward);
      if (this.scene === "bandit") return `Arm ${action + 1} paid ${brought}. ${this.earned} in ${this.steps} pulls.`;
      const did = this.scene === "grid" ? ["Stayed", "Went up", "Went right", "Went down", "Went left"][action]
        : this.scene === "cart-pole" ? (action ? "Pushed right" : "Pushed left")
          : `Went to (${this.state.map((x) => x.toFixed(2)).join(", ")})`;
      const ended = this.returns.length ? ` Episodes so far: ${this.returns.map((x) => adaptaxSeats.number(x)).join(", ")}.` : "";
      return `${did}; reward ${brought}.${ended}`;
    }
    moment(extra = {}) {
      return { ...this[{ bandit: "arms", grid: "cells", plane: "walk", "cart-pole": "cart" }[this.scene]](), text: this.said, ...extra };
    }
    arms() {
      const arms = this.task.probabilities.map((truth, i) => {
        const n = this.pulls[i] || 0, won = this.won[i] || 0, [low, high] = band(won, n - won);
        return { pulls: n, mean: (1 + won) / (2 + n), low, high, truth };
      });
      return { arms, chosen: this.last ? this.last.action : null, reward: this.last ? this.last.reward : null };
    }
    cells() {
      const size = this.settings.size, at = (cell) => [Math.floor(cell / size), cell % size];
      const goals = this.family.goals(size).filter((cell) => (this.found ? cell === this.task.cell : !this.visited.has(cell)));
      const belief = Array.from({ length: size * size }, (_, cell) => (goals.includes(cell) ? 1 / goals.length : 0));
      return { rows: size, columns: size, up: true, start: [0, 0], goal: at(this.task.cell), found: this.found, belief,
        path: (this.path || [this.state]).map(at) };
    }
    walk() {
      const reach = this.name === "point-robot" ? [-0.62, 0.62, -0.62, 0.62] : [-1.25, 1.25, -0.35, 1.25];
      return { bounds: reach, start: [0, 0], goal: this.task.position, radius: this.settings.goal_radius,
        paths: [{ points: this.path || [this.state], stage: 1 }] };
    }
    cart() {
      const [x, , angle] = this.state, action = this.last && this.last.action;
      return { x, angle, length: 2 * this.task.half_length, mass: this.task.cart_mass, push: action === null ? 0 : action ? 1 : -1 };
    }
  }

  // The agent that remembers: one step of it at each tick.
  class Remembering {
    constructor(seat, learner) { this.seat = seat; this.learner = learner; }
    get done() { return this.seat.done; }
    tick() {
      const brought = this.seat.act(this.learner.act(this.seat.observation));
      this.learner.observe(brought.reward, brought.over, brought.terminated, brought.after);
    }
    moment() { return this.seat.moment(); }
  }

  // The agent that learns from windows: all environments of a window side by side, and beside them what it would do now.
  class Adapting {
    constructor(make, learner) {
      this.learner = learner; this.seat = make(true, 0); this.clock = 0;
      this.windows = Math.floor(this.seat.episodes / learner.lanes);
      this.seat.episodes = this.windows; this.paths = [];
      this.lanes = learner.lane.map((_, i) => make(true, i + 1));
      this.seat.waits = true;
    }
    get done() { return this.seat.done && this.clock === 0; }
    tick() {
      const { seat, learner } = this;
      if (this.clock === 0 && seat.returns.length) { seat.next(); this.lanes.forEach((lane) => lane.next()); }
      if (!seat.over) seat.act(learner.best(seat.observation, undefined, 0, this.clock === 0));
      const exploring = learner.adaptations < this.windows - 1;
      this.lanes.forEach((lane, i) => {
        if (lane.over || !exploring) return;
        const found = lane.act(learner.act(lane.observation, i));
        learner.observe(found.reward, found.over, found.terminated, found.after, i);
      });
      this.clock += 1;
      if (this.clock < seat.horizon) return;
      this.clock = 0; this.paths.push(seat.path);
      if (exploring) learner.adapt();
    }
    moment() {
      const { seat, learner, clock } = this, stage = this.paths.length + (clock > 0 ? 1 : 0);
      if (seat.scene !== "plane") return seat.moment({ text: this.said });
      const explored = clock > 0 && learner.adaptations < this.windows - 1 ? this.lanes.map((lane) => ({ points: lane.path || [[0, 0]], stage: 0 })) : [];
      const before = this.paths.slice(0, clock > 0 ? undefined : -1).map((points, i) => ({ points, stage: i + 1 }));
      return seat.moment({ paths: [...explored, ...before, { points: seat.path || [[0, 0]], stage: Math.max(stage, 1) }], text: this.said });
    }
    get said() {
      const returns = this.seat.returns.map((x) => adaptaxSeats.number(x));
      return `${this.learner.adaptations} of ${this.windows - 1} gradient steps taken, each from ${this.learner.lanes} episodes of its own. `
        + `What an episode brought, before the first step and after each: ${returns.join(", ") || "not known yet"}.`;
    }
  }

  class Beside {
    constructor(seat, player) { this.seat = seat; this.player = player; player.begin(); }
    get done() { return this.seat.done; }
    tick() {
      const { seat, player } = this;
      if (seat.over && seat.held) { if (!seat.done) seat.next(); }
      const action = player.act(seat.observation, seat.state, seat.task), { reward } = seat.act(action);
      player.observe(action, reward);
    }
    moment() { return this.seat.moment(); }
  }
  const number = (x) => (Number.isInteger(x) ? String(x) : x.toFixed(2)).replace("-", "−");
  return { Seat, Remembering, Adapting, Beside, band, number };
})();
if (typeof module !== "undefined") module.exports = adaptaxSeats;
