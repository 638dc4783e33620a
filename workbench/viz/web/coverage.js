// Locations on the map: coloured in one of several ways, classes and times switched, a click that tells what is known.
async function showPlan(map, base64, options, features) {
  const plan = await unpackPlan(base64);
  const c = plan.columns, n = c.crs.length;
  const quads = projectSquares(plan), index = squareIndex(quads);
  const firstMember = new Int32Array(c.lengths.length + 1);
  c.lengths.forEach((length, k) => (firstMember[k + 1] = firstMember[k] + length));
  const names = plan.ids.list ?? null;

  function locationId(i) {
    if (names) return names[i];
    const { between, widths, derived } = plan.ids;
    const number = (k) => {
      const [column, step] = derived["id" + k] || ["id" + k, 1];
      return String(c[column][i] / step).padStart(widths[k], "0");
    };
    return between.map((text, k) => text + (k < widths.length ? number(k) : "")).join("");
  }

  // What of a location is shown follows from the legend's boxes and the time slider; all ways to colour filter together.
  const visible = plan.colourings.map((colouring) => colouring.colours.map(() => true));
  const paint = { shown: new Int8Array(n), colours: plan.colourings[0].colours, selected: null };
  const inTime = new Uint8Array(c.lengths.length).fill(1);
  let active = 0, timeCut = false;

  const layer = features ? featureLayer(features, paint) : squareLayer(quads, index, paint).addTo(map);

  function refresh() {
    const cut = visible.map((boxes, k) => [c["class" + k], boxes]).filter(([, boxes]) => boxes.includes(false));
    const classes = c["class" + active], counts = new Int32Array(paint.colours.length);
    let total = 0;
    for (let i = 0; i < n; i++) {
      let on = !timeCut || inTime[c.combination[i]] === 1;
      for (let k = 0; k < cut.length && on; k++) on = cut[k][1][cut[k][0][i]];
      paint.shown[i] = on ? classes[i] : -1;
      if (on) { counts[classes[i]]++; total++; }
    }
    document.getElementById("wb-shown").textContent = total.toLocaleString("en");
    for (const cell of document.querySelectorAll(`[data-colouring="${active}"] [data-count]`)) {
      const all = cell.dataset.all, now = counts[Number(cell.dataset.count)].toLocaleString("en");
      const on = visible[active][Number(cell.dataset.count)];
      cell.textContent = !on || now === all ? all : now + " of " + all;
    }
    document.getElementById("wb-all").hidden = total === n;
    layer.repaint();
  }

  function colourBy(k) {
    active = k;
    paint.colours = plan.colourings[k].colours;
    document.getElementById("wb-top").textContent = plan.colourings[k].on_top;
    for (const part of document.querySelectorAll("[data-colouring]")) part.hidden = Number(part.dataset.colouring) !== k;
    refresh();
  }

  for (const box of document.querySelectorAll("input[data-series]")) {
    box.addEventListener("change", () => {
      visible[Number(box.closest("[data-colouring]").dataset.colouring)][Number(box.dataset.series)] = box.checked;
      map.closePopup();
      refresh();
    });
  }
  const choice = document.getElementById("wb-colour");
  if (choice) choice.addEventListener("change", () => colourBy(choice.selectedIndex));
  document.getElementById("wb-all").addEventListener("click", () => {
    visible.forEach((boxes) => boxes.fill(true));
    for (const box of document.querySelectorAll("input[data-series]")) box.checked = true;
    if (slider) slider.reset();
    refresh();
  });

  const days = plan.tiles.map(([, date]) => (date === "" ? null : Math.floor(Date.parse(date.slice(0, 10) + "T00:00Z") / 864e5)));
  const slider = timeSlider(map, days, plan, (from, to, all) => {
    timeCut = !all;
    for (let k = 0; k < inTime.length; k++) {
      inTime[k] = 0;
      for (let m = firstMember[k]; m < firstMember[k + 1] && !inTime[k]; m++) {
        const day = days[c.members[m]];
        if (day !== null && day >= from && day <= to) inTime[k] = 1;
      }
    }
    refresh();
  });

  function toldBy(k, i) {
    const { names: texts, origin, decimals, missing } = plan.colourings[k], told = c["told" + k];
    if (!told) return null;
    if (missing && c["class" + k][i] === 0) return "no value";
    if (texts) return texts[told[i]];
    return (origin + told[i] / 10 ** decimals).toLocaleString("en", { maximumFractionDigits: decimals });
  }

  function describe(i) {
    const box = document.createElement("div");
    box.className = "wb-popup";
    const k = c.combination[i], dates = c.dates[k];
    box.appendChild(document.createElement("h2")).textContent = "Location " + locationId(i);
    const metres = (value) => (value / 100).toLocaleString("en");
    const line = (text) => (box.appendChild(document.createElement("p")).textContent = text);
    line(dates + (dates === 1 ? " date" : " dates") + " (UTC) · square of " + metres(c.xmax[i]) + " m");
    line(plan.crs[c.crs[i]].name + " from x " + metres(c.xmin[i]) + " m, y " + metres(c.ymin[i]) + " m");
    plan.colourings.forEach((colouring, j) => {
      const told = toldBy(j, i);
      if (told !== null) line(colouring.name + ": " + told);
    });
    const table = box.appendChild(document.createElement("div")).appendChild(document.createElement("table"));
    for (let m = firstMember[k]; m < firstMember[k + 1]; m++) {
      const [id, date] = plan.tiles[c.members[m]];
      const row = table.insertRow();
      if (date) row.insertCell().textContent = date;
      row.insertCell().textContent = id;
    }
    showCard(box, locationId(i), options.cards);
    return box;
  }

  function corners(i, turn) {
    const points = [];
    for (let k = 0; k < 4; k++) {
      const x = quads[8 * i + 2 * k] + turn, y = quads[8 * i + 2 * k + 1];
      points.push([(Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) * 180) / Math.PI, 360 * x - 180]);
    }
    return points;
  }

  const tools = selectionTools(map, { n, quads, paint, locationId, title: options.title, repaint: () => layer.repaint() });
  let chosen = null;
  function shownAt(latlng) {
    const i = squareAt(quads, index, latlng);
    return i >= 0 && paint.shown[i] >= 0 ? i : -1;
  }
  map.on("click", (event) => {
    if (chosen) chosen.remove();
    const i = shownAt(event.latlng);
    if (i < 0 || tools.clicked(i)) return;
    const turn = Math.round((event.latlng.lng + 180) / 360 - (quads[8 * i] + quads[8 * i + 4]) / 2);
    chosen = L.polygon(corners(i, turn), { color: "#111827", weight: 2.5, fill: false, interactive: false }).addTo(map);
    const popup = L.popup({ minWidth: 260, maxWidth: 420 }).setLatLng(event.latlng), told = describe(i);
    told.addEventListener("grown", () => popup.update()); // a card that came late: lay it out again, and into view
    popup.setContent(told).openOn(map);
  });
  map.on("popupclose", () => chosen && chosen.remove());
  const tip = L.tooltip({ direction: "top", offset: [0, -6] });
  map.on("mousemove", (event) => {
    const i = map.getZoom() > 5 ? shownAt(event.latlng) : -1;
    if (!tools.busy()) map.getContainer().style.cursor = i >= 0 ? "pointer" : "";
    if (i < 0 || !options.tooltips || tools.busy()) return void tip.remove();
    const text = document.createElement("div"), told = toldBy(active, i), dates = c.dates[c.combination[i]];
    text.appendChild(document.createElement("b")).textContent = locationId(i);
    text.appendChild(document.createElement("div")).textContent = told ?? dates + (dates === 1 ? " date" : " dates");
    tip.setLatLng(event.latlng).setContent(text).addTo(map);
  });
  map.on("mouseout", () => tip.remove());

  if (options.overlays) await showOverlays(map, options.overlays);
  colourBy(0);
  // For tests and for the curious: the plan as the page knows it.
  window.coveragePlan = { count: n, locationId, corners, at: (lat, lng) => squareAt(quads, index, L.latLng(lat, lng)),
    shown: () => paint.shown, colours: () => paint.colours, tools };
  document.body.dataset.ready = "true";
  if (window.parent !== window) window.parent.postMessage({ source: "workbench-map", kind: "ready" }, "*");
}

// Few locations are features of folium, each an object of the page that other layers and scripts can reach.
function featureLayer(group, paint) {
  const parts = [];
  group.eachLayer((shape) => parts.push(shape));
  group.repaint = () => {
    for (const shape of parts) {
      const row = shape.feature.properties.row, k = paint.shown[row];
      if (k < 0 !== !group.hasLayer(shape)) k < 0 ? group.removeLayer(shape) : group.addLayer(shape);
      if (k < 0) continue;
      const pale = paint.selected && !paint.selected[row], colour = pale ? paler(paint.colours[k], 0.72) : paint.colours[k];
      const edge = paint.selected && !pale ? "#111827" : colour;
      if (shape.options.fillColor !== colour || shape.options.color !== edge) shape.setStyle({ color: edge, fillColor: colour });
    }
  };
  return group;
}
