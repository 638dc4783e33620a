// The strip: patches in order, as many in the page as can be seen, thumbnails made when they come into view.

const TINT = [255, 45, 135]; // where the two differ
const THUMB = 64, CARD = 78; // CSS pixels: side of a thumbnail, and from one to the next

// Places in the set, filtered and sorted; patches whose measure is not defined come last.
function orderedPatches(set, { sort, descending, filterClass, filterSize }) {
  const column = set.measures.indexOf(sort);
  const value = (k) => set.patches[k].scores[column] ?? null;
  const kept = set.patches.map((_, k) => k).filter((k) => {
    const meta = set.patches[k];
    return (filterClass === null || meta.differing.includes(filterClass)) && meta.largest * set.gsd ** 2 >= filterSize;
  });
  if (sort === "") return descending ? kept.reverse() : kept;
  const sign = descending ? -1 : 1;
  return kept.sort((i, j) => {
    const a = value(i), b = value(j);
    if (a === null || b === null) return (a === null) - (b === null) || i - j;
    return sign * (a - b) || i - j;
  });
}

function stripOf(app) {
  const host = document.getElementById("strip"), { set, state } = app;
  const room = node("div", { className: "room", role: "presentation" });
  const cards = new Map(), thumbs = recent(400);
  let waiting = [], busy = 0;
  host.append(room);

  function paint() {
    const first = Math.max(0, Math.floor(host.scrollLeft / CARD) - 2);
    const last = Math.min(app.order.length, Math.ceil((host.scrollLeft + host.clientWidth) / CARD) + 2);
    const seen = new Set();
    for (let n = first; n < last; n++) seen.add(app.order[n]);
    for (const [index, card] of cards) if (!seen.has(index)) { card.remove(); cards.delete(index); }
    for (let n = first; n < last; n++) dress(app.order[n], n);
    waiting = waiting.filter((index) => seen.has(index));
    const at = app.order[state.at];
    if (at === undefined) host.removeAttribute("aria-activedescendant");
    else host.setAttribute("aria-activedescendant", `card-${at}`);
  }

  function dress(index, n) {
    let card = cards.get(index);
    if (!card) {
      card = node("div", { className: "card", id: `card-${index}`, role: "option" });
      card.append(thumbnail(index), node("span"));
      card.addEventListener("click", () => app.go(app.order.indexOf(index)));
      cards.set(index, card);
      room.append(card);
    }
    const text = app.scoreText(index), name = set.patches[index].id;
    card.style.transform = `translateX(${n * CARD}px)`;
    card.title = name;
    card.lastChild.textContent = text;
    card.ariaLabel = `${name}${text ? `, ${state.sort} ${text}` : ""}${app.voted(index) ? ", voted" : ""}`;
    card.ariaSelected = String(n === state.at);
    card.ariaPosInSet = String(n + 1);
    card.ariaSetSize = String(app.order.length);
    card.classList.toggle("voted", app.voted(index));
  }

  function thumbnail(index) {
    const known = thumbs.get(index);
    if (known) return known;
    const canvas = node("canvas", { width: THUMB, height: THUMB, role: "presentation" });
    waiting.push(index);
    setTimeout(fill);
    return thumbs.set(index, canvas);
  }

  // Two at a time, the latest asked for first; what scrolled out of view meanwhile is left for later.
  async function fill() {
    if (busy >= 2 || !waiting.length) return;
    busy++;
    const index = waiting.pop();
    try { await draw(index); } finally { busy--; setTimeout(fill); }
  }

  async function draw(index) {
    const canvas = thumbs.get(index), context = canvas.getContext("2d"), meta = set.patches[index], words = carriedWords(index);
    const { values, width } = await decodePlanes(bytesOf(words[0]));
    if (meta.pictures.length) {
      const small = { resizeWidth: THUMB, resizeHeight: THUMB, resizeQuality: "medium" };
      context.drawImage(await createImageBitmap(pictureBlob(set, bytesOf(words[1])), small), 0, 0);
    }
    const image = context.getImageData(0, 0, THUMB, THUMB), ignored = set.classes.length;
    const differing = new Uint16Array(THUMB * THUMB), all = new Uint16Array(THUMB * THUMB);
    for (let y = 0; y < meta.height; y++) {
      for (let x = 0; x < meta.width; x++) {
        const p = y * width + x, target = values[p], a = values[p + meta.width], b = values[p + 2 * meta.width];
        const cell = Math.floor((y * THUMB) / meta.height) * THUMB + Math.floor((x * THUMB) / meta.width);
        all[cell]++;
        if (target !== ignored && a !== b) differing[cell]++;
      }
    }
    for (let cell = 0; cell < all.length; cell++) {
      const share = Math.min(1, (1.5 * differing[cell]) / all[cell]) || 0;
      TINT.forEach((value, k) => (image.data[4 * cell + k] += share * (value - image.data[4 * cell + k])));
    }
    context.putImageData(image, 0, 0);
  }

  // Bring the shown patch into view, near ones by the shortest way.
  function reveal() {
    room.style.width = `${app.order.length * CARD}px`;
    const left = state.at * CARD, right = left + CARD;
    if (left < host.scrollLeft) host.scrollLeft = left - CARD / 2;
    else if (right > host.scrollLeft + host.clientWidth) host.scrollLeft = right + CARD / 2 - host.clientWidth;
  }

  host.addEventListener("scroll", () => app.renderStrip());
  host.addEventListener("wheel", (event) => {
    if (Math.abs(event.deltaY) <= Math.abs(event.deltaX) || (window.parent !== window && !document.hasFocus())) return;
    event.preventDefault();
    host.scrollLeft += event.deltaY;
  }, { passive: false });
  return { paint, reveal };
}
