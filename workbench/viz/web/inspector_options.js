// The controls that depend on what is shown, and the texts around the panes.

function node(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function selectOf(choices, value, onchange) {
  const select = node("select", {}, ...choices.map(([key, text]) => node("option", { value: key, textContent: text })));
  select.value = value;
  select.addEventListener("change", () => onchange(select.value));
  return select;
}

function toggleOf(text, pressed, title, onclick) {
  return node("button", { textContent: text, ariaPressed: String(pressed), title, onclick });
}

// The second row of tools: what is compared, how fast, how tolerant, in which colours.
function buildOptions(app) {
  const { state, set } = app, parts = [], named = app.sources().map((source) => [source, app.nameOf(source)]);
  if (state.mode === "side") {
    parts.push(node("span", { className: "group soft", role: "group", ariaLabel: "Panes" },
      ...named.map(([source, name]) => toggleOf(name, !state.closed.includes(source), `Show this pane: ${app.fullName(source)}`, () => app.togglePane(source)))));
  } else {
    const pick = (side) => selectOf(named, state[side], (source) => { app.change({ [side]: source }); app.rebuild(); });
    parts.push(node("label", {}, state.mode === "swipe" ? "Left " : "First ", pick("left")), node("label", {}, state.mode === "swipe" ? "Right " : "Second ", pick("right")));
  }
  if (state.mode === "flicker") parts.push(...flickerControls(app));
  if (state.overlay === "boundary") parts.push(toleranceControl(app));
  parts.push(...compositeControls(app));
  parts.push(node("label", {}, "Colours ", selectOf([["safe", "colour-blind safe"], ["colour", "as in the legend"]], state.palette, (palette) => app.change({ palette }))));
  if (set.patches.length < set.total) parts.push(node("span", { className: "note", textContent: `${set.patches.length} of ${set.total} patches in this view: those highest by ${set.sortBy}` }));
  document.getElementById("options").replaceChildren(...parts);
}

function flickerControls(app) {
  const { state } = app;
  const speed = node("input", { type: "range", min: "0.5", max: "3", step: "0.5", value: state.hertz, ariaLabel: "Changes per second" });
  const told = node("output", { textContent: `${state.hertz} Hz` });
  speed.addEventListener("input", () => { app.change({ hertz: +speed.value }); told.textContent = `${state.hertz} Hz`; });
  return [
    node("button", { id: "flip", textContent: "Flip", title: "The other one (space)", onclick: () => app.change({ flip: !state.flip }) }),
    toggleOf("Play", state.playing, "Change by itself", (event) => { app.play(!state.playing); event.target.ariaPressed = String(state.playing); }),
    node("label", {}, speed, told),
  ];
}

function toleranceControl(app) {
  const { state, set } = app, text = () => `${state.tolerance} px = ${metresText(state.tolerance * set.gsd)}`;
  const slider = node("input", { type: "range", id: "tolerance", min: "0", max: "12", step: "1", value: state.tolerance });
  const told = node("output", { textContent: text() });
  slider.addEventListener("input", () => { app.change({ tolerance: +slider.value }); told.textContent = text(); });
  return node("label", {}, "Tolerance ", slider, told);
}

function compositeControls(app) {
  const { state, set, patch } = app, meta = set.patches[app.order[state.at] ?? 0], names = meta.pictures.map((name) => [name, name]);
  const bands = patch?.spectra?.bands ?? 0;
  if (bands) names.push(["", "bands …"]);
  const parts = names.length > 1 ? [node("label", {}, "Image ", selectOf(names, state.composite, (composite) => { app.change({ composite }); app.rebuild(); }))] : [];
  if (bands && !state.composite) {
    const choices = Array.from({ length: bands }, (_, k) => [k, set.wavelengths[k] ? `${Math.round(set.wavelengths[k])} nm` : `band ${k + 1}`]);
    ["Red", "Green", "Blue"].forEach((name, channel) => {
      const pick = (band) => app.change({ rgb: state.rgb.map((old, k) => (k === channel ? +band : old)) });
      parts.push(node("label", {}, `${name} `, selectOf(choices, Math.min(state.rgb[channel], bands - 1), pick)));
    });
  }
  return parts;
}

// Classes with their colours; a click hides one from maps, differences and boundaries.
function buildLegend(app) {
  const { state, set } = app, list = node("div", { className: "classes" });
  set.classes.forEach((one, k) => {
    const button = toggleOf("", state.shown[k], `${one.name}: show or hide`, () => {
      app.change({ shown: state.shown.map((shown, n) => (n === k ? !shown : shown)) });
      buildLegend(app);
    });
    button.append(node("i", { className: "swatch", style: `background:${app.colourOf(k)}` }), one.name);
    list.append(button);
  });
  const all = node("button", { className: "quiet", textContent: "show all", onclick: () => { app.change({ shown: state.shown.map(() => true) }); buildLegend(app); } });
  all.hidden = state.shown.every(Boolean);
  document.getElementById("legend").replaceChildren(node("h2", {}, "Classes ", all), list);
}

function percent(share) {
  return share === null || share === undefined ? "–" : `${(100 * share).toFixed(share < 0.1 ? 2 : 1)} %`;
}

// What the colours of the overlay mean, with the numbers of this patch; without one, who is right where.
function paintKey(app) {
  const { state, set, patch } = app, host = document.getElementById("key");
  if (!patch) return;
  const [first, second] = app.models().map(app.nameOf), colours = OVERLAY_COLOURS;
  const item = (colour, text) => node("span", {}, node("i", { className: "swatch", style: `background:${colour}` }), text);
  if (state.overlay === "difference") {
    host.replaceChildren(item(colours.onlyFirst, `only ${first} right`), item(colours.onlySecond, `only ${second} right`),
      item(colours.bothSame, "both wrong, alike"), item(colours.bothOther, "both wrong, differently"));
  } else if (state.overlay === "boundary") {
    const told = app.models().map((source) => {
      const counts = app.layers.counts(patch, app.modelOf(source), app.look());
      return node("span", { textContent: `${app.nameOf(source)}: ${counts.false} false, ${counts.missed} missed, ${counts.shifted} shifted px` });
    });
    host.replaceChildren(item(colours.false, "false boundary"), item(colours.missed, "missed boundary"), item(colours.shifted, "shifted"), item(colours.agreed, "agreed"), ...told);
  } else if (state.overlay === "outline") {
    host.replaceChildren(...(state.blind ? [] : [item(colours.target, "target")]), item(colours.first, first), item(colours.second, second));
  } else {
    const score = (name) => patch.meta.scores[set.measures.indexOf(name)];
    const [a, b] = [score("A right, B wrong"), score("B right, A wrong")];
    host.textContent = state.blind ? `The two differ on ${percent(score("disagreement"))} of the labelled pixels.`
      : `The two differ on ${percent(score("disagreement"))} of the labelled pixels: only ${set.labels[0]} is right on ${percent(a)}, only ${set.labels[1]} on ${percent(b)}.`;
  }
}

function paintScores(app) {
  const host = document.getElementById("scores"), { set, state, patch } = app;
  host.hidden = state.blind;
  if (state.blind) document.getElementById("models").hidden = true;
  if (!patch || !state.details) return;
  const rows = set.measures.map((name, k) => {
    const value = patch.meta.scores[k];
    return node("tr", {}, node("th", { textContent: app.measureText(name), scope: "row" }), node("td", { textContent: value === null ? "–" : String(+value.toPrecision(3)) }));
  });
  host.replaceChildren(node("h2", { textContent: "Scores of this patch" }), node("table", {}, ...rows));
  const called = set.names.map((name, k) => (name === set.labels[k] ? "" : `${set.labels[k]}: ${name}`)).filter(Boolean);
  const models = document.getElementById("models");
  models.hidden = state.blind || !called.length;
  models.replaceChildren(node("h2", { textContent: "Models" }), ...called.map((text) => node("p", { className: "note", textContent: text })));
}

const KEYS = [
  ["→ ←", "next, previous patch"], ["Home End", "first, last patch"], ["S W F", "side by side, swipe, flicker"],
  ["space", "flicker: show the other one"], [", .", "move the divider"], ["D B O", "difference, boundary errors, outlines"],
  ["+ − 0", "zoom in, out, fit"], ["shift + arrows", "move the cursor by a pixel; with alt by ten"], ["M", "details: magnifier, classes, scores"],
  ["X", "exchange A and B"], ["V", "blind vote"], ["1 2 3", "blind vote: left is better, no difference, right is better"], ["T", "light or dark"], ["?", "this list"],
];

function buildKeys() {
  const rows = KEYS.map(([keys, text]) => node("tr", {}, node("th", { scope: "row" }, ...keys.split(" ").map((key) => (key === "+" && keys.includes("shift") ? " + " : node("kbd", { textContent: key })))), node("td", { textContent: text })));
  const dialog = document.getElementById("keys");
  dialog.append(node("h2", { textContent: "Keys" }), node("table", {}, ...rows),
    node("p", { textContent: "Drag to move, wheel or double click to zoom. All panes move together." }),
    node("button", { textContent: "Close", onclick: () => dialog.close() }));
}
