// @ts-check
// A picture in a frame that can be zoomed and moved: by wheel, mouse, two fingers and keys. Frames can be linked, so
// that all show the same part of their picture.

import { View } from "./view.js";

const WHEEL = 1.15;
const SWIPE = 60; // pixels
const STEP = 60; // pixels that an arrow key moves a picture

/** @type {Map<string, [number, number]>} */
const ARROWS = new Map([
  ["ArrowLeft", [1, 0]],
  ["ArrowRight", [-1, 0]],
  ["ArrowUp", [0, 1]],
  ["ArrowDown", [0, -1]],
]);

/** What a frame shows of its picture: how much larger than fitted, and which of its points is in the middle, 0 to 1.
 * @typedef {{ zoom: number, x: number, y: number }} Part */

export class ZoomView extends View {
  /**
   * @param {HTMLElement} frame
   * @param {HTMLElement} content
   * @param {{ changed?: (view: ZoomView) => void, swiped?: (by: 1 | -1) => void }} how
   */
  constructor(frame, content, { changed, swiped } = {}) {
    super(frame, content);
    this.changed = changed;
    this.swiped = swiped;
    /** @type {Map<number, { x: number, y: number }>} */
    this.pointers = new Map();
    this.from = 0; // where a finger began that may swipe
    frame.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    frame.addEventListener("pointerdown", (event) => this.down(event));
    frame.addEventListener("pointermove", (event) => this.move(event));
    for (const name of /** @type {const} */ (["pointerup", "pointercancel"])) {
      frame.addEventListener(name, (event) => this.up(event));
    }
    frame.addEventListener("dblclick", (event) => {
      if (this.moved) this.reset();
      else this.zoom(Math.max(2, 1 / this.fit()), event.clientX, event.clientY);
    });
  }

  apply() {
    super.apply();
    this.changed?.(this);
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    this.zoom(event.deltaY < 0 ? WHEEL : 1 / WHEEL, event.clientX, event.clientY);
  }

  /** @param {PointerEvent} event */
  down(event) {
    if (event.button !== 0 || (event.target instanceof Element && event.target.closest("button, input"))) return;
    this.frame.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.from = event.clientX;
  }

  /** @param {PointerEvent} event */
  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = { x: event.clientX, y: event.clientY };
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.pointers.set(event.pointerId, now);
    if (!other) {
      // A fitted picture under one finger goes on to the next one instead.
      if (!this.moved && event.pointerType === "touch" && this.swiped) return;
      return this.pan(now.x - before.x, now.y - before.y);
    }
    const factor =
      Math.hypot(now.x - other.x, now.y - other.y) / (Math.hypot(before.x - other.x, before.y - other.y) || 1);
    this.zoom(factor, (now.x + other.x) / 2, (now.y + other.y) / 2);
  }

  /** @param {PointerEvent} event */
  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    const by = event.clientX - this.from;
    const swipes = event.type === "pointerup" && event.pointerType === "touch" && !this.moved && !this.pointers.size;
    if (swipes && Math.abs(by) > SWIPE) this.swiped?.(by < 0 ? 1 : -1);
  }

  /**
   * Plus and minus zoom, R fits; arrows move where nothing else is done by them.
   * @param {KeyboardEvent} event
   * @returns {boolean} whether the key meant something
   */
  key(event, { arrows = false } = {}) {
    const by = arrows ? ARROWS.get(event.key) : undefined;
    if (event.key === "+" || event.key === "=") this.zoomMiddle(WHEEL);
    else if (event.key === "-") this.zoomMiddle(1 / WHEEL);
    else if (event.key.toLowerCase() === "r") this.reset();
    else if (by) this.pan(by[0] * STEP, by[1] * STEP);
    else return false;
    return true;
  }

  /** @returns {Part | null} */
  part() {
    if (!this.size) return null;
    const { clientWidth, clientHeight } = this.frame;
    return {
      zoom: this.scale / this.fit(),
      x: (clientWidth / 2 - this.x) / (this.size.width * this.scale),
      y: (clientHeight / 2 - this.y) / (this.size.height * this.scale),
    };
  }

  /** @param {Part} part that another frame shows */
  follow({ zoom, x, y }) {
    if (!this.size) return;
    const { clientWidth, clientHeight } = this.frame;
    this.scale = this.fit() * zoom;
    this.x = clientWidth / 2 - x * this.size.width * this.scale;
    this.y = clientHeight / 2 - y * this.size.height * this.scale;
    this.moved = true;
    super.apply();
  }
}
