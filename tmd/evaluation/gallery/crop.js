"use strict";
// A rectangle of the image that is looked at: chosen with the mouse, cited by the address, saved.
const STRIP = { height: 220, most: 3200, gap: 8, text: 13, line: 18 };
let choosing = false;

function setChoosing(on) {
  choosing = on;
  document.body.classList.toggle("choosing", on);
  byId("choose").setAttribute("aria-pressed", String(on));
}

/** The pixels between two places, both of them within the image; null where there is none. */
function rectangle(from, to, image) {
  const side = (first, second, most) => {
    const [low, high] = [Math.min(first, second), Math.max(first, second)];
    return [Math.max(0, Math.floor(low)), Math.min(most, Math.ceil(high))];
  };
  const [left, right] = side(from.x, to.x, image.width), [top, bottom] = side(from.y, to.y, image.height);
  return right - left > 1 && bottom - top > 1 ? [left, top, right - left, bottom - top] : null;
}

// Before the zoom, which would pan.
byId("frames").addEventListener("pointerdown", event => {
  const frame = event.target.closest(".frame");
  if (!frame || event.button !== 0 || !(choosing || event.shiftKey)) return;
  event.stopPropagation();
  event.preventDefault();
  const from = zoom.placeAt(frame, event), stop = new AbortController();
  const on = (name, handler) => addEventListener(name, handler, { capture: true, signal: stop.signal });
  on("pointermove", moved => {
    state.crop = rectangle(from, zoom.placeAt(frame, moved), current());
    placeCrop();
  });
  for (const name of ["pointerup", "pointercancel"]) on(name, () => {
    stop.abort();
    setChoosing(false);
    remember();
  });
}, { capture: true });

/** Draw the rectangle in every frame, and say where it is. */
function placeCrop() {
  const scale = zoom.zoom / devicePixelRatio;
  byId("crop").hidden = !state.crop;
  for (const frame of zoom.frames.keys()) {
    let box = frame.querySelector(".cropped");
    if (!state.crop) { box?.remove(); continue; }
    if (!box) frame.append(box = element("div", { class: "cropped" }));
    const [x, y, width, height] = state.crop;
    Object.assign(box.style, {
      left: frame.clientWidth / 2 + (x - zoom.x) * scale + "px", top: frame.clientHeight / 2 + (y - zoom.y) * scale + "px",
      width: width * scale + "px", height: height * scale + "px",
    });
  }
  if (state.crop) byId("crop-text").textContent = `${state.crop[2]} × ${state.crop[3]} at ${state.crop[0]}, ${state.crop[1]}`;
}

/** The rectangle, or all of the image, of every system that is shown, side by side on white. */
function strip() {
  const image = current(), [x, y, width, height] = state.crop ?? [0, 0, image.width, image.height];
  const factor = Math.max(1, Math.min(Math.round(STRIP.height / height), Math.floor(STRIP.most / panes.length / width)));
  const [cell, tall] = [Math.max(width * factor, 110), height * factor];
  const canvas = element("canvas", {
    width: panes.length * (cell + STRIP.gap) + STRIP.gap, height: tall + 2 * STRIP.gap + 2 * STRIP.line,
  });
  const paper = canvas.getContext("2d");
  paper.fillStyle = "#fff";
  paper.fillRect(0, 0, canvas.width, canvas.height);
  paper.imageSmoothingEnabled = false;
  panes.forEach((each, at) => {
    const left = STRIP.gap + at * (cell + STRIP.gap), across = each.canvas.width / image.width, down = each.canvas.height / image.height;
    paper.drawImage(each.canvas, x * across, y * down, width * across, height * down, left, STRIP.gap, width * factor, tall);
    const value = columns.has(each.name) ? valueOf(image, each.name) : null, { label, unit } = metrics.get(state.metric);
    const lines = [each.label ?? each.name, value === null ? "" : `${label} ${said(state.metric, value)} ${unit}`];
    lines.forEach((line, number) => {
      paper.font = `${number ? "" : "600 "}${STRIP.text}px system-ui, sans-serif`;
      paper.fillStyle = number ? "#555" : "#000";
      paper.fillText(line, left, tall + 2 * STRIP.gap + STRIP.text + number * STRIP.line, cell);
    });
  });
  return canvas;
}

function saveStrip() {
  const image = current(), place = state.crop ? `_${state.crop.join("_")}` : "";
  strip().toBlob(blob => {
    const link = element("a", { href: URL.createObjectURL(blob), download: `${image.benchmark}_x${image.scale}_${image.name}${place}.png` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }, "image/png");
}

function zoomToCrop() {
  zoom.show(...state.crop);
}
