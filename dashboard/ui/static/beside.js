/* A second map beside the first: the same places in another layer or another month. It follows the
   first one's extent, and the first follows it. Python only hears which layer and month it shows. */
(function () {
  "use strict";

  const YEAR = 12;
  const { Labels, control, element, label, labelPane, legendBody, legendHead, look, number, tipBox,
    tipLines } = dudao.parts;
  const side = { box: null, map: null, paths: new Map(), features: [], drawn: null, order: 0 };

  function build(main) {
    side.box = element("div", "dudao-beside");
    const room = element("div", "dudao-beside-map");
    const head = element("div", "dudao-beside-head");
    side.layers = element("select", "dudao-pick");
    side.months = element("select", "dudao-pick");
    side.close = element("button", "dudao-button", "×");
    side.close.type = "button";
    side.close.onclick = () => dudao.pick("beside", "");
    side.layers.onchange = side.months.onchange = () =>
      dudao.pick("beside", `${side.layers.value}~${side.months.value}`);
    head.append(side.layers, side.months, side.close);
    side.box.append(head, room);
    main.getContainer().parentElement.appendChild(side.box);
    side.map = L.map(room, { ...main.options, zoomControl: false, attributionControl: false,
      layers: [] });
    main.eachLayer((layer) => {
      if (layer instanceof L.TileLayer) L.tileLayer(layer._url, layer.options).addTo(side.map);
    });
    labelPane(side.map);
    side.labels = new Labels({ markers: () => new Map() }).addTo(side.map);
    side.legend = element("div", "dudao-legend folded");
    control(side.map, "bottomleft", side.legend);
    if (L.Browser.mobile) side.map.dragging.disable();
    side.tip = L.tooltip({ direction: "top", offset: [0, -8], opacity: 1, className: "dudao-tip" });
    follow(main, side.map);
    follow(side.map, main);
    /* How much lower it is than the first map decides how that one fits. */
    new ResizeObserver(() => {
      side.map.invalidateSize({ pan: false });
      dudao.refit();
    }).observe(room);
  }

  /* One moves, the other goes along; a map that is being moved along moves nobody. */
  function follow(leader, follower) {
    leader.on("move", () => {
      if (side.following || side.box.hidden) return;
      side.following = true;
      follower.setView(leader.getCenter(), leader.getZoom(), { animate: false });
      side.following = false;
    });
  }

  /* Called by map.js after every drawing of a view. */
  function show(main, config) {
    const wanted = Boolean(config.beside);
    document.body.classList.toggle("beside", wanted);
    if (side.box) side.box.hidden = !wanted;
    if (!wanted) {
      side.drawn = null;
      return;
    }
    if (!side.box) build(main);
    const mine = { ...config, ...config.beside.look, layer: config.beside.layer, notes: [] };
    const order = ++side.order;
    fill(config);
    dudao.fetchJson(config.beside.url).then((body) => {
      if (order !== side.order) return;
      draw(mine, body);
      side.map.invalidateSize({ pan: false });
      side.map.setView(main.getCenter(), main.getZoom(), { animate: false });
      side.drawn = { url: config.beside.url, polygons: side.paths.size };
    }).catch(() => {
      if (order === side.order) side.legend.replaceChildren(element("div", "dudao-note", config.failed));
    });
  }

  /* The layers in their groups and the months, with what is shown chosen. */
  async function fill(config) {
    const words = config.besideWords;
    side.layers.setAttribute("aria-label", words.layer);
    side.months.setAttribute("aria-label", words.month);
    side.close.title = words.close;
    side.close.setAttribute("aria-label", words.close);
    side.months.replaceChildren(...[...config.timeline].reverse().map(([month, name]) =>
      option(month, name, month === config.beside.month)));
    const looks = await dudao.fetchLooks(config);
    if (!config.beside) return;
    const groups = new Map();
    Object.entries(looks).forEach(([layer, its]) => {
      if (!groups.has(its.group)) {
        groups.set(its.group, document.createElement("optgroup"));
        groups.get(its.group).label = its.group;
      }
      groups.get(its.group).append(option(layer, its.layerTitle, layer === config.beside.layer));
    });
    side.layers.replaceChildren(...groups.values());
  }

  function option(value, text, chosen) {
    return new Option(text, value, chosen, chosen);
  }

  function draw(config, body) {
    side.paths.forEach((path) => side.map.removeLayer(path));
    side.paths = new Map();
    side.features = body.features.filter((feature) => feature.geometry);
    L.geoJSON({ type: "FeatureCollection", features: side.features }, {
      style: (feature) => look(config, feature),
      onEachFeature: (feature, path) => {
        const id = feature.properties.id;
        side.paths.set(id, path);
        path.on("click", () => {
          dudao.fetchAhead(dudao.state.config, id);
          dudao.pick("place", id);
        });
        path.on("mouseover", (event) => enter(config, path, event));
        path.on("mousemove", (event) => side.tip.setLatLng(event.latlng));
        path.on("mouseout", () => leave(config, path));
      },
    });
    side.paths.forEach((path) => path.addTo(side.map));
    side.labels.show(side.features.map((feature) => label(config, feature, config.beside.month)));
    side.legend.replaceChildren(legendHead(side.legend, config.layerTitle),
      legendBody(config, body.counts));
  }

  function enter(config, path, event) {
    const p = path.feature.properties;
    path.setStyle({ weight: 3.5, opacity: 1, color: "#17212b", dashArray: null });
    path.bringToFront();
    side.tip.setContent(tipBox([...tipLines(config, p, config.beside.month), ...apart(config, p)]));
    side.tip.setLatLng(event.latlng).addTo(side.map);
  }

  /* How far the value lies from the first map's, where both are the same layer. */
  function apart(config, p) {
    const other = dudao.state.paths.get(p.id);
    if (!other || dudao.state.config.layer !== config.layer) return [];
    const first = other.feature.properties;
    if (p.v === null || first.v === null) return [];
    const moved = p.v - first.v;
    const text = (moved > 0 ? "+" : "") + number(moved, config.decimals);
    return [[dudao.state.config.besideWords.apart.replace("{change}", text), "note"]];
  }

  function leave(config, path) {
    path.setStyle(look(config, path.feature));
    side.tip.remove();
  }

  /* Opened on the same layer a year ago, or as far back as there are months; closed when open. */
  function toggle() {
    const config = dudao.state.config;
    if (config.beside) {
      dudao.pick("beside", "");
      return;
    }
    const at = config.timeline.findIndex(([month]) => month === config.month);
    const [month] = config.timeline[Math.max(at - YEAR, 0)];
    dudao.pick("beside", `${config.layer}~${month}`);
  }

  /* How much lower the second map is than the first; 0 while there is one only. */
  function lower(main) {
    return side.box && !side.box.hidden
      ? Math.max(0, main.getSize().y - side.map.getSize().y) : 0;
  }

  dudao.beside = { show, toggle, lower, side };
})();
