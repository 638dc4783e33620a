// From class indices and kinds of difference to pictures of one pixel a pixel, made once for each patch.

const OVERLAY_COLOURS = {
  onlyFirst: "#4db8ff", onlySecond: "#ff9a1f", bothSame: "#d17ad6", bothOther: "#f2f2f2",
  agreed: "#8f99a3", shifted: "#f5e663", false: "#ff8c1a", missed: "#4db8ff",
  target: "#ffffff", first: "#4db8ff", second: "#ff9a1f",
};
const IGNORED_COLOUR = "#9a9a9a", HIDDEN_COLOUR = "#c9ced3";

// "#rrggbb" as the little-endian word of a canvas pixel.
function word(colour, alpha = 255) {
  const [r, g, b] = [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));
  return ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

function painted(values, width, height, table) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  const words = new Uint32Array(image.data.buffer);
  for (let p = 0; p < words.length; p++) words[p] = table[values[p]];
  context.putImageData(image, 0, 0);
  return canvas;
}

// Pictures of a patch by name; `look` has what they depend on: colours, shown classes, tolerance, composite.
function layerMaker(set) {
  const ignored = set.classes.length;
  const classTable = (look) => Uint32Array.from(
    [...set.classes.map((c, k) => word(look.shown[k] ? c[look.palette] : HIDDEN_COLOUR)), word(IGNORED_COLOUR)]);
  const tables = {
    difference: Uint32Array.from([0, ...["onlyFirst", "onlySecond", "bothSame", "bothOther"].map((k) => word(OVERLAY_COLOURS[k]))]),
  };

  function kept(patch, key, make) {
    return patch.layers.get(key) ?? patch.layers.set(key, make());
  }
  const shownKey = (look) => look.shown.map(Number).join("");
  const edges = (patch, source, look) => kept(patch, `edges ${source} ${shownKey(look)}`,
    () => classEdges(patch.ids[source], patch.ids.target, patch.width, patch.height, ignored, look.shown));
  const column = (patch, source, look) => kept(patch, `column ${source} ${shownKey(look)}`,
    () => columnDistance(edges(patch, source, look), patch.width, patch.height));
  // Both boundaries, and for each of their pixels how far the other one is.
  const compared = (patch, model, look) => kept(patch, `compared ${model} ${shownKey(look)}`, () => {
    const ours = edges(patch, model, look), theirs = edges(patch, "target", look);
    const fromOurs = squaredDistances(ours, column(patch, "target", look), patch.width);
    return { ours, theirs, fromOurs, fromTheirs: squaredDistances(theirs, column(patch, model, look), patch.width) };
  });
  const kinds = (patch, model, look) => kept(patch, `kinds ${model} ${shownKey(look)} ${look.tolerance}`,
    () => boundaryKinds(compared(patch, model, look), look.tolerance));

  return {
    classes: (patch, source, look) => kept(patch, `classes ${source} ${look.palette} ${shownKey(look)}`,
      () => painted(patch.ids[source], patch.width, patch.height, classTable(look))),
    picture: (patch, look) => patch.pictures.get(look.composite)
      ?? kept(patch, `bands ${look.rgb}`, () => bandComposite(patch, look.rgb)),
    difference: (patch, look) => kept(patch, `difference ${look.first} ${shownKey(look)}`, () => {
      const { target, [look.first]: first, [look.second]: second } = patch.ids;
      return painted(differenceKinds(target, first, second, ignored, look.shown), patch.width, patch.height, tables.difference);
    }),
    // Lines as { key, values, sides, colours }: the kind of each pixel, which of its sides are lines, a colour for each kind.
    boundary(patch, model, look) {
      const key = `boundary ${model} ${shownKey(look)} ${look.tolerance}`;
      return kept(patch, key, () => {
        const { ours, theirs } = compared(patch, model, look), values = kinds(patch, model, look).kinds;
        const sides = ours.map((side, p) => (values[p] === BOUNDARY.MISSED ? theirs[p] : side));
        return { key, values, sides, colours: ["", "agreed", "shifted", "false", "missed"].map((k) => OVERLAY_COLOURS[k]) };
      });
    },
    outline(patch, model, look) {
      const role = model === look.first ? "first" : model === look.second ? "second" : "target";
      const key = `outline ${model} ${role} ${shownKey(look)}`;
      return kept(patch, key, () => {
        const sides = edges(patch, model, look);
        return { key, values: sides.map((side) => (side ? 1 : 0)), sides, colours: ["", OVERLAY_COLOURS[role]] };
      });
    },
    // Lines as a picture. From afar one of its pixels stands for several of the patch and the most important kind
    // shows; from nearer a pixel of the patch has two or three of its own, and lines run between pixels.
    lines(patch, lines, scale) {
      const step = scale < 1 ? Math.round(1 / scale) : 1, grow = Math.min(3, Math.max(1, Math.round(scale)));
      const table = Uint32Array.from([0, ...lines.colours.slice(1).map((colour) => word(colour))]);
      return kept(patch, `${lines.key} ${step} ${grow}`, () => (grow > 1 ? grownLines(patch, lines, grow, table)
        : painted(thinnedKinds(patch, lines.values, step), Math.ceil(patch.width / step), Math.ceil(patch.height / step), table)));
    },
    counts: (patch, model, look) => kinds(patch, model, look).counts,
  };
}

// The most important kind of each square of `step` × `step` pixels.
function thinnedKinds(patch, values, step) {
  if (step === 1) return values;
  const { width, height } = patch, wide = Math.ceil(width / step), most = new Uint8Array(wide * Math.ceil(height / step));
  for (let y = 0, p = 0; y < height; y++) {
    const row = Math.floor(y / step) * wide;
    for (let x = 0; x < width; x++, p++) {
      if (!values[p]) continue;
      const cell = row + Math.floor(x / step);
      if (values[p] > most[cell]) most[cell] = values[p];
    }
  }
  return most;
}

// Every pixel `grow` times as large, with lines of two pixels where its sides are marked.
function grownLines(patch, lines, grow, table) {
  const { width, height } = patch, wide = width * grow, high = height * grow, kinds = new Uint8Array(wide * high);
  const mark = (x0, x1, y0, y1, kind) => {
    for (let y = y0; y < Math.min(y1, high); y++) kinds.fill(kind, y * wide + x0, y * wide + Math.min(x1, wide));
  };
  for (let y = 0, p = 0; y < height; y++) {
    for (let x = 0; x < width; x++, p++) {
      const kind = lines.values[p], right = (x + 1) * grow, below = (y + 1) * grow;
      if (!kind) continue;
      if (lines.sides[p] & 1) mark(right - 1, right + 1, y * grow, below + 1, kind);
      if (lines.sides[p] & 2) mark(x * grow, right + 1, below - 1, below + 1, kind);
    }
  }
  return painted(kinds, wide, high, table);
}

// Three bands as red, green and blue, each stretched between its 2nd and 98th percentile.
function bandComposite(patch, rgb) {
  const { width, height } = patch, canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  for (let p = 0; p < width * height; p++) image.data.set([184, 184, 184, 255], 4 * p);
  const last = patch.spectra.bands - 1; // of fewer than three bands the last one is shown again: one band is grey
  rgb.map((band) => Math.min(band, last)).forEach((band, channel) => {
    const values = patch.spectra.band(band), sorted = values.filter((v) => !Number.isNaN(v)).sort();
    if (!sorted.length) return;
    const low = sorted[Math.floor(0.02 * (sorted.length - 1))], high = sorted[Math.ceil(0.98 * (sorted.length - 1))];
    for (let p = 0; p < values.length; p++) {
      if (Number.isNaN(values[p])) continue;
      const share = Math.min(1, Math.max(0, (values[p] - low) / Math.max(high - low, 1e-9)));
      image.data[4 * p + channel] = Math.round(255 * share ** 0.7);
    }
  });
  context.putImageData(image, 0, 0);
  return canvas;
}
