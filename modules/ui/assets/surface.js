// A painting over a picture, at the picture's own resolution: strokes that can be undone, redone and erased.

export class Surface {
  constructor(canvas) {
    this.canvas = canvas;
    this.base = null; // what was painted before this page was opened
    this.strokes = [];
    this.undone = [];
  }

  resize(width, height) {
    this.canvas.width = width;
    this.canvas.height = height;
    this.base = null;
    this.strokes = [];
    this.undone = [];
  }

  get empty() {
    return !this.base && this.strokes.every((stroke) => stroke.tool !== "brush");
  }

  begin(tool, colour, size, point) {
    this.strokes.push({ tool, colour, size, points: [point] });
    this.undone = [];
    this.segment(this.strokes.at(-1), 0);
  }

  extend(point) {
    const stroke = this.strokes.at(-1);
    stroke.points.push(point);
    this.segment(stroke, stroke.points.length - 1);
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
    this.draw();
  }

  draw() {
    const context = this.canvas.getContext("2d");
    context.globalCompositeOperation = "source-over";
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (this.base) context.drawImage(this.base, 0, 0, this.canvas.width, this.canvas.height);
    for (const stroke of this.strokes) {
      if (stroke.tool === "clear") context.clearRect(0, 0, this.canvas.width, this.canvas.height);
      else for (let index = 0; index < stroke.points.length; index += 1) this.segment(stroke, index);
    }
  }

  segment({ tool, colour, size, points }, index) {
    const context = this.canvas.getContext("2d");
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

  file() {
    return new Promise((resolve, reject) => {
      this.canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The painting is too large."))), "image/png");
    });
  }
}
