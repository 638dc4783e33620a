// Planned locations coloured by what became of their dates; a click tells the dates, the legend rings a reason or leads on.
function showFates(map, features, views, ring) {
  const plain = (feature) => ({ color: "#ffffff", weight: 1, opacity: 0.9, fillColor: feature.properties.colour, fillOpacity: 0.85 });
  const layer = L.geoJSON(features, { style: plain }).addTo(map);

  function describe(feature) {
    const box = document.createElement("div"), told = feature.properties;
    box.className = "wb-popup";
    box.appendChild(document.createElement("h2")).textContent = "Location " + told.id;
    box.appendChild(document.createElement("p")).textContent = told.crs + " · cut on " + told.fate;
    const table = box.appendChild(document.createElement("div")).appendChild(document.createElement("table"));
    for (const [date, fate, tile] of told.dates) {
      const row = table.insertRow();
      row.title = tile;
      row.insertCell().textContent = date;
      const cell = row.insertCell();
      cell.textContent = fate;
      cell.style.whiteSpace = "normal";
    }
    return box;
  }
  layer.bindPopup((square) => describe(square.feature), { minWidth: 270, maxWidth: 420 });

  let chosen = null;
  function paint() {
    layer.eachLayer((square) => {
      const hit = chosen !== null && square.feature.properties.reasons.includes(chosen);
      square.setStyle(hit ? { color: ring, weight: 3, opacity: 1 } : plain(square.feature));
      if (hit) square.bringToFront();
    });
  }
  for (const radio of document.querySelectorAll("input[data-reason]")) {
    radio.addEventListener("click", () => {
      const again = chosen === radio.dataset.reason; // a second click takes the rings away
      chosen = again ? null : radio.dataset.reason;
      radio.checked = !again;
      paint();
    });
  }
  for (const radio of document.querySelectorAll("input[data-view]")) {
    radio.addEventListener("click", () => {
      const room = map.getSize().x > 640 ? 275 : 24; // the legend stands at the right
      map.fitBounds(views[Number(radio.dataset.view)], { paddingTopLeft: [24, 24], paddingBottomRight: [room, 24], animate: false });
    });
  }
  if (window.innerWidth < 640) {
    // On a small screen the map comes first: the sections wait to be opened.
    for (const section of document.querySelectorAll(".wb-legend details + details")) section.open = false;
  }
  document.body.dataset.ready = "true";
}
