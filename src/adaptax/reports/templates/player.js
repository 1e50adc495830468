/* Plays films of trials: a picture, buttons, a slider, keys. Needs Scenes, and nothing else.

   Player.mount(root, films)   builds a player in an element; returns {show(index), play(), pause(), film(index)}

   films     [{kind, title, still, moments, marks}]: each one trial.
     kind      see Scenes
     title     what it is, in words
     still     what is the same in all moments of it; each moment is put over it
     moments   see Scenes
     marks     [{at, label}]: indices of moments at which something begins (an episode), in order; optional
     hidden    what is to be revealed, in words ("the goal"); without it there is no such switch

   Keys, while the focus is in the player: space plays and pauses, ← and → go one moment back and on, page up and page
   down go to the previous and next mark, home and end to the first and last moment, r reveals. Nothing moves by itself;
   where a person asks for less motion (prefers-reduced-motion), playing goes at one moment in a second. What happens is
   told in words below the picture, and read out by screen readers while it is paused. */
"use strict";
const Player = (() => {
  let made = 0;
  const make = (parent, name, attributes, text) => {
    const element = document.createElement(name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    if (text !== undefined) element.textContent = text;
    parent.appendChild(element);
    return element;
  };

  function mount(root, films) {
    const id = "player-" + ++made, calm = window.matchMedia("(prefers-reduced-motion: reduce)");
    let film = films[0], at = 0, timer = null, moved = 0;
    root.classList.add("player");
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", "Player: " + film.title);
    root.replaceChildren();
    const head = make(root, "div", { class: "player-head" });
    let choice = null;
    if (films.length > 1) {
      make(head, "label", { for: id + "-film" }, "Task");
      choice = make(head, "select", { id: id + "-film" });
      films.forEach((one, i) => make(choice, "option", { value: i }, one.title));
      choice.addEventListener("change", () => pick(Number(choice.value)));
    } else make(head, "span", {}, film.title);
    root.insertAdjacentHTML("beforeend", '<svg role="img"></svg>');
    const svg = root.lastElementChild;
    const text = make(root, "p", { class: "player-text", "aria-live": "polite" });
    const slider = make(root, "input", { type: "range", min: 0, step: 1, "aria-label": "Moment of the trial" });
    const bar = make(root, "div", { class: "player-bar" });
    const button = (sign, name, action) => {
      const made = make(bar, "button", { type: "button", "aria-label": name, title: name }, sign);
      made.addEventListener("click", action);
      return made;
    };
    button("|◀\uFE0E", "To the beginning", () => step(-Infinity));
    button("◀\uFE0E", "One moment back", () => step(-1));
    const toggle = button("Play", "Play", () => (timer ? pause() : play()));
    toggle.classList.add("player-play");
    button("▶\uFE0E", "One moment on", () => step(1));
    button("▶\uFE0E|", "To the end", () => step(Infinity));
    const speedLabel = make(bar, "label", {}, "speed ");
    const speed = make(speedLabel, "select", {});
    for (const [value, name] of [[1, "slow"], [3, "normal"], [12, "fast"]]) make(speed, "option", { value }, name);
    speed.value = "3";
    const revealLabel = make(bar, "label", {});
    const reveal = make(revealLabel, "input", { type: "checkbox" });
    const what = make(revealLabel, "span", {});
    reveal.addEventListener("change", draw);

    function draw() {
      const moment = Object.assign({}, film.still, film.moments[at]);
      Scenes.draw(svg, film.kind, moment, { reveal: reveal.checked });
      svg.setAttribute("aria-label", moment.text || film.title);
      text.textContent = moment.text || "";
      slider.value = at;
      slider.setAttribute("aria-valuetext", `${at + 1} of ${film.moments.length}`);
    }
    function go(index) {
      at = Math.max(0, Math.min(film.moments.length - 1, index));
      draw();
    }
    function step(by) { pause(); go(at + by); }
    function pick(index) {
      pause();
      film = films[index];
      slider.max = film.moments.length - 1;
      root.setAttribute("aria-label", "Player: " + film.title);
      revealLabel.hidden = !film.hidden;
      what.textContent = film.hidden ? " show " + film.hidden : "";
      if (choice) choice.value = index;
      go(0);
    }
    function tick(now) {
      if (!timer) return;
      const wait = calm.matches ? 1000 : 1000 / Number(speed.value);
      if (now - moved >= wait) {
        moved = now - moved > 4 * wait ? now : moved + wait;
        if (at >= film.moments.length - 1) { pause(); return; }
        go(at + 1);
      }
      timer = requestAnimationFrame(tick);
    }
    function play() {
      if (at >= film.moments.length - 1) go(0);
      text.setAttribute("aria-live", "off"); // a stream of sentences is no help
      moved = performance.now();
      timer = requestAnimationFrame(tick);
      label("Pause");
    }
    function pause() {
      if (timer) cancelAnimationFrame(timer);
      timer = null;
      text.setAttribute("aria-live", "polite");
      label("Play");
    }
    function label(name) { toggle.textContent = name; toggle.setAttribute("aria-label", name); toggle.title = name; }
    function mark(by) {
      const marks = (film.marks || []).map((m) => m.at);
      const found = by > 0 ? marks.find((m) => m > at) : marks.reverse().find((m) => m < at);
      step(found === undefined ? by * Infinity : found - at);
    }
    slider.addEventListener("input", () => { pause(); go(Number(slider.value)); });
    root.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
      if (event.key === " " && (event.target.tagName === "BUTTON" || event.target.type === "checkbox")) return;
      const action = { " ": () => (timer ? pause() : play()), ArrowLeft: () => step(-1), ArrowRight: () => step(1),
        ArrowDown: () => step(-1), ArrowUp: () => step(1), PageUp: () => mark(-1), PageDown: () => mark(1),
        Home: () => step(-Infinity), End: () => step(Infinity),
        r: () => { if (film.hidden) { reveal.checked = !reveal.checked; draw(); } } }[event.key];
      if (!action) return;
      event.preventDefault();
      action();
    });
    // Only a new width asks for a new picture: its height is the picture's own doing.
    let width = 0;
    const fit = () => { if (svg.clientWidth !== width) { width = svg.clientWidth; draw(); } };
    if (window.ResizeObserver) new ResizeObserver(() => requestAnimationFrame(fit)).observe(svg);
    pick(0);
    return { show: (index) => { pause(); go(index); }, play, pause, film: pick };
  }
  return { mount };
})();
