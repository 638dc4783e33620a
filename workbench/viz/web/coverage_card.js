// Pictures and spectra of a location under what its click tells: from the page, or from Python where it listens.
const askedFor = new Map();
function showCard(box, id, cards) {
  if (!cards && !window.liveCards) return;
  const place = box.appendChild(document.createElement("section"));
  place.className = "wb-card";
  const own = (table) => (cards && Object.hasOwn(table, id) ? table[id] : null); // an id may be "__proto__"
  const known = own(cards?.of), rejected = own(cards?.rejected) || [];
  if (known) return drawCard(place, known, cards, rejected);
  if (window.liveCards) {
    place.textContent = "asking Python …";
    askedFor.set(id, place);
    window.parent.postMessage({ source: "workbench-map", kind: "card", id }, "*");
    return;
  }
  place.textContent = cards.note;
  drawRejected(place, rejected);
}

window.addEventListener("message", ({ source, data }) => {
  if (source !== window.parent || data?.source !== "workbench-host") return;
  if (data.kind === "live-cards") window.liveCards = true;
  if (data.kind === "card" && askedFor.has(data.id)) {
    const place = askedFor.get(data.id);
    askedFor.delete(data.id);
    place.textContent = "";
    if (data.card) drawCard(place, data.card, data.about, data.rejected);
    else {
      place.textContent = data.note;
      drawRejected(place, data.rejected);
    }
    place.dispatchEvent(new Event("grown", { bubbles: true }));
  }
});

// Which planned dates are missing, and why: the reason is told with its limit, the tile by pointing at the row.
function drawRejected(place, rejected) {
  if (!rejected || !rejected.length) return;
  const box = place.appendChild(document.createElement("div"));
  box.className = "wb-rejected";
  box.appendChild(document.createElement("b")).textContent = rejected.length + (rejected.length === 1 ? " planned date was" : " planned dates were") + " not cut";
  const table = box.appendChild(document.createElement("table"));
  for (const [date, reason, tile] of rejected) {
    const row = table.insertRow();
    row.title = tile;
    row.insertCell().textContent = date;
    row.insertCell().textContent = reason;
  }
}

function drawCard(place, card, about, rejected) {
  const strip = place.appendChild(document.createElement("div"));
  strip.className = "wb-thumbs";
  const colour = (k) => (card.dates.length < 2 ? "#31688e" : ["#440154", "#3b528b", "#21918c", "#5ec962", "#e8b000"][Math.round((4 * k) / (card.dates.length - 1))]);
  card.dates.forEach(({ date, tile, image }, k) => {
    const figure = strip.appendChild(document.createElement("figure"));
    const picture = figure.appendChild(document.createElement("img"));
    picture.src = "data:image/jpeg;base64," + image;
    picture.alt = picture.title = date + ", " + tile;
    const caption = figure.appendChild(document.createElement("figcaption"));
    caption.textContent = date;
    caption.style.borderTop = "3px solid " + colour(k);
  });
  if (about.nm.length > 1) place.appendChild(spectra(card, about, colour));
  const told = place.appendChild(document.createElement("small"));
  told.textContent = card.dates.length + " of " + card.of + " stored dates. " + about.told;
  drawRejected(place, rejected);
}

function spectra(card, { nm, units }, colour) {
  const wide = 290, high = 120, left = 34, foot = 20, space = "http://www.w3.org/2000/svg";
  const make = (parent, name, attributes, text) => {
    const part = parent.appendChild(document.createElementNS(space, name));
    for (const key of Object.keys(attributes)) part.setAttribute(key, attributes[key]);
    if (text !== undefined) part.textContent = text;
    return part;
  };
  const svg = document.createElementNS(space, "svg");
  for (const [key, value] of [["viewBox", `0 0 ${wide} ${high}`], ["width", wide], ["height", high], ["class", "wb-spectra"]]) svg.setAttribute(key, value);
  const values = card.dates.flatMap((d) => d.spectrum.filter((v) => v !== null));
  const top = Math.max(...values, 1e-6), bottom = Math.min(...values, 0);
  const x = (w) => left + ((w - nm[0]) / (nm[nm.length - 1] - nm[0])) * (wide - left - 6), y = (v) => 6 + (1 - (v - bottom) / (top - bottom)) * (high - foot - 8);
  for (const v of [bottom, top]) make(svg, "text", { x: left - 4, y: y(v) + 4, "text-anchor": "end" }, Number(v.toPrecision(2)).toString());
  for (const w of [nm[0], nm[nm.length - 1]]) make(svg, "text", { x: x(w), y: high - 5, "text-anchor": w === nm[0] ? "start" : "end" }, Math.round(w) + " nm");
  make(svg, "text", { x: wide - 6, y: 10, "text-anchor": "end" }, units);
  make(svg, "path", { d: `M${left} 6V${y(bottom)}H${wide - 6}`, fill: "none", stroke: "#b9c0c7" });
  card.dates.forEach(({ spectrum }, k) => {
    let path = "", pen = false;
    spectrum.forEach((v, b) => {
      const gap = b > 0 && nm[b] - nm[b - 1] > 60; // bands of water vapour are left out
      if (v === null) { pen = false; return; }
      path += (pen && !gap ? "L" : "M") + x(nm[b]).toFixed(1) + " " + y(v).toFixed(1);
      pen = true;
    });
    make(svg, "path", { d: path, fill: "none", stroke: colour(k), "stroke-width": 1.3 });
  });
  return svg;
}
