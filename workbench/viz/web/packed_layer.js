// Squares of a plan on a canvas: unpacked, projected exactly, drawn tile by tile, found by a click.

// The columns that packing.py wrote: one byte a row, or four by planes, as they are or as steps from row to row.
async function unpackPlan(base64) {
  const packed = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const raw = new Uint8Array(await new Response(stream).arrayBuffer());
  const size = new DataView(raw.buffer).getUint32(0, true);
  const plan = JSON.parse(new TextDecoder().decode(raw.subarray(4, 4 + size)));
  let at = 4 + size;
  const columns = {};
  for (const [name, n, kind] of plan.columns) {
    if (kind === "bytes") {
      columns[name] = raw.subarray(at, at + n);
      at += n;
      continue;
    }
    const values = new Int32Array(n);
    for (let i = 0, sum = 0; i < n; i++) {
      const value = raw[at + i] | (raw[at + n + i] << 8) | (raw[at + 2 * n + i] << 16) | (raw[at + 3 * n + i] << 24);
      values[i] = sum = kind === "steps" ? (sum + value) | 0 : value;
    }
    columns[name] = values;
    at += 4 * n;
  }
  return Object.assign(plan, { columns });
}

// Inverse transverse Mercator of a WGS 84 UTM zone: Krueger's series to the fourth order, far below a millimetre.
function inverseUtm(zone) {
  const f = 1 / 298.257223563, n = f / (2 - f), k0 = 0.9996;
  const A = (6378137 / (1 + n)) * (1 + n ** 2 / 4 + n ** 4 / 64);
  const beta = [n / 2 - (2 * n ** 2) / 3 + (37 * n ** 3) / 96 - n ** 4 / 360, n ** 2 / 48 + n ** 3 / 15 - (437 * n ** 4) / 1440,
    (17 * n ** 3) / 480 - (37 * n ** 4) / 840, (4397 * n ** 4) / 161280];
  const delta = [2 * n - (2 * n ** 2) / 3 - 2 * n ** 3 + (116 * n ** 4) / 45, (7 * n ** 2) / 3 - (8 * n ** 3) / 5 - (227 * n ** 4) / 45,
    (56 * n ** 3) / 15 - (136 * n ** 4) / 35, (4279 * n ** 4) / 630];
  const meridian = 6 * Math.abs(zone) - 183, north0 = zone < 0 ? 1e7 : 0;
  return function (x, y) {
    const xi = (y - north0) / (k0 * A), eta = (x - 5e5) / (k0 * A);
    let xi1 = xi, eta1 = eta;
    for (let j = 1; j <= 4; j++) {
      xi1 -= beta[j - 1] * Math.sin(2 * j * xi) * Math.cosh(2 * j * eta);
      eta1 -= beta[j - 1] * Math.cos(2 * j * xi) * Math.sinh(2 * j * eta);
    }
    const chi = Math.asin(Math.sin(xi1) / Math.cosh(eta1));
    let phi = chi;
    for (let j = 1; j <= 4; j++) phi += delta[j - 1] * Math.sin(2 * j * chi);
    return [meridian + (Math.atan2(Math.sinh(eta1), Math.cos(xi1)) * 180) / Math.PI, (phi * 180) / Math.PI];
  };
}

// Corners of all squares as fractions of the Mercator world: x0 y0 … x3 y3, counter-clockwise from the south-west.
function projectSquares(plan) {
  const c = plan.columns, n = c.crs.length, quads = new Float64Array(8 * n);
  const inverse = plan.crs.map((crs) => (crs.zone === null ? null : inverseUtm(crs.zone)));
  for (let i = 0, foreign = 0; i < n; i++) {
    const back = inverse[c.crs[i]];
    const x = c.xmin[i] / 100, y = c.ymin[i] / 100, w = c.xmax[i] / 100, h = c.ymax[i] / 100;
    for (let k = 0; k < 4; k++) {
      const [lon, lat] = back ? back(k === 1 || k === 2 ? x + w : x, k > 1 ? y + h : y)
        : [c["corner" + 2 * k][foreign] / 1e7, c["corner" + (2 * k + 1)][foreign] / 1e7];
      quads[8 * i + 2 * k] = (lon + 180) / 360;
      quads[8 * i + 2 * k + 1] = 0.5 - Math.asinh(Math.tan((lat * Math.PI) / 180)) / (2 * Math.PI);
    }
    if (!back) foreign++;
  }
  return quads;
}

// A grid over the Mercator world; `within` calls back with every square that may touch a box.
function squareIndex(quads) {
  const side = 1024, n = quads.length / 8, cells = new Int32Array(n), start = new Int32Array(side * side + 1);
  let reach = 0;
  const clamp = (v) => Math.min(side - 1, Math.max(0, Math.floor(v * side)));
  for (let i = 0; i < n; i++) {
    const q = quads.subarray(8 * i, 8 * i + 8);
    reach = Math.max(reach, Math.abs(q[4] - q[0]), Math.abs(q[5] - q[1]), Math.abs(q[6] - q[2]), Math.abs(q[7] - q[3]));
    const x = (q[0] + q[4]) / 2, y = (q[1] + q[5]) / 2;
    cells[i] = clamp(y) * side + clamp(x - Math.floor(x));
    start[cells[i] + 1]++;
  }
  for (let k = 0; k < side * side; k++) start[k + 1] += start[k];
  const order = new Int32Array(n), next = start.slice();
  for (let i = 0; i < n; i++) order[next[cells[i]]++] = i;

  // `visit(i, turn)`: a square over the antimeridian is seen in the world where the box is, `turn` worlds off.
  function within(x0, y0, x1, y1, visit) {
    for (const turn of [-1, 0, 1]) {
      const west = x0 - reach - turn, east = x1 + reach - turn;
      if (east < 0 || west >= 1) continue;
      const from = clamp(west), to = clamp(east);
      for (let row = clamp(y0 - reach); row <= clamp(y1 + reach); row++) {
        for (let k = start[row * side + from]; k < start[row * side + to + 1]; k++) {
          const i = order[k], shift = turn - Math.floor((quads[8 * i] + quads[8 * i + 4]) / 2);
          visit(i, shift);
        }
      }
    }
  }
  return { within, reach };
}

// "#rrggbb" a part of the way to white.
function paler(hex, share) {
  const mix = (k) => Math.round(parseInt(hex.slice(k, k + 2), 16) * (1 - share) + 255 * share);
  return "#" + [1, 3, 5].map((k) => mix(k).toString(16).padStart(2, "0")).join("");
}

// A Leaflet layer of squares. `paint.shown[i]` chooses among `paint.colours`, below 0 is not drawn; where `paint.selected`
// is given, squares whose mark is 0 are pale and lie below the others.
function squareLayer(quads, index, paint) {
  const pixel = (hex) => new Uint32Array(Uint8Array.from([1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16)).concat(255)).buffer)[0];
  const PALE = 32;

  // Squares of up to two pixels: every pixel a square touches, the highest class on top.
  function drawDots(context, size, scale, left, top) {
    const { shown, selected, colours } = paint;
    const best = new Int8Array(size * size).fill(-1), lift = selected ? PALE : 0;
    index.within(left / scale, top / scale, (left + size) / scale, (top + size) / scale, (i, turn) => {
      if (shown[i] < 0) return;
      const k = shown[i] + (lift && selected[i] ? lift : 0), q = 8 * i;
      const x0 = Math.floor((Math.min(quads[q], quads[q + 6]) + turn) * scale - left);
      const x1 = Math.ceil((Math.max(quads[q + 2], quads[q + 4]) + turn) * scale - left);
      const y0 = Math.floor(Math.min(quads[q + 5], quads[q + 7]) * scale - top);
      const y1 = Math.ceil(Math.max(quads[q + 1], quads[q + 3]) * scale - top);
      for (let y = Math.max(0, y0); y < Math.min(size, y1); y++) {
        for (let x = Math.max(0, x0); x < Math.min(size, x1); x++) {
          if (best[y * size + x] < k) best[y * size + x] = k;
        }
      }
    });
    const strong = colours.map(pixel), pale = lift ? colours.map((hex) => pixel(paler(hex, 0.72))) : strong;
    const image = context.createImageData(size, size), pixels = new Uint32Array(image.data.buffer);
    for (let p = 0; p < best.length; p++) if (best[p] >= 0) pixels[p] = best[p] >= PALE ? strong[best[p] - PALE] : pale[best[p]];
    context.putImageData(image, 0, 0);
  }

  function drawSquares(context, size, scale, left, top) {
    const { shown, selected, colours } = paint;
    const styles = selected ? colours.map((hex) => paler(hex, 0.72)).concat(colours) : colours;
    const paths = styles.map(() => new Path2D());
    index.within(left / scale, top / scale, (left + size) / scale, (top + size) / scale, (i, turn) => {
      if (shown[i] < 0) return;
      const path = paths[shown[i] + (selected && selected[i] ? colours.length : 0)];
      for (let k = 0; k < 4; k++) {
        const x = (quads[8 * i + 2 * k] + turn) * scale - left, y = quads[8 * i + 2 * k + 1] * scale - top;
        if (k === 0) path.moveTo(x, y);
        else path.lineTo(x, y);
      }
      path.closePath();
    });
    const wide = index.reach * scale;
    context.lineWidth = wide > 14 ? 1 : 0.5;
    paths.forEach((path, k) => {
      context.fillStyle = styles[k];
      context.fill(path);
      context.strokeStyle = wide > 6 ? (k >= colours.length ? "#111827" : "rgba(255,255,255,0.75)") : styles[k];
      context.stroke(path);
    });
  }

  const Layer = L.GridLayer.extend({
    createTile: function (coords) {
      const canvas = document.createElement("canvas");
      this.paint(canvas, coords);
      return canvas;
    },
    paint: function (canvas, coords) {
      const size = 256 * Math.min(2, Math.max(1, Math.ceil(window.devicePixelRatio)));
      canvas.width = canvas.height = size;
      const context = canvas.getContext("2d", { willReadFrequently: true });
      const scale = size * 2 ** coords.z;
      const draw = index.reach * scale < 2 ? drawDots : drawSquares;
      draw(context, size, scale, coords.x * size, coords.y * size);
    },
    repaint: function () {
      for (const tile of Object.values(this._tiles || {})) this.paint(tile.el, this._wrapCoords(tile.coords));
    },
  });
  return new Layer({ pane: "squares", updateWhenZooming: false, keepBuffer: 1 });
}

// Which square holds a place; -1 where none does.
function squareAt(quads, index, latlng) {
  const point = L.CRS.EPSG3857.project(latlng), world = 2 * Math.PI * 6378137;
  const x = point.x / world + 0.5, y = 0.5 - point.y / world;
  let found = -1;
  index.within(x - Math.floor(x), y, x - Math.floor(x), y, (i, turn) => {
    let inside = true;
    for (let k = 0; k < 4 && inside; k++) {
      const a = 8 * i + 2 * k, b = 8 * i + 2 * ((k + 1) % 4);
      const ax = quads[a] + turn, bx = quads[b] + turn;
      // y points down, so that counter-clockwise on the ground turns right on the page.
      inside = (bx - ax) * (y - quads[a + 1]) - (quads[b + 1] - quads[a + 1]) * (x - Math.floor(x) - ax) <= 0;
    }
    if (inside) found = i;
  });
  return found;
}
