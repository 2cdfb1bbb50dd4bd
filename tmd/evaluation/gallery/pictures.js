"use strict";
// Pictures of an image, from the page or from the file beside it, decoded when they are wanted.
// A page without a server may not read the pixels of an image file. Files that are pages of their
// own, in a frame, may tell their text to the one that opened them.
const KEPT_PIXELS = 60e6;
const decoded = new Map();  // by the image's number, the newest last

const pixelCount = image => image.width * image.height * systems.length;

/** A promise of a Map: system -> canvas with its pixels. */
function picturesOf(image) {
  let found = decoded.get(image.number);
  decoded.delete(image.number);
  found ??= sources(image.number).then(decode);
  found.catch(() => decoded.delete(image.number));
  decoded.set(image.number, found);
  let kept = 0;
  for (const number of [...decoded.keys()].reverse()) {
    kept += pixelCount(images[number]);
    if (kept > KEPT_PIXELS && number !== image.number) decoded.delete(number);
  }
  return found;
}

function sources(number) {
  const block = byId("pictures-" + number);
  return block ? Promise.resolve(JSON.parse(block.textContent)) : fromFile(number);
}

function fromFile(number) {
  const path = `${data.pictures}/${String(number).padStart(4, "0")}.html`;
  return new Promise((resolve, reject) => {
    const frame = element("iframe", { hidden: true, src: path });
    const end = (settle, value) => {
      removeEventListener("message", heard);
      frame.remove();
      settle(value);
    };
    const heard = event => {
      if (event.source === frame.contentWindow && event.data?.number === number) end(resolve, event.data.pictures);
    };
    addEventListener("message", heard);
    frame.addEventListener("load", () => setTimeout(() => end(reject, new Error(
      `${path} is not beside this page: unpack the whole archive, and open the page there`)), 400));
    document.body.append(frame);
  });
}

async function decode(given) {
  const made = await Promise.all(Object.entries(given).map(async ([name, source]) => {
    const [head, text] = source.split(",");
    const bytes = Uint8Array.from(atob(text), each => each.charCodeAt(0));
    const blob = new Blob([bytes], { type: head.slice(5).split(";")[0] });
    const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
    const canvas = element("canvas", { width: bitmap.width, height: bitmap.height });
    canvas.getContext("2d", { willReadFrequently: true }).drawImage(bitmap, 0, 0);
    bitmap.close();
    return [name, canvas];
  }));
  return new Map(made);
}

function pixelsOf(canvas) {
  return canvas.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, canvas.width, canvas.height).data;
}
