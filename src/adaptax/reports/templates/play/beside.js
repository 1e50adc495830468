// Who plays beside the agent, as adaptax.algorithms.classical has them: exact where exact is possible.
// A player has begin(), act(observation, state, task) -> action and observe(action, reward).
const adaptaxBeside = (() => {
  "use strict";

  // The finite-horizon Gittins index (Gittins 1979), by calibration on a grid of charges, as classical/gittins.py.
  function gittinsTable(pulls, resolution = 128) {
    const width = resolution + 1, starts = [], charges = Float64Array.from({ length: width }, (_, i) => i / resolution);
    let size = 0;
    for (let m = 0; m < pulls; m++) { starts.push(size); size += (pulls - m) * (m + 1); }
    const indices = new Float64Array(size), future = new Float64Array((pulls + 1) * width);
    const value = new Float64Array(width);
    for (let deadline = 1; deadline <= pulls; deadline++) {
      future.fill(0, 0, (deadline + 1) * width);
      for (let m = deadline - 1; m >= 0; m--) {
        const at = starts[m] + (deadline - m - 1) * (m + 1);
        for (let s = 0; s <= m; s++) {
          const won = (s + 1) / (m + 2), failed = s * width, succeeded = (s + 1) * width;
          for (let c = 0; c < width; c++) {
            const after = future[failed + c];
            value[c] = (1 + future[succeeded + c] - after) * won + after - charges[c];
            future[failed + c] = Math.max(value[c], 0);
          }
          indices[at + s] = root(value, charges);
        }
      }
    }
    return (pulled, won, left) => indices[starts[pulled] + (Math.max(left, 1) - 1) * (pulled + 1) + won];
  }
  function root(value, charges) {
    let right = value.findIndex((x) => x < 0);
    right = Math.max(right, 1);
    const one = value[right - 1], two = value[right], before = right === 1 ? 2 * one - two : value[right - 2];
    const curvature = (before - 2 * one + two) / 2, slope = (two - before) / 2;
    const fraction = 2 * one / (Math.sqrt(Math.max(slope * slope - 4 * curvature * one, 0)) - slope);
    return charges[right - 1] + (charges[1] - charges[0]) * Math.min(Math.max(fraction, 0), 1);
  }
  const largest = (values) => values.reduce((best, x, i) => (x > values[best] ? i : best), 0);

  function counting(settings) {
    return { pulls: new Array(settings.num_arms).fill(0), won: new Array(settings.num_arms).fill(0) };
  }
  const MOST_PULLS = 200; // a table of more takes the page more than a second
  const bandit = (settings) => {
    const exact = settings.num_pulls <= MOST_PULLS;
    let index = null, known = counting(settings);
    const chosen = exact
      ? (arm, left) => index(known.pulls[arm], known.won[arm], left)
      : (arm) => { // the mean and one standard deviation of the posterior
        const a = 1 + known.won[arm], n = 2 + known.pulls[arm], mean = a / n;
        return mean + Math.sqrt(mean * (1 - mean) / (n + 1));
      };
    return {
      name: exact ? "Gittins index" : "Bayesian UCB",
      about: exact ? "pulls the arm of the highest index: nearly optimal, and told that arms pay 0 or 1 by chance"
        : "the posterior's mean and one standard deviation",
      begin() { known = counting(settings); if (exact && !index) index = gittinsTable(settings.num_pulls); },
      act() {
        const left = settings.num_pulls - known.pulls.reduce((x, y) => x + y, 0);
        return largest(known.pulls.map((_, arm) => chosen(arm, left)));
      },
      observe(action, reward) { known.pulls[action] += 1; known.won[action] += reward; },
    };
  };

  const toward = (cell, goal, size) => {
    const rows = Math.floor(goal / size) - Math.floor(cell / size), columns = goal % size - cell % size;
    return rows > 0 ? 1 : rows < 0 ? 3 : columns > 0 ? 2 : columns < 0 ? 4 : 0;
  };
  const grid = (settings, plan) => {
    let time = 0, goal = -1;
    return {
      name: plan ? "Bayes-optimal search" : "told the goal",
      about: plan ? "the best walk for whoever knows the rules, not the goal" : "the shortest way",
      begin() { time = 0; goal = -1; },
      act(observation, state, task) {
        const to = plan ? goal : task.cell;
        return to < 0 ? plan.actions[time] : toward(state, to, settings.size);
      },
      observe(action, reward) { if (plan && goal < 0 && reward > 0) goal = plan.cells[time]; time += 1; },
    };
  };
  const plane = () => ({
    name: "told the goal",
    about: "the straight way: as good as it can be",
    begin() {},
    act: (observation, state, task) => adaptaxEnvironments.straight(state, task.position),
    observe() {},
  });
  const cart = () => ({
    name: "linear controller",
    about: "keeps the pole up in every task of the family",
    begin() {},
    act: (observation, [x, velocity, angle, spin]) => (x / 2 + velocity / 10 + 10 * angle + spin > 0 ? 1 : 0),
    observe() {},
  });
  const players = { "bandit": bandit, "grid-navigation": grid, "point-robot": plane, "point-robot-sparse": plane,
    "cart-pole": cart };
  return { players, gittinsTable };
})();
if (typeof module !== "undefined") module.exports = adaptaxBeside;
