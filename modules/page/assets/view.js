// @ts-check
// How a picture lies in its frame: fitted, zoomed about a point, moved.

const CLOSEST = 32;

/** @import { Point } from "./types.js" */

export class View {
  /**
   * @param {HTMLElement} frame
   * @param {HTMLElement} content what lies in it, in the picture's own pixels
   */
  constructor(frame, content) {
    this.frame = frame;
    this.content = content;
    /** @type {{ width: number, height: number } | null} */
    this.size = null;
    this.moved = false;
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    new ResizeObserver(() => this.moved || this.reset()).observe(frame);
  }

  /**
   * @param {number} width of the picture, in pixels
   * @param {number} height
   */
  show(width, height) {
    this.size = { width, height };
    this.content.style.width = `${width}px`;
    this.content.style.height = `${height}px`;
    this.reset();
  }

  fit() {
    if (!this.size) return 1;
    const { clientWidth, clientHeight } = this.frame;
    return Math.min(clientWidth / this.size.width, clientHeight / this.size.height) || 1;
  }

  reset() {
    this.moved = false;
    if (!this.size) return;
    this.scale = this.fit();
    this.x = (this.frame.clientWidth - this.size.width * this.scale) / 2;
    this.y = (this.frame.clientHeight - this.size.height * this.scale) / 2;
    this.apply();
  }

  /**
   * @param {number} factor
   * @param {number} clientX the point of the window that stays where it is
   * @param {number} clientY
   */
  zoom(factor, clientX, clientY) {
    const box = this.frame.getBoundingClientRect();
    const [x, y] = [clientX - box.left, clientY - box.top];
    const scale = Math.min(CLOSEST, Math.max(this.fit() / 4, this.scale * factor));
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.moved = true;
    this.apply();
  }

  /** @param {number} factor */
  zoomMiddle(factor) {
    const box = this.frame.getBoundingClientRect();
    this.zoom(factor, box.left + box.width / 2, box.top + box.height / 2);
  }

  /**
   * @param {number} x in pixels of the window
   * @param {number} y
   */
  pan(x, y) {
    this.x += x;
    this.y += y;
    this.moved = true;
    this.apply();
  }

  apply() {
    this.content.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    // Pixels are to be seen as such once they are large.
    this.content.classList.toggle("close", this.scale >= 3);
  }

  /**
   * The point of the picture under a point of the window.
   * @param {{ clientX: number, clientY: number }} event
   * @returns {Point}
   */
  point({ clientX, clientY }) {
    const box = this.frame.getBoundingClientRect();
    return { x: (clientX - box.left - this.x) / this.scale, y: (clientY - box.top - this.y) / this.scale };
  }
}
