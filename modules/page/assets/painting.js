// @ts-check
// Mouse, pen, fingers and keys on a picture: one finger paints, two zoom and move.

/** @import { Surface } from "./surface.js" */
/** @import { View } from "./view.js" */

import { within } from "./dom.js";

/** @type {Map<string, [number, number]>} how far a key moves the picture, in pixels of the window */
const ARROWS = new Map([
  ["arrowleft", [40, 0]],
  ["arrowright", [-40, 0]],
  ["arrowup", [0, 40]],
  ["arrowdown", [0, -40]],
]);

export class Painter {
  /**
   * @param {HTMLElement} slot
   * @param {View} view
   * @param {Surface} surface
   * @param {() => void} changed called when the painting has
   */
  constructor(slot, view, surface, changed) {
    this.slot = slot;
    this.view = view;
    this.surface = surface;
    this.changed = changed;
    this.tool = "brush";
    this.colour = slot.dataset.colour || "#ffffff";
    this.share = 8; // of the picture's shorter side, in percent
    /** @type {Map<number, PointerEvent>} by the pointer's number */
    this.fingers = new Map();
    this.moving = false;
    this.painting = false;
    const frame = view.frame;
    frame.addEventListener("pointerdown", (event) => this.down(event));
    frame.addEventListener("pointermove", (event) => this.move(event));
    frame.addEventListener("pointerup", (event) => this.up(event));
    frame.addEventListener("pointercancel", (event) => this.up(event));
    frame.addEventListener("pointerleave", () => {
      this.cursor.hidden = true;
    });
    frame.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.cursor = document.createElement("div");
    this.cursor.className = "brush-cursor";
    this.cursor.hidden = true;
    frame.append(this.cursor);
  }

  get paints() {
    return Boolean(this.slot.dataset.brush) && Boolean(this.view.size) && !this.moving;
  }

  // In pixels of the picture.
  get size() {
    const { width, height } = this.view.size ?? { width: 0, height: 0 };
    return Math.max(1, (Math.min(width, height) * this.share) / 100);
  }

  /** @param {PointerEvent} event */
  down(event) {
    if (!this.view.size || within(event, "button, label, input")) return;
    this.view.frame.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, event);
    if (this.fingers.size > 1) {
      if (this.painting) this.surface.abandon();
      this.painting = false;
    } else if (this.paints && event.button === 0) {
      const tool = event.ctrlKey || event.metaKey ? "eraser" : this.tool;
      this.surface.begin(tool, this.colour, this.size, this.view.point(event));
      this.painting = true;
    }
    event.preventDefault();
  }

  /** @param {PointerEvent} event */
  move(event) {
    this.follow(event);
    const before = this.fingers.get(event.pointerId);
    if (!before) return;
    if (this.painting) {
      // Between two frames a fast hand makes several movements: each is a point of the stroke.
      const events = event.getCoalescedEvents?.() ?? [];
      for (const each of events.length ? events : [event]) this.surface.extend(this.view.point(each));
    } else if (this.fingers.size > 1) this.pinch(event, before);
    else this.view.pan(event.clientX - before.clientX, event.clientY - before.clientY);
    this.fingers.set(event.pointerId, event);
  }

  /**
   * @param {PointerEvent} event
   * @param {PointerEvent} before the same finger's last
   */
  pinch(event, before) {
    const other = [...this.fingers.values()].find(({ pointerId }) => pointerId !== event.pointerId);
    if (!other) return;
    /** @param {PointerEvent} one */
    const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
    this.view.zoom(apart(event) / apart(before), other.clientX, other.clientY);
    this.view.pan((event.clientX - before.clientX) / 2, (event.clientY - before.clientY) / 2);
  }

  /** @param {PointerEvent} event */
  up(event) {
    this.fingers.delete(event.pointerId);
    if (!this.painting) return;
    this.painting = false;
    this.surface.finish();
    this.changed();
  }

  /**
   * As in A1111: Alt+wheel zooms, Ctrl+wheel changes the brush; the plain wheel scrolls the page.
   * @param {WheelEvent} event
   */
  wheel(event) {
    if (!this.view.size || !(event.altKey || event.ctrlKey)) return;
    event.preventDefault();
    if (event.altKey) this.view.zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, event.clientX, event.clientY);
    else this.resize(event.deltaY < 0 ? 1.15 : 1 / 1.15);
    this.follow(event);
  }

  /** @param {number} factor */
  resize(factor) {
    this.share = Math.min(60, Math.max(0.2, this.share * factor));
    this.slot.dispatchEvent(new CustomEvent("brush"));
  }

  /** @param {MouseEvent} event */
  follow(event) {
    const { cursor, view } = this;
    cursor.hidden = !this.paints || (event instanceof PointerEvent && event.pointerType === "touch");
    if (cursor.hidden) return;
    const box = view.frame.getBoundingClientRect();
    const across = this.size * view.scale;
    cursor.style.width = cursor.style.height = `${across}px`;
    cursor.style.transform = `translate(${event.clientX - box.left - across / 2}px, ${event.clientY - box.top - across / 2}px)`;
  }

  /**
   * Keys act on the picture under the mouse or in focus: Q and W size the brush, R fits, S fills the screen, F held
   * moves; arrows, + and - do so without a mouse. Returns whether the key meant something.
   * @param {KeyboardEvent} event
   */
  key(event) {
    const command = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    const arrow = ARROWS.get(key);
    if (arrow && (command || event.altKey || document.activeElement !== this.view.frame)) return false;
    if (arrow) this.view.pan(arrow[0], arrow[1]);
    else if (!command && (key === "+" || key === "=")) this.view.zoomMiddle(1.2);
    else if (!command && key === "-") this.view.zoomMiddle(1 / 1.2);
    else return this.paintingKey(event, command, key);
    return true;
  }

  /**
   * @param {KeyboardEvent} event
   * @param {boolean} command
   * @param {string} key
   */
  paintingKey(event, command, key) {
    if (command && (key === "y" || (key === "z" && event.shiftKey))) this.redo();
    else if (command && key === "z") this.undo();
    else if (command || event.altKey) return false;
    else if (key === "q") this.resize(1 / 1.15);
    else if (key === "w") this.resize(1.15);
    else if (key === "r") this.view.reset();
    else if (key === "s") this.fullScreen();
    else if (key === "f") this.moving = true;
    else return false;
    return true;
  }

  undo() {
    if (this.surface.undo()) this.changed();
  }

  redo() {
    if (this.surface.redo()) this.changed();
  }

  clear() {
    this.surface.clear();
    this.changed();
  }

  fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.slot.requestFullscreen?.();
  }
}
