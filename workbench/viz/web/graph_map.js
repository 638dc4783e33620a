// An overlap graph of any size: edges under nodes coloured by degree, a histogram that selects, one component as a graph of its own.
async function showGraph(map, base64, options) {
  const { columns: c, tiles, names } = await unpackPlan(base64);
  const n = tiles.length, places = projectPoints(c.node_lon, c.node_lat), segments = pairSegments(places, c.a, c.b);
  const degree = new Int32Array(n), start = new Int32Array(n + 1);
  for (let e = 0; e < c.a.length; e++) { degree[c.a[e]]++; degree[c.b[e]]++; }
  for (let i = 0; i < n; i++) start[i + 1] = start[i] + degree[i];
  const near = new Int32Array(2 * c.a.length), next = start.slice(0, n);
  for (let e = 0; e < c.a.length; e++) { near[next[c.a[e]]++] = c.b[e]; near[next[c.b[e]]++] = c.a[e]; }
  const { steps, colours } = options, classOf = degree.map((d) => steps.filter((step) => d >= step).length - 1);
  const most = degree.reduce((a, b) => Math.max(a, b), 0);
  const order = Int32Array.from(degree.keys()).sort((i, j) => degree[i] - degree[j] || i - j); // the busiest on top
  let from = 0, to = most, inside = -1;
  const chosen = (i) => degree[i] >= from && degree[i] <= to;

  for (const [pane, z] of [["lines", 350], ["nodes", 360]]) {
    map.createPane(pane).style.zIndex = z;
    map.getPane(pane).style.pointerEvents = "none";
  }
  const faint = { colour: "#1f2933", width: 0.5, alpha: 0.1 }, plain = { colour: "#1f2933", width: 0.6, alpha: 0.45 };
  const edges = lineLayer("lines", segments, [faint, plain], (e) => (chosen(c.a[e]) || chosen(c.b[e]) ? 1 : 0));
  const nodes = canvasLayer("nodes", (context, scale, left, top, size, turns) => {
    const ratio = size / 256, zoom = Math.log2(scale / size), radius = ratio * Math.min(5.5, Math.max(1.3, zoom - 1.6));
    for (const wanted of [false, true]) {
      for (const i of order) {
        if (chosen(i) !== wanted) continue;
        const y = places[2 * i + 1] * scale - top;
        if (y < -radius || y > size + radius) continue;
        for (const turn of turns) {
          const x = (places[2 * i] + turn) * scale - left;
          if (x < -radius || x > size + radius) continue;
          context.fillStyle = wanted ? colours[classOf[i]] : "#cdd4da";
          context.beginPath();
          context.arc(x, y, wanted ? radius : 0.7 * radius, 0, 7);
          context.fill();
          if (radius > 2.5 * ratio) {
            context.strokeStyle = i === inside ? "#111827" : "#fff";
            context.lineWidth = (i === inside ? 2 : 0.8) * ratio;
            context.stroke();
          }
        }
      }
    }
  });
  const rings = ringSegments(projectPoints(c.ring_lon, c.ring_lat), c.ring_lengths);
  const outlines = lineLayer("lines", rings, [{ colour: "#31688e", width: 0.8, alpha: 0.8 }]);
  edges.addTo(map);
  nodes.addTo(map);
  L.control.layers(null, { [names.outlines]: outlines, [names.graph]: edges, [names.nodes]: nodes }, { collapsed: false }).addTo(map);

  // The histogram: a bar for each degree, as high as the logarithm of its tiles; a drag over bars selects.
  const bars = document.getElementById("wb-degrees"), low = document.getElementById("wb-low"), high = document.getElementById("wb-high");
  const wide = 226, tall = 84, foot = 14, counts = new Int32Array(most + 1), ratio = Math.min(2, window.devicePixelRatio || 1);
  degree.forEach((d) => counts[d]++);
  const top = Math.log1p(Math.max(...counts)), step = wide / (most + 1);
  Object.assign(bars, { width: wide * ratio, height: tall * ratio });
  function drawBars() {
    const context = bars.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, wide, tall);
    counts.forEach((count, d) => {
      const height = count === 0 ? 0 : Math.max(1.5, ((tall - foot - 2) * Math.log1p(count)) / top);
      context.fillStyle = d >= from && d <= to ? colours[steps.filter((s) => d >= s).length - 1] : "#d7dde3";
      context.fillRect(d * step, tall - foot - height, Math.max(0.8, step - (step > 3 ? 1 : 0)), height);
    });
    context.fillStyle = "#52606d";
    context.font = "10px system-ui, sans-serif";
    for (const d of [0, Math.round(most / 2), most]) {
      context.textAlign = d === 0 ? "left" : d === most ? "right" : "center";
      context.fillText(d, d === most ? wide : d * step + (d ? step / 2 : 0), tall - 3);
    }
  }

  function select(a, b) {
    [from, to] = [Math.max(0, Math.min(a, b)), Math.min(most, Math.max(a, b))];
    [low.value, high.value] = [from, to];
    const found = [...order].reverse().filter(chosen);
    document.getElementById("wb-shown").textContent = found.length.toLocaleString("en");
    document.getElementById("wb-all").hidden = found.length === n;
    const table = document.getElementById("wb-top");
    table.replaceChildren();
    for (const i of found.slice(0, 6)) {
      const row = table.insertRow();
      row.insertCell().textContent = degree[i];
      row.insertCell().textContent = tiles[i][0];
      row.addEventListener("click", () => { map.setView(placeOf(i), Math.max(map.getZoom(), 7)); open(i); });
    }
    drawBars();
    edges.repaint();
    nodes.repaint();
  }
  const degreeAt = (event) => Math.min(most, Math.max(0, Math.floor((event.clientX - bars.getBoundingClientRect().left) / (bars.getBoundingClientRect().width / (most + 1)))));
  let anchor = null;
  bars.addEventListener("pointerdown", (event) => { anchor = degreeAt(event); bars.setPointerCapture(event.pointerId); select(anchor, anchor); });
  bars.addEventListener("pointermove", (event) => anchor !== null && select(anchor, degreeAt(event)));
  bars.addEventListener("pointerup", () => (anchor = null));
  for (const input of [low, high]) {
    Object.assign(input, { min: 0, max: most });
    input.addEventListener("change", () => select(Number(low.value), Number(high.value)));
  }
  document.getElementById("wb-all").addEventListener("click", () => select(0, most));
  document.getElementById("wb-save").addEventListener("click", () => {
    const ids = [...order].reverse().filter(chosen).map((i) => tiles[i][0]);
    const content = { format: "workbench-selection", version: 1, title: options.title, tiles: n, ids };
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(content, null, 1)], { type: "application/json" }));
    link.download = "tiles.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  const placeOf = (i) => [c.node_lat[i] / 1e4, c.node_lon[i] / 1e4];
  function nodeAt(latlng) {
    const point = L.CRS.EPSG3857.project(latlng), whole = 2 * Math.PI * 6378137, scale = 256 * 2 ** map.getZoom();
    const x = point.x / whole + 0.5, y = 0.5 - point.y / whole;
    let best = -1, least = 9 / scale;
    for (let i = 0; i < n; i++) {
      const dx = places[2 * i] - x, far = Math.hypot(dx - Math.round(dx), places[2 * i + 1] - y);
      if (far < least && chosen(i)) [best, least] = [i, far];
    }
    return best;
  }

  // Tiles nearest to one, counted in edges; and how many its component has in all.
  function component(i) {
    const seen = new Set([i]), found = [i];
    for (let k = 0; k < found.length; k++) {
      for (let e = start[found[k]]; e < start[found[k] + 1]; e++) if (!seen.has(near[e])) { seen.add(near[e]); found.push(near[e]); }
    }
    return { members: found.slice(0, options.most), size: found.length };
  }

  const box = document.createElement("div");
  box.className = "wb-box wb-component";
  box.hidden = true;
  const panel = L.control({ position: "bottomleft" });
  panel.onAdd = () => box;
  panel.addTo(map);
  L.DomEvent.disableClickPropagation(box);
  L.DomEvent.disableScrollPropagation(box);

  function open(i) {
    inside = i;
    nodes.repaint();
    const { members, size } = component(i);
    const number = (value, word) => value.toLocaleString("en") + " " + word + (value === 1 ? "" : "s");
    box.replaceChildren();
    box.hidden = false;
    const close = box.appendChild(document.createElement("button"));
    Object.assign(close, { textContent: "×", title: "Close", className: "wb-close" });
    close.addEventListener("click", () => { box.hidden = true; inside = -1; nodes.repaint(); });
    const line = (tag, text) => (box.appendChild(document.createElement(tag)).textContent = text);
    line("b", tiles[i][0]);
    line("div", tiles[i][1] + " UTC · overlaps " + number(degree[i], "tile"));
    const drawn = drawComponent(members, i, { near, start, degree, colours, classOf, tiles, open });
    const shownOf = size > members.length ? members.length.toLocaleString("en") + " of " + number(size, "tile") + ", nearest first" : number(size, "tile");
    line("div", "Its component: " + shownOf + ", " + number(drawn.edges, "overlap"));
    if (size > 1) box.appendChild(drawn.svg);
  }
  map.on("click", (event) => {
    const i = nodeAt(event.latlng);
    if (i >= 0) open(i);
  });
  const tip = L.tooltip({ direction: "top", offset: [0, -6] });
  map.on("mousemove", (event) => {
    const i = nodeAt(event.latlng);
    map.getContainer().style.cursor = i >= 0 ? "pointer" : "";
    if (i < 0) return void tip.remove();
    const text = document.createElement("div");
    text.appendChild(document.createElement("b")).textContent = tiles[i][0];
    text.appendChild(document.createElement("div")).textContent = tiles[i][1] + " UTC, overlaps " + degree[i] + (degree[i] === 1 ? " tile" : " tiles");
    tip.setLatLng(event.latlng).setContent(text).addTo(map);
  });
  map.on("mouseout", () => tip.remove());
  select(0, most);
  window.graphPlan = { count: n, degree, select, placeOf, component, chosen: () => [...order].filter(chosen), at: (lat, lng) => nodeAt(L.latLng(lat, lng)) };
  document.body.dataset.ready = "true";
}

// A few hundred tiles laid out by springs along their overlaps (Fruchterman and Reingold), the same each time.
function drawComponent(members, chosen, { near, start, degree, colours, classOf, tiles, open }) {
  const m = members.length, rank = new Map(members.map((i, k) => [i, k])), pairs = [];
  members.forEach((i, k) => {
    for (let e = start[i]; e < start[i + 1]; e++) if (rank.has(near[e]) && rank.get(near[e]) > k) pairs.push([k, rank.get(near[e])]);
  });
  const x = new Float64Array(m), y = new Float64Array(m), ideal = 1 / Math.sqrt(m);
  for (let k = 0; k < m; k++) [x[k], y[k]] = [0.5 * Math.sqrt(k / m) * Math.cos(2.399963 * k), 0.5 * Math.sqrt(k / m) * Math.sin(2.399963 * k)];
  for (let round = 0; round < 140; round++) {
    const dx = new Float64Array(m), dy = new Float64Array(m), heat = 0.12 * (1 - round / 140);
    for (let a = 0; a < m; a++) {
      for (let b = a + 1; b < m; b++) {
        const u = x[a] - x[b], v = y[a] - y[b], push = (ideal * ideal) / Math.max(u * u + v * v, 1e-6);
        dx[a] += u * push; dy[a] += v * push; dx[b] -= u * push; dy[b] -= v * push;
      }
    }
    for (const [a, b] of pairs) {
      const u = x[a] - x[b], v = y[a] - y[b], pull = Math.hypot(u, v) / ideal;
      dx[a] -= u * pull; dy[a] -= v * pull; dx[b] += u * pull; dy[b] += v * pull;
    }
    for (let k = 0; k < m; k++) {
      const far = Math.hypot(dx[k], dy[k]) || 1, go = Math.min(far, heat);
      x[k] += (dx[k] / far) * go; y[k] += (dy[k] / far) * go;
    }
  }
  const wide = 290, tall = 210, space = "http://www.w3.org/2000/svg", svg = document.createElementNS(space, "svg");
  for (const [key, value] of [["viewBox", `0 0 ${wide} ${tall}`], ["width", wide], ["height", tall]]) svg.setAttribute(key, value);
  const [x0, x1, y0, y1] = [Math.min(...x), Math.max(...x), Math.min(...y), Math.max(...y)];
  const X = (k) => 12 + ((x[k] - x0) / (x1 - x0 || 1)) * (wide - 24), Y = (k) => 12 + ((y[k] - y0) / (y1 - y0 || 1)) * (tall - 24);
  const lines = svg.appendChild(document.createElementNS(space, "path"));
  lines.setAttribute("d", pairs.map(([a, b]) => `M${X(a).toFixed(1)} ${Y(a).toFixed(1)}L${X(b).toFixed(1)} ${Y(b).toFixed(1)}`).join(""));
  for (const [key, value] of [["stroke", "#1f2933"], ["stroke-width", 0.6], ["stroke-opacity", m > 60 ? 0.25 : 0.5]]) lines.setAttribute(key, value);
  members.forEach((i, k) => {
    const dot = svg.appendChild(document.createElementNS(space, "circle"));
    const own = i === chosen;
    for (const [key, value] of [["cx", X(k)], ["cy", Y(k)], ["r", own ? 6 : m > 100 ? 3 : 4.5], ["fill", colours[classOf[i]]], ["stroke", own ? "#111827" : "#fff"], ["stroke-width", own ? 2 : 0.8]]) dot.setAttribute(key, value);
    dot.appendChild(document.createElementNS(space, "title")).textContent = tiles[i][0] + ", " + tiles[i][1] + ", overlaps " + degree[i];
    dot.style.cursor = "pointer";
    dot.addEventListener("click", () => open(i));
  });
  return { svg, edges: pairs.length };
}
