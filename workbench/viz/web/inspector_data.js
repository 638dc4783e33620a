// The patches of the page: read from their Base64 when they are needed, decoded once, kept while they are near.

// A small store of what was used last; the oldest entry leaves first.
function recent(size) {
  const entries = new Map();
  return {
    get(key) {
      const value = entries.get(key);
      if (value !== undefined) { entries.delete(key); entries.set(key, value); }
      return value;
    },
    set(key, value) {
      entries.set(key, value);
      if (entries.size > size) entries.delete(entries.keys().next().value);
      return value;
    },
    clear: () => entries.clear(),
  };
}

function bytesOf(base64) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

// PNGs as inspector_data.py writes them: one byte a pixel, rows as they are or as differences from the one above. They
// are not read through a canvas, so that no colour management or privacy setting changes a class index.
async function decodePlanes(png) {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  let width = 0, height = 0, packed = null;
  for (let at = 8; at < png.length;) {
    const size = view.getUint32(at), name = view.getUint32(at + 4);
    if (name === 0x49484452) { width = view.getUint32(at + 8); height = view.getUint32(at + 12); }
    if (name === 0x49444154) packed = png.subarray(at + 8, at + 8 + size);
    at += 12 + size;
  }
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const rows = new Uint8Array(await new Response(stream).arrayBuffer());
  const values = new Uint8Array(width * height);
  for (let y = 0, to = 0; y < height; y++) {
    const from = y * (width + 1) + 1;
    values.set(rows.subarray(from, from + width), to);
    if (y && rows[from - 1] === 2) for (let x = 0; x < width; x++) values[to + x] += values[to + x - width];
    to += width;
  }
  return { width, height, values };
}

// The three class maps lie side by side in one picture.
function splitMaps(planes, width) {
  const { height, values } = planes;
  return ["target", "a", "b"].reduce((maps, name, k) => {
    const ids = new Uint8Array(width * height);
    for (let y = 0; y < height; y++) {
      const from = y * 3 * width + k * width;
      ids.set(values.subarray(from, from + width), y * width);
    }
    return Object.assign(maps, { [name]: ids });
  }, {});
}

function pictureBlob(set, bytes) {
  return new Blob([bytes], { type: set.lossless ? "image/png" : "image/jpeg" });
}

// What one patch carries, as Base64 words: class maps, pictures, planes and basis of its spectra.
function carriedWords(index) {
  return document.getElementById(`patch-${index}`).textContent.split(" ");
}

async function decodePatch(set, index) {
  const meta = set.patches[index], words = carriedWords(index);
  const maps = decodePlanes(bytesOf(words[0]));
  const pictures = await Promise.all(meta.pictures.map((_, k) => createImageBitmap(pictureBlob(set, bytesOf(words[1 + k])))));
  const ids = splitMaps(await maps, meta.width);
  const patch = { index, meta, width: meta.width, height: meta.height, ids, layers: recent(24), spectra: null };
  patch.pictures = new Map(meta.pictures.map((name, k) => [name, pictures[k]]));
  if (meta.spectra) {
    const planes = await decodePlanes(bytesOf(words[1 + meta.pictures.length]));
    const basis = new Float32Array(bytesOf(words[2 + meta.pictures.length]).buffer);
    patch.spectra = unpackedSpectra(meta, planes, basis);
  }
  return patch;
}

// Spectra are mean + Σ weight × component; weight = low + (count − 1) × step, and a count of 0 is no measurement.
function unpackedSpectra(meta, planes, basis) {
  const { low, step, error } = meta.spectra, count = low.length, size = meta.width * meta.height;
  const bands = basis.length / (count + 1);
  const weight = (k, p) => low[k] + (planes.values[k * size + p] - 1) * step[k];
  return {
    bands, error, components: count < bands ? count : 0,
    at(p) {
      if (!planes.values[p]) return null;
      const spectrum = basis.slice(0, bands);
      for (let k = 0; k < count; k++) {
        const w = weight(k, p);
        for (let c = 0; c < bands; c++) spectrum[c] += w * basis[(k + 1) * bands + c];
      }
      return spectrum;
    },
    // One band of every pixel; NaN without measurement.
    band(c) {
      const values = new Float32Array(size).fill(basis[c]);
      for (let k = 0; k < count; k++) {
        const part = basis[(k + 1) * bands + c];
        if (part) for (let p = 0; p < size; p++) values[p] += part * weight(k, p);
      }
      for (let p = 0; p < size; p++) if (!planes.values[p]) values[p] = NaN;
      return values;
    },
  };
}

// Patches by their place in the page; `load` starts once, `peek` gives what is there already.
function patchStore(set) {
  const pixels = Math.max(...set.patches.map((meta) => meta.width * meta.height));
  const kept = recent(Math.min(24, Math.max(5, Math.floor(6e6 / pixels))));
  return {
    load(index) {
      const known = kept.get(index);
      if (known) return known.promise;
      const entry = { patch: null };
      entry.promise = decodePatch(set, index).then((patch) => (entry.patch = patch));
      return kept.set(index, entry).promise;
    },
    peek: (index) => kept.get(index)?.patch ?? null,
  };
}
