/* The months of a view as a strip below the map: a slider to look at any of them, a button to play them
   one after the other. It draws through map.js; Python only hears of the month the reader stays at. */
(function () {
  "use strict";

  const STEP_MS = 800;
  const REST_MS = 400;
  const strip = { box: null, slider: null, words: null, button: null, run: 0, months: [], key: "" };

  function element(tag, className) {
    const made = document.createElement(tag);
    made.className = className;
    return made;
  }

  function build(map) {
    strip.box = element("div", "dudao-timeline");
    strip.button = element("button", "dudao-button");
    strip.button.type = "button";
    strip.button.onclick = () => (strip.playing ? stop() : play());
    strip.slider = element("input", "dudao-months");
    strip.slider.type = "range";
    strip.slider.min = "0";
    strip.slider.step = "1";
    strip.slider.oninput = () => {
      halt();
      preview(Number(strip.slider.value));
    };
    /* Whoever holds an arrow key down passes through many months and means the last. */
    strip.slider.onchange = () => {
      clearTimeout(strip.resting);
      strip.resting = setTimeout(settle, REST_MS);
    };
    strip.words = element("span", "dudao-month");
    strip.box.append(strip.button, strip.slider, strip.words);
    const control = L.control({ position: "bottomright" });
    control.onAdd = () => {
      L.DomEvent.disableClickPropagation(strip.box);
      L.DomEvent.disableScrollPropagation(strip.box);
      return strip.box;
    };
    control.addTo(map);
  }

  function url(config, at) {
    const [month, , version] = strip.months[at];
    return `${config.layersUrl}/${config.layer}/${config.placePart}/${month}/${version}${config.query}`;
  }

  /* Called by map.js after every drawing of a view. */
  function show(map, config) {
    if (!strip.box) build(map);
    strip.months = config.timeline;
    strip.box.hidden = strip.months.length < 2;
    strip.slider.max = String(Math.max(strip.months.length - 1, 0));
    strip.slider.setAttribute("aria-label", config.timelineTitle);
    if (strip.resting) return;
    halt();
    mark(strip.months.findIndex(([month]) => month === config.month));
  }

  function mark(at) {
    const words = strip.months[at] ? strip.months[at][1] : "";
    strip.slider.value = String(at);
    strip.slider.setAttribute("aria-valuetext", words);
    strip.words.textContent = words;
    const config = dudao.state.config;
    strip.button.textContent = strip.playing ? "❚❚" : "▶";
    strip.button.title = strip.playing ? config.pauseTitle : config.playTitle;
    strip.button.setAttribute("aria-label", strip.button.title);
  }

  /* One month's colours, drawn unless something else was asked for meanwhile. */
  async function preview(at) {
    const config = dudao.state.config;
    const run = strip.run;
    mark(at);
    const body = await dudao.fetchJson(url(config, at)).catch(() => null);
    if (body === null || run !== strip.run || config !== dudao.state.config) return false;
    dudao.paint(config, body, strip.months[at][0]);
    return true;
  }

  async function play() {
    const config = dudao.state.config;
    const last = strip.months.length - 1;
    halt();
    strip.playing = true;
    const run = strip.run;
    let at = Number(strip.slider.value);
    if (at >= last) at = -1;
    while (at < last) {
      at += 1;
      if (at < last) dudao.fetchJson(url(config, at + 1)).catch(() => undefined);
      if (!(await preview(at))) break;
      await new Promise((done) => setTimeout(done, STEP_MS));
      if (run !== strip.run) return;
    }
    if (run === strip.run) stop();
  }

  function halt() {
    clearTimeout(strip.resting);
    strip.resting = null;
    strip.run += 1;
    strip.playing = false;
  }

  function stop() {
    halt();
    mark(Number(strip.slider.value));
    settle();
  }

  /* The month the reader stays at becomes the page's month. */
  function settle() {
    strip.resting = null;
    const chosen = strip.months[Number(strip.slider.value)];
    if (chosen && chosen[0] !== dudao.state.config.month) dudao.pick("month", chosen[0]);
  }

  dudao.timeline = { show, height: () => (strip.box ? strip.box.offsetHeight : 0) };
})();
