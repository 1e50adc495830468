// The families of tasks that can be played: the same rules as in adaptax.problems, each tested against those.
// A family has draw(settings, random) -> task, reset(settings, task, random) -> [state, observation] and
// step(settings, task, state, action, random) -> { state, observation, reward, terminated }; random() is in [0, 1).
const adaptaxEnvironments = (() => {
  "use strict";
  const between = (x, low, high) => Math.min(Math.max(x, low), high);

  // A number in [0, 1) that its words decide: the third pull of an arm pays the same to everybody.
  function noise(...words) {
    let h = 0x9e3779b9;
    for (const word of words) {
      h = Math.imul(h ^ (word >>> 0), 0x85ebca6b); h ^= h >>> 13;
      h = Math.imul(h, 0xc2b2ae35); h ^= h >>> 16;
    }
    return (h >>> 0) / 4294967296;
  }
  // A stream of such numbers.
  function stream(...words) {
    let drawn = 0;
    return () => noise(...words, drawn++);
  }

  const bandit = {
    unit: "pull",
    horizon: () => 1,
    episodes: (settings) => settings.num_pulls,
    draw: (settings, random) => ({ probabilities: Array.from({ length: settings.num_arms }, random) }),
    reset: () => [null, []],
    step(settings, task, state, action, random) {
      return { state: null, observation: [], reward: random() < task.probabilities[action] ? 1 : 0, terminated: true };
    },
    best: (settings, task) => Math.max(...task.probabilities),
  };

  const MOVES = [[0, 0], [1, 0], [0, 1], [-1, 0], [0, -1]]; // rows, columns: stay, up, right, down, left
  const goalsOf = (size) => { // all cells but the start and its three neighbours
    const cells = Array.from({ length: size * size }, (_, cell) => cell);
    return cells.filter((cell) => Math.floor(cell / size) > 1 || cell % size > 1);
  };
  const grid = {
    unit: "episode",
    horizon: (settings) => settings.horizon,
    episodes: (settings) => settings.num_episodes,
    goals: goalsOf,
    draw(settings, random) {
      const goals = goalsOf(settings.size);
      return { cell: goals[Math.floor(random() * goals.length)] };
    },
    reset: () => [0, 0],
    step(settings, task, state, action) {
      const size = settings.size, [up, right] = MOVES[action];
      const row = between(Math.floor(state / size) + up, 0, size - 1), column = between(state % size + right, 0, size - 1);
      const cell = row * size + column;
      return { state: cell, observation: cell, reward: cell === task.cell ? 1 : -0.1, terminated: false };
    },
    best(settings, task) {
      const steps = Math.floor(task.cell / settings.size) + task.cell % settings.size;
      const reached = Math.max(settings.horizon - steps + 1, 0);
      return reached - 0.1 * (settings.horizon - reached);
    },
  };

  const STEP = 0.1, NEAR = 0.01;
  const straight = (from, to) => [between(to[0] - from[0], -STEP, STEP), between(to[1] - from[1], -STEP, STEP)];
  const plane = (goal, reward, ends) => ({
    unit: "episode",
    horizon: (settings) => settings.horizon,
    episodes: (settings) => settings.num_episodes,
    draw: (settings, random) => ({ position: goal(random) }),
    reset: () => [[0, 0], [0, 0]],
    step(settings, task, state, action) {
      const at = [state[0] + between(action[0], -STEP, STEP), state[1] + between(action[1], -STEP, STEP)];
      const x = at[0] - task.position[0], y = at[1] - task.position[1];
      const terminated = ends && Math.abs(x) < NEAR && Math.abs(y) < NEAR;
      return { state: at, observation: at, reward: reward(Math.hypot(x, y), settings), terminated };
    },
    best(settings, task) {
      let [state] = this.reset(), sum = 0;
      for (let step = 0; step < settings.horizon; step++) {
        const found = this.step(settings, task, state, straight(state, task.position));
        state = found.state; sum += found.reward;
        if (found.terminated) break;
      }
      return sum;
    },
  });
  const square = (random) => [random() - 0.5, random() - 0.5];
  const arc = (random) => { const angle = Math.PI * random(); return [Math.cos(angle), Math.sin(angle)]; };

  const TEXTBOOK = { half_length: 0.5, pole_mass: 0.1, cart_mass: 1, force: 10 };
  const cart = {
    unit: "episode",
    horizon: (settings) => settings.horizon,
    episodes: (settings) => settings.num_episodes,
    textbook: TEXTBOOK,
    draw(settings, random) {
      const factor = () => Math.exp(settings.variation * (2 * random() - 1));
      return Object.fromEntries(Object.entries(TEXTBOOK).map(([name, value]) => [name, value * factor()]));
    },
    reset(settings, task, random) {
      const state = [0, 0, 0, 0].map(() => 0.1 * random() - 0.05);
      return [state, state];
    },
    step(settings, task, state, action) {
      const [, velocity, angle, spin] = state, total = task.cart_mass + task.pole_mass;
      const lever = task.pole_mass * task.half_length, cos = Math.cos(angle), sin = Math.sin(angle);
      const pull = ((action === 1 ? task.force : -task.force) + lever * spin * spin * sin) / total;
      const inertia = task.half_length * (4 / 3 - task.pole_mass * cos * cos / total);
      const turning = (9.8 * sin - cos * pull) / inertia, moving = pull - lever * turning * cos / total;
      const after = [velocity, moving, spin, turning].map((x, i) => state[i] + 0.02 * x);
      const terminated = Math.abs(after[0]) > 2.4 || Math.abs(after[2]) > 12 * 2 * Math.PI / 360;
      return { state: after, observation: after, reward: 1, terminated };
    },
    best: (settings) => settings.horizon,
  };

  const families = {
    "bandit": bandit,
    "grid-navigation": grid,
    "point-robot": plane(square, (distance) => -distance, true),
    "point-robot-sparse": plane(arc, (d, settings) => (d <= settings.goal_radius ? 1 - d : 0), false),
    "cart-pole": cart,
  };
  return { families, noise, stream, straight };
})();
if (typeof module !== "undefined") module.exports = adaptaxEnvironments;
