// What lies under the cursor: the pixels around it in every pane, its values, its spectrum.

const LENS_PIXELS = 13; // pixels of the patch across a lens, odd so that one is in the middle

function probePanel(app) {
  const host = document.getElementById("cursor"), { set, state } = app;
  const lenses = node("div", { className: "lenses" }), place = node("span", { className: "place" });
  const table = node("table"), chart = node("canvas", { className: "spectrum", role: "img" }), note = node("p", { className: "note" });
  host.append(node("h2", {}, "Under the cursor ", place), lenses, table, chart, note);
  chart.hidden = note.hidden = !set.patches.some((meta) => meta.spectra);
  const canvases = new Map();

  function build() {
    canvases.clear();
    lenses.replaceChildren(...app.sources().map((source) => {
      const canvas = node("canvas", { role: "img", ariaLabel: `Magnified: ${app.nameOf(source)}` });
      canvases.set(source, canvas);
      return node("figure", {}, canvas, node("figcaption", { textContent: app.nameOf(source), title: app.fullName(source) }));
    }));
  }

  function paint() {
    if (!state.details || !app.patch) return;
    const { patch } = app, probe = app.focus();
    for (const [source, canvas] of canvases) paintLens(canvas, source, probe);
    const p = probe.y * patch.width + probe.x;
    place.textContent = `column ${probe.x}, row ${probe.y}`;
    place.title = `${metresText((probe.x + 0.5) * set.gsd)} from the left edge, ${metresText((probe.y + 0.5) * set.gsd)} from the top`;
    const target = patch.ids.target[p];
    table.replaceChildren(
      row("Image", null, imageValue(p)),
      ...app.sources().slice(1).map((source) => {
        const id = patch.ids[app.modelOf(source)][p];
        const verdict = state.blind || source === "target" || target === set.classes.length ? "" : id === target ? " ✓" : " ✗";
        return row(app.nameOf(source), app.colourOf(id), (set.classes[id]?.name ?? "no label") + verdict);
      }),
    );
    paintSpectrum(patch.spectra?.at(p) ?? null);
  }

  function row(name, colour, text) {
    const swatch = colour ? [node("i", { className: "swatch", style: `background:${colour}` })] : [];
    return node("tr", {}, node("th", { textContent: name, scope: "row" }), node("td", {}, ...swatch, text));
  }

  function imageValue(p) {
    const [r, g, b] = app.pixelsOf(app.patch).subarray(4 * p, 4 * p + 3);
    return `${set.lossless || !app.patch.pictures.get(state.composite) ? "" : "≈ "}${r} · ${g} · ${b}`;
  }

  function paintLens(canvas, source, probe) {
    const ratio = Math.min(2, window.devicePixelRatio || 1), wide = Math.round(canvas.clientWidth * ratio), high = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
    const context = canvas.getContext("2d"), look = app.look();
    context.fillStyle = CANVAS_COLOURS.dark;
    context.fillRect(0, 0, canvas.width, canvas.height);
    const layer = source === "image" ? app.layers.picture(app.patch, look) : app.layers.classes(app.patch, app.modelOf(source), look);
    const scale = wide / LENS_PIXELS, left = (LENS_PIXELS - 1) / 2, top = (high / scale - 1) / 2;
    context.imageSmoothingEnabled = false;
    context.drawImage(layer, (left - probe.x) * scale, (top - probe.y) * scale, app.patch.width * scale, app.patch.height * scale);
    for (const [colour, width] of [["#000", 4], ["#fff", 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.strokeRect(left * scale, top * scale, scale, scale);
    }
  }

  // A line over wavelength (or band number), broken where bands are far apart.
  function paintSpectrum(spectrum) {
    if (chart.hidden) return;
    const ratio = Math.min(2, window.devicePixelRatio || 1), width = chart.clientWidth, height = chart.clientHeight;
    chart.width = width * ratio;
    chart.height = height * ratio;
    const context = chart.getContext("2d"), ink = getComputedStyle(chart).color;
    context.scale(ratio, ratio);
    const spectra = app.patch.spectra;
    note.textContent = !spectra ? "This patch carries no spectra."
      : `${set.units}; ${spectra.components ? `${spectra.components} components of ${spectra.bands} bands` : `${spectra.bands} bands`}, 8 bits, error ${spectra.error}`;
    chart.setAttribute("aria-label", spectrum ? `Spectrum of ${spectrum.length} bands, ${range(spectrum).map((v) => v.toPrecision(3)).join(" to ")} ${set.units}` : "No spectrum");
    if (!spectrum) return;
    const known = set.wavelengths.length === spectrum.length && set.wavelengths.every((nm) => nm !== null);
    const xs = known ? set.wavelengths : Array.from(spectrum, (_, k) => k + 1);
    const [low, high] = range(spectrum), [first, last] = range(xs), foot = height - 16, margin = 34;
    const px = (x) => margin + ((x - first) / (last - first || 1)) * (width - margin - 6);
    const py = (v) => foot - ((v - low) / (high - low || 1)) * (foot - 8);
    context.font = "10px system-ui, sans-serif";
    context.fillStyle = context.strokeStyle = ink;
    context.textAlign = "right";
    const digits = high >= 100 ? 0 : high >= 10 ? 1 : high >= 0.1 ? 2 : 3;
    context.fillText(high.toFixed(digits), margin - 4, 14);
    context.fillText(low.toFixed(digits), margin - 4, foot);
    context.textAlign = "left";
    context.fillText(Math.round(first), margin, height - 3);
    context.textAlign = "right";
    context.fillText(known ? `${Math.round(last)} nm` : `band ${Math.round(last)}`, width - 6, height - 3);
    context.globalAlpha = 0.35;
    context.strokeRect(margin, 6, width - margin - 6, foot - 6);
    context.globalAlpha = 1;
    const gap = known ? Math.max(60, 4 * (last - first) / xs.length) : 2, order = Array.from(xs.keys()).sort((i, j) => xs[i] - xs[j]);
    context.lineWidth = 1.5;
    context.beginPath();
    order.forEach((k, n) => {
      const isNear = n && (order.length <= 16 || xs[k] - xs[order[n - 1]] <= gap);
      context[isNear ? "lineTo" : "moveTo"](px(xs[k]), py(spectrum[k]));
    });
    context.stroke();
    if (order.length <= 16) for (const k of order) context.fillRect(px(xs[k]) - 2, py(spectrum[k]) - 2, 4, 4);
  }

  return { build, paint };
}

function range(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
  return [low, high];
}
