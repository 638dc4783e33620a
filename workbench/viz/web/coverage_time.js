// Two handles over the months of a campaign: locations with an acquisition in between are shown. Null where dates are not known.
function timeSlider(map, days, plan, onChange) {
  let first = Infinity, last = -Infinity;
  for (const day of days) if (day !== null) { first = Math.min(first, day); last = Math.max(last, day); }
  if (!(last > first)) return null;
  const shown = (day) => new Date(day * 864e5).toISOString().slice(0, 10);
  const control = L.control({ position: "bottomleft" });
  const box = document.createElement("div");
  box.className = "wb-box wb-time";
  const head = box.appendChild(document.createElement("div")), bars = box.appendChild(document.createElement("canvas"));
  const label = head.appendChild(document.createElement("span"));
  label.id = "wb-time";
  const rail = box.appendChild(document.createElement("div"));
  rail.className = "wb-rail";
  const [low, high] = ["First day", "Last day"].map((name) => {
    const input = rail.appendChild(document.createElement("input"));
    Object.assign(input, { type: "range", min: first, max: last, step: 1 });
    input.setAttribute("aria-label", name);
    return input;
  });
  low.id = "wb-from";
  high.id = "wb-to";

  // Tiles by day, in as many bars as there is room for.
  const counts = new Array(Math.min(58, last - first + 1)).fill(0);
  const slot = (day) => Math.min(counts.length - 1, Math.floor(((day - first) / (last - first + 1)) * counts.length));
  for (const day of days) if (day !== null) counts[slot(day)]++;
  const most = Math.max(...counts), ratio = Math.min(2, window.devicePixelRatio || 1), wide = 232, high_ = 26;
  Object.assign(bars, { width: wide * ratio, height: high_ * ratio });
  Object.assign(bars.style, { width: "100%", height: high_ + "px" });
  bars.title = "Tiles by date, at most " + most.toLocaleString("en") + " in a bar";
  function drawBars(from, to) {
    const context = bars.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, wide, high_);
    counts.forEach((count, k) => {
      const height = count === 0 ? 0 : Math.max(1, ((high_ - 2) * count) / most), step = wide / counts.length;
      context.fillStyle = k >= slot(from) && k <= slot(to) ? "#31688e" : "#c8d0d8";
      context.fillRect(k * step + 0.5, high_ - height, Math.max(1, step - 1), height);
    });
  }

  let waiting = false;
  function apply() {
    waiting = false;
    const from = Number(low.value), to = Number(high.value), all = from === first && to === last;
    label.textContent = shown(from) + " to " + shown(to);
    drawBars(from, to);
    onChange(from, to, all);
  }
  function moved(event) {
    if (Number(low.value) > Number(high.value)) (event.target === low ? high : low).value = event.target.value;
    low.style.zIndex = Number(low.value) > (first + last) / 2 ? 2 : 1; // both handles stay within reach at either end
    if (!waiting) requestAnimationFrame(apply);
    waiting = true;
  }
  for (const input of [low, high]) input.addEventListener("input", moved);
  function reset() {
    low.value = first;
    high.value = last;
    label.textContent = shown(first) + " to " + shown(last);
    drawBars(first, last);
    onChange(first, last, true);
  }
  control.onAdd = () => box;
  control.addTo(map);
  L.DomEvent.disableClickPropagation(box);
  L.DomEvent.disableScrollPropagation(box);
  low.value = first;
  high.value = last;
  label.textContent = shown(first) + " to " + shown(last);
  drawBars(first, last);
  return { reset };
}
