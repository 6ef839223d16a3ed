// @ts-check
// Boxes over an empty picture, each with a weight: drawn, moved and sized by pointer or keys. Their values are the text
// of the field above them, a list of [x1, x2, y1, y2, weight] in shares of the picture.

import { all, button, element, find, typeInto } from "./dom.js";

/** @typedef {{ left: number, right: number, top: number, bottom: number, weight: number }} Box */

const SMALLEST = 0.02;
const STEP = 0.01; // of a key
const MOST = 32;

/** @param {number} value */
const rounded = (value) => Math.round(value * 1000) / 1000;
/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
const within = (value, low, high) => Math.min(high, Math.max(low, value));

/**
 * The boxes of a text; none where it is no list of them.
 * @param {string} text
 * @returns {Box[]}
 */
export function boxesOf(text) {
  /** @type {unknown} */
  let rows = [];
  try {
    rows = JSON.parse(text || "[]");
  } catch {}
  if (!Array.isArray(rows)) return [];
  return rows
    .filter((row) => Array.isArray(row) && row.length >= 4 && row.every((one) => Number.isFinite(Number(one))))
    .map((row) => row.map(Number))
    .map(([left, right, top, bottom, weight = 1]) => ({ left, right, top, bottom, weight }));
}

/** @param {Box[]} boxes */
export const textOfBoxes = (boxes) =>
  JSON.stringify(boxes.map((box) => [box.left, box.right, box.top, box.bottom, box.weight].map(rounded)));

/**
 * Moved, and held inside the picture.
 * @param {Box} box
 * @param {number} across
 * @param {number} down
 * @returns {Box}
 */
export function moved(box, across, down) {
  const x = within(across, -box.left, 1 - box.right);
  const y = within(down, -box.top, 1 - box.bottom);
  return { ...box, left: box.left + x, right: box.right + x, top: box.top + y, bottom: box.bottom + y };
}

/**
 * With its lower right corner elsewhere.
 * @param {Box} box
 * @param {number} right
 * @param {number} bottom
 * @returns {Box}
 */
export const sized = (box, right, bottom) => ({
  ...box,
  right: within(right, box.left + SMALLEST, 1),
  bottom: within(bottom, box.top + SMALLEST, 1),
});

/** @type {Map<string, BoxesEditor>} */
const editors = new Map();

export class BoxesEditor {
  /** @param {HTMLElement} place */
  constructor(place) {
    this.place = place;
    this.textId = place.dataset.text ?? "";
    this.mode = place.dataset.mode ?? "";
    this.picture = element("div", { className: "boxes-picture" });
    this.picture.addEventListener("pointerdown", (event) => this.begin(event));
    const add = button("Add a box", () => this.add({ left: 0.25, right: 0.75, top: 0.25, bottom: 0.75, weight: 1 }));
    const help = "Draw, drag; arrow keys move, with Shift they size, Delete removes.";
    place.replaceChildren(this.picture, element("div", { className: "boxes-bar" }, add, element("span", {}, help)));
    /** @type {Box[]} */
    this.boxes = [];
    this.show(this.field()?.value ?? "");
  }

  field() {
    const place = document.getElementById(this.textId);
    return place && (find(place, "textarea", HTMLTextAreaElement) ?? find(place, "input", HTMLInputElement));
  }

  /** @param {string} text */
  show(text) {
    if (text === textOfBoxes(this.boxes)) return;
    this.boxes = boxesOf(text);
    this.draw();
  }

  draw() {
    const side = (/** @type {string} */ name) =>
      Number(find(document, `#${this.mode}_${name} input[type=number]`, HTMLInputElement)?.value) || 512;
    this.picture.style.aspectRatio = `${side("width")} / ${side("height")}`;
    this.picture.replaceChildren(...this.boxes.map((_, number) => this.shown(number)));
  }

  /** @param {number} number */
  shown(number) {
    const made = element("div", { className: "boxes-box", tabIndex: 0 });
    made.setAttribute("role", "group");
    const weight = element("input", { type: "number", min: "0", max: "5", step: "0.05" });
    weight.value = String(this.boxes[number].weight);
    weight.setAttribute("aria-label", "Weight");
    weight.addEventListener("change", () =>
      this.change(number, { ...this.boxes[number], weight: Number(weight.value) }),
    );
    const remove = button("×", () => this.remove(number), { title: "Remove the box", ariaLabel: "Remove the box" });
    made.append(element("b", { textContent: String(number + 1) }), weight, remove, element("i"));
    made.addEventListener("keydown", (event) => event.target === made && this.key(event, number));
    this.lay(made, number);
    return made;
  }

  /**
   * @param {HTMLElement} made
   * @param {number} number
   */
  lay(made, number) {
    const { left, right, top, bottom } = this.boxes[number];
    const share = (/** @type {number} */ value) => `${value * 100}%`;
    Object.assign(made.style, { left: share(left), top: share(top), width: share(right - left) });
    made.style.height = share(bottom - top);
    made.style.setProperty("--hue", String((number * 67) % 360));
    made.setAttribute("aria-label", `Box ${number + 1}: ${textOfBoxes([this.boxes[number]])}`);
  }

  /**
   * @param {number} number
   * @param {Box} box
   */
  change(number, box) {
    this.boxes[number] = box;
    const made = this.picture.children[number];
    if (made instanceof HTMLElement) this.lay(made, number);
    this.write();
  }

  /** @param {Box} box */
  add(box) {
    if (this.boxes.length >= MOST) return;
    this.boxes.push(box);
    this.draw();
    this.write();
    const made = this.picture.lastElementChild;
    if (made instanceof HTMLElement) made.focus();
  }

  /** @param {number} number */
  remove(number) {
    this.boxes.splice(number, 1);
    this.draw();
    this.write();
    const next = this.picture.children[Math.min(number, this.boxes.length - 1)];
    if (next instanceof HTMLElement) next.focus();
  }

  write() {
    const field = this.field();
    if (field) typeInto(field, textOfBoxes(this.boxes));
  }

  /**
   * @param {KeyboardEvent} event
   * @param {number} number
   */
  key(event, number) {
    const box = this.boxes[number];
    /** @type {Record<string, [number, number]>} */
    const ways = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
    const way = ways[event.key];
    if (event.key === "Delete") this.remove(number);
    else if (!way) return;
    else if (event.shiftKey) this.change(number, sized(box, box.right + way[0], box.bottom + way[1]));
    else this.change(number, moved(box, ...way));
    event.preventDefault();
  }

  /**
   * A finger or the mouse came down: on a box, on its corner, or where a new one begins.
   * @param {PointerEvent} event
   */
  begin(event) {
    if (event.button || !(event.target instanceof HTMLElement) || event.target.closest("input, button")) return;
    const on = event.target.closest(".boxes-box");
    const from = this.point(event);
    let number = on ? [...this.picture.children].indexOf(on) : this.boxes.length;
    if (!on) this.add({ left: from.x, right: from.x + SMALLEST, top: from.y, bottom: from.y + SMALLEST, weight: 1 });
    number = Math.min(number, this.boxes.length - 1);
    const box = this.boxes[number];
    const sizes = !on || event.target.matches("i");
    this.picture.setPointerCapture(event.pointerId);
    const move = (/** @type {PointerEvent} */ next) => {
      const { x, y } = this.point(next);
      this.change(number, sizes ? sized(box, x, y) : moved(box, x - from.x, y - from.y));
    };
    this.picture.addEventListener("pointermove", move);
    const end = () => this.picture.removeEventListener("pointermove", move);
    for (const name of ["pointerup", "pointercancel"]) this.picture.addEventListener(name, end, { once: true });
  }

  /** @param {PointerEvent} event */
  point(event) {
    const { left, top, width, height } = this.picture.getBoundingClientRect();
    const most = 1 - SMALLEST;
    const x = within((event.clientX - left) / width, 0, 1);
    const y = within((event.clientY - top) / height, 0, 1);
    return event.type === "pointerdown" ? { x: Math.min(x, most), y: Math.min(y, most) } : { x, y };
  }
}

/**
 * Gradio has a new text for boxes.
 * @param {string} textId
 * @param {string} text
 */
export const showBoxes = (textId, text) => editors.get(textId)?.show(text);

export function watchBoxes() {
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting || !(target instanceof HTMLElement)) continue;
      const editor = editors.get(target.dataset.text ?? "");
      if (editor?.place === target) editor.draw();
      else editors.set(target.dataset.text ?? "", new BoxesEditor(target));
    }
  });
  new MutationObserver(() => {
    for (const place of all(document, ".boxes:not([data-watched])")) {
      place.dataset.watched = "";
      seen.observe(place);
    }
  }).observe(document.documentElement, { childList: true, subtree: true });
}
