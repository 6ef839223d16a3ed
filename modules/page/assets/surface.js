// A painting over a picture: strokes that can be undone, redone and erased. What is seen has at most SEEN pixels, so that
// a brush over a very large picture stays quick; the file that is made of it has all of them.

const SEEN = 4e6;
// Undoing draws from the last of these states on, not from the beginning.
const STROKES_A_STATE = 12;
const STATES = 2;

const sized = (width, height) => Object.assign(document.createElement("canvas"), { width, height });

const fileOf = (canvas) =>
  new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The painting is too large."))), "image/png");
  });

export class Surface {
  constructor(canvas) {
    this.canvas = canvas;
    this.resize(canvas.width, canvas.height);
  }

  resize(width, height) {
    Object.assign(this, { width, height, scale: Math.min(1, Math.sqrt(SEEN / (width * height))) });
    this.canvas.width = Math.max(1, Math.round(width * this.scale));
    this.canvas.height = Math.max(1, Math.round(height * this.scale));
    this.base = null; // what was painted before this page was opened
    this.strokes = [];
    this.undone = [];
    this.states = [];
  }

  get empty() {
    const cleared = this.strokes.findLastIndex((stroke) => stroke.tool === "clear");
    const since = this.strokes.slice(cleared + 1);
    return (!this.base || cleared >= 0) && since.every((stroke) => stroke.tool !== "brush");
  }

  begin(tool, colour, size, point) {
    this.strokes.push({ tool, colour, size, points: [point] });
    this.undone = [];
    this.segment(this.context(), this.strokes.at(-1), 0);
  }

  extend(point) {
    const stroke = this.strokes.at(-1);
    stroke.points.push(point);
    this.segment(this.context(), stroke, stroke.points.length - 1);
  }

  finish() {
    const count = this.strokes.length;
    if (count % STROKES_A_STATE || this.states.some((state) => state.count === count)) return;
    const picture = sized(this.canvas.width, this.canvas.height);
    picture.getContext("2d").drawImage(this.canvas, 0, 0);
    this.states = [...this.states.filter((state) => state.count < count).slice(1 - STATES), { count, picture }];
  }

  // A second finger came down: what the first began was no stroke.
  abandon() {
    this.strokes.pop();
    this.draw();
  }

  clear() {
    if (this.empty) return;
    this.strokes.push({ tool: "clear", points: [] });
    this.undone = [];
    this.draw();
  }

  undo() {
    if (!this.strokes.length) return false;
    this.undone.push(this.strokes.pop());
    this.draw();
    return true;
  }

  redo() {
    if (!this.undone.length) return false;
    this.strokes.push(this.undone.pop());
    this.draw();
    return true;
  }

  restore(image) {
    this.base = image;
    this.states = [];
    this.draw();
  }

  // In the picture's own coordinates, whatever the canvas has.
  context() {
    const context = this.canvas.getContext("2d");
    context.setTransform(this.canvas.width / this.width, 0, 0, this.canvas.height / this.height, 0, 0);
    return context;
  }

  draw() {
    this.states = this.states.filter((state) => state.count <= this.strokes.length);
    const state = this.states.at(-1);
    this.paint(this.context(), state?.picture ?? this.base, state?.count ?? 0);
  }

  paint(context, below, first) {
    context.globalCompositeOperation = "source-over";
    context.clearRect(0, 0, this.width, this.height);
    if (below) context.drawImage(below, 0, 0, this.width, this.height);
    for (const stroke of this.strokes.slice(first)) {
      if (stroke.tool === "clear") context.clearRect(0, 0, this.width, this.height);
      else for (let index = 0; index < stroke.points.length; index += 1) this.segment(context, stroke, index);
    }
  }

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
    this.paint(whole.getContext("2d"), this.base, 0);
    return whole;
  }

  file() {
    return fileOf(this.whole());
  }

  // The picture with the painting over it.
  over(image) {
    const both = sized(this.width, this.height);
    both.getContext("2d").drawImage(image, 0, 0, this.width, this.height);
    both.getContext("2d").drawImage(this.whole(), 0, 0);
    return fileOf(both);
  }
}
