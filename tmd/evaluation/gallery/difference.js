"use strict";
// Maps of the difference between two pictures, on a scale that is said.
const SCALES = [4, 8, 16, 32, 64, 128, 255];  // levels of 255
const COLOURS = {  // from nothing to the full scale; signed: from minus the full scale
  absolute: [[0, 0, 0], [46, 16, 92], [126, 28, 110], [206, 56, 84], [247, 124, 48], [252, 204, 92], [255, 255, 230]],
  signed: [[12, 44, 132], [52, 120, 200], [150, 194, 230], [246, 246, 246], [244, 170, 130], [206, 66, 62], [116, 6, 30]],
};
const MEANING = { absolute: "largest of |ΔR|, |ΔG|, |ΔB|", signed: "Δ of luma, .299 R + .587 G + .114 B" };

/** 256 colours between the named ones. */
function palette(kind) {
  const given = COLOURS[kind], table = new Uint8ClampedArray(256 * 3);
  for (let level = 0; level < 256; level++) {
    const place = level / 255 * (given.length - 1), low = Math.min(given.length - 2, Math.floor(place));
    for (let c = 0; c < 3; c++) table[3 * level + c] = given[low][c] + (place - low) * (given[low + 1][c] - given[low][c]);
  }
  return table;
}

/** `of` minus `from` in levels, one a pixel of the larger picture; the smaller one by squares. */
function difference(of, from, kind) {
  const width = Math.max(of.width, from.width), height = Math.max(of.height, from.height);
  const [a, b] = [pixelsOf(of), pixelsOf(from)], found = new Float32Array(width * height);
  const steps = [of, from].map(each => [each.width / width, each.height / height, each.width]);
  const [[ax, ay, aw], [bx, by, bw]] = steps;
  for (let y = 0, at = 0; y < height; y++) {
    const rowA = Math.floor(y * ay) * aw, rowB = Math.floor(y * by) * bw;
    for (let x = 0; x < width; x++, at++) {
      const i = 4 * (rowA + Math.floor(x * ax)), j = 4 * (rowB + Math.floor(x * bx));
      const [r, g, b_] = [a[i] - b[j], a[i + 1] - b[j + 1], a[i + 2] - b[j + 2]];
      found[at] = kind === "signed" ? 0.299 * r + 0.587 * g + 0.114 * b_ : Math.max(Math.abs(r), Math.abs(g), Math.abs(b_));
    }
  }
  return { width, height, found };
}

/** The smallest of `SCALES` that holds 99.5 % of the pixels of every map. */
function commonScale(maps) {
  let most = SCALES[0];
  for (const { found } of maps) {
    const counts = new Uint32Array(257);
    for (const each of found) counts[Math.ceil(Math.abs(each))]++;
    let left = found.length * 0.005, level = 256;
    while (level > 0 && (left -= counts[level]) >= 0) level--;
    most = Math.max(most, level);
  }
  return SCALES.find(each => each >= most) ?? 255;
}

function paint({ width, height, found }, kind, scale) {
  const canvas = element("canvas", { width, height }), table = palette(kind), made = new ImageData(width, height);
  const [factor, zero] = kind === "signed" ? [127.5 / scale, 127.5] : [255 / scale, 0];
  for (let at = 0; at < found.length; at++) {
    const level = 3 * Math.max(0, Math.min(255, Math.round(found[at] * factor + zero)));
    made.data[4 * at] = table[level];
    made.data[4 * at + 1] = table[level + 1];
    made.data[4 * at + 2] = table[level + 2];
    made.data[4 * at + 3] = 255;
  }
  canvas.getContext("2d", { willReadFrequently: true }).putImageData(made, 0, 0);
  return canvas;
}

/** The colours from end to end. */
function colourBar(kind, width = 256, height = 1) {
  const bar = { width, height, found: new Float32Array(width * height) };
  const low = kind === "signed" ? -1 : 0;
  bar.found.forEach((_, at) => { bar.found[at] = low + (1 - low) * (at % width) / (width - 1); });
  return paint(bar, kind, 1);
}

/** A number of levels as the image's own numbers, where these are not levels of 255. */
function inUnits(levels, image) {
  if (image.span === null) return String(levels);
  return String(Number((levels / 255 * image.span).toPrecision(3)));
}

/** Ends of the scale in words: ["0", "32 of 255"]. */
function ends(kind, scale, image) {
  const most = inUnits(scale, image), unit = image.span === null ? "levels of 255" : data.unit;
  return [kind === "signed" ? "−" + most : "0", `${kind === "signed" ? "+" : ""}${most} ${unit}`];
}
