"use strict";
// One zoom and one pan for several pictures, and a slider between two. Knows nothing of the page
// that it is in, and needs no style sheet: a frame is any element, a picture any element in it.

const ZOOM_LADDER = [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];
const ZOOM_MOST = ZOOM_LADDER.at(-1);
const ZOOM_KEYS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/**
 * One view of pictures that show the same scene, in as many frames as are added.
 *
 * Wheel, pinch and double click zoom about the pointer, dragging pans, `key` takes the keyboard's
 * share. Pictures of other sizes (LR) are stretched to the common one.
 *
 *     const zoom = new SharedZoom({ onchange: view => console.log(view.zoom) });
 *     zoom.setSize(512, 384);
 *     zoom.add(frame, image);
 *
 * `zoom` counts pixels of the screen for one of the picture: 1 is exact on any display. `x` and `y`
 * are the place in the picture that the frames' centres show.
 */
class SharedZoom {
  constructor({ onchange = () => {} } = {}) {
    this.onchange = onchange;
    this.frames = new Map();
    this.width = this.height = 1;
    this.x = this.y = 0.5;
    this.exact = this.zoom = 1;  // as the gestures make it, and as it is shown
    this.fitted = true;
    this.pixelated = true;
    this.due = 0;
    this.observer = new ResizeObserver(() => this.changed());
  }

  /** Give the common grid's size; the view stays in its place, a fitted one fitted. */
  setSize(width, height) {
    const [across, down] = [this.x / this.width, this.y / this.height];
    Object.assign(this, { width, height, x: across * width, y: down * height });
    this.changed();
  }

  /** Show `pictures` in `frame`; those that it showed before are forgotten. */
  add(frame, ...pictures) {
    const known = this.frames.get(frame);
    known?.stop.abort();
    const stop = new AbortController();
    Object.assign(frame.style, { overflow: "hidden", touchAction: "none", cursor: "grab" });
    if (getComputedStyle(frame).position === "static") frame.style.position = "relative";
    for (const picture of pictures) {
      Object.assign(picture.style, { position: "absolute", left: "0", top: "0", maxWidth: "none", transformOrigin: "0 0" });
      picture.draggable = false;
    }
    this.frames.set(frame, { pictures, stop, pointers: new Map() });
    this.listen(frame, stop.signal);
    this.observer.observe(frame);
    this.changed();
  }

  /** Forget a frame, or all. */
  remove(frame) {
    for (const each of frame ? [frame] : [...this.frames.keys()]) {
      this.frames.get(each)?.stop.abort();
      this.frames.delete(each);
      this.observer.unobserve(each);
    }
  }

  get view() {
    return { zoom: this.zoom, x: this.x, y: this.y, fitted: this.fitted };
  }

  /** Show a view, or the part of one that is given. */
  set({ zoom = this.exact, x = this.x, y = this.y, fitted = false }) {
    Object.assign(this, { exact: zoom, x, y, fitted });
    this.changed();
  }

  fit() {
    this.set({ fitted: true });
  }

  /** Show the rectangle as large as it fits. */
  show(x, y, width, height) {
    const room = this.room();
    const zoom = Math.min(room.width / width, room.height / height) * devicePixelRatio;
    this.set({ zoom, x: x + width / 2, y: y + height / 2 });
  }

  /** Zoom by a factor about a place of the picture, which stays where it is. */
  zoomBy(factor, place = this) {
    const before = this.zoom;
    this.exact = Math.max(Math.min(this.fitting(), 1) / 4, Math.min(ZOOM_MOST, this.exact * factor));
    const shown = this.snapped(this.exact);
    const x = place.x + (this.x - place.x) * before / shown;
    const y = place.y + (this.y - place.y) * before / shown;
    this.set({ zoom: this.exact, x, y });
  }

  /** Zoom to the next of the usual factors: in, or out. */
  step(inwards, place = this) {
    const further = ZOOM_LADDER.filter(each => inwards ? each > this.zoom * 1.01 : each < this.zoom / 1.01);
    const next = inwards ? further[0] : further.at(-1);
    if (next) this.zoomBy(next / this.exact, place);
  }

  /** Pan by pixels of the page. */
  panBy(right, down) {
    const scale = this.zoom / devicePixelRatio;
    this.set({ zoom: this.exact, x: this.x - right / scale, y: this.y - down / scale });
  }

  /** Interpolate past 1:1, or show each pixel as a square. */
  setPixelated(pixelated) {
    this.pixelated = pixelated;
    this.changed();
  }

  /** Take a key if it is one of this view's; returns whether it was. */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const pan = ZOOM_KEYS[event.key];
    if (pan) this.panBy(pan[0] * 60, pan[1] * 60);
    else if (event.key === "+" || event.key === "=") this.step(true);
    else if (event.key === "-") this.step(false);
    else if (event.key === "0") this.fit();
    else return false;
    return true;
  }

  /** The place in the picture under a pointer over a frame. */
  placeAt(frame, event) {
    const box = frame.getBoundingClientRect(), scale = this.zoom / devicePixelRatio;
    return {
      x: this.x + (event.clientX - box.left - box.width / 2) / scale,
      y: this.y + (event.clientY - box.top - box.height / 2) / scale,
    };
  }

  // From here on: its own.

  room() {
    const first = this.frames.keys().next().value;
    return first ? { width: first.clientWidth || 1, height: first.clientHeight || 1 } : { width: 1, height: 1 };
  }

  fitting() {
    const room = this.room();
    const zoom = Math.min(room.width / this.width, room.height / this.height) * devicePixelRatio;
    return zoom > 2 ? Math.floor(zoom) : zoom;
  }

  /** Whole factors are exact: those nearby are drawn as if they were whole. */
  snapped(zoom) {
    const whole = Math.round(zoom);
    return whole >= 1 && Math.abs(zoom / whole - 1) < 0.04 ? whole : zoom;
  }

  changed() {
    if (this.fitted) Object.assign(this, { exact: this.fitting(), x: this.width / 2, y: this.height / 2 });
    this.zoom = this.snapped(this.exact);
    this.x = Math.max(0, Math.min(this.width, this.x));
    this.y = Math.max(0, Math.min(this.height, this.y));
    this.due ||= requestAnimationFrame(() => {
      this.due = 0;
      this.draw();
      this.onchange(this.view);
    });
  }

  draw() {
    const dots = devicePixelRatio, scale = this.zoom / dots;
    // A smaller picture (LR) is past 1:1 earlier.
    const squares = picture => {
      const own = picture.naturalWidth || picture.width || this.width;
      return this.pixelated && this.zoom * this.width / own >= 1 ? "pixelated" : "auto";
    };
    for (const [frame, { pictures }] of this.frames) {
      const box = frame.getBoundingClientRect();
      // On whole pixels of the screen, or else a picture at 1:1 is blurred by half a pixel.
      const whole = (start, room, place) =>
        Math.round((start + room / 2 - place * scale) * dots) / dots - start;
      const left = whole(box.left + frame.clientLeft, frame.clientWidth, this.x);
      const top = whole(box.top + frame.clientTop, frame.clientHeight, this.y);
      for (const picture of pictures) {
        Object.assign(picture.style, {
          width: this.width + "px", height: this.height + "px", imageRendering: squares(picture),
          transform: `translate(${left}px, ${top}px) scale(${scale})`,
        });
      }
    }
  }

  listen(frame, signal) {
    const { pointers } = this.frames.get(frame);
    const on = (name, handler, options = {}) => frame.addEventListener(name, handler, { signal, ...options });
    on("wheel", event => {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 33 : 1;
      // A pinch on a touchpad comes as small turns of a wheel with Ctrl.
      this.zoomBy(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.002)), this.placeAt(frame, event));
    }, { passive: false });
    on("dblclick", event => {
      if (this.fitted) this.zoomBy(4, this.placeAt(frame, event));
      else this.fit();
    });
    on("pointerdown", event => {
      if (event.button !== 0 && event.button !== 1) return;
      pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      try { frame.setPointerCapture(event.pointerId); } catch { /* it is up again */ }
      frame.style.cursor = "grabbing";
    });
    on("pointermove", event => {
      const last = pointers.get(event.pointerId);
      if (!last) return;
      const now = { x: event.clientX, y: event.clientY };
      if (pointers.size === 1) this.panBy(now.x - last.x, now.y - last.y);
      if (pointers.size === 2) this.pinch(frame, last, now, [...pointers.values()].find(each => each !== last));
      pointers.set(event.pointerId, now);
    });
    for (const name of ["pointerup", "pointercancel"]) on(name, event => {
      pointers.delete(event.pointerId);
      if (!pointers.size) frame.style.cursor = "grab";
    });
  }

  /** One of two fingers has moved: what lies between them stays between them. */
  pinch(frame, last, now, other) {
    const middle = point => ({ clientX: (point.x + other.x) / 2, clientY: (point.y + other.y) / 2 });
    const apart = point => Math.max(8, Math.hypot(point.x - other.x, point.y - other.y));
    const [from, to] = [middle(last), middle(now)];
    this.zoomBy(apart(now) / apart(last), this.placeAt(frame, from));
    this.panBy(to.clientX - from.clientX, to.clientY - from.clientY);
  }
}

/**
 * A slider in a frame: `before` left of a line that is dragged, `after` right of it.
 *
 *     const slider = new BeforeAfter(frame, first, second);
 *     zoom.add(frame, first, second);
 */
class BeforeAfter {
  constructor(frame, before, after, { at = 0.5, onchange = () => {}, label = "before and after" } = {}) {
    this.frame = frame;
    this.onchange = onchange;
    const layer = picture => {
      const made = document.createElement("div");
      Object.assign(made.style, { position: "absolute", inset: "0", overflow: "hidden" });
      made.append(picture);
      return made;
    };
    this.before = layer(before);
    this.after = layer(after);
    this.line = document.createElement("div");
    this.line.tabIndex = 0;
    this.line.setAttribute("role", "slider");
    this.line.setAttribute("aria-label", label);
    Object.assign(this.line.style, {
      position: "absolute", top: "0", bottom: "0", width: "32px", marginLeft: "-16px", cursor: "ew-resize", touchAction: "none",
      background: "linear-gradient(90deg, transparent 14px, #0008 14px 15px, #fff 15px 17px, #0008 17px 18px, transparent 18px)",
    });
    const handle = document.createElement("div");
    Object.assign(handle.style, {
      position: "absolute", top: "50%", left: "4px", width: "24px", height: "24px", marginTop: "-12px", borderRadius: "50%",
      background: "#fff", color: "#333", font: "13px/24px system-ui, sans-serif", textAlign: "center", boxShadow: "0 0 3px #000a",
    });
    handle.textContent = "⇔";
    this.line.append(handle);
    frame.replaceChildren(this.before, this.after, this.line);
    this.line.addEventListener("pointerdown", event => {
      event.stopPropagation();
      this.line.setPointerCapture(event.pointerId);
    });
    this.line.addEventListener("pointermove", event => {
      if (!this.line.hasPointerCapture(event.pointerId)) return;
      const box = this.frame.getBoundingClientRect();
      this.set((event.clientX - box.left) / box.width);
    });
    this.line.addEventListener("dblclick", event => event.stopPropagation());
    this.line.addEventListener("keydown", event => {
      const place = { ArrowLeft: this.at - 0.02, ArrowRight: this.at + 0.02, Home: 0, End: 1 }[event.key];
      if (place === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      this.set(place);
    });
    this.set(at);
  }

  /** Put the line at a share of the frame's width, 0 to 1. */
  set(at) {
    this.at = Math.max(0, Math.min(1, at));
    const share = `${this.at * 100}%`;
    this.line.style.left = share;
    // Both are clipped: a picture that is transparent, or smaller, would show the other.
    this.before.style.clipPath = `inset(0 calc(100% - ${share}) 0 0)`;
    this.after.style.clipPath = `inset(0 0 0 ${share})`;
    this.line.setAttribute("aria-valuenow", String(Math.round(this.at * 100)));
    this.onchange(this.at);
  }
}
