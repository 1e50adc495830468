// The page: a hidden task, the agent at work in it, somebody beside, and whoever reads this.
(() => {
  "use strict";
  const { families, noise, stream } = adaptaxEnvironments;
  const { Seat, Remembering, Adapting, Beside, number } = adaptaxSeats;
  const page = JSON.parse(document.getElementById("about").textContent);
  const { family: name, settings } = page, family = families[name];
  const element = (id) => document.getElementById(id);
  const make = (parent, tag, attributes = {}, text = "") => {
    const made = document.createElement(tag);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    made.textContent = text;
    parent.appendChild(made);
    return made;
  };
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  const learner = new adaptaxLearner.Learner(adaptaxAgent, 1);
  const player = adaptaxBeside.players[name](settings, page.plan);
  const kinds = { bandit: "arms", "grid-navigation": "goal", "point-robot": "goal", "point-robot-sparse": "goal", "cart-pole": "cart" };
  let task, seed = page.seed, agent, beside, you, playing = false, owed = 0, before = 0, begun = 0, stale = true, hidden = true;

  // ---- trials
  const makeSeat = (held = false, lane = 0) => new Seat(name, settings, task, seed * 1000 + lane, held, lane);
  function begin() { // the same task from the start
    learner.begin();
    agent = learner.learns ? new Adapting(makeSeat, learner) : new Remembering(makeSeat(), learner);
    const seats = [makeSeat(), makeSeat()];
    for (const seat of seats) seat.episodes = agent.seat.episodes;
    beside = new Beside(seats[0], player);
    you = { seat: seats[1], get done() { return this.seat.done; }, moment: () => youMoment() };
    owed = 0; begun += 1; stale = true;
  }
  function youMoment() {
    const next = name === "bandit" && !you.done ? settingsArms() : undefined;
    return you.seat.moment(next ? { next } : {});
  }
  const settingsArms = () => Array.from({ length: settings.num_arms }, (_, i) => i);
  function draw(number) { // a task that nobody has seen
    seed = number; task = family.draw(settings, stream(seed, 11));
    hide(true); begin(); showTask();
    say(`A new task, number ${seed}. Nobody knows it yet.`);
  }
  const over = () => agent.done && beside.done;
  function tick() {
    if (!agent.done) agent.tick();
    if (!beside.done) beside.tick();
    stale = true;
  }
  function finish() { while (!over()) tick(); pause(); say(compared()); }

  // ---- the clock: so many steps a second, drawn once in a frame
  const speed = () => Math.pow(10, Number(element("speed").value));
  function frame(now) {
    if (playing) {
      owed = Math.min(owed + (now - before) / 1000 * speed(), 400);
      while (owed >= 1 && !over()) { tick(); owed -= 1; }
      if (over()) { pause(); say(compared()); }
    }
    before = now;
    if (stale) render();
    window.requestAnimationFrame(frame);
  }
  function play() { if (over()) begin(); playing = true; before = performance.now(); element("play").textContent = "Pause"; }
  function pause() { playing = false; element("play").textContent = "Play"; }
  function step() { pause(); if (!over()) tick(); say(agent.moment().text); }
  function say(text) { element("said").textContent = text; }
  function compared() {
    const parts = [["The agent", agent], [player.name, beside], ["you", you]].filter(([, who]) => who.seat.steps);
    return parts.map(([who, seat]) => `${who}: ${earned(seat.seat)}`).join("; ") + ".";
  }
  function earned(seat) {
    if (family.unit === "pull") return `${number(seat.earned)} in ${seat.steps} pulls`;
    if (!seat.returns.length) return "no episode yet";
    return `${number(seat.returns[seat.returns.length - 1])} in episode ${seat.returns.length}`;
  }

  // ---- drawing
  const people = [["agent", () => agent], ["beside", () => beside], ["you", () => you]];
  const widths = new Map(), drawn = new Map(); // to ask for a width would have the page laid out once more
  const widthOf = (svg) => { if (!widths.get(svg)) widths.set(svg, svg.clientWidth); return widths.get(svg) || 600; };
  const resized = new ResizeObserver((found) => {
    for (const { target, contentRect } of found) if (widths.get(target) !== contentRect.width) { widths.set(target, contentRect.width); stale = true; }
  });
  function render() {
    stale = false;
    for (const [id, who] of people) {
      const svg = element(id + "-scene"), one = who(), width = widthOf(svg);
      const state = [begun, hidden, width, one.seat.steps, one.clock, one.done].join();
      if (drawn.get(id) === state) continue; // nothing has happened there
      drawn.set(id, state);
      const moment = one.moment();
      Scenes.draw(svg, one.seat.scene, moment, { reveal: !hidden, width });
      svg.setAttribute("aria-label", moment.text);
      element(id + "-earned").textContent = earned(one.seat);
    }
    element("agent-said").textContent = learner.learns ? agent.said : "";
    for (const button of document.querySelectorAll("#moves button")) button.disabled = you.done;
    strip(); chart();
  }
  function strip() { // what the agent knows, a cell for each number
    const canvas = element("memory"), parts = learner.known, ports = adaptaxAgent.manifest.state.slice(learner.learns ? 0 : adaptaxAgent.manifest.adapted);
    const values = parts.flatMap((x, i) => (ports[i].dtype === "float32" && x.length > 1 ? Array.from(x) : []));
    const wide = Math.min(values.length, 64), rows = Math.ceil(values.length / wide) || 1, size = 8;
    if (canvas.width !== wide * size || canvas.height !== rows * size) { canvas.width = wide * size; canvas.height = rows * size; }
    const context = canvas.getContext("2d"), most = Math.max(learner.learns ? 1e-3 : 1, ...values.map(Math.abs));
    context.clearRect(0, 0, canvas.width, canvas.height);
    values.forEach((x, i) => {
      context.fillStyle = x < 0 ? `rgba(0,114,178,${-x / most})` : `rgba(213,94,0,${x / most})`;
      context.fillRect(i % wide * size, Math.floor(i / wide) * size, size - 1, size - 1);
    });
    element("memory-said").textContent = learner.learns ? `${values.length.toLocaleString("en")} parameters: how far each was moved from where it began`
      : `${values.length} numbers: all that it remembers of this task`;
  }
  function curve(seat) {
    return family.unit === "pull" ? seat.sums.map((x, i) => [i + 1, x / (i + 1)]) : seat.returns.map((x, i) => [i + 1, x]);
  }
  function chart() {
    const svg = element("chart"), width = widthOf(svg), height = 170, left = 46, right = 10, top = 12, low = height - 24;
    const pulls = family.unit === "pull", last = pulls ? family.episodes(settings) : agent.seat.episodes, best = family.best(settings, task);
    const lines = [["agent", curve(agent.seat)], ["other", curve(beside.seat)], ["you", curve(you.seat)]];
    const known = hidden ? [] : [best], seen = lines.flatMap(([, line]) => line.map((p) => p[1])).concat(known);
    const most = Math.max(pulls ? 1 : -Infinity, ...seen, ...(seen.length ? [] : [1])), least = Math.min(pulls ? 0 : Infinity, ...seen, ...(seen.length ? [] : [0]));
    const span = most - least || 1, x = (i) => left + (width - left - right) * (pulls ? i / last : (i - 0.5) / last), y = (v) => low - (v - least) / span * (low - top);
    const text = (px, py, what, anchor = "end") => `<text x="${px}" y="${py}" text-anchor="${anchor}">${what}</text>`;
    let inner = `<line x1="${left}" y1="${low}" x2="${width - right}" y2="${low}"/>` + text(left - 6, y(most) + 4, number(+most.toFixed(1))) + text(left - 6, y(least) + 4, number(+least.toFixed(1)))
      + text(width - right, height - 6, pulls ? `${last} pulls` : `${last} episodes`);
    if (!hidden) inner += `<path class="best" d="M${x(pulls ? 0 : 0.5)} ${y(best)}H${width - right}"/>`;
    for (const [who, line] of lines) {
      if (!line.length) continue;
      const at = line.map((p) => x(p[0]).toFixed(1) + " " + y(p[1]).toFixed(1));
      inner += `<path class="${who}" d="M${at.join("L")}"/>`;
      if (!pulls) inner += at.map((p) => `<circle class="${who}" cx="${p.split(" ")[0]}" cy="${p.split(" ")[1]}" r="4"/>`).join("");
    }
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.innerHTML = inner;
  }

  // ---- the reader's own play
  function move(action) {
    if (you.done) return;
    you.seat.act(action);
    stale = true;
    say(`You: ${you.seat.said}` + (you.done ? ` ${compared()}` : ""));
  }
  const DIRECTIONS = { ArrowUp: [0, 1], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowLeft: [-1, 0] };
  const CELLS = { ArrowUp: 1, ArrowRight: 2, ArrowDown: 3, ArrowLeft: 4 }, PUSHES = { ArrowLeft: 0, ArrowRight: 1 };
  const byKey = { // what a key does, of whoever plays
    "bandit": (key) => (/^[0-9]$/.test(key) && (Number(key) + 9) % 10 < settings.num_arms ? (Number(key) + 9) % 10 : undefined),
    "grid-navigation": (key) => (key === "s" ? 0 : CELLS[key]),
    "point-robot": (key) => DIRECTIONS[key] && DIRECTIONS[key].map((x) => x * 0.1),
    "point-robot-sparse": (key) => DIRECTIONS[key] && DIRECTIONS[key].map((x) => x * 0.1),
    "cart-pole": (key) => PUSHES[key],
  }[name];
  const arrows = [["ArrowLeft", "←", "left"], ["ArrowUp", "↑", "up"], ["ArrowDown", "↓", "down"], ["ArrowRight", "→", "right"]];
  const buttons = name === "bandit" ? settingsArms().map((i) => [i, String(i + 1), `Pull arm ${i + 1}`])
    : [...arrows.filter(([key]) => byKey(key) !== undefined).map(([key, sign, word]) => [byKey(key), sign, `Go ${word}`]),
      ...(name === "grid-navigation" ? [[0, "stay", "Stay"]] : [])];
  for (const [action, sign, said] of buttons) make(element("moves"), "button", { type: "button", "aria-label": said, title: said }, sign).addEventListener("click", () => move(action));

  // Where in a picture was pointed at.
  function pointed(svg, event) {
    const box = svg.getBoundingClientRect(), [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
    return [(event.clientX - box.left) / box.width * width, (event.clientY - box.top) / box.height * height, width, height];
  }
  function cellAt(svg, event) {
    const [x, y, width, height] = pointed(svg, event), size = settings.size, cell = Math.min((width - 8) / size, (height - 8) / size);
    const column = Math.floor((x - (width - cell * size) / 2) / cell), row = size - 1 - Math.floor((y - (height - cell * size) / 2) / cell);
    return row >= 0 && column >= 0 && row < size && column < size ? row * size + column : -1;
  }
  function placeAt(svg, event) { // as Scenes draws a plane
    const [x, y, width, height] = pointed(svg, event), [x0, x1, y0, y1] = you.seat.walk().bounds;
    const scale = Math.min((width - 42) / (x1 - x0), (height - 36) / (y1 - y0));
    return [(x - ((26 + width) / 2 - scale * (x0 + x1) / 2)) / scale, (height / 2 + scale * (y0 + y1) / 2 - y) / scale];
  }
  element("you-scene").addEventListener("click", (event) => {
    const svg = element("you-scene");
    if (name === "bandit") {
      const [x, , width] = pointed(svg, event), arm = Math.floor((x - 38) / ((width - 46) / settings.num_arms));
      if (arm >= 0 && arm < settings.num_arms) move(arm);
    } else if (name === "grid-navigation") {
      const cell = cellAt(svg, event), size = settings.size, at = you.seat.state;
      if (cell < 0) return;
      const rows = Math.floor(cell / size) - Math.floor(at / size), columns = cell % size - at % size;
      move(!rows && !columns ? 0 : Math.abs(rows) >= Math.abs(columns) ? (rows > 0 ? 1 : 3) : columns > 0 ? 2 : 4);
    } else if (name !== "cart-pole") move(adaptaxEnvironments.straight(you.seat.state, placeAt(svg, event)));
  });

  // ---- the task
  function setTask(changed) { task = changed; hide(false); begin(); showTask(); say("You have set the task. The agent does not know it."); }
  element("agent-scene").addEventListener("click", (event) => {
    const svg = element("agent-scene");
    if (name === "grid-navigation") {
      const cell = cellAt(svg, event);
      if (family.goals(settings.size).includes(cell)) setTask({ cell });
    } else if (kinds[name] === "goal") {
      let [x, y] = placeAt(svg, event);
      if (name === "point-robot-sparse") { const r = Math.hypot(x, y) || 1; x /= r; y = Math.abs(y / r); } else { x = Math.min(Math.max(x, -0.5), 0.5); y = Math.min(Math.max(y, -0.5), 0.5); }
      setTask({ position: [x, y] });
    }
  });
  const range = (label, low, high, read, write) => {
    const row = make(element("knobs"), "label", {}, label), input = make(row, "input", { type: "range", min: low, max: high, step: (high - low) / 100 });
    const shown = make(row, "output");
    input.addEventListener("input", () => setTask(write(Number(input.value))));
    return () => { const value = read(); input.value = value; shown.textContent = hidden ? "?" : value.toFixed(2); input.classList.toggle("hidden-value", hidden); if (hidden) input.value = (low + high) / 2; };
  };
  const knobs = [];
  function makeKnobs() {
    if (name === "bandit") settingsArms().forEach((i) => knobs.push(range(`arm ${i + 1}`, 0, 1, () => task.probabilities[i], (x) => ({ probabilities: task.probabilities.map((p, j) => (i === j ? x : p)) }))));
    if (name === "point-robot") [0, 1].forEach((i) => knobs.push(range(i ? "goal, up" : "goal, right", -0.5, 0.5, () => task.position[i], (x) => ({ position: task.position.map((p, j) => (i === j ? x : p)) }))));
    if (name === "point-robot-sparse") knobs.push(range("goal, angle", 0, Math.PI, () => Math.atan2(task.position[1], task.position[0]), (x) => ({ position: [Math.cos(x), Math.sin(x)] })));
    if (name === "cart-pole") {
      const said = { half_length: "half the pole's length (m)", pole_mass: "the pole's mass (kg)", cart_mass: "the cart's mass (kg)", force: "force of a push (N)" };
      for (const [key, value] of Object.entries(family.textbook)) knobs.push(range(said[key], value / Math.E, value * Math.E, () => task[key], (x) => ({ ...task, [key]: x })));
    }
    if (name === "grid-navigation") {
      const row = make(element("knobs"), "label", {}, "goal"), select = make(row, "select");
      make(select, "option", { value: -1 }, "hidden");
      for (const cell of family.goals(settings.size)) make(select, "option", { value: cell }, `row ${Math.floor(cell / settings.size) + 1}, column ${cell % settings.size + 1}`);
      select.addEventListener("change", () => { if (Number(select.value) >= 0) setTask({ cell: Number(select.value) }); });
      knobs.push(() => { select.value = hidden ? -1 : task.cell; });
    }
  }
  function showTask() { for (const show of knobs) show(); }
  function hide(what) { hidden = what; element("reveal").textContent = hidden ? "Reveal the task" : "Hide the task"; element("reveal").setAttribute("aria-pressed", String(!hidden)); stale = true; }

  // ---- buttons and keys
  const actions = {
    play: () => (playing ? pause() : play()), step, finish, again: () => { pause(); begin(); say("The same task from the start."); },
    fresh: () => { pause(); draw(seed + 1); }, reveal: () => { hide(!hidden); showTask(); },
  };
  for (const [id, action] of Object.entries(actions)) element(id).addEventListener("click", action);
  element("speed").addEventListener("input", showSpeed);
  function showSpeed() {
    const found = speed();
    element("speed-said").textContent = `${found < 10 ? found.toFixed(1) : Math.round(found)} steps a second`;
  }
  const letters = { " ": "play", Enter: "step", e: "finish", b: "again", n: "fresh", r: "reveal" };
  document.addEventListener("keydown", (event) => {
    const on = event.target.tagName;
    if (event.ctrlKey || event.metaKey || event.altKey || on === "SELECT") return;
    if ((on === "INPUT" && /^(Arrow|Page|Home|End)/.test(event.key)) || (["BUTTON", "SUMMARY", "A"].includes(on) && [" ", "Enter"].includes(event.key))) return;
    const own = byKey(event.key);
    if (own !== undefined) move(own);
    else if (letters[event.key]) actions[letters[event.key]]();
    else return;
    event.preventDefault();
  });
  element("beside-name").textContent = player.name;
  element("beside-about").textContent = player.about;
  element("speed").value = calm.matches ? 0 : page.speed;
  makeKnobs(); draw(seed); showSpeed();
  for (const id of ["agent-scene", "beside-scene", "you-scene", "chart"]) resized.observe(element(id));
  window.adaptaxPlay = { actions, move, setTask, learner, render, tick, over, get agent() { return agent; }, get beside() { return beside; }, get you() { return you; }, get task() { return task; } };
  window.requestAnimationFrame(frame);
})();
