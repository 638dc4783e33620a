// The inspector: its state, what is drawn when it changes, and the keys.

const TELLS_TARGET = ["difference", "boundary"]; // overlays that say who is right

function openInspector() {
  const set = JSON.parse(document.getElementById("meta").textContent);
  const isFramed = window.parent !== window, memory = `workbench-inspector ${set.comparison} ${set.patches.length}`;
  const state = {
    at: 0, mode: "side", overlay: "", left: "a", right: "b", divider: 0.5, flip: false, playing: false, hertz: 1,
    closed: [], shown: set.classes.map(() => true), palette: "safe", composite: set.patches[0].pictures[0] ?? "", rgb: firstBands(set),
    sort: set.sortBy, descending: true, filterClass: null, filterSize: 0, tolerance: 1, swapped: false,
    blind: false, rater: "rater 1", votes: {}, details: window.innerWidth >= 980, theme: "", view: { x: 0, y: 0, zoom: 1 }, probe: null, focus: null,
  };
  const store = patchStore(set), app = { set, state, patch: null, order: [], layers: layerMaker(set) };
  let asked = 0, ticking = 0, saving = 0;

  // ---- what is shown where
  const pair = () => (state.swapped ? ["b", "a"] : ["a", "b"]);
  app.models = () => (state.blind ? ["left", "right"] : pair());
  // Who votes blind judges by the image alone: the target would tell who is right.
  app.sources = () => ["image", ...(state.blind ? [] : ["target"]), ...app.models()];
  app.modelOf = (source, patch = app.patch) => {
    if (source !== "left" && source !== "right") return source;
    return firstIsLeft(set.seed, state.rater, patch?.meta.id ?? "") === (source === "left") ? "a" : "b";
  };
  app.nameOf = (source) => ({ image: "Image", target: "Target", left: "Left", right: "Right", a: set.labels[0], b: set.labels[1] })[source];
  app.fullName = (source) => ({ a: set.names[0], b: set.names[1] })[source] ?? app.nameOf(source);
  app.colourOf = (k) => (set.classes[k] ? (state.shown[k] ? set.classes[k][state.palette] : HIDDEN_COLOUR) : IGNORED_COLOUR);
  app.look = (patch = app.patch) => ({
    palette: state.palette, shown: state.shown, tolerance: state.tolerance, composite: state.composite, rgb: state.rgb,
    first: app.modelOf(app.models()[0], patch), second: app.modelOf(app.models()[1], patch),
  });
  app.linesOver = (source, patch = app.patch) => {
    const look = app.look(patch), outline = (model) => app.layers.outline(patch, model, look), model = app.modelOf(source, patch);
    const isModel = model === "a" || model === "b";
    if (state.blind) {
      if (state.overlay !== "outline") return [];
      return isModel ? [outline(model)] : [outline(look.first), outline(look.second)];
    }
    if (state.overlay === "boundary") return [isModel ? app.layers.boundary(patch, model, look) : outline("target")];
    if (state.overlay !== "outline") return [];
    if (source === "image") return [outline("target"), outline(look.first), outline(look.second)];
    return isModel ? [outline("target"), outline(model)] : [outline("target")];
  };
  app.isDark = () => document.body.dataset.theme === "dark";
  app.measureText = (name) => name === "A right, B wrong" ? `only ${set.labels[0]} right` : name === "B right, A wrong" ? `only ${set.labels[1]} right` : name;
  app.scoreText = (index) => {
    const value = set.patches[index].scores[set.measures.indexOf(state.sort)];
    return value === undefined ? "" : value === null ? "–" : String(+value.toPrecision(3));
  };
  app.pixelsOf = (patch) => {
    const key = `pixels ${state.composite} ${state.rgb}`, known = patch.layers.get(key);
    if (known) return known;
    const canvas = node("canvas", { width: patch.width, height: patch.height }), context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(app.layers.picture(patch, app.look()), 0, 0);
    return patch.layers.set(key, context.getImageData(0, 0, patch.width, patch.height).data);
  };

  // ---- drawing: once a frame, whatever changed
  app.render = () => { if (!asked) asked = requestAnimationFrame(frame); };
  app.renderStrip = () => app.render();

  function frame() {
    asked = 0;
    const index = app.order[state.at];
    document.body.classList.toggle("empty", index === undefined);
    if (index !== undefined) {
      const patch = store.peek(index);
      if (!patch) store.load(index).then(app.render, fail);
      else if (patch !== app.patch) show(patch);
    }
    panes.paint();
    probe.paint();
    strip.paint();
    ballot.paint();
    paintTexts();
    const drawn = app.isShown();
    document.body.dataset.patch = drawn ? app.patch.meta.id : "";
    if (drawn || index === undefined) {
      document.body.dataset.ready = "true";
      document.dispatchEvent(new CustomEvent("inspector-drawn"));
      near(index);
    }
  }

  app.isShown = () => Boolean(app.patch) && app.patch.index === app.order[state.at];

  function show(patch) {
    ballot.begin();
    const sameSize = app.patch && app.patch.width === patch.width && app.patch.height === patch.height;
    const hadBands = app.patch?.spectra?.bands ?? 0;
    app.patch = patch;
    if (!sameSize) {
      state.view = { x: patch.width / 2, y: patch.height / 2, zoom: state.view.zoom };
      panes.build();
    }
    if (state.probe && (state.probe.x >= patch.width || state.probe.y >= patch.height)) state.probe = null;
    if (state.composite && !patch.pictures.has(state.composite)) state.composite = patch.meta.pictures[0] ?? "";
    if ((patch.spectra?.bands ?? 0) !== hadBands) buildOptions(app);
  }

  // The neighbours are decoded while nothing else is to be done, so that the next key finds them.
  function near(index) {
    const idle = window.requestIdleCallback ?? ((work) => setTimeout(work, 50));
    const others = [1, -1, 2].map((step) => app.order[state.at + step]).filter((other) => other !== undefined && other !== index);
    idle(() => others.forEach((other) => store.load(other).then((patch) => idle(() => panes.prepare(patch)), fail)));
  }

  function fail(error) {
    document.getElementById("key").textContent = `This patch cannot be shown: ${error.message}`;
    console.error(error);
  }

  function paintTexts() {
    const text = (id, value) => { const element = document.getElementById(id); if (element.textContent !== value) element.textContent = value; };
    const index = app.order[state.at];
    text("zoom-level", `${Math.round(100 * state.view.zoom)} %`);
    text("place", index === undefined ? "No patch passes the filters" : `${state.at + 1} of ${app.order.length}: ${set.patches[index].id}`);
    text("count", app.order.length < set.patches.length ? `${app.order.length} of ${set.patches.length} pass` : "");
    document.getElementById("place").title = index === undefined ? "" : set.patches[index].id;
    for (const button of document.querySelectorAll("[data-mode]")) button.ariaPressed = String(button.dataset.mode === state.mode);
    for (const button of document.querySelectorAll("[data-overlay]")) button.ariaPressed = String(button.dataset.overlay === state.overlay);
    for (const [id, on] of [["blind", state.blind], ["details", state.details], ["swap", state.swapped]]) document.getElementById(id).ariaPressed = String(on);
    document.getElementById("swap").disabled = state.blind;
    for (const button of document.querySelectorAll("[data-overlay]")) button.disabled = state.blind && TELLS_TARGET.includes(button.dataset.overlay);
    document.getElementById("side").hidden = !state.details;
    text("direction", state.descending ? "↓" : "↑");
    document.getElementById("direction").ariaLabel = state.descending ? "Highest first" : "Lowest first";
    paintKey(app);
    paintScores(app);
  }

  // ---- changes
  app.change = (values) => {
    Object.assign(state, values);
    app.remember();
    app.render();
  };
  app.rebuild = () => {
    document.body.dataset.theme = state.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    const sources = app.sources(), other = { a: "left", b: "right", left: "a", right: "b" };
    if (state.blind && TELLS_TARGET.includes(state.overlay)) state.overlay = "";
    for (const side of ["left", "right"]) if (!sources.includes(state[side])) state[side] = other[state[side]] ?? "image";
    state.closed = state.closed.filter((source) => sources.includes(source));
    buildOptions(app);
    buildLegend(app);
    panes.build();
    probe.build();
    app.render();
  };
  // `keep` stays shown if it passes the filters; with null the first of the new order is.
  app.reorder = (keep = app.order[state.at]) => {
    app.order = orderedPatches(set, state);
    app.go(Math.max(0, app.order.indexOf(keep)));
  };
  app.go = (place) => {
    state.at = Math.max(0, Math.min(app.order.length - 1, place));
    strip.reveal();
    app.remember();
    app.render();
    const index = app.order[state.at];
    if (index !== undefined) app.tell("select", { patch: set.patches[index].id });
  };
  app.togglePane = (source) => {
    const closed = state.closed.includes(source) ? state.closed.filter((one) => one !== source) : [...state.closed, source];
    if (closed.length < 4) app.change({ closed });
    app.rebuild();
  };
  app.setMode = (mode) => { app.play(false); app.change({ mode }); app.rebuild(); };
  app.setOverlay = (overlay) => { if (state.blind && TELLS_TARGET.includes(overlay)) return; app.change({ overlay: overlay === state.overlay ? "" : overlay }); buildOptions(app); };
  app.setBlind = (blind) => { app.change({ blind }); fillSort(); app.rebuild(); ballot.begin(); };
  app.play = (playing) => {
    clearTimeout(ticking);
    state.playing = playing;
    const tick = () => { app.change({ flip: !state.flip }); ticking = setTimeout(tick, 1000 / state.hertz); };
    if (playing) ticking = setTimeout(tick, 1000 / state.hertz);
  };
  app.probe = (probe) => { state.probe = probe; state.focus = probe ?? state.focus; app.render(); };
  // The pixel under the magnifier: the cursor's, else where it was last, else the middle.
  app.focus = () => {
    const { width, height } = app.patch, focus = state.probe ?? state.focus;
    return focus && focus.x < width && focus.y < height ? focus : { x: width >> 1, y: height >> 1 };
  };
  app.centred = () => {
    const [width, height] = panes.size(), at = placed(state.view, app.patch, width, height);
    return { x: (width / 2 - at.x0) / at.scale, y: (height / 2 - at.y0) / at.scale };
  };
  app.moveTo = ({ x, y }) => app.change({ view: { ...state.view, x: Math.min(app.patch.width, Math.max(0, x)), y: Math.min(app.patch.height, Math.max(0, y)) } });
  // `around` stays where it is; zoomed in at most until a pixel is 40 CSS pixels wide.
  app.zoom = (factor, around = null) => {
    if (!app.patch) return;
    const centre = app.centred(), [width, height] = panes.size();
    const most = Math.max(1, 40 / Math.min(width / app.patch.width, height / app.patch.height));
    const zoom = Math.min(most, Math.max(1, state.view.zoom * factor)), real = zoom / state.view.zoom, fixed = around ?? centre;
    app.change({ view: { zoom, x: fixed.x - (fixed.x - centre.x) / real, y: fixed.y - (fixed.y - centre.y) / real } });
  };
  app.fit = () => app.change({ view: { x: app.patch.width / 2, y: app.patch.height / 2, zoom: 1 } });
  app.voted = (index) => ballot.voted(set.patches[index].id);

  // ---- what outlives the page, where the browser allows it; and who else is told
  app.remember = () => { clearTimeout(saving); saving = setTimeout(app.save, 250); };
  app.save = () => {
    clearTimeout(saving);
    const { probe: _, focus: __, playing: ___, at: ____, ...kept } = state;
    try { localStorage.setItem(memory, JSON.stringify({ ...kept, patch: set.patches[app.order[state.at]]?.id })); } catch { /* a notebook's frame has no storage */ }
  };
  function recall() {
    try {
      const { patch, ...kept } = JSON.parse(localStorage.getItem(memory)) ?? {};
      Object.assign(state, kept);
      return set.patches.findIndex((meta) => meta.id === patch);
    } catch { return -1; }
  }
  app.tell = (kind, values) => { if (isFramed) window.parent.postMessage({ source: "workbench-inspector", comparison: set.comparison, kind, ...values }, "*"); };
  window.addEventListener("message", ({ source, data }) => {
    if (!isFramed || source !== window.parent || data?.source !== "workbench-host") return;
    if (data.kind === "theme") { state.theme = data.theme === "dark" ? "dark" : "light"; app.rebuild(); }
    if (data.kind === "votes") app.change({ votes: Object.fromEntries(data.votes.map((vote) => [`${vote.rater}\n${vote.patch}`, vote])) });
    if (data.kind === "select") {
      const place = app.order.findIndex((k) => set.patches[k].id === data.patch);
      if (place >= 0 && place !== state.at) app.go(place);
    }
  });

  // ---- controls
  function fillSort() {
    const hidden = state.blind ? ["A right, B wrong", "B right, A wrong"] : [];
    const names = set.measures.filter((name) => !hidden.includes(name)), sort = document.getElementById("sort");
    sort.replaceChildren(...names.map((name) => node("option", { value: name, textContent: app.measureText(name) })), node("option", { value: "", textContent: "given order" }));
    if (state.sort && !names.includes(state.sort)) { state.sort = set.sortBy; app.reorder(); }
    sort.value = state.sort;
  }
  function fillFilters() {
    const classes = document.getElementById("filter-class"), sizes = document.getElementById("filter-size");
    const areas = [4, 16, 64, 256, 1024, 4096].map((pixels) => pixels * set.gsd ** 2);
    const hectares = (area) => (area < 1e4 ? `${+area.toPrecision(3)} m²` : area < 1e6 ? `${+(area / 1e4).toPrecision(3)} ha` : `${+(area / 1e6).toPrecision(3)} km²`);
    classes.replaceChildren(node("option", { value: "", textContent: "any" }), ...set.classes.map((one, k) => node("option", { value: k, textContent: one.name })));
    sizes.replaceChildren(node("option", { value: 0, textContent: "any size" }), ...areas.map((area) => node("option", { value: area, textContent: hectares(area) })));
    classes.value = state.filterClass ?? "";
    sizes.value = state.filterSize;
    classes.onchange = () => { state.filterClass = classes.value === "" ? null : +classes.value; app.reorder(); };
    sizes.onchange = () => { state.filterSize = +sizes.value; app.reorder(); };
  }
  function wire() {
    const on = (id, work) => document.getElementById(id).addEventListener("click", work);
    for (const button of document.querySelectorAll("[data-mode]")) button.onclick = () => app.setMode(button.dataset.mode);
    for (const button of document.querySelectorAll("[data-overlay]")) button.onclick = () => app.setOverlay(button.dataset.overlay);
    const sort = document.getElementById("sort"), actions = {
      "zoom-in": "+", "zoom-out": "-", "zoom-fit": "0", swap: "x", blind: "v", details: "m", theme: "t", help: "?", previous: "ArrowLeft", next: "ArrowRight",
    };
    for (const [id, key] of Object.entries(actions)) on(id, () => commands[key]());
    on("direction", () => { state.descending = !state.descending; app.reorder(null); });
    sort.onchange = () => { state.sort = sort.value; app.reorder(null); };
  }

  const commands = {
    ArrowRight: () => app.go(state.at + 1), ArrowLeft: () => app.go(state.at - 1), n: () => app.go(state.at + 1), p: () => app.go(state.at - 1),
    Home: () => app.go(0), End: () => app.go(app.order.length - 1),
    s: () => app.setMode("side"), w: () => app.setMode("swipe"), f: () => app.setMode("flicker"),
    d: () => app.setOverlay("difference"), b: () => app.setOverlay("boundary"), o: () => app.setOverlay("outline"),
    "+": () => app.zoom(1.5), "=": () => app.zoom(1.5), "-": () => app.zoom(1 / 1.5), "0": () => app.fit(),
    ",": () => app.change({ divider: Math.max(0, state.divider - 0.05) }), ".": () => app.change({ divider: Math.min(1, state.divider + 0.05) }),
    " ": () => state.mode === "flicker" && app.change({ flip: !state.flip }),
    m: () => { app.change({ details: !state.details }); }, x: () => { if (!state.blind) { app.change({ swapped: !state.swapped, left: state.right, right: state.left }); app.rebuild(); } },
    v: () => app.setBlind(!state.blind), t: () => { app.change({ theme: app.isDark() ? "light" : "dark" }); app.rebuild(); },
    "?": () => document.getElementById("keys").showModal(),
    1: () => ballot.cast("left"), 2: () => ballot.cast("tie"), 3: () => ballot.cast("right"),
  };
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  document.addEventListener("keydown", (event) => {
    const target = event.target, isButton = target.closest?.("button");
    if (target.matches?.("input, select, textarea") || document.getElementById("keys").open || event.ctrlKey || event.metaKey) return;
    if (isButton && (event.key === " " || event.key === "Enter")) return;
    const arrow = ARROWS[event.key];
    if (arrow && event.shiftKey) moveProbe(arrow, event.altKey ? 10 : 1);
    else if (arrow && target.matches?.(".divider")) app.change({ divider: Math.min(1, Math.max(0, state.divider + 0.02 * (arrow[0] - arrow[1]))) });
    else {
      const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      if (event.altKey || !commands[key]) return;
      commands[key]();
    }
    event.preventDefault();
  });

  // By key the cursor moves a pixel at a time, and the view follows it.
  function moveProbe([dx, dy], step) {
    if (!app.patch) return;
    const { width, height } = app.patch, old = app.focus();
    const probe = { x: Math.min(width - 1, Math.max(0, old.x + dx * step)), y: Math.min(height - 1, Math.max(0, old.y + dy * step)) };
    const [wide, high] = panes.size(), at = placed(state.view, app.patch, wide, high);
    const sx = at.x0 + probe.x * at.scale, sy = at.y0 + probe.y * at.scale;
    if (sx < 0 || sy < 0 || sx + at.scale > wide || sy + at.scale > high) app.moveTo(probe);
    app.probe(probe);
  }

  const remembered = recall();
  const panes = panesOf(app), probe = probePanel(app), strip = stripOf(app), ballot = ballotOf(app);
  Object.assign(document.getElementById("title"), { textContent: document.title, title: document.title });
  buildKeys();
  fillSort();
  fillFilters();
  wire();
  app.rebuild();
  app.reorder(remembered < 0 ? undefined : remembered);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", app.rebuild);
  window.addEventListener("resize", app.render);
  window.addEventListener("pagehide", app.save);
  app.tell("ready", {});
  return app;
}

// Red, green and blue of the first bands composite: near 660, 560 and 480 nm if wavelengths are known.
function firstBands(set) {
  const nearest = (nm) => set.wavelengths.reduce((best, w, k) => (w !== null && Math.abs(w - nm) < Math.abs((set.wavelengths[best] ?? 1e9) - nm) ? k : best), 0);
  return set.wavelengths.some((nm) => nm !== null) ? [660, 560, 480].map(nearest) : [0, 1, 2];
}

window.inspector = openInspector();
