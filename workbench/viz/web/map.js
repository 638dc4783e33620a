// The first view, lines of longitude and latitude that follow the zoom, and a wheel that zooms once the map is meant.
function dressMap(map, view, icons) {
  L.Icon.Default.mergeOptions(icons);
  L.Icon.Default.imagePath = " ";
  // A frame below the fold may start without a size, which would fit the view to nothing: fit again until a reader acts.
  const box = map.getContainer();
  const fit = new ResizeObserver(() => {
    map.invalidateSize({ animate: false });
    const size = map.getSize(), boxes = size.x > 640 ? 275 : 24; // legend and layers stand at the right
    if (size.x > 40 && size.y > 40) map.fitBounds(view, { paddingTopLeft: [24, 24], paddingBottomRight: [boxes, 24], animate: false });
  });
  fit.observe(box);
  for (const act of ["mousedown", "wheel", "touchstart", "keydown"]) box.addEventListener(act, () => fit.disconnect(), { capture: true, passive: true });

  const steps = [90, 60, 45, 30, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01];
  map.createPane("graticule").style.zIndex = 160;
  map.getPane("graticule").style.pointerEvents = "none";
  const lines = L.layerGroup().addTo(map);

  function name(value, step, positive, negative) {
    const digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
    const wrapped = ((((value + 180) % 360) + 360) % 360) - 180;
    const shown = positive === "E" ? wrapped : value;
    return Math.abs(shown).toFixed(digits) + "°" + (Math.abs(shown) < 1e-9 ? "" : shown > 0 ? positive : negative);
  }

  function line(points, text, place, anchor) {
    L.polyline(points, { pane: "graticule", color: "#9aa5b1", weight: 0.6, opacity: 0.7, interactive: false }).addTo(lines);
    const icon = L.divIcon({ className: "wb-degrees", html: text, iconSize: null, iconAnchor: anchor });
    L.marker(place, { pane: "graticule", icon: icon, interactive: false, keyboard: false }).addTo(lines);
  }

  function draw() {
    lines.clearLayers();
    const view = map.getBounds();
    const west = view.getWest(), east = view.getEast();
    const south = Math.max(view.getSouth(), -85), north = Math.min(view.getNorth(), 85);
    const wide = (east - west) / Math.max(2, map.getSize().x / 170);
    const step = steps.slice().reverse().find((s) => s >= wide) || 90;
    const foot = map.containerPointToLatLng([0, map.getSize().y - 4]).lat;
    for (let lon = Math.ceil(west / step) * step; lon <= east; lon += step) {
      if (map.latLngToContainerPoint([0, lon]).x > map.getSize().x - 42) continue; // no room for its name
      line([[south, lon], [north, lon]], name(lon, step, "E", "W"), [Math.max(foot, -85), lon], [-3, 14]);
    }
    const edge = map.containerPointToLatLng([3, 0]).lng;
    for (let lat = Math.ceil(south / step) * step; lat <= north; lat += step) {
      line([[lat, west], [lat, east]], name(lat, step, "N", "S"), [lat, edge], [0, 15]);
    }
  }
  map.on("moveend", draw);
  map.whenReady(draw);

  if (window.self !== window.top) {
    // Inside a notebook the wheel scrolls the page until the map was clicked.
    map.scrollWheelZoom.disable();
    map.on("mousedown", () => map.scrollWheelZoom.enable());
    map.on("mouseout", () => map.scrollWheelZoom.disable());
  }
}

// A box in a corner; its HTML was made by Python, which escaped every text of the data.
function addLegend(map, html, position) {
  const legend = L.control({ position });
  legend.onAdd = () => {
    const box = L.DomUtil.create("div", "wb-box wb-legend");
    box.append(document.createRange().createContextualFragment(html));
    L.DomEvent.disableClickPropagation(box);
    L.DomEvent.disableScrollPropagation(box);
    return box;
  };
  legend.addTo(map);
}
