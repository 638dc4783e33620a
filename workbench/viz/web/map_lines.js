// Lines and nodes by the ten thousand on canvas tiles: outlines of tiles, edges and nodes of their overlap graph.

// Longitude/latitude in 1e-4 degree as fractions of the Mercator world: x0 y0 x1 y1 …
function projectPoints(lon, lat) {
  const places = new Float64Array(2 * lon.length);
  for (let i = 0; i < lon.length; i++) {
    places[2 * i] = (lon[i] / 1e4 + 180) / 360;
    places[2 * i + 1] = 0.5 - Math.asinh(Math.tan((Math.max(-85, Math.min(85, lat[i] / 1e4)) * Math.PI) / 180)) / (2 * Math.PI);
  }
  return places;
}

// x0 y0 x1 y1 of each step along each ring, or of each pair of numbered places; a step never goes the long way round.
function ringSegments(places, lengths) {
  const found = new Float64Array(4 * lengths.reduce((sum, n) => sum + n - 1, 0));
  let at = 0, start = 0;
  for (const n of lengths) {
    for (let i = start; i < start + n - 1; i++, at += 4) joined(found, at, places, i, i + 1);
    start += n;
  }
  return found;
}
function pairSegments(places, a, b) {
  const found = new Float64Array(4 * a.length);
  for (let i = 0; i < a.length; i++) joined(found, 4 * i, places, a[i], b[i]);
  return found;
}
function joined(found, at, places, i, j) {
  found[at] = places[2 * i];
  found[at + 1] = places[2 * i + 1];
  found[at + 2] = places[2 * j] - Math.round(places[2 * j] - places[2 * i]);
  found[at + 3] = places[2 * j + 1];
}

// A Leaflet layer that calls `paint(context, scale, left, top, size, turns)` for each of its canvas tiles; `turns` are the
// turns of the world to draw, so that what crosses the antimeridian shows on both sides.
function canvasLayer(pane, paint) {
  const Layer = L.GridLayer.extend({
    createTile: function (coords) {
      const canvas = document.createElement("canvas");
      this.paint(canvas, coords);
      return canvas;
    },
    paint: function (canvas, coords) {
      const size = 256 * Math.min(2, Math.max(1, Math.ceil(window.devicePixelRatio)));
      canvas.width = canvas.height = size;
      const scale = size * 2 ** coords.z;
      paint(canvas.getContext("2d"), scale, coords.x * size, coords.y * size, size, [-1, 0, 1]);
    },
    repaint: function () {
      for (const tile of Object.values(this._tiles || {})) this.paint(tile.el, this._wrapCoords(tile.coords));
    },
  });
  return new Layer({ pane, updateWhenZooming: false, keepBuffer: 1 });
}

// Segments in one style, or in those of `styleOf(i)`: an index into `styles`, drawn in that order, below 0 for none.
function lineLayer(pane, segments, styles, styleOf) {
  return canvasLayer(pane, (context, scale, left, top, size, turns) => {
    const paths = styles.map(() => new Path2D()), n = segments.length / 4;
    for (const turn of turns) {
      for (let i = 0; i < n; i++) {
        const x0 = (segments[4 * i] + turn) * scale - left, x1 = (segments[4 * i + 2] + turn) * scale - left;
        if ((x0 < 0 && x1 < 0) || (x0 > size && x1 > size)) continue;
        const y0 = segments[4 * i + 1] * scale - top, y1 = segments[4 * i + 3] * scale - top;
        if ((y0 < 0 && y1 < 0) || (y0 > size && y1 > size)) continue;
        const k = styleOf ? styleOf(i) : 0;
        if (k < 0) continue;
        paths[k].moveTo(x0, y0);
        paths[k].lineTo(x1, y1);
      }
    }
    styles.forEach(({ colour, width, alpha }, k) => {
      context.globalAlpha = alpha;
      context.strokeStyle = colour;
      context.lineWidth = (width * size) / 256;
      context.stroke(paths[k]);
    });
  });
}

// Outlines and overlap graph that a coverage map can show over its squares.
async function showOverlays(map, base64) {
  const { columns: c, names } = await unpackPlan(base64);
  const layers = {};
  map.createPane("lines").style.zIndex = 360;
  map.getPane("lines").style.pointerEvents = "none";
  if (c.ring_lon) {
    const rings = ringSegments(projectPoints(c.ring_lon, c.ring_lat), c.ring_lengths);
    layers[names.outlines] = lineLayer("lines", rings, [{ colour: "#1f2933", width: 0.8, alpha: 0.8 }]);
  }
  if (c.a) {
    const places = projectPoints(c.node_lon, c.node_lat);
    layers[names.graph] = lineLayer("lines", pairSegments(places, c.a, c.b), [{ colour: "#0b4f8a", width: 0.9, alpha: 0.7 }]);
  }
  if (Object.keys(layers).length) L.control.layers(null, layers, { collapsed: false }).addTo(map);
}
