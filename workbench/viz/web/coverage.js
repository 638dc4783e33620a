// A plan on the map: squares coloured by series length, classes switched in the legend, a click that tells the dates.
async function showPlan(map, base64, options) {
  const plan = await unpackPlan(base64);
  const c = plan.columns, n = c.crs.length;
  const quads = projectSquares(plan), index = squareIndex(quads);
  const firstMember = new Int32Array(c.lengths.length + 1);
  c.lengths.forEach((length, k) => (firstMember[k + 1] = firstMember[k] + length));
  const classOf = new Int8Array(n);
  for (let i = 0; i < n; i++) {
    const dates = c.dates[c.combination[i]];
    classOf[i] = options.steps.filter((step) => dates >= step).length - 1;
  }
  const visible = options.colours.map(() => true);
  const names = plan.ids.text === undefined ? null : plan.ids.text.split("\n");

  function locationId(i) {
    if (names) return names[i];
    const { between, widths, derived } = plan.ids;
    const number = (k) => {
      const [column, step] = derived["id" + k] || ["id" + k, 1];
      return String(c[column][i] / step).padStart(widths[k], "0");
    };
    return between.map((text, k) => text + (k < widths.length ? number(k) : "")).join("");
  }

  map.createPane("squares").style.zIndex = 350;
  const layer = squareLayer(quads, index, classOf, options.colours, visible).addTo(map);

  for (const box of document.querySelectorAll("input[data-series]")) {
    box.addEventListener("change", () => {
      visible[Number(box.dataset.series)] = box.checked;
      const shown = options.counts.reduce((sum, count, k) => sum + (visible[k] ? count : 0), 0);
      document.getElementById("wb-shown").textContent = shown.toLocaleString("en");
      layer.repaint();
      map.closePopup();
    });
  }

  function cell(row, text) {
    row.insertCell().textContent = text;
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
    const table = box.appendChild(document.createElement("div")).appendChild(document.createElement("table"));
    for (let m = firstMember[k]; m < firstMember[k + 1]; m++) {
      const [id, date] = plan.tiles[c.members[m]];
      const row = table.insertRow();
      cell(row, date);
      cell(row, id);
    }
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

  let chosen = null;
  map.on("click", (event) => {
    if (chosen) chosen.remove();
    const i = squareAt(quads, index, event.latlng);
    if (i < 0 || !visible[classOf[i]]) return;
    const turn = Math.round((event.latlng.lng + 180) / 360 - (quads[8 * i] + quads[8 * i + 4]) / 2);
    chosen = L.polygon(corners(i, turn), { color: "#111827", weight: 2.5, fill: false, interactive: false }).addTo(map);
    L.popup({ minWidth: 260, maxWidth: 420 }).setLatLng(event.latlng).setContent(describe(i)).openOn(map);
  });
  map.on("popupclose", () => chosen && chosen.remove());
  map.on("mousemove", (event) => {
    const over = map.getZoom() > 5 && squareAt(quads, index, event.latlng) >= 0;
    map.getContainer().style.cursor = over ? "pointer" : "";
  });

  // For tests and for the curious: the plan as the page knows it.
  window.coveragePlan = { count: n, locationId, corners, at: (lat, lng) => squareAt(quads, index, L.latLng(lat, lng)) };
  document.body.dataset.ready = "true";
}
