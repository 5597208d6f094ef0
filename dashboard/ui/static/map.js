/* The drawing half of ui/map.py. It runs inside streamlit-folium's frame, once; every rerun of the
   page hands it one small configuration through `dudao.show`, and it fetches and draws what that
   names. Nothing that Python does afterwards unmounts the map, its renderer or its controls.
   Every text reaches the document as textContent or on a canvas, never as markup. */
(function () {
  "use strict";

  const NO_DATA = -1;
  const SUPPRESSED = -3;
  /* Why a place has no colour, in the order of the codes -1, -2 and so on: its swatch, and whether
     the legend always names it. */
  const WITHOUT_VALUE = [
    ["no-data", true], ["not-applicable", true], ["suppressed", false], ["not-applicable", false],
  ];
  const FIT_PADDING = 18;
  const ROOM_TO_FIT = 4 * FIT_PADDING;
  const ROOM_FOR_LEGEND = 560;
  const LEGEND_HEAD = 62;
  const FEW_SITES = 80;
  const CACHED_ANSWERS = 40;
  const IDLE_MS = 250;
  const LAYERS_AHEAD = 6;
  const MAX_ZOOM = 18;
  const NAME_FONT = 13;
  const VALUE_FONT = 12;
  const SMALL_FONT = 12;
  const DOUBT_RISE = 28;
  const NAME_OVERHANG = 1.6;
  const METRES_PER_DEGREE = 111320;

  const answers = new Map();
  const hatches = new WeakMap();
  const state = {
    map: null, config: null, place: null, order: 0, picked: 0, touched: false, sitesWanted: null,
    paths: new Map(), markers: new Map(), bounds: null, fitting: false, looks: null, looksUrl: null,
    narrow: null, doubts: {},
  };

  /* ---------- Leaflet additions ---------- */

  const fillStroke = L.Canvas.prototype._fillStroke;
  L.Canvas.include({
    _fillStroke: function (context, layer) {
      const hatch = layer.options.hatch;
      if (!hatch || !layer.options.fill) {
        fillStroke.call(this, context, layer);
        outline(context, layer.options);
        return;
      }
      if (!hatches.has(context)) hatches.set(context, hatchPattern(context));
      context.globalAlpha = 1;
      context.fillStyle = "#f4f5f6";
      context.fill("evenodd");
      context.fillStyle = hatches.get(context);
      context.fill("evenodd");
      const options = layer.options;
      layer.options = Object.create(options, { fill: { value: false } });
      fillStroke.call(this, context, layer);
      layer.options = options;
      outline(context, options);
    },
  });

  /* The chosen place's line lies on white: dark red on a red village would not be seen. */
  function outline(context, options) {
    if (!options.cased) return;
    [["#ffffff", options.weight + 4], [options.color, options.weight]].forEach(([colour, width]) => {
      context.globalAlpha = 1;
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.stroke();
    });
  }

  function hatchPattern(context) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 8;
    const pen = tile.getContext("2d");
    pen.strokeStyle = "#aab2ba";
    pen.lineWidth = 1;
    pen.beginPath();
    [[-2, 2, 2, -2], [0, 8, 8, 0], [6, 10, 10, 6]].forEach(([x1, y1, x2, y2]) => {
      pen.moveTo(x1, y1);
      pen.lineTo(x2, y2);
    });
    pen.stroke();
    return context.createPattern(tile, "repeat");
  }

  /* Names (and values, where there is room) in one canvas over the polygons. A name is written
     only where it about fits the circle inscribed in its polygon and covers no other name. */
  const Labels = L.Layer.extend({
    initialize: function (options) { L.setOptions(this, options); },
    onAdd: function (map) {
      this._canvas = L.DomUtil.create("canvas", "dudao-labels", map.getPane("labels"));
      map.on("moveend zoomend viewreset resize", this.draw, this);
      this.draw();
    },
    show: function (labels) {
      this._labels = labels.sort((one, other) => other.radius - one.radius);
      if (this._canvas) this.draw();
    },
    draw: function () {
      const map = this._map;
      const size = map.getSize();
      const ratio = window.devicePixelRatio || 1;
      const canvas = this._canvas;
      L.DomUtil.setPosition(canvas, map.containerPointToLayerPoint([0, 0]));
      canvas.width = size.x * ratio;
      canvas.height = size.y * ratio;
      canvas.style.width = size.x + "px";
      canvas.style.height = size.y + "px";
      const pen = canvas.getContext("2d");
      pen.scale(ratio, ratio);
      pen.textAlign = "center";
      pen.textBaseline = "middle";
      pen.lineJoin = "round";
      const family = getComputedStyle(map.getContainer()).fontFamily;
      const view = map.getBounds().pad(0.05);
      const points = [];
      this.options.markers().forEach((marker) =>
        points.push(map.latLngToContainerPoint(marker.getLatLng())));
      const taken = [];
      (this._labels || []).forEach((label) => {
        if (!view.contains(label.at)) return;
        const centre = map.latLngToContainerPoint(label.at);
        const degrees = label.radius / METRES_PER_DEGREE;
        const edge = map.latLngToContainerPoint([label.at[0] + degrees, label.at[1]]);
        const radius = Math.abs(edge.y - centre.y);
        const width = (text, size, weight) => {
          pen.font = `${weight} ${size}px ${family}`;
          return pen.measureText(text).width;
        };
        const half = width(label.name, NAME_FONT, 600) / 2;
        const both = Math.max(half, width(label.value, VALUE_FONT, 400) / 2);
        let lines;
        if (label.value && Math.hypot(both, NAME_FONT) <= radius) {
          lines = [[label.name, NAME_FONT, 600, -8], [label.value, VALUE_FONT, 400, 8]];
        } else if (half <= radius * NAME_OVERHANG) {
          const size = half <= radius ? NAME_FONT : SMALL_FONT;
          lines = [[label.name, size, 600, 0]];
        } else {
          return;
        }
        const high = lines.length > 1 ? 16 : 8;
        const near = points.find((point) => Math.abs(point.x - centre.x) < both + 9
          && Math.abs(point.y - centre.y) < high + 9);
        if (near) centre.y = near.y + high + 10;
        const box = L.bounds([centre.x - both - 2, centre.y - high], [centre.x + both + 2,
          centre.y + high]);
        const hides = (point) => point !== near && box.contains(point);
        if (taken.some((other) => other.intersects(box)) || points.some(hides)) return;
        taken.push(box);
        pen.fillStyle = label.dark ? "#ffffff" : "#17212b";
        pen.strokeStyle = label.dark ? "rgba(23,33,43,.6)" : "rgba(255,255,255,.8)";
        pen.lineWidth = label.dark ? 2.5 : 3;
        lines.forEach(([text, size, weight, down]) => {
          pen.font = `${weight} ${size}px ${family}`;
          pen.strokeText(text, centre.x, centre.y + down);
          pen.fillText(text, centre.x, centre.y + down);
        });
      });
      (this._labels || []).filter((label) => label.doubted && view.contains(label.at))
        .forEach((label) => drawDoubt(pen, map.latLngToContainerPoint(label.at)));
      this.written = taken.length;
    },
  });

  /* A small amber triangle above a place's name. */
  function drawDoubt(pen, centre) {
    const [x, y] = [centre.x, centre.y - DOUBT_RISE];
    pen.beginPath();
    pen.moveTo(x, y - 9);
    pen.lineTo(x + 9, y + 7);
    pen.lineTo(x - 9, y + 7);
    pen.closePath();
    pen.fillStyle = "#ffc53d";
    pen.strokeStyle = "#17212b";
    pen.lineWidth = 1.2;
    pen.fill();
    pen.stroke();
    pen.fillStyle = "#17212b";
    pen.font = "bold 11px sans-serif";
    pen.fillText("!", x, y + 2);
  }

  /* ---------- answers from the server ---------- */

  function fetchJson(url) {
    if (!url) return Promise.resolve(null);
    if (answers.has(url)) return answers.get(url);
    const answer = fetch(url, { credentials: "same-origin" }).then((response) => {
      if (!response.ok) throw new Error(`${response.status} ${url}`);
      return response.json();
    });
    answers.set(url, answer);
    answer.catch(() => answers.delete(url));
    if (answers.size > CACHED_ANSWERS) answers.delete(answers.keys().next().value);
    return answer;
  }

  /* A clicked place is about to be drawn: fetch it while Python is still thinking. A village is
     only marked among its siblings, which are here already. */
  function fetchAhead(config, id) {
    if (config.sitesOn) return;
    const tail = config.tail.replace(config.place, id);
    fetchJson(`${config.layersUrl}/${config.layer}/${tail}${config.query}`).catch(() => undefined);
  }

  /* ---------- clicks to Python ---------- */

  /* What streamlit-folium itself would report as last_active_drawing, but at once (it waits 250 ms)
     and without the geometry. The counter makes a second click on the same place a new one. */
  function pick(kind, id) {
    state.picked += 1;
    const drawing = { type: "Feature", properties: { kind: kind, id: id, n: state.picked } };
    const value = { last_active_drawing: drawing };
    window.__GLOBAL_DATA__.last_active_drawing = drawing;
    window.__GLOBAL_DATA__.previous_data = value;
    window.Streamlit.setComponentValue(value);
  }

  /* ---------- polygons ---------- */

  function shade(config, feature) {
    const p = feature.properties;
    const common = { weight: 0.9, color: "#55616c", opacity: 0.65, fill: true,
      fillOpacity: config.opacity };
    if (p.c === NO_DATA) return { ...common, hatch: true };
    if (p.c === SUPPRESSED) return { ...common, fillColor: "#c9ced3", hatch: false };
    if (p.c < NO_DATA) {
      return { ...common, fillColor: "#e9ebed", dashArray: "4 4", hatch: false };
    }
    return { ...common, fillColor: config.colours[p.c], hatch: false,
      color: config.dark[p.c] ? "#ffffff" : common.color };
  }

  /* Colour and outline of a place at rest, as one complete style. */
  function look(config, feature) {
    const chosen = feature.properties.id === config.selected;
    return { dashArray: null, cased: chosen, ...shade(config, feature),
      ...(chosen ? { color: config.accent, weight: 4, opacity: 1, dashArray: null } : null) };
  }

  function draw(map, config, body) {
    const features = (body ? body.features : []).filter((feature) => feature.geometry);
    state.features = features;
    state.counts = body ? body.counts : [];
    const shapes = body ? body.shapes : "";
    if (shapes && shapes === state.shapes) recolour(config, features);
    else rebuild(map, config, features);
    state.shapes = shapes;
    if (state.paths.has(config.selected)) state.paths.get(config.selected).bringToFront();
  }

  /* Another layer or month of the same shapes: keep the paths, change their colours. */
  function recolour(config, features) {
    features.forEach((feature) => {
      const path = state.paths.get(feature.properties.id);
      path.feature = feature;
      path.setStyle(look(config, feature));
    });
  }

  function rebuild(map, config, features) {
    state.paths.forEach((path) => map.removeLayer(path));
    state.paths = new Map();
    const bounds = L.latLngBounds([]);
    L.geoJSON({ type: "FeatureCollection", features: features }, {
      style: (feature) => look(config, feature),
      onEachFeature: (feature, path) => {
        const id = feature.properties.id;
        state.paths.set(id, path);
        bounds.extend(path.getBounds());
        path.on("click", () => {
          fetchAhead(state.config, id);
          pick("place", id);
        });
        path.on("mouseover", (event) => enter(path, event));
        path.on("mousemove", (event) => hover.move(event.latlng));
        path.on("mouseout", () => leave(path));
      },
    });
    state.paths.forEach((path) => path.addTo(map));
    state.bounds = bounds.isValid() ? bounds : null;
  }

  /* What was doubted was reported for one month: another month's figures are not marked with it. */
  function label(config, feature, month) {
    const p = feature.properties;
    return {
      name: shortName(p.n), value: p.c < 0 ? config.words[p.c] : figure(config, p), at: [p.y, p.x],
      radius: p.w, dark: p.c >= 0 && config.dark[p.c],
      doubted: month === config.month && p.id in state.doubts,
    };
  }

  /* A difference is written without its unit, which the legend says: there is little room. */
  function figure(config, p) {
    return valueText(config.signed ? { ...config, unit: "" } : config, p);
  }

  /* Only on the map, where room is short: 东王祥村民委员会 is written 东王祥村. */
  function shortName(name) {
    return name.replace(/社区居民委员会$/, "社区").replace(/居民委员会$/, "居委会")
      .replace(/村?村民委员会$/, "村").replace(/村?村委会$/, "村");
  }

  function number(value, decimals) {
    return value.toLocaleString("en-US", {
      minimumFractionDigits: decimals, maximumFractionDigits: decimals,
    });
  }

  function valueText(config, p) {
    const space = config.unit === "%" || !config.unit ? "" : " ";
    if (p.v === null) return "";
    /* Rounded first, so that nothing is written as +0.0 or -0.0. */
    const value = Number(p.v.toFixed(config.decimals)) + 0;
    const sign = config.signed && value > 0 ? "+" : "";
    return sign + number(value, config.decimals) + space + config.unit;
  }

  /* ---------- the label that follows the pointer ---------- */

  function tipBox(lines) {
    const box = document.createElement("div");
    lines.forEach(([text, kind]) => box.appendChild(element("div", `dudao-tip-${kind}`, text)));
    return box;
  }

  function tipLines(config, p, month) {
    const lines = [[p.n, "name"]];
    lines.push(p.c < 0 ? [config.words[p.c], "note"] : [valueText(config, p), "value"]);
    if (config.counts && p.a !== null && p.b !== null) {
      const [above, below] = config.counts;
      lines.push([`${above[0]} ${number(p.a, above[1])} / ${below[0]} ${number(p.b, below[1])}`,
        "note"]);
    }
    if (p.r && config.counts) lines.push([config.rank.replace("{rank}", p.r), "note"]);
    if (month === config.month && p.id in state.doubts) {
      lines.push([config.doubtWords.replace("{count}", state.doubts[p.id]), "doubt"]);
    }
    return lines;
  }

  const hover = {
    open: function (latlng, lines) {
      this.tip.setContent(tipBox(lines)).setLatLng(latlng).addTo(state.map);
    },
    move: function (latlng) { if (state.map.hasLayer(this.tip)) this.tip.setLatLng(latlng); },
    close: function () { this.tip.remove(); },
    tip: L.tooltip({ direction: "top", offset: [0, -8], opacity: 1, className: "dudao-tip" }),
  };

  function enter(path, event) {
    const config = state.config;
    const p = path.feature.properties;
    path.setStyle({ weight: 3.5, opacity: 1, color: p.id === config.selected ? config.accent : "#17212b",
      dashArray: null });
    path.bringToFront();
    hover.open(event.latlng, tipLines(config, p, state.month));
  }

  function leave(path) {
    const config = state.config;
    path.setStyle(look(config, path.feature));
    if (state.paths.has(config.selected)) state.paths.get(config.selected).bringToFront();
    hover.close();
  }

  /* ---------- institutions ---------- */

  const SHAPES = {
    village_clinic: "M8 2.5a5.5 5.5 0 1 1 0 11a5.5 5.5 0 1 1 0-11z",
    township_centre: "M2.5 2.5h11v11h-11z",
    county_hospital: "M8 1l7 7l-7 7l-7-7z",
    designated: "M8 1.5l7 12.5h-14z",
  };
  const NAMESPACE = "http://www.w3.org/2000/svg";

  function symbol(kind, colour, chosen) {
    const svg = document.createElementNS(NAMESPACE, "svg");
    svg.setAttribute("viewBox", "0 0 16 16");
    svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS(NAMESPACE, "path");
    path.setAttribute("d", SHAPES[kind] || SHAPES.designated);
    path.setAttribute("fill", colour);
    path.setAttribute("stroke", chosen ? state.config.accent : "#17212b");
    path.setAttribute("stroke-width", chosen ? "2.5" : "1.1");
    svg.appendChild(path);
    return svg;
  }

  function siteIcon(config, p) {
    const box = document.createElement("div");
    box.appendChild(symbol(p.k, config.siteColours[p.s], p.id === config.site));
    const big = p.id === config.site ? 26 : 17;
    return L.divIcon({ html: box, className: "dudao-site", iconSize: [big, big] });
  }

  function clusterIcon(cluster) {
    const box = document.createElement("div");
    box.textContent = cluster.getChildCount();
    return L.divIcon({ html: box, className: "dudao-cluster", iconSize: [34, 34] });
  }

  function drawSites(map, config, body) {
    state.siteCount = body ? body.features.length : 0;
    state.sites.clearLayers();
    state.markers = new Map();
    const markers = (body ? body.features : []).map((feature) => {
      const p = feature.properties;
      const [lon, lat] = feature.geometry.coordinates;
      const marker = L.marker([lat, lon], {
        icon: siteIcon(config, p), keyboard: true, title: "", alt: p.n, riseOnHover: true,
        zIndexOffset: p.id === config.site ? 1000 : 0,
      });
      marker.feature = feature;
      /* streamlit-folium would send the marker a second time, 250 ms after `pick` did. */
      marker.toGeoJSON = null;
      marker.on("click", () => pick("site", p.id));
      marker.on("mouseover focus", () => hover.open(marker.getLatLng(), [
        [p.n, "name"], [`${config.kinds[p.k]} · ${config.siteWords[p.s]}`, "note"]]));
      marker.on("mouseout blur", () => hover.close());
      state.markers.set(p.id, marker);
      return marker;
    });
    state.sites.addLayers(markers);
    state.sites.eachLayer((marker) => {
      const element = marker.getElement();
      if (element) element.setAttribute("aria-label", marker.feature.properties.n);
    });
  }

  /* ---------- legend and notices ---------- */

  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function legendRow(swatch, text, count) {
    const row = element("div", "dudao-row");
    row.appendChild(swatch);
    row.appendChild(element("span", "dudao-row-text", text));
    if (count !== null) row.appendChild(element("span", "dudao-row-count", String(count)));
    return row;
  }

  function colourSwatch(colour, kind) {
    const swatch = element("span", `dudao-swatch ${kind}`);
    if (colour) swatch.style.background = colour;
    return swatch;
  }

  function drawLegend(config) {
    const body = legendBody(config, state.counts);
    if (state.markers.size) drawSiteLegend(config, body);
    config.notes.forEach((note) => body.appendChild(element("div", "dudao-note", note)));
    state.legend.replaceChildren(legendHead(state.legend, config.layerTitle), body);
  }

  /* The name above a legend; a click folds what is below. */
  function legendHead(box, title) {
    const head = element("button", "dudao-legend-head", title);
    head.type = "button";
    const say = () => head.setAttribute("aria-expanded", String(!box.classList.contains("folded")));
    head.onclick = () => {
      box.classList.toggle("folded");
      say();
    };
    say();
    return head;
  }

  /* The classes with their counts. */
  function legendBody(config, counts) {
    const body = element("div", "dudao-legend-body");
    if (config.unitNote) body.appendChild(element("div", "dudao-note", config.unitNote));
    config.classes.forEach((words, index) => body.appendChild(
      legendRow(colourSwatch(config.colours[index], ""), words, counts[index])));
    WITHOUT_VALUE.forEach(([kind, always], at) => {
      const count = counts[config.classes.length + at];
      if (count || always) {
        body.appendChild(legendRow(colourSwatch(null, kind), config.words[-1 - at], count));
      }
    });
    return body;
  }

  function drawSiteLegend(config, body) {
    body.appendChild(element("div", "dudao-legend-part", config.sitesTitle));
    const tally = (key) => {
      const counts = {};
      state.markers.forEach((marker) => {
        const value = marker.feature.properties[key];
        counts[value] = (counts[value] || 0) + 1;
      });
      return counts;
    };
    const statuses = tally("s");
    Object.keys(config.siteWords).filter((status) => statuses[status]).forEach((status) =>
      body.appendChild(legendRow(symbolSwatch("village_clinic", config.siteColours[status]),
        config.siteWords[status], statuses[status])));
    const kinds = tally("k");
    if (Object.keys(kinds).length < 2) return;
    Object.keys(config.kinds).filter((kind) => kinds[kind]).forEach((kind) =>
      body.appendChild(legendRow(symbolSwatch(kind, "#8a949e"), config.kinds[kind], kinds[kind])));
  }

  function symbolSwatch(kind, colour) {
    const swatch = element("span", "dudao-symbol");
    swatch.appendChild(symbol(kind, colour, false));
    return swatch;
  }

  function notice(text) {
    state.notice.textContent = text || "";
    state.notice.hidden = !text;
  }

  /* ---------- the frame of it all ---------- */

  function setUp(map) {
    state.map = map;
    map.setMaxZoom(MAX_ZOOM);
    labelPane(map);
    state.labels = new Labels({ markers: () => state.markers }).addTo(map);
    state.sites = L.markerClusterGroup({
      animate: false, disableClusteringAtZoom: 14,
      maxClusterRadius: () => (state.siteCount <= FEW_SITES ? 8 : 40),
      showCoverageOnHover: false, spiderfyOnMaxZoom: true, iconCreateFunction: clusterIcon,
    }).addTo(map);
    state.legend = element("div", "dudao-legend");
    makeRoom();
    control(map, "bottomleft", state.legend);
    state.home = element("button", "dudao-button dudao-home", "⤢");
    state.home.onclick = () => {
      state.touched = false;
      fit();
    };
    control(map, "topleft", state.home);
    state.switch = element("button", "dudao-button dudao-switch");
    state.switch.onclick = () => {
      state.sitesWanted = !sitesShown(state.config);
      show(map, state.config);
    };
    control(map, "topright", state.switch);
    state.side = element("button", "dudao-button dudao-side");
    state.side.onclick = () => api.beside.toggle();
    control(map, "topright", state.side);
    state.notice = element("div", "dudao-notice");
    state.notice.hidden = true;
    state.notice.setAttribute("role", "status");
    map.getContainer().appendChild(state.notice);
    const page = window.parent.document;
    page.addEventListener("click", layerClicked, true);
    window.addEventListener("pagehide", () => page.removeEventListener("click", layerClicked, true));
    map.on("dragstart zoomstart", () => { if (!state.fitting) state.touched = true; });
    map.on("resize", () => {
      makeRoom();
      refit();
    });
    behave(map, map.getContainer());
  }

  /* A narrow map has its legend folded, above the months. */
  function makeRoom() {
    const narrow = state.map.getSize().x < ROOM_FOR_LEGEND;
    if (state.narrow === narrow) return;
    state.narrow = narrow;
    state.map.getContainer().classList.toggle("narrow", narrow);
    state.legend.classList.toggle("folded", narrow);
  }

  function labelPane(map) {
    map.createPane("labels").style.zIndex = 450;
    map.getPane("labels").style.pointerEvents = "none";
  }

  function control(map, position, content) {
    const made = L.control({ position: position });
    made.onAdd = () => {
      if (content.tagName === "BUTTON") content.type = "button";
      L.DomEvent.disableClickPropagation(content);
      L.DomEvent.disableScrollPropagation(content);
      return content;
    };
    made.addTo(map);
  }

  /* The map as a good part of a page that scrolls. */
  function behave(map, container) {
    /* Leaflet focuses the map on every mouse click, and a plain focus scrolls the page around the
       frame in the middle of that click. */
    container.focus = () => HTMLElement.prototype.focus.call(container, { preventScroll: true });
    /* The focus ring is for those who came by keyboard. */
    document.addEventListener("keydown", () => container.classList.add("by-keyboard"));
    document.addEventListener("pointerdown",
      () => container.classList.remove("by-keyboard"), true);
    /* Leaflet only hears of the window's size, not that a late style sheet changed the map's. */
    new ResizeObserver(() => map.invalidateSize({ pan: false })).observe(container);
    /* One finger scrolls the page, two move the map: else a phone cannot get past the map. */
    if (L.Browser.mobile) map.dragging.disable();
  }

  /* The words of the controls, anew with every view: the language may have changed. */
  function nameControls(map, config) {
    const on = sitesShown(config);
    state.switch.textContent = `${on ? "☑" : "☐"} ${config.sitesTitle}`;
    state.switch.setAttribute("aria-pressed", String(on));
    state.side.textContent = config.besideWords.title;
    state.side.setAttribute("aria-pressed", String(Boolean(config.beside)));
    [[map.zoomControl._zoomInButton, config.zoomIn], [map.zoomControl._zoomOutButton,
      config.zoomOut], [state.home, config.fitTitle]].forEach(([button, title]) => {
      button.title = title;
      button.setAttribute("aria-label", title);
    });
    map.getContainer().setAttribute("aria-label", `${config.layerTitle} ${config.title}`);
  }

  /* What is said about the polygons drawn, of a month: their names and the legend. */
  function write(config, month) {
    state.month = month;
    nameAll(config);
    drawLegend(config);
  }

  function nameAll(config) {
    state.labels.show(state.features.map((feature) => label(config, feature, state.month)));
  }

  /* Another answer of the view in place of its own, of another month, until the next drawing. */
  function paint(config, body, month) {
    hover.close();
    state.drawing = null;
    draw(state.map, config, body);
    write(config, month);
  }

  function fit() {
    if (!state.bounds) return;
    /* Nothing may lie under the legend, the months or the buttons above; nor beyond a second map
       that is lower than this one and has the same middle. */
    const left = state.narrow ? 0 : state.legend.offsetWidth;
    const lower = api.beside.lower(state.map) / 2;
    const above = state.switch.offsetHeight + lower;
    const below = api.timeline.height() + (state.narrow ? LEGEND_HEAD : 0) + lower;
    const room = state.map.getSize();
    /* Before the frame has its size there is no room to fit into; a resize follows. */
    if (Math.min(room.x - left, room.y - above - below) < ROOM_TO_FIT) return;
    state.fitting = true;
    state.map.fitBounds(state.bounds, {
      animate: false, paddingTopLeft: [FIT_PADDING + left, FIT_PADDING + above],
      paddingBottomRight: [FIT_PADDING, FIT_PADDING + below],
    });
    state.fitting = false;
    state.fitted = true;
  }

  /* Again into other room, unless the reader has moved the map. */
  function refit() {
    if (!state.touched) fit();
  }

  function fitToSites() {
    const bounds = L.latLngBounds([]);
    state.markers.forEach((marker) => bounds.extend(marker.getLatLng()));
    if (!state.bounds && bounds.isValid()) state.bounds = bounds.pad(0.2);
  }

  /* Villages show their clinics by themselves; above them, and where two maps are compared, clinics
     would hide the colours: there they wait for the switch, which holds from then on. */
  function sitesShown(config) {
    return state.sitesWanted === null ? config.sitesOn && !config.beside : state.sitesWanted;
  }

  /* A rerun's configuration, completed with the look of its layer. */
  function show(map, sent) {
    if (!state.map) setUp(map);
    const url = `${sent.layersUrl}/${sent.layer}/${sent.tail}${sent.query}`;
    const config = { ...sent, ...sent.look, url: url };
    const order = ++state.order;
    const drawing = JSON.stringify([sitesShown(config), { ...config, selected: null, site: null }]);
    if (drawing === state.drawing) {
      mark(config);
      return;
    }
    Promise.all([fetchJson(config.url), fetchJson(sitesShown(config) && config.sitesUrl)]).then(([shapes, sites]) => {
      if (order !== state.order) return;
      hover.close();
      if (!state.config || state.config.doubtsUrl !== config.doubtsUrl) state.doubts = {};
      state.config = config;
      state.drawing = drawing;
      draw(map, config, shapes);
      drawSites(map, config, sites);
      write(config, config.month);
      nameControls(map, config);
      api.timeline.show(map, config);
      api.beside.show(map, config);
      if (!state.bounds) fitToSites();
      notice(state.paths.size ? "" : config.empty);
      if (state.place !== config.place) {
        state.place = config.place;
        state.touched = false;
        fit();
      }
      drawn(config);
      showDoubts(config, order);
    }).catch((error) => {
      if (order !== state.order) return;
      state.config = config;
      state.drawing = null;
      notice(config.failed);
      state.map.getContainer().dataset.failed = String(error.message);
    });
  }

  /* Marks the places whose figures are doubted; they come after the colours, for finding them takes
     longer. */
  function showDoubts(config, order) {
    fetchJson(config.doubtsUrl).then((doubts) => {
      if (order !== state.order) return;
      state.doubts = doubts || {};
      nameAll(config);
    }).catch(() => undefined);
  }

  /* A click on another layer of the same view, in the side bar or the panel: draw it now. The page
     runs meanwhile, and what it sends then is this same drawing. */
  function layerClicked(event) {
    if (!state.config || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const link = event.target.closest("a[href^='?']");
    if (!link) return;
    const asked = new URLSearchParams(link.getAttribute("href"));
    const place = state.config.selected || state.config.place;
    if (asked.get("place") !== place || asked.get("month") !== state.config.month) return;
    /* How a layer looks in another mode than its values is known to Python alone. */
    if (state.config.query || asked.get("show")) return;
    const layer = asked.get("layer");
    if (state.looks && layer in state.looks && layer !== state.config.layer) {
      show(state.map, { ...state.config, layer: layer, look: state.looks[layer] });
    }
  }

  /* The same drawing with another place or institution chosen. */
  function mark(config) {
    const before = state.config;
    state.config = config;
    [before.selected, config.selected].filter((id) => state.paths.has(id)).forEach((id) => {
      const path = state.paths.get(id);
      path.setStyle(look(config, path.feature));
    });
    if (state.paths.has(config.selected)) state.paths.get(config.selected).bringToFront();
    [before.site, config.site].filter((id) => state.markers.has(id)).forEach((id) => {
      const marker = state.markers.get(id);
      marker.setIcon(siteIcon(config, marker.feature.properties));
      marker.setZIndexOffset(id === config.site ? 1000 : 0);
    });
    drawn(config);
  }

  /* Said after the canvas has really been painted: what tests and the bench wait for. */
  function drawn(config) {
    requestAnimationFrame(() => setTimeout(() => {
      api.drawn = { url: config.url, polygons: state.paths.size, sites: state.markers.size,
        labels: state.labels.written, at: performance.timeOrigin + performance.now(),
        selected: config.selected, site: config.site };
      document.body.dataset.drawn = config.url;
      clearTimeout(state.ahead);
      state.ahead = setTimeout(() => fetchLayersAhead(config), IDLE_MS);
    }, 0));
  }

  /* How all layers are drawn: the same for every view of a language, so fetched once. */
  async function fetchLooks(config) {
    if (state.looksUrl !== config.looksUrl) {
      const looks = await fetchJson(config.looksUrl).catch(() => null);
      if (looks) Object.assign(state, { looks: looks, looksUrl: config.looksUrl });
    }
    return state.looks || {};
  }

  /* While the reader reads: the same view in the other layers of the group, one after the other. */
  async function fetchLayersAhead(config) {
    const looks = await fetchLooks(config);
    if (navigator.connection && navigator.connection.saveData) return;
    const others = Object.keys(looks).filter(
      (layer) => layer !== config.layer && looks[layer].group === config.group);
    for (const layer of others.slice(0, LAYERS_AHEAD)) {
      if (state.config !== config) return;
      await fetchJson(`${config.layersUrl}/${layer}/${config.tail}${config.query}`).catch(() => undefined);
    }
  }

  const api = {
    show, paint, refit, fetchJson, fetchLooks, fetchAhead, pick, drawn: null, state,
    parts: { Labels, control, element, label, labelPane, legendBody, legendHead, look, number, tipBox, tipLines },
  };
  window.dudao = api;
})();
