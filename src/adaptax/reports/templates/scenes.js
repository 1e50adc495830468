/* Pictures of one moment of a trial, drawn into an SVG element. Nothing is needed besides this file.

   Scenes.draw(svg, kind, moment, options)   draws; an unknown kind is drawn as "generic"
   Scenes.kinds                              the kinds that there are
   Scenes.height(kind, moment, width)        how high (px) the picture is at a width (px)

   options.reveal  whether what is hidden from the agent (arms' chances, the goal) is shown
   options.width   px; by default the element's own

   The element gets a viewBox of its size in pixels, so that letters are as large on a telephone as on a screen: draw
   again when its size changes. Colours are the CSS variables --ink, --soft, --line, --paper, --agent, --goal, --other and
   --band, each with a colour of its own where a page has none.

   A moment is a plain object. What all have:
     text      what happens, as a sentence, for those who do not see the picture (Player reads it out)
   kind "bandit"
     arms      [{pulls, mean, low, high, truth}], one for each arm: how often it was pulled, the mean of its posterior,
               the ends of its 95 % band, and its true mean, which is drawn if it is revealed. mean, low, high and truth
               may be null.
     range     [lowest, highest] of the vertical axis; [0, 1] if it is missing
     chosen    index of the arm that is pulled now; null: none
     reward    what that brought; null: nothing yet
     next      indices of arms that may be picked (a person plays); optional
   kind "grid"
     rows, columns   size
     start     [row, column]; optional
     path      [[row, column], ...], the cells where the agent has been, the last is where it is
     span      [first, last]: which piece of `path` this moment is about; all if it is missing
     goal      [row, column] or null
     found     whether the agent knows the goal: it is drawn even if it is not revealed
     belief    one number from 0 to 1 for each cell, row by row: the chance that the goal is there; null: not drawn
     up        whether row 0 is at the bottom; optional
   kind "plane"
     bounds    [x lowest, x highest, y lowest, y highest]
     start     [x, y]
     goal      [x, y] or null
     radius    how near to the goal is near enough; optional
     found     as in "grid"
     paths     [{points: [[x, y], ...], label, stage}], in order; those with the same `stage` have one shade, later
               stages stronger ones
     now       [path, step]: earlier paths are drawn whole and thin, this one up to this step, later ones not at all; all
               are whole if it is missing
   kind "cart-pole"
     x, angle  where the cart is (m) and how the pole leans (rad, positive to the right)
     length    of the pole (m); 1 if it is missing
     mass      of the cart (kg), drawn as its size; 1 if it is missing
     push      −1, 0 or 1: to which side it is pushed
     limit, limit_angle   where an episode ends; 2.4 and 0.2094 if they are missing
   kind "figure"
     lines     [[x, z, x, z], ...] in metres, the body's parts seen from the side; the ground is at z = 0
     radii     of the parts (m); optional
     x         how far it has come (m): the ground is marked at each metre
     speed     of the body (m/s); optional
     wanted    what it is to do, in words, and
     goal      where it is to go (m): both optional, and shown if they are revealed
   kind "generic"
     series    [{name, values: [number or null, ...], shape: "line", "steps" or "bars"}], one panel for each
     at        index of the present one: later values are drawn faintly
     breaks    indices at which an episode begins; optional
*/
"use strict";
const Scenes = (() => {
  const INK = "var(--ink, #1c1c1c)", SOFT = "var(--soft, #5c5c5c)", LINE = "var(--line, #d8d8d8)";
  const PAPER = "var(--paper, #ffffff)", AGENT = "var(--agent, #d55e00)", GOAL = "var(--goal, #00795a)";
  const OTHER = "var(--other, #0072b2)", BAND = "var(--band, #9cc9e6)";

  const add = (parent, name, attributes, text) => {
    const element = document.createElementNS(parent.namespaceURI, name);
    for (const key in attributes) {
      if (key === "fill" || key === "stroke") element.style[key] = attributes[key]; // only styles know CSS variables
      else element.setAttribute(key, attributes[key]);
    }
    if (text !== undefined) element.textContent = text;
    parent.appendChild(element);
    return element;
  };
  const words = (parent, x, y, text, more) =>
    add(parent, "text", Object.assign({ x, y, fill: SOFT, "font-size": 12, "text-anchor": "middle" }, more), text);
  const line = (parent, x1, y1, x2, y2, more) =>
    add(parent, "line", Object.assign({ x1, y1, x2, y2, stroke: LINE, "stroke-width": 1 }, more));
  const trace = (points) => points.map((p, i) => (i ? "L" : "M") + p[0].toFixed(1) + " " + p[1].toFixed(1)).join("");
  const short = (x) => {
    if (x === null || x === undefined || !isFinite(x)) return "–";
    const text = Math.abs(x) >= 1000 || (x !== 0 && Math.abs(x) < 0.001) ? x.toExponential(1) : String(+x.toPrecision(3));
    return text.replace("-", "−");
  };
  const given = (x) => x !== null && x !== undefined && isFinite(x);

  const star = (parent, x, y, size, more) => {
    const points = [];
    for (let i = 0; i < 10; i++) {
      const r = i % 2 ? size * 0.42 : size, a = -Math.PI / 2 + (i * Math.PI) / 5;
      points.push((x + r * Math.cos(a)).toFixed(1) + "," + (y + r * Math.sin(a)).toFixed(1));
    }
    return add(parent, "polygon", Object.assign({ points: points.join(" "), fill: GOAL }, more));
  };

  function bandit(svg, m, width, height, reveal) {
    const arms = m.arms, n = arms.length, range = m.range || [0, 1];
    const left = 38, right = 8, top = 26, bottom = 44, wide = (width - left - right) / n;
    const y = (v) => top + (height - top - bottom) * (1 - (v - range[0]) / (range[1] - range[0] || 1));
    for (const v of [0, 0.25, 0.5, 0.75, 1]) {
      const value = range[0] + v * (range[1] - range[0]);
      line(svg, left, y(value), width - right, y(value));
      if (v !== 0.25 && v !== 0.75) words(svg, left - 6, y(value) + 4, short(value), { "text-anchor": "end" });
    }
    const most = Math.max(1, ...arms.map((arm) => arm.pulls)), every = Math.ceil(26 / wide);
    arms.forEach((arm, i) => {
      const x = left + wide * (i + 0.5), body = Math.min(wide * 0.62, 46), now = i === m.chosen;
      if (now) add(svg, "rect", { x: x - wide / 2 + 1, y: 4, width: wide - 2, height: height - 8, rx: 5, fill: AGENT,
        "fill-opacity": 0.14 });
      if (given(arm.low) && given(arm.high)) {
        const high = Math.max(y(arm.high), top), low = Math.min(y(arm.low), height - bottom);
        add(svg, "rect", { x: x - body / 2, y: high, width: body, height: Math.max(low - high, 1), rx: Math.min(4, body / 3),
          fill: BAND, "fill-opacity": 0.75 });
      }
      if (given(arm.mean)) line(svg, x - body / 2, y(arm.mean), x + body / 2, y(arm.mean), { stroke: now ? AGENT : OTHER,
        "stroke-width": 3 });
      if (reveal && given(arm.truth)) {
        const s = Math.min(6, body / 2 + 1), z = y(arm.truth);
        add(svg, "path", { d: `M${x} ${z - s}L${x + s} ${z}L${x} ${z + s}L${x - s} ${z}Z`, fill: GOAL, stroke: PAPER });
      }
      if (i % every === 0 || now) words(svg, x, height - bottom + 15, String(i + 1), { fill: now ? AGENT : SOFT,
        "font-weight": now ? 700 : 400 });
      const bar = Math.min(wide * 0.62, 46) * (arm.pulls / most);
      if (arm.pulls) add(svg, "rect", { x: x - bar / 2, y: height - bottom + 20, width: Math.max(bar, 1), height: 5, rx: 2,
        fill: now ? AGENT : SOFT });
      if (wide >= 22) words(svg, x, height - 6, String(arm.pulls), { "font-size": 11 });
      if (now && given(m.reward)) {
        const paid = m.reward > range[0];
        words(svg, x, 18, (m.reward > 0 && range[0] >= 0 ? "+" : "") + short(m.reward), { "font-weight": 700,
          fill: paid ? GOAL : AGENT, "font-size": 13 });
      }
      if (m.next && m.next.includes(i)) add(svg, "rect", { x: x - wide / 2 + 1, y: 4, width: wide - 2, height: height - 8,
        rx: 5, fill: "none", stroke: SOFT, "stroke-dasharray": "3 3" });
    });
    words(svg, 4, height - bottom + 15, "arm", { "text-anchor": "start", "font-size": 11 });
    words(svg, 4, height - 6, "pulls", { "text-anchor": "start", "font-size": 11 });
  }

  function grid(svg, m, width, height, reveal) {
    const cell = Math.min((width - 8) / m.columns, (height - 8) / m.rows);
    const left = (width - cell * m.columns) / 2, top = (height - cell * m.rows) / 2;
    const at = (rc, part = 0.5) => [left + (rc[1] + part) * cell, top + ((m.up ? m.rows - 1 - rc[0] : rc[0]) + part) * cell];
    const most = m.belief ? Math.max(1e-9, ...m.belief) : 1;
    for (let r = 0; r < m.rows; r++) for (let c = 0; c < m.columns; c++) {
      const [x, y] = at([r, c], 0), belief = m.belief ? m.belief[r * m.columns + c] : 0;
      add(svg, "rect", { x: x + 1, y: y + 1, width: cell - 2, height: cell - 2, rx: Math.min(4, cell / 6), fill: PAPER, stroke: LINE });
      if (belief > 0) {
        add(svg, "rect", { x: x + 1, y: y + 1, width: cell - 2, height: cell - 2, rx: Math.min(4, cell / 6), fill: BAND,
          "fill-opacity": (0.25 + 0.7 * (belief / most)).toFixed(3) });
        if (cell >= 44) words(svg, x + 6, y + 15, Math.round(belief * 100) + " %", { "text-anchor": "start", "font-size": 11,
          fill: INK });
      }
    }
    if (m.start) { const [x, y] = at(m.start); add(svg, "circle", { cx: x, cy: y, r: cell * 0.14, fill: "none", stroke: SOFT, "stroke-width": 2 }); }
    if (m.goal && (reveal || m.found)) { const [x, y] = at(m.goal); star(svg, x, y, cell * 0.36); }
    const path = m.span ? m.path.slice(m.span[0], m.span[1] + 1) : m.path;
    if (!path.length) return;
    // A path that comes back to a cell is moved a little aside, so that both ways are seen.
    const visits = {}, points = path.map((rc) => {
      const key = rc[0] + "," + rc[1], k = (visits[key] = (visits[key] ?? -1) + 1), p = at(rc), off = (k % 4) * cell * 0.07;
      return [p[0] + off, p[1] + off];
    });
    if (points.length > 1) add(svg, "path", { d: trace(points), fill: "none", stroke: AGENT, "stroke-width": Math.max(2, cell * 0.06),
      "stroke-linejoin": "round", "stroke-linecap": "round", "stroke-opacity": 0.75 });
    const [x, y] = points[points.length - 1];
    add(svg, "circle", { cx: x, cy: y, r: cell * 0.2, fill: AGENT, stroke: PAPER, "stroke-width": 2 });
  }

  function plane(svg, m, width, height, reveal) {
    const [x0, x1, y0, y1] = m.bounds, room = 18, left = 34;
    const scale = Math.min((width - left - 8) / (x1 - x0 || 1), (height - 2 * room) / (y1 - y0 || 1));
    const cx = (left - 8 + width) / 2 - (scale * (x0 + x1)) / 2, cy = height / 2 + (scale * (y0 + y1)) / 2;
    const at = (p) => [cx + scale * p[0], cy - scale * p[1]];
    const step = niceStep(Math.max(x1 - x0, y1 - y0) / 4);
    for (let v = Math.ceil(x0 / step) * step; v <= x1 + 1e-9; v += step) {
      const x = at([v, 0])[0];
      line(svg, x, room / 2, x, height - room);
      words(svg, x, height - 4, short(Math.abs(v) < step / 100 ? 0 : v), { "font-size": 11 });
    }
    for (let v = Math.ceil(y0 / step) * step; v <= y1 + 1e-9; v += step) {
      const [a, y] = at([x0, v]), b = at([x1, v])[0];
      line(svg, a, y, b, y);
      words(svg, a - 4, y + 4, short(Math.abs(v) < step / 100 ? 0 : v), { "font-size": 11, "text-anchor": "end" });
    }
    if (m.goal && (reveal || m.found)) {
      const [x, y] = at(m.goal);
      if (m.radius) add(svg, "circle", { cx: x, cy: y, r: m.radius * scale, fill: GOAL, "fill-opacity": 0.12 });
      star(svg, x, y, 10);
    }
    const [current, until] = m.now || [m.paths.length - 1, Infinity];
    const last = Math.max(1, ...m.paths.map((p) => p.stage || 0));
    m.paths.forEach((path, i) => {
      if (i > current) return;
      const now = i === current, points = (now ? path.points.slice(0, until + 1) : path.points).map(at);
      if (points.length > 1) add(svg, "path", { d: trace(points), fill: "none", stroke: path.stage ? AGENT : OTHER,
        "stroke-width": now ? 2.5 : 1.5, "stroke-linejoin": "round", "stroke-linecap": "round",
        "stroke-opacity": now ? 1 : (0.2 + 0.3 * ((path.stage || 0) / last)).toFixed(2) });
      if (points.length) {
        const [x, y] = points[points.length - 1];
        add(svg, "circle", { cx: x, cy: y, r: now ? 6 : 2.5, fill: path.stage ? AGENT : OTHER, stroke: PAPER,
          "fill-opacity": now ? 1 : 0.6, "stroke-width": now ? 2 : 0 });
      }
    });
    if (m.start) { const [x, y] = at(m.start); add(svg, "circle", { cx: x, cy: y, r: 5, fill: PAPER, stroke: INK, "stroke-width": 2 }); }
    const label = m.paths[current] && m.paths[current].label;
    if (label) words(svg, 6, 15, label, { "text-anchor": "start", fill: m.paths[current].stage ? AGENT : OTHER, "font-weight": 700 });
  }
  const niceStep = (rough) => {
    const power = Math.pow(10, Math.floor(Math.log10(rough || 1)));
    return [1, 2, 5, 10].map((k) => k * power).find((s) => s >= rough * 0.999) || power;
  };

  function cartPole(svg, m, width, height) {
    const limit = m.limit || 2.4, length = m.length || 1, lean = m.limit_angle || 0.2094;
    const scale = Math.min((width - 40) / (2 * limit + 0.8), (height - 70) / Math.max(length, 0.6));
    const ground = height - 38, x = width / 2 + scale * m.x;
    const size = Math.max(0.5, Math.min(1.6, Math.sqrt(m.mass || 1)));
    const w = Math.min(0.5 * scale, 70) * size, h = w * 0.45;
    line(svg, 8, ground, width - 8, ground, { stroke: SOFT });
    for (const side of [-limit, limit]) {
      const edge = width / 2 + scale * side;
      line(svg, edge, ground - 14, edge, ground + 6, { stroke: SOFT, "stroke-dasharray": "3 3" });
      words(svg, edge, ground + 20, short(side) + " m");
    }
    const hinge = [x, ground - h - 5], pole = Math.min(scale * length, hinge[1] - 12);
    for (const a of [-lean, lean]) line(svg, hinge[0], hinge[1], hinge[0] + pole * Math.sin(a), hinge[1] - pole * Math.cos(a),
      { "stroke-dasharray": "2 4" });
    add(svg, "rect", { x: x - w / 2, y: ground - h - 5, width: w, height: h, rx: 3, fill: OTHER });
    for (const side of [-1, 1]) add(svg, "circle", { cx: x + side * w * 0.28, cy: ground - 5, r: 5, fill: INK });
    line(svg, hinge[0], hinge[1], hinge[0] + pole * Math.sin(m.angle), hinge[1] - pole * Math.cos(m.angle),
      { stroke: AGENT, "stroke-width": 7, "stroke-linecap": "round" });
    add(svg, "circle", { cx: hinge[0], cy: hinge[1], r: 4, fill: PAPER, stroke: INK });
    if (m.push) {
      const from = x - m.push * (w / 2 + 34), tip = x - m.push * (w / 2 + 6), y = ground - 5 - h / 2;
      line(svg, from, y, tip, y, { stroke: GOAL, "stroke-width": 3 });
      add(svg, "path", { d: `M${tip} ${y}l${-8 * m.push} -5v10Z`, fill: GOAL });
    }
  }

  function figure(svg, m, width, height, reveal) {
    const scale = Math.min(width / 4, height / 2), ground = height - 34, middle = width / 2;
    line(svg, 0, ground, width, ground, { stroke: SOFT });
    const reach = middle / scale;
    for (let v = Math.ceil(m.x - reach); v <= m.x + reach; v++) {
      const x = middle + scale * (v - m.x);
      line(svg, x, ground, x, ground + 5, { stroke: SOFT });
      if (x > 20 && x < width - 20) words(svg, x, ground + 19, short(v) + " m");
    }
    if (reveal && given(m.goal)) {
      line(svg, middle + scale * (m.goal - m.x), ground, middle + scale * (m.goal - m.x), 30, { stroke: GOAL, "stroke-dasharray": "3 3" });
      star(svg, middle + scale * (m.goal - m.x), ground, 9);
    }
    m.lines.forEach((ends, i) => {
      if (!ends.every(given)) return;
      const [x1, z1, x2, z2] = ends, wide = Math.max(4, scale * (m.radii ? 2 * m.radii[i] : 0.07));
      for (const [stroke, more] of [[PAPER, 2], [AGENT, 0]]) // an edge, so that limbs before others are told apart
        line(svg, middle + scale * (x1 - m.x), ground - scale * z1, middle + scale * (x2 - m.x), ground - scale * z2,
          { stroke, "stroke-width": wide + more, "stroke-linecap": "round" });
    });
    const said = [given(m.speed) ? `${short(+m.speed.toFixed(2))} m/s` : "", (reveal && m.wanted) || ""];
    words(svg, 8, 18, said.filter(Boolean).join(", "), { "text-anchor": "start", fill: INK });
  }

  function generic(svg, m, width, height) {
    const count = m.series.length, left = 46, right = 10, each = height / count;
    m.series.forEach((one, k) => {
      const top = k * each + 20, low = (k + 1) * each - 6, values = one.values, finite = values.filter(given);
      const least = Math.min(0, ...finite), most = Math.max(0, ...finite), span = most - least || 1;
      const x = (i) => left + ((width - left - right) * (i + 0.5)) / values.length, y = (v) => low - ((v - least) / span) * (low - top);
      words(svg, left, top - 7, one.name, { "text-anchor": "start", fill: INK });
      const now = values[m.at];
      if (given(now)) words(svg, width - right, top - 7, short(now), { "text-anchor": "end", fill: AGENT, "font-weight": 700 });
      line(svg, left, y(0), width - right, y(0));
      for (const v of [least, most]) words(svg, left - 6, y(v) + 4, short(v), { "text-anchor": "end", "font-size": 11 });
      for (const b of m.breaks || []) if (b > 0) line(svg, x(b - 0.5), top, x(b - 0.5), low, { "stroke-dasharray": "3 3", stroke: SOFT, "stroke-opacity": 0.6 });
      const draw = (begin, end, opacity) => {
        if (one.shape === "bars") {
          for (let i = begin; i < end; i++) if (given(values[i]) && values[i] !== 0) line(svg, x(i), y(0), x(i), y(values[i]),
            { stroke: AGENT, "stroke-opacity": opacity, "stroke-width": Math.max(1, Math.min(6, (width - left) / values.length - 1)) });
          return;
        }
        let d = "", pen = false;
        for (let i = begin; i < end; i++) {
          if (!given(values[i])) { pen = false; continue; }
          const px = x(i).toFixed(1), py = y(values[i]).toFixed(1);
          d += !pen ? `M${px} ${py}` : one.shape === "steps" ? `H${px}V${py}` : `L${px} ${py}`;
          pen = true;
        }
        if (d) add(svg, "path", { d, fill: "none", stroke: AGENT, "stroke-width": 1.8, "stroke-opacity": opacity, "stroke-linejoin": "round" });
      };
      draw(Math.max(0, m.at), values.length, 0.18);
      draw(0, m.at + 1, 1);
      line(svg, x(m.at), top, x(m.at), low, { stroke: OTHER, "stroke-width": 1.5 });
      if (given(now)) add(svg, "circle", { cx: x(m.at), cy: y(now), r: 4, fill: AGENT, stroke: PAPER });
    });
  }

  const kinds = { bandit, grid, plane, "cart-pole": cartPole, figure, generic };
  function height(kind, moment, width) {
    if (kind === "grid") return Math.round((Math.min(width, 420) * moment.rows) / Math.max(moment.rows, moment.columns));
    if (kind === "plane") {
      const [x0, x1, y0, y1] = moment.bounds;
      return Math.round(Math.min(width, 440) * Math.min(1, Math.max(0.5, (y1 - y0) / (x1 - x0 || 1))));
    }
    if (!(kind in kinds) || kind === "generic") return Math.max(1, moment.series.length) * 84;
    return Math.round(Math.max(210, Math.min(300, width * 0.6)));
  }
  function draw(svg, kind, moment, options) {
    const known = kind in kinds ? kind : "generic";
    const width = (options && options.width) || svg.clientWidth || 640, high = height(known, moment, width);
    svg.setAttribute("viewBox", `0 0 ${width} ${high}`);
    svg.style.height = high + "px";
    svg.replaceChildren();
    kinds[known](svg, moment, width, high, Boolean(options && options.reveal));
  }
  return { draw, height, kinds: Object.keys(kinds), short };
})();
if (typeof module !== "undefined") module.exports = { Scenes };
