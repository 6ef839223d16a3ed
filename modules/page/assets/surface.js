// @ts-check
// A painting over a picture: strokes that can be undone, redone and erased. What is seen has at most SEEN pixels, so that
// a brush over a very large picture stays quick; the file that is made of it has all of them.

/** @import { Point } from "./types.js" */

/** @typedef {{ tool: string, colour: string, size: number, points: Point[] }} Stroke */

const SEEN = 4e6;
// Undoing draws from the last of these states on, not from the beginning.
const STROKES_A_STATE = 12;
const STATES = 2;

/**
 * @param {number} width
 * @param {number} height
 */
const sized = (width, height) => Object.assign(document.createElement("canvas"), { width, height });

/** @param {HTMLCanvasElement} canvas */
function pen(canvas) {
  const context = canvas.getContext("2d");
  if (!context) throw new Error("This browser can't paint.");
  return context;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @returns {Promise<Blob>}
 */
const fileOf = (canvas) =>
  new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The painting is too large."))), "image/png");
  });

export class Surface {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.width = 1;
    this.height = 1;
    this.scale = 1; // pixels of the canvas for one of the picture
    /** @type {HTMLImageElement | null} what was painted before this page was opened */
    this.base = null;
    /** @type {Stroke[]} */
    this.strokes = [];
    /** @type {Stroke[]} */
    this.undone = [];
    /** @type {{ count: number, picture: HTMLCanvasElement }[]} the painting after so many strokes */
    this.states = [];
    this.resize(canvas.width, canvas.height);
  }

  /**
   * Makes it empty.
   * @param {number} width of the picture, in pixels
   * @param {number} height
   */
  resize(width, height) {
    this.width = width;
    this.height = height;
    this.scale = Math.min(1, Math.sqrt(SEEN / (width * height)));
    this.canvas.width = Math.max(1, Math.round(width * this.scale));
    this.canvas.height = Math.max(1, Math.round(height * this.scale));
    this.base = null;
    this.strokes = [];
    this.undone = [];
    this.states = [];
  }

  get empty() {
    const cleared = this.strokes.findLastIndex((stroke) => stroke.tool === "clear");
    const since = this.strokes.slice(cleared + 1);
    return (!this.base || cleared >= 0) && since.every((stroke) => stroke.tool !== "brush");
  }

  /**
   * @param {string} tool "brush" or "eraser"
   * @param {string} colour
   * @param {number} size in pixels of the picture
   * @param {Point} point
   */
  begin(tool, colour, size, point) {
    const stroke = { tool, colour, size, points: [point] };
    this.strokes.push(stroke);
    this.undone = [];
    this.segment(this.context(), stroke, 0);
  }

  /** @param {Point} point */
  extend(point) {
    const stroke = this.strokes.at(-1);
    if (!stroke) return;
    stroke.points.push(point);
    this.segment(this.context(), stroke, stroke.points.length - 1);
  }

  finish() {
    const count = this.strokes.length;
    if (count % STROKES_A_STATE || this.states.some((state) => state.count === count)) return;
    const picture = sized(this.canvas.width, this.canvas.height);
    pen(picture).drawImage(this.canvas, 0, 0);
    this.states = [...this.states.filter((state) => state.count < count).slice(1 - STATES), { count, picture }];
  }

  // A second finger came down: what the first began was no stroke.
  abandon() {
    this.strokes.pop();
    this.draw();
  }

  clear() {
    if (this.empty) return;
    this.strokes.push({ tool: "clear", colour: "", size: 0, points: [] });
    this.undone = [];
    this.draw();
  }

  undo() {
    const stroke = this.strokes.pop();
    if (!stroke) return false;
    this.undone.push(stroke);
    this.draw();
    return true;
  }

  redo() {
    const stroke = this.undone.pop();
    if (!stroke) return false;
    this.strokes.push(stroke);
    this.draw();
    return true;
  }

  /** @param {HTMLImageElement} image */
  restore(image) {
    this.base = image;
    this.states = [];
    this.draw();
  }

  // In the picture's own coordinates, whatever the canvas has.
  context() {
    const context = pen(this.canvas);
    context.setTransform(this.canvas.width / this.width, 0, 0, this.canvas.height / this.height, 0, 0);
    return context;
  }

  draw() {
    this.states = this.states.filter((state) => state.count <= this.strokes.length);
    const state = this.states.at(-1);
    this.paint(this.context(), state?.picture ?? this.base, state?.count ?? 0);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {CanvasImageSource | null} below
   * @param {number} first the stroke to begin with
   */
  paint(context, below, first) {
    context.globalCompositeOperation = "source-over";
    context.clearRect(0, 0, this.width, this.height);
    if (below) context.drawImage(below, 0, 0, this.width, this.height);
    for (const stroke of this.strokes.slice(first)) {
      if (stroke.tool === "clear") context.clearRect(0, 0, this.width, this.height);
      else for (let index = 0; index < stroke.points.length; index += 1) this.segment(context, stroke, index);
    }
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Stroke} stroke
   * @param {number} index of the point that it leads to
   */
  segment(context, { tool, colour, size, points }, index) {
    const [to, from] = [points[index], points[Math.max(0, index - 1)]];
    context.globalCompositeOperation = tool === "eraser" ? "destination-out" : "source-over";
    context.strokeStyle = colour;
    context.lineWidth = size;
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(from.x, from.y);
    // A line of no length is drawn as nothing: a dot needs a hair.
    context.lineTo(to.x + (to === from ? 0.01 : 0), to.y);
    context.stroke();
  }

  // The painting at the picture's own resolution.
  whole() {
    if (this.scale === 1) return this.canvas;
    const whole = sized(this.width, this.height);
    this.paint(pen(whole), this.base, 0);
    return whole;
  }

  file() {
    return fileOf(this.whole());
  }

  /**
   * The picture with the painting over it.
   * @param {HTMLImageElement} image
   */
  over(image) {
    const both = sized(this.width, this.height);
    pen(both).drawImage(image, 0, 0, this.width, this.height);
    pen(both).drawImage(this.whole(), 0, 0);
    return fileOf(both);
  }
}
