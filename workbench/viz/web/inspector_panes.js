// The panes: canvases that share one view of the patch, moved by pointer or keys.

const LINE_PIXELS = 16000; // up to this many pixels in view, boundaries are drawn as sharp lines between them
const CANVAS_COLOURS = { plain: "#e9ecef", dark: "#15181c" };

// Where the patch lies in a pane of `width` × `height` CSS pixels: x0, y0 and the size of a pixel.
function placed(view, patch, width, height) {
  const fit = Math.min(width / patch.width, height / patch.height), scale = fit * view.zoom;
  const along = (centre, size, room) => {
    if (size * scale <= room) return (room - size * scale) / 2;
    return Math.min(0, Math.max(room - size * scale, room / 2 - centre * scale));
  };
  return { scale, x0: along(view.x, patch.width, width), y0: along(view.y, patch.height, height) };
}

// A length on the ground that is round and at most `most` metres.
function roundLength(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return [5, 2, 1].map((k) => k * power).find((length) => length <= most) ?? power;
}

function metresText(metres) {
  return metres >= 1000 ? `${+(metres / 1000).toPrecision(3)} km` : `${+metres.toPrecision(3)} m`;
}

function panesOf(app) {
  const host = document.getElementById("panes"), { state, set } = app;
  let panes = [];

  // Which panes there are: one for each source, or one with two sources.
  function wanted() {
    if (state.mode === "side") return app.sources().filter((s) => !state.closed.includes(s)).map((s) => [s]);
    return [[state.left, state.right]];
  }

  function build() {
    const sources = wanted();
    if (host.dataset.mode !== state.mode || JSON.stringify(sources) !== JSON.stringify(panes.map((pane) => pane.sources))) {
      host.replaceChildren();
      panes = sources.map((names) => pane(names));
      host.append(...panes.map((one) => one.element));
    }
    host.dataset.mode = state.mode;
    arrange();
    label();
  }

  function pane(sources) {
    const element = node("figure", { className: "pane", tabIndex: 0 });
    const canvas = node("canvas", { role: "img" });
    const name = node("figcaption");
    element.append(canvas, name);
    const one = { element, canvas, name, sources, divider: null };
    if (sources.length === 2 && state.mode === "swipe") element.append((one.divider = divider(element)));
    element.addEventListener("pointerdown", (event) => drag(event, one));
    element.addEventListener("pointermove", (event) => point(event, one));
    element.addEventListener("pointerleave", () => app.probe(null));
    element.addEventListener("wheel", (event) => wheel(event, one), { passive: false });
    element.addEventListener("dblclick", (event) => zoomAt(event.shiftKey ? 0.5 : 2, event, one));
    return one;
  }

  function divider(element) {
    const line = node("div", { className: "divider", tabIndex: 0, role: "slider", ariaLabel: "Divider", ariaValueMin: "0", ariaValueMax: "100" });
    line.addEventListener("pointerdown", (event) => {
      event.stopPropagation();
      line.setPointerCapture(event.pointerId);
      line.onpointermove = (move) => {
        const box = element.getBoundingClientRect();
        app.change({ divider: Math.min(1, Math.max(0, (move.clientX - box.left) / box.width)) });
      };
      line.onpointerup = () => (line.onpointermove = null);
    });
    return line;
  }

  // The number of columns in which panes of the patch's shape come out largest.
  function arrange() {
    const box = host.getBoundingClientRect(), shape = app.patch ? app.patch.width / app.patch.height : 1;
    const side = (columns) => Math.min(box.width / columns / shape, box.height / Math.ceil(panes.length / columns));
    const best = panes.map((_, k) => k + 1).reduce((a, b) => (side(b) > side(a) + 1 ? b : a), 1);
    host.style.gridTemplateColumns = `repeat(${best}, minmax(0, 1fr))`;
    host.style.gridTemplateRows = `repeat(${Math.ceil(panes.length / best)}, minmax(0, 1fr))`;
  }

  const named = (source) => node("b", { textContent: app.nameOf(source), title: app.fullName(source) });

  function label() {
    for (const one of panes) {
      const [left, right] = one.sources.map((source) => app.nameOf(source));
      const shown = state.mode === "flicker" ? (state.flip ? right : left) : left;
      one.name.replaceChildren(...(one.divider ? [named(one.sources[0]), named(one.sources[1])] : [named(state.mode === "flicker" && state.flip ? one.sources[1] : one.sources[0])]));
      one.canvas.setAttribute("aria-label", `${one.divider ? `${left}, and ${right} right of the divider` : shown}, patch ${app.patch?.meta.id ?? ""}`);
      if (one.divider) {
        one.divider.style.left = `${100 * state.divider}%`;
        one.divider.ariaValueNow = String(Math.round(100 * state.divider));
      }
    }
  }

  function paint() {
    if (!app.patch) return;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const boxes = panes.map((one) => [one.element.clientWidth, one.element.clientHeight]); // all read before any is written
    panes.forEach((one, k) => paintPane(one, boxes[k][0], boxes[k][1], ratio));
    label();
  }

  function paintPane(one, width, height, ratio) {
    const { canvas } = one, w = Math.round(width * ratio), h = Math.round(height * ratio);
    if (canvas.width !== w) canvas.width = w;
    if (canvas.height !== h) canvas.height = h;
    const context = canvas.getContext("2d"), at = placed(state.view, app.patch, width, height);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = state.overlay || app.isDark() ? CANVAS_COLOURS.dark : CANVAS_COLOURS.plain;
    context.fillRect(0, 0, width, height);
    if (one.divider) {
      const middle = width * state.divider;
      clipped(context, 0, middle, height, () => paintSource(context, one.sources[0], at, width, height));
      clipped(context, middle, width - middle, height, () => paintSource(context, one.sources[1], at, width, height));
    } else {
      paintSource(context, one.sources[state.mode === "flicker" && state.flip ? 1 : 0], at, width, height);
    }
    if (state.probe) paintProbe(context, at);
    if (one === panes[0]) paintScaleBar(context, at, height);
  }

  function clipped(context, x, width, height, work) {
    context.save();
    context.beginPath();
    context.rect(x, 0, width, height);
    context.clip();
    work();
    context.restore();
  }

  function paintSource(context, source, at, width, height) {
    const { patch, layers } = app, look = app.look();
    const layer = source === "image" ? layers.picture(patch, look) : layers.classes(patch, app.modelOf(source), look);
    context.imageSmoothingEnabled = at.scale < 1;
    context.globalAlpha = !state.overlay ? 1 : source === "image" ? 0.65 : 0.4;
    context.drawImage(layer, at.x0, at.y0, patch.width * at.scale, patch.height * at.scale);
    context.globalAlpha = 1;
    for (const lines of app.linesOver(source)) paintLines(context, lines, at, width, height);
    if (state.overlay === "difference") {
      context.drawImage(layers.difference(patch, look), at.x0, at.y0, patch.width * at.scale, patch.height * at.scale);
    }
  }

  function paintLines(context, lines, at, width, height) {
    const { patch } = app, { scale, x0, y0 } = at;
    const left = Math.max(0, Math.floor(-x0 / scale)), right = Math.min(patch.width, Math.ceil((width - x0) / scale));
    const top = Math.max(0, Math.floor(-y0 / scale)), bottom = Math.min(patch.height, Math.ceil((height - y0) / scale));
    if ((right - left) * (bottom - top) > LINE_PIXELS) {
      const layer = app.layers.lines(patch, lines, scale), step = scale < 1 ? Math.round(1 / scale) : 0;
      context.imageSmoothingEnabled = layer.width > patch.width;
      context.drawImage(layer, x0, y0, step ? layer.width * step * scale : patch.width * scale, step ? layer.height * step * scale : patch.height * scale);
      return;
    }
    const paths = lines.colours.map(() => new Path2D());
    for (let y = top; y < bottom; y++) {
      for (let x = left, p = y * patch.width + left; x < right; x++, p++) {
        const kind = lines.values[p];
        if (!kind) continue;
        const px = x0 + (x + 1) * scale, py = y0 + (y + 1) * scale;
        if (lines.sides[p] & 1) { paths[kind].moveTo(px, py - scale); paths[kind].lineTo(px, py); }
        if (lines.sides[p] & 2) { paths[kind].moveTo(px - scale, py); paths[kind].lineTo(px, py); }
      }
    }
    context.lineCap = "square";
    context.lineWidth = Math.min(3, Math.max(1.5, scale / 3));
    lines.colours.forEach((colour, kind) => {
      if (!kind) return;
      context.strokeStyle = colour;
      context.stroke(paths[kind]);
    });
  }

  function paintProbe(context, { x0, y0, scale }) {
    const { x, y } = state.probe, side = Math.max(scale, 5), grow = (side - scale) / 2;
    for (const [colour, width] of [["#000", 3.5], ["#fff", 1.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.strokeRect(x0 + x * scale - grow, y0 + y * scale - grow, side, side);
    }
  }

  function paintScaleBar(context, { scale }, height) {
    const length = roundLength((90 / scale) * set.gsd), wide = (length / set.gsd) * scale;
    context.fillStyle = "rgba(0,0,0,.6)";
    context.fillRect(8, height - 30, wide + 14, 22);
    context.fillStyle = "#fff";
    context.fillRect(15, height - 14, wide, 2);
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "left";
    context.fillText(metresText(length), 15, height - 18);
  }

  // Make what a patch will be drawn from, in the same look and at the same zoom.
  function prepare(patch) {
    const look = app.look(), [width, height] = size(), { scale } = placed(state.view, patch, width, height);
    for (const source of new Set(panes.flatMap((one) => one.sources))) {
      if (source === "image") app.layers.picture(patch, look);
      else app.layers.classes(patch, app.modelOf(source, patch), look);
      for (const lines of app.linesOver(source, patch)) app.layers.lines(patch, lines, scale);
    }
    if (state.overlay === "difference") app.layers.difference(patch, app.look(patch));
  }

  const size = () => [panes[0]?.element.clientWidth ?? 1, panes[0]?.element.clientHeight ?? 1];
  const pixelAt = (event, one) => {
    const box = one.element.getBoundingClientRect(), at = placed(state.view, app.patch, box.width, box.height);
    return { x: (event.clientX - box.left - at.x0) / at.scale, y: (event.clientY - box.top - at.y0) / at.scale, scale: at.scale };
  };

  function point(event, one) {
    if (!app.patch || event.buttons) return;
    const { x, y } = pixelAt(event, one);
    const inside = x >= 0 && y >= 0 && x < app.patch.width && y < app.patch.height;
    app.probe(inside ? { x: Math.floor(x), y: Math.floor(y) } : null);
  }

  function drag(event, one) {
    if (event.button !== 0 || !app.patch) return;
    one.element.setPointerCapture(event.pointerId);
    const { scale } = pixelAt(event, one), from = { x: event.clientX, y: event.clientY }, view = app.centred();
    one.element.onpointermove = (move) => {
      app.moveTo({ x: view.x - (move.clientX - from.x) / scale, y: view.y - (move.clientY - from.y) / scale });
    };
    one.element.onpointerup = one.element.onpointercancel = () => (one.element.onpointermove = null);
  }

  function zoomAt(factor, event, one) {
    if (!app.patch) return;
    const { x, y } = pixelAt(event, one);
    app.zoom(factor, { x, y });
  }

  // In a notebook the wheel scrolls the page until the viewer was clicked.
  function wheel(event, one) {
    if (window.parent !== window && !document.hasFocus() && !event.ctrlKey) return;
    event.preventDefault();
    zoomAt(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) / 150), event, one);
  }

  new ResizeObserver(() => { arrange(); app.render(); }).observe(host);
  return { build, paint, prepare, size };
}
