// Pointing at a tile lights up its edges; a click lists all tiles of the place. Texts are set as text, never as HTML.
function connectGraph(map, footprints, edges, nodes) {
  const edgesOf = new Map();
  edges.eachLayer((edge) => {
    const p = edge.feature.properties;
    for (const id of [p.a, p.b]) edgesOf.set(id, (edgesOf.get(id) || []).concat(edge));
    const shared = p.km2 === null ? "" : "share " + p.km2.toLocaleString("en") + " km²";
    edge.bindTooltip(() => lines([p.a, p.b, shared]), { sticky: true });
  });

  function lines(texts) {
    const box = document.createElement("div");
    texts.filter((text) => text !== "").forEach((text, row) => {
      const line = box.appendChild(document.createElement(row === 0 ? "b" : "div"));
      line.textContent = text;
    });
    return box;
  }

  function facts(p) {
    return lines([p.id, p.date, p.group === "" ? "" : "group " + p.group, "overlaps " + p.degree + (p.degree === 1 ? " tile" : " tiles")]);
  }

  function light(id, on) {
    for (const edge of edgesOf.get(id) || []) {
      edge.setStyle(on ? { color: "#d1741f", weight: 2.4, opacity: 1 } : edge.feature.properties.style);
      if (on) edge.bringToFront();
    }
    if (on) nodes.eachLayer((node) => node.bringToFront());
  }

  for (const layer of [footprints, nodes]) {
    layer.eachLayer((shape) => {
      const p = shape.feature.properties;
      shape.bindTooltip(() => facts(p), { sticky: true });
      shape.on("mouseover", () => { light(p.id, true); shape.setStyle({ fillOpacity: layer === nodes ? 1 : 0.5 }); });
      shape.on("mouseout", () => { light(p.id, false); shape.setStyle({ fillOpacity: p.style.fillOpacity }); });
    });
  }

  function scaleNodes() {
    const zoom = map.getZoom();
    nodes.eachLayer((node) => node.setRadius(Math.min(6, Math.max(1.6, zoom - 2.4))).setStyle({ weight: zoom < 5 ? 0.4 : 1 }));
    edges.eachLayer((edge) => edge.setStyle({ weight: (edge.feature.properties.style.weight = zoom < 5 ? 0.4 : 0.9) }));
  }
  map.on("zoomend", scaleNodes);
  map.whenReady(scaleNodes);

  function inside(rings, x, y) {
    let odd = false;
    for (const ring of rings) {
      for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
        const [xi, yi] = ring[i], [xj, yj] = ring[j];
        if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) odd = !odd;
      }
    }
    return odd;
  }

  function tilesAt(place) {
    const found = [];
    footprints.eachLayer((shape) => {
      const g = shape.feature.geometry;
      const parts = g.type === "Polygon" ? [g.coordinates] : g.coordinates;
      if (parts.some((rings) => inside(rings, place.lng, place.lat))) found.push(shape.feature.properties);
    });
    return found.sort((a, b) => (a.date < b.date ? -1 : a.date > b.date ? 1 : a.id < b.id ? -1 : 1));
  }

  map.on("click", (event) => {
    const found = tilesAt(event.latlng.wrap());
    if (!found.length) return;
    const box = document.createElement("div");
    box.className = "wb-popup";
    box.appendChild(document.createElement("h2")).textContent = found.length + (found.length === 1 ? " tile here" : " tiles here");
    const table = box.appendChild(document.createElement("div")).appendChild(document.createElement("table"));
    for (const p of found) {
      const row = table.insertRow();
      row.insertCell().textContent = p.date.slice(0, 10);
      row.insertCell().textContent = p.id;
    }
    L.popup({ maxWidth: 420 }).setLatLng(event.latlng).setContent(box).openOn(map);
  });
  document.body.dataset.ready = "true";
}
