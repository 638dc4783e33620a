// A picture of the part in view, asked of Python after each move; without a kernel the first picture stays.
function showLive(map, first) {
  map.createPane("picture").style.zIndex = 350;
  map.getPane("picture").style.pointerEvents = "none";
  let picture = null, live = false, asked = 0, shown = 0;
  const tell = (id, text) => (document.getElementById(id).textContent = text);
  const short = (value) => Number(value.toPrecision(3)).toLocaleString("en", { maximumFractionDigits: 6 });

  function show({ box, low, high, seen, picture: png }) {
    const corner = (x, y) => L.CRS.EPSG3857.unproject(L.point(x, y));
    const bounds = L.latLngBounds(corner(box[0], box[1]), corner(box[2], box[3]));
    const next = L.imageOverlay("data:image/png;base64," + png, bounds, { pane: "picture", className: "wb-pixels" }).addTo(map);
    const last = picture;
    picture = next;
    if (last) next.once("load", () => last.remove());
    tell("wb-low", short(low));
    tell("wb-high", short(high));
    tell("wb-shown", seen.toLocaleString("en"));
  }

  function ask() {
    if (!live) return;
    const size = map.getSize(), bounds = map.getPixelBounds(), scale = (2 * Math.PI * 6378137) / (256 * 2 ** map.getZoom());
    const half = Math.PI * 6378137, ratio = Math.min(2, window.devicePixelRatio || 1);
    const box = [bounds.min.x * scale - half, half - bounds.max.y * scale, bounds.max.x * scale - half, half - bounds.min.y * scale];
    tell("wb-state", "Drawing …");
    window.parent.postMessage({ source: "workbench-map", kind: "view", number: ++asked, box, size: [size.x * ratio, size.y * ratio] }, "*");
  }

  window.addEventListener("message", ({ source, data }) => {
    if (source !== window.parent || data?.source !== "workbench-host") return;
    if (data.kind === "live") { live = true; ask(); }
    if (data.kind === "picture" && data.number > shown) {
      shown = data.number;
      show(data);
      tell("wb-state", "Drawn by the kernel for this view.");
      document.body.dataset.drawn = String(shown);
    }
  });
  let waiting = null;
  map.on("moveend resize", () => { clearTimeout(waiting); waiting = setTimeout(ask, 60); });
  show(first);
  document.body.dataset.ready = "true";
  if (window.parent !== window) window.parent.postMessage({ source: "workbench-map", kind: "ready" }, "*");
}
