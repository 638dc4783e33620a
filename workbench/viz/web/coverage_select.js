// Locations chosen by a rectangle, a lasso or clicks; told to Python where it listens, and saved as a file of ids anywhere.
function selectionTools(map, { n, quads, paint, locationId, title, repaint }) {
  let mode = null, marks = null, count = 0, corners = null, preview = null;
  const bar = document.createElement("div"), note = document.createElement("div");
  bar.className = "leaflet-bar wb-tools";
  note.className = "wb-box wb-selected";
  note.hidden = true;
  const icons = {
    rectangle: '<rect x="2.5" y="4.5" width="13" height="9"/>',
    lasso: '<path d="M9 3c4 0 7 2 7 4.5S13 12 9 12 2 10 2 7.5 5 3 9 3zM5 12c-1 1-1 3 1 3.5"/>',
    click: '<path d="M4 2l10 7-4.5 1L12 15l-2 1-2.5-5L4 14z"/>',
  };
  const told = { rectangle: "Select by a rectangle", lasso: "Select by a lasso", click: "Select by clicks" };
  const buttons = {};
  for (const kind of Object.keys(icons)) {
    const button = bar.appendChild(document.createElement("a"));
    button.innerHTML = `<svg viewBox="0 0 18 18" width="18" height="18" fill="none" stroke="currentColor" stroke-width="1.5">${icons[kind]}</svg>`;
    Object.assign(button, { href: "#", title: told[kind] + " (Esc ends; with Alt: take away)" });
    button.setAttribute("role", "button");
    button.setAttribute("aria-label", told[kind]);
    button.dataset.tool = kind;
    L.DomEvent.on(button, "click", (event) => { L.DomEvent.stop(event); turn(mode === kind ? null : kind); });
    buttons[kind] = button;
  }
  const amount = note.appendChild(document.createElement("span"));
  amount.id = "wb-selected";
  const action = (text, work) => {
    const button = note.appendChild(document.createElement("button"));
    button.textContent = text;
    button.addEventListener("click", work);
    return button;
  };
  action("Save ids", save).id = "wb-save";
  action("Clear", () => choose(null)).id = "wb-clear";
  for (const [element, position] of [[bar, "topleft"], [note, "topleft"]]) {
    const control = L.control({ position });
    control.onAdd = () => element;
    control.addTo(map);
    L.DomEvent.disableClickPropagation(element);
  }

  function turn(kind) {
    mode = kind;
    for (const name of Object.keys(buttons)) buttons[name].classList.toggle("wb-on", name === kind);
    const drawing = kind === "rectangle" || kind === "lasso";
    map.dragging[drawing ? "disable" : "enable"]();
    map.getContainer().style.cursor = kind ? "crosshair" : "";
    if (kind) map.closePopup();
    if (preview) preview.remove();
    corners = preview = null;
  }

  const world = (latlng) => {
    const point = L.CRS.EPSG3857.project(latlng), whole = 2 * Math.PI * 6378137;
    return [point.x / whole + 0.5, 0.5 - point.y / whole];
  };

  function inside(ring, x, y) {
    let odd = false;
    for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
      const [xi, yi] = ring[i], [xj, yj] = ring[j];
      if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) odd = !odd;
    }
    return odd;
  }

  // Every shown square whose centre lies within the ring, whichever turn of the world it is drawn in.
  function within(latlngs, take) {
    const ring = latlngs.map(world), xs = ring.map((p) => p[0]), ys = ring.map((p) => p[1]);
    const [west, east, north, south] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const next = marks ? marks.slice() : new Uint8Array(n);
    for (let i = 0; i < n; i++) {
      if (paint.shown[i] < 0) continue;
      const x = (quads[8 * i] + quads[8 * i + 4]) / 2, y = (quads[8 * i + 1] + quads[8 * i + 5]) / 2;
      if (y < north || y > south) continue;
      for (let turnOf = Math.ceil(west - x); turnOf <= east - x; turnOf++) if (inside(ring, x + turnOf, y)) next[i] = take ? 1 : 0;
    }
    choose(next);
  }

  function choose(next, quiet) {
    count = 0;
    if (next) for (let i = 0; i < n; i++) count += next[i];
    marks = count ? next : null;
    paint.selected = marks;
    note.hidden = !count;
    amount.textContent = count.toLocaleString("en") + " of " + n.toLocaleString("en") + " selected";
    repaint();
    if (!quiet) tell();
  }

  // Bits of the rows of the packed plan, lowest first; Python knows which row is which location.
  function bits() {
    const bytes = new Uint8Array(Math.ceil(n / 8));
    if (marks) for (let i = 0; i < n; i++) bytes[i >> 3] |= marks[i] << (i & 7);
    let text = "";
    for (let k = 0; k < bytes.length; k += 32768) text += String.fromCharCode(...bytes.subarray(k, k + 32768));
    return btoa(text);
  }

  function tell() {
    if (window.parent !== window) window.parent.postMessage({ source: "workbench-map", kind: "selection", rows: bits(), count }, "*");
  }

  window.addEventListener("message", ({ source, data }) => {
    if (source !== window.parent || data?.source !== "workbench-host" || data.kind !== "selection") return;
    const raw = atob(data.rows), next = new Uint8Array(n);
    for (let i = 0; i < n; i++) next[i] = (raw.charCodeAt(i >> 3) >> (i & 7)) & 1;
    choose(next, true);
  });

  function ids() {
    const found = [];
    if (marks) for (let i = 0; i < n; i++) if (marks[i]) found.push(locationId(i));
    return found;
  }

  function save() {
    const content = { format: "workbench-selection", version: 1, title, locations: n, ids: ids() };
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(content, null, 1)], { type: "application/json" }));
    link.download = "selection.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function draw(b) {
    const a = corners[0];
    if (mode !== "rectangle") corners.push(b);
    else if (!b.equals(a)) corners = [a, L.latLng(a.lat, b.lng), b, L.latLng(b.lat, a.lng)];
  }

  map.on("mousedown", (event) => {
    if (mode !== "rectangle" && mode !== "lasso") return;
    corners = [event.latlng];
    preview = L.polygon([], { color: "#111827", weight: 1.5, dashArray: "4 3", fillOpacity: 0.06, interactive: false }).addTo(map);
  });
  map.on("mousemove", (event) => {
    if (!corners) return;
    draw(event.latlng);
    preview.setLatLngs(corners);
  });
  map.on("mouseup", (event) => {
    if (!corners) return;
    draw(event.latlng); // moves may be dropped on a busy machine; the corner is where the button is let go
    const ring = corners;
    corners = null;
    preview.remove();
    if (ring.length > 2) within(ring, !event.originalEvent.altKey);
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") turn(null); });

  // Whether a click was one of selection.
  function clicked(i) {
    if (mode === "rectangle" || mode === "lasso") return true;
    if (mode !== "click") return false;
    const next = marks ? marks.slice() : new Uint8Array(n);
    next[i] = next[i] ? 0 : 1;
    choose(next);
    return true;
  }
  return { clicked, busy: () => mode !== null, ids, within: (points) => within(points.map(([lat, lng]) => L.latLng(lat, lng)), true), clear: () => choose(null) };
}
