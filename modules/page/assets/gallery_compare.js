// @ts-check
// Two to four pictures against each other: side by side with one zoom for all, under a slider, blinking, as their
// difference; and their parameters word by word.

/** @import { ShotDetail } from "./gallery_types.js" */

import { changesTable } from "./differences_view.js";
import { button, element, sentence } from "./dom.js";
import * as api from "./gallery_api.js";
import { signButton } from "./gallery_icons.js";
import { ZoomView } from "./gallery_view.js";
import { toast } from "./messages.js";

const MODES = /** @type {const} */ ([
  ["side", "Side by side"],
  ["slider", "Slider"],
  ["blink", "Blink"],
  ["difference", "Difference"],
]);
const LETTERS = "ABCD";
const BLINK = 700; // milliseconds
const VISIBLE = 8; // of 255: less is what formats that lose something change anyway

/** @typedef {(typeof MODES)[number][0]} CompareMode */

/**
 * @param {ShotDetail} shot
 * @returns {Promise<HTMLImageElement>}
 */
async function loaded({ id, name }) {
  const image = element("img", { alt: name, draggable: false, src: api.fileOf(id) });
  await image.decode();
  return image;
}

/**
 * The share of pixels that can be seen to differ, 0 to 1.
 * @param {Uint8ClampedArray} pixels of a difference, as RGBA
 */
export function differingShare(pixels) {
  let count = 0;
  for (let place = 0; place < pixels.length; place += 4) {
    if (Math.max(pixels[place], pixels[place + 1], pixels[place + 2]) > VISIBLE) count += 1;
  }
  return pixels.length ? (4 * count) / pixels.length : 0;
}

export class Compare {
  /** @param {string[]} ids */
  constructor(ids) {
    this.ids = ids;
    /** @type {CompareMode} */
    this.mode = "side";
    this.pair = [0, 1];
    this.timer = 0;
    /** @type {ZoomView[]} */
    this.views = [];
  }

  async open() {
    const answers = await Promise.allSettled(
      this.ids.map(async (id) => {
        const shot = await api.detail(id);
        return { shot, image: await loaded(shot) };
      }),
    );
    const found = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
    const lost = answers.find((answer) => answer.status === "rejected");
    if (found.length < answers.length) toast("A picture that was to be compared is not there any more.");
    if (found.length < 2) return lost && toast(sentence(lost.reason));
    this.shots = found.map(({ shot }) => shot);
    this.images = found.map(({ image }) => image);
    this.build();
  }

  build() {
    const { shots = [] } = this;
    this.stage = element("div", { className: "compare-stage" });
    this.controls = element("div", { className: "compare-controls" });
    this.choices = MODES.map(([mode, text]) => {
      const choice = button(text, () => this.choose(mode));
      choice.dataset.mode = mode;
      return choice;
    });
    const bar = element(
      "div",
      { className: "compare-bar" },
      element("div", { className: "segments", role: "group", ariaLabel: "How to compare" }, ...this.choices),
      this.controls,
    );
    const parameters = element(
      "details",
      { className: "compare-parameters", open: true },
      element("summary", { textContent: "Parameters" }),
      changesTable(shots.map((shot, place) => ({ letter: LETTERS[place], ...shot }))),
    );
    this.dialog = element(
      "dialog",
      { className: "webui-dialog gallery-compare", ariaLabel: "Compare pictures" },
      bar,
      this.stage,
      parameters,
      signButton("close", "Close (Esc)", () => this.dialog?.close(), "detail-close"),
    );
    this.dialog.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.key(event));
    this.dialog.addEventListener("close", () => {
      clearInterval(this.timer);
      this.dialog?.remove();
    });
    (document.querySelector(".gradio-container") ?? document.body).append(this.dialog);
    this.dialog.showModal();
    this.choose("side");
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof Element && event.target.matches("input, select, .compare-table")) return;
    if (this.views[0]?.key(event, { arrows: true })) event.preventDefault();
  }

  /** @param {CompareMode} mode */
  choose(mode) {
    const { stage, controls } = this;
    if (!stage || !controls) return;
    clearInterval(this.timer);
    this.mode = mode;
    this.views = [];
    for (const choice of this.choices ?? []) choice.setAttribute("aria-pressed", String(choice.dataset.mode === mode));
    stage.replaceChildren();
    stage.className = `compare-stage ${mode}`;
    controls.replaceChildren(...(mode === "side" || mode === "blink" ? [] : this.pairChoice()));
    if (mode === "side") this.sideBySide(stage);
    else if (mode === "slider") this.slider(stage, controls);
    else if (mode === "blink") this.blink(stage, controls);
    else this.difference(stage, controls);
  }

  /** Which two of three or four. */
  pairChoice() {
    const count = this.shots?.length ?? 0;
    if (count < 3) return [];
    return this.pair.map((chosen, side) => {
      const select = element(
        "select",
        { ariaLabel: side ? "Second picture" : "First picture" },
        ...Array.from({ length: count }, (_, place) => new Option(LETTERS[place], String(place))),
      );
      select.value = String(chosen);
      select.addEventListener("change", () => {
        this.pair[side] = Number(select.value);
        this.choose(this.mode);
      });
      return select;
    });
  }

  /**
   * A frame with pictures upon each other, all as large as the first.
   * @param {HTMLElement} stage
   * @param {number[]} places
   * @param {string} letter
   */
  frame(stage, places, letter) {
    const { shots = [], images = [] } = this;
    const content = element("div", { className: "content" }, ...places.map((place) => images[place]));
    for (const place of places) images[place].removeAttribute("style");
    const frame = element("div", { className: "compare-frame" }, content);
    if (letter) frame.append(element("span", { className: "compare-letter no-translate", textContent: letter }));
    stage.append(frame);
    const view = new ZoomView(frame, content, { changed: (changed) => this.follow(changed) });
    const { naturalWidth, naturalHeight } = images[places[0]];
    view.show(naturalWidth || shots[places[0]].width, naturalHeight || shots[places[0]].height);
    this.views.push(view);
    return { frame, content };
  }

  /** @param {ZoomView} view that was zoomed or moved */
  follow(view) {
    const part = view.moved ? view.part() : null;
    for (const other of this.views) {
      if (other === view) continue;
      if (part) other.follow(part);
      else if (other.moved) other.reset();
    }
  }

  /** @param {HTMLElement} stage */
  sideBySide(stage) {
    const count = this.images?.length ?? 0;
    for (let place = 0; place < count; place += 1) this.frame(stage, [place], LETTERS[place]);
  }

  /**
   * @param {HTMLElement} stage
   * @param {HTMLElement} controls
   */
  slider(stage, controls) {
    const { images = [], pair } = this;
    const { frame, content } = this.frame(stage, pair, LETTERS[pair[0]]);
    frame.append(element("span", { className: "compare-letter second no-translate", textContent: LETTERS[pair[1]] }));
    const line = element("div", { className: "compare-line" });
    content.append(line);
    const range = element("input", {
      type: "range",
      min: "0",
      max: "100",
      value: "50",
      step: "0.5",
      ariaLabel: "Where the second picture begins",
    });
    const draw = () => {
      images[pair[1]].style.clipPath = `inset(0 0 0 ${range.value}%)`;
      line.style.left = `${range.value}%`;
    };
    range.addEventListener("input", draw);
    // The line follows the mouse; a finger moves the slider, or the picture.
    frame.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "mouse" || event.buttons) return;
      const box = content.getBoundingClientRect();
      range.value = String((100 * (event.clientX - box.left)) / box.width);
      draw();
    });
    controls.append(range);
    draw();
  }

  /**
   * @param {HTMLElement} stage
   * @param {HTMLElement} controls
   */
  blink(stage, controls) {
    const { images = [] } = this;
    const { frame } = this.frame(
      stage,
      images.map((_, place) => place),
      LETTERS[0],
    );
    const letter = frame.querySelector(".compare-letter");
    let shown = 0;
    const draw = () => {
      for (const [place, image] of images.entries()) image.style.visibility = place === shown ? "visible" : "hidden";
      if (letter) letter.textContent = LETTERS[shown];
    };
    const next = () => {
      shown = (shown + 1) % images.length;
      draw();
    };
    const pause = button("", () => run(!this.timer));
    /** @param {boolean} on */
    const run = (on) => {
      clearInterval(this.timer);
      this.timer = on ? window.setInterval(next, BLINK) : 0;
      pause.textContent = on ? "Pause" : "Blink on";
    };
    controls.append(
      pause,
      button("Next", () => [run(false), next()]),
    );
    draw();
    run(!window.matchMedia("(prefers-reduced-motion: reduce)").matches);
  }

  /**
   * @param {HTMLElement} stage
   * @param {HTMLElement} controls
   */
  difference(stage, controls) {
    const { images = [], pair } = this;
    const [first, second] = pair.map((place) => images[place]);
    const canvas = element("canvas", { width: first.naturalWidth, height: first.naturalHeight });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    if (!context) return;
    context.drawImage(first, 0, 0);
    context.globalCompositeOperation = "difference";
    context.drawImage(second, 0, 0, canvas.width, canvas.height);
    const { content } = this.frame(stage, [pair[0]], "");
    content.replaceChildren(canvas);
    const share = differingShare(context.getImageData(0, 0, canvas.width, canvas.height).data);
    const brighter = element("input", {
      type: "range",
      min: "1",
      max: "16",
      value: "4",
      ariaLabel: "How much the difference is brightened",
    });
    const draw = () => {
      canvas.style.filter = `brightness(${brighter.value})`;
    };
    brighter.addEventListener("input", draw);
    controls.append(brighter, element("span", { textContent: `${(100 * share).toFixed(1)} % of the pixels differ.` }));
    draw();
  }
}
