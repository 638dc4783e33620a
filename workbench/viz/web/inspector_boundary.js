// Where two class maps differ, and how their boundaries lie to each other.

const REACH = 24; // px; boundaries farther apart than this are simply far

// Bit 1: the pixel's right neighbour is of another class; bit 2: the one below is. A border counts where both
// sides are labelled and at least one of them is a class that is shown.
function classEdges(ids, target, width, height, ignored, shown) {
  const edges = new Uint8Array(ids.length);
  for (let y = 0, p = 0; y < height; y++) {
    for (let x = 0; x < width; x++, p++) {
      if (target[p] === ignored) continue;
      const id = ids[p];
      if (x + 1 < width && ids[p + 1] !== id && target[p + 1] !== ignored && (shown[id] || shown[ids[p + 1]])) edges[p] |= 1;
      if (y + 1 < height && ids[p + width] !== id && target[p + width] !== ignored && (shown[id] || shown[ids[p + width]])) edges[p] |= 2;
    }
  }
  return edges;
}

// Distance of every pixel to the nearest edge in its own column, px, capped.
function columnDistance(edges, width, height) {
  const far = REACH + 1, down = new Uint8Array(edges.length).fill(far);
  for (let p = 0; p < edges.length; p++) {
    if (edges[p]) down[p] = 0;
    else if (p >= width) down[p] = Math.min(far, down[p - width] + 1);
  }
  for (let p = edges.length - width - 1; p >= 0; p--) down[p] = Math.min(down[p], down[p + width] + 1);
  return down;
}

// For every edge pixel of one map the squared distance to the nearest edge pixel of the other, exact within REACH.
function squaredDistances(edges, column, width) {
  const far = (REACH + 1) ** 2, squared = new Uint16Array(edges.length);
  for (let p = 0; p < edges.length; p++) {
    if (!edges[p]) continue;
    const x = p % width;
    let best = Math.min(far, column[p] ** 2);
    for (let d = 1; d <= REACH && d * d < best; d++) {
      if (x >= d) best = Math.min(best, d * d + column[p - d] ** 2);
      if (x + d < width) best = Math.min(best, d * d + column[p + d] ** 2);
    }
    squared[p] = best;
  }
  return squared;
}

const BOUNDARY = { AGREED: 1, SHIFTED: 2, FALSE: 3, MISSED: 4 };

// What each boundary pixel is at a tolerance in px: agreed (0 apart), shifted (within), false (only predicted),
// missed (only in the target). A shifted boundary is marked where it was predicted.
function boundaryKinds(compared, tolerance) {
  const { ours, theirs, fromOurs, fromTheirs } = compared, limit = tolerance * tolerance;
  const kinds = new Uint8Array(ours.length), counts = { agreed: 0, shifted: 0, false: 0, missed: 0 };
  for (let p = 0; p < kinds.length; p++) {
    if (theirs[p] && fromTheirs[p] > limit) { kinds[p] = BOUNDARY.MISSED; counts.missed++; }
    if (!ours[p]) continue;
    if (fromOurs[p] > limit) { kinds[p] = BOUNDARY.FALSE; counts.false++; }
    else if (fromOurs[p]) { kinds[p] = BOUNDARY.SHIFTED; counts.shifted++; }
    else { kinds[p] = BOUNDARY.AGREED; counts.agreed++; }
  }
  return { kinds, counts };
}

const DIFFERENCE = { NONE: 0, ONLY_FIRST: 1, ONLY_SECOND: 2, BOTH_SAME: 3, BOTH_OTHER: 4 };

// Who is right at each pixel; pixels without a label, or of hidden classes only, are left out.
function differenceKinds(target, first, second, ignored, shown) {
  const kinds = new Uint8Array(target.length);
  for (let p = 0; p < kinds.length; p++) {
    const t = target[p], u = first[p], v = second[p];
    if (t === ignored || (u === t && v === t) || !(shown[t] || shown[u] || shown[v])) continue;
    if (u === t) kinds[p] = DIFFERENCE.ONLY_FIRST;
    else if (v === t) kinds[p] = DIFFERENCE.ONLY_SECOND;
    else kinds[p] = u === v ? DIFFERENCE.BOTH_SAME : DIFFERENCE.BOTH_OTHER;
  }
  return kinds;
}
