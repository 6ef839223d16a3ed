// @ts-check
// A place for a picture: dropped, chosen, pasted or sent there; its bytes go to the server as they are.

/** @import { Picture } from "./types.js" */

import { averageColour, blankForm, blankPicture, brushOn } from "./blank.js";
import { client, url } from "./client.js";
import { need, sentence } from "./dom.js";
import { toast } from "./messages.js";
import { Painter } from "./painting.js";
import { Surface } from "./surface.js";
import { View } from "./view.js";

const LATER = 900; // after the last stroke the painting is uploaded

/**
 * @param {Blob} blob
 * @param {boolean} anySize only the picture's texts are wanted, which can be read however many pixels it has
 * @returns {Promise<Picture>}
 * @throws {Error} with the server's sentence
 */
export async function upload(blob, anySize = false) {
  const path = anySize ? "pictures?any_size=true" : "pictures";
  const answer = await fetch(url(path), { method: "POST", body: blob, headers: { "X-Client": client } });
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(content.detail ?? `The server refused the picture (${answer.status}).`);
  return content;
}

// Drawn here: no font has all of these on every machine.
/** @param {string} path */
const icon = (path) =>
  `<svg viewBox="0 0 24 24" width="18" height="18" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="${path}"/></svg>`;
/** @type {Record<string, string>} */
const ICONS = {
  brush: icon("M14 4l6 6-9 9-6 1 1-6zM12 6l6 6"),
  eraser: icon("M7 20h13M4 15L14 5l6 6-8 9H8z"),
  undo: icon("M8 5L4 9l4 4M4 9h10a6 6 0 0 1 0 12h-3"),
  redo: icon("M16 5l4 4-4 4M20 9H10a6 6 0 0 0 0 12h3"),
  clear: icon("M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13"),
  fit: icon("M4 12h16M12 4v16M12 12m-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0"),
  full: icon("M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5"),
  remove: icon("M4 5h16v14H4zM9 9l6 6M15 9l-6 6"),
};

const MARKUP = `
  <div class="frame"><div class="content"><img class="under" alt="" draggable="false" hidden><canvas class="paint"></canvas></div>
  <label class="drop"><input type="file" accept="image/*"><b></b><span>or click to choose one, or paste it</span></label></div>
  <div class="bar" hidden><span class="size"></span><span class="brushes">
    <button data-do="brush" title="Brush"></button><button data-do="eraser" title="Eraser (or hold Ctrl)"></button>
    <input type="color" title="Colour" aria-label="Brush colour">
    <input type="range" min="0" max="100" title="Brush size (Ctrl+wheel, Q, W)" aria-label="Brush size">
    <button data-do="undo" title="Undo (Ctrl+Z)"></button><button data-do="redo" title="Redo (Ctrl+Y)"></button>
    <button data-do="clear" title="Clear the painting"></button></span>
    <button data-do="fit" title="Fit (R); zoom with Alt+wheel, move with F"></button>
    <button data-do="full" title="Full screen (S)"></button><button data-do="remove" title="Remove the picture"></button></div>`;

// The slider is logarithmic: small brushes need fine steps.
/** @param {number} place on the slider, 0 to 100 */
const toShare = (place) => 0.2 * 300 ** (place / 100);
/** @param {number} share of the picture's shorter side, in percent */
const toPlace = (share) => (100 * Math.log(share / 0.2)) / Math.log(300);

export class Slot {
  /**
   * @param {HTMLElement} element
   * @param {Picture | null | undefined} stored what it held when the page was left
   * @param {(name: string, state: Picture | null) => void} store
   */
  constructor(element, stored, store) {
    this.element = element;
    this.name = element.dataset.slot ?? "";
    this.store = () => store(this.name, this.state);
    /** @type {Picture | null} */
    this.state = null;
    /** @type {Promise<string | null> | null} */
    this.saving = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    element.dataset.ready = "";
    element.innerHTML = MARKUP;
    const mask = this.name === "inpaint_mask";
    const second = this.name.startsWith("script_");
    const whole = second ? "Drop the second picture here" : "Drop a picture here";
    need(element, ".drop b", HTMLElement).textContent = mask
      ? "Drop a mask here: what is white in it is repainted"
      : whole;
    this.image = need(element, ".under", HTMLImageElement);
    this.bar = need(element, ".bar", HTMLElement);
    this.view = new View(need(element, ".frame", HTMLElement), need(element, ".content", HTMLElement));
    this.surface = new Surface(need(element, ".paint", HTMLCanvasElement));
    this.painter = new Painter(element, this.view, this.surface, () => this.changed());
    this.listen();
    this.choose("brush");
    this.ownColour = false; // chosen by the person
    if (element.dataset.brush === "colour") {
      this.view.frame.append(blankForm((wide, high, colour) => this.blank(wide, high, colour)));
    }
    if (stored?.id) this.show(stored);
  }

  listen() {
    const chooser = need(this.element, "input[type=file]", HTMLInputElement);
    chooser.addEventListener("change", () => {
      const [file] = chooser.files ?? [];
      if (file) this.take(file);
      chooser.value = "";
    });
    this.element.addEventListener("dragover", (event) => event.preventDefault());
    this.element.addEventListener("drop", (event) => this.dropped(event));
    const painter = this.painter;
    const range = need(this.element, "input[type=range]", HTMLInputElement);
    range.addEventListener("input", () => {
      painter.share = toShare(Number(range.value));
    });
    this.element.addEventListener("brush", () => {
      range.value = String(toPlace(painter.share));
    });
    this.element.dispatchEvent(new CustomEvent("brush"));
    const colour = need(this.bar, "input[type=color]", HTMLInputElement);
    colour.value = painter.colour;
    colour.addEventListener("input", () => {
      this.ownColour = true;
      painter.colour = colour.value;
      this.choose("brush");
    });
    /** @type {Record<string, () => void>} */
    const actions = {
      undo: () => painter.undo(),
      redo: () => painter.redo(),
      clear: () => painter.clear(),
      fit: () => this.view.reset(),
      full: () => painter.fullScreen(),
      remove: () => this.remove(),
    };
    for (const button of this.bar.querySelectorAll("button")) {
      const what = button.dataset.do ?? "";
      button.type = "button";
      button.innerHTML = ICONS[what];
      button.setAttribute("aria-label", button.title);
      button.onclick = actions[what] ?? (() => this.choose(what));
    }
  }

  /**
   * A brush that can't be seen on its ground is given another colour, unless somebody chose it.
   * @param {string | null} ground as #rrggbb
   */
  showBrushOn(ground) {
    if (this.ownColour || !ground || this.element.dataset.brush !== "colour") return;
    this.painter.colour = brushOn(this.element.dataset.colour || this.painter.colour, ground);
    need(this.bar, "input[type=color]", HTMLInputElement).value = this.painter.colour;
  }

  /**
   * @param {number} width
   * @param {number} height
   * @param {string} colour
   */
  async blank(width, height, colour) {
    try {
      await this.take(await blankPicture(width, height, colour));
    } catch (error) {
      toast(sentence(error));
    }
  }

  /** @param {string} tool "brush" or "eraser" */
  choose(tool) {
    this.painter.tool = tool;
    for (const name of ["brush", "eraser"]) {
      const button = need(this.element, `[data-do=${name}]`, HTMLElement);
      button.classList.toggle("chosen", name === tool);
      button.setAttribute("aria-pressed", String(name === tool));
    }
  }

  /** @param {DragEvent} event */
  async dropped(event) {
    event.preventDefault();
    event.stopPropagation();
    const file = event.dataTransfer?.files[0];
    const address = event.dataTransfer?.getData("text/uri-list").split("\n")[0];
    if (file) return this.take(file);
    // A picture of this page's own gallery: the saved file itself. Nothing is fetched from anywhere else.
    if (!address || new URL(address).origin !== location.origin)
      return toast("Drop a picture from this page, or a file.");
    return this.take(await (await fetch(address)).blob());
  }

  /** @param {Blob} blob */
  async take(blob) {
    this.element.classList.add("busy");
    try {
      const picture = await upload(blob, this.name === "pnginfo");
      if (picture.notice) toast(picture.notice, "info");
      await this.show(picture);
      this.store();
    } catch (error) {
      toast(sentence(error));
    } finally {
      this.element.classList.remove("busy");
    }
  }

  /**
   * The painting stays while the picture has the same size: the next attempt often starts from the result.
   * @param {Picture} picture
   */
  async show({ id, width, height, paint }) {
    const before = this.state;
    const same = before !== null && before.width === width && before.height === height;
    this.state = { id, width, height, paint: paint ?? (same ? before.paint : null) };
    if (!same) {
      this.surface.resize(width, height);
      this.view.show(width, height);
    }
    this.element.classList.add("filled");
    this.view.frame.tabIndex = 0;
    this.view.frame.setAttribute("role", "group");
    this.view.frame.setAttribute(
      "aria-label",
      `${this.element.getAttribute("aria-label")}: arrows move, + and - zoom, R fits`,
    );
    this.bar.hidden = false;
    need(this.bar, ".size", HTMLElement).textContent = `${width}×${height}`;
    this.image.hidden = false;
    this.image.onload = () => this.showBrushOn(averageColour(this.image));
    this.image.onerror = () => this.remove("The picture is not there any more: choose it again.");
    this.image.src = url(`pictures/${id}`);
    if (paint) await this.restore(paint);
    this.element.dispatchEvent(new CustomEvent("filled", { bubbles: true }));
  }

  /**
   * @param {string} paint the painting's id
   * @returns {Promise<void>}
   */
  restore(paint) {
    return new Promise((resolve) => {
      const image = new Image();
      image.onload = () => resolve(this.surface.restore(image));
      image.onerror = () => {
        if (this.state) this.state.paint = null;
        resolve();
      };
      image.src = url(`pictures/${paint}`);
    });
  }

  /** @param {string} [why] */
  remove(why) {
    if (why) toast(why);
    this.state = null;
    this.surface.resize(1, 1);
    this.view.size = null;
    this.image.hidden = true;
    this.image.onerror = null;
    this.image.removeAttribute("src");
    this.element.classList.remove("filled");
    for (const name of ["tabindex", "role", "aria-label"]) this.view.frame.removeAttribute(name);
    this.bar.hidden = true;
    this.store();
    this.element.dispatchEvent(new CustomEvent("filled", { bubbles: true }));
  }

  changed() {
    clearTimeout(this.timer);
    if (this.state) this.state.paint = undefined;
    this.timer = setTimeout(() => this.flush().catch((error) => toast(sentence(error))), LATER);
  }

  // The painting as the server has it; a painting of nothing is none.
  async flush() {
    clearTimeout(this.timer);
    await this.saving;
    if (!this.state || this.state.paint !== undefined) return this.state?.paint ?? null;
    this.saving = this.uploadPainting(this.state);
    return this.saving;
  }

  /** @param {Picture} state */
  async uploadPainting(state) {
    const { surface } = this;
    const count = surface.strokes.length;
    const paint = surface.empty ? null : (await upload(await surface.file())).id;
    // Painted on in the meantime: then this one is old already.
    if (this.state !== state || surface.strokes.length !== count) return paint;
    state.paint = paint;
    this.store();
    return paint;
  }

  // What is copied from here: where the brush has colours, they belong to the picture, as in A1111.
  async copied() {
    const coloured = this.element.dataset.brush === "colour" && !this.surface.empty;
    return coloured ? upload(await this.surface.over(this.image)) : this.state;
  }

  async source() {
    return { picture: this.state?.id ?? null, paint: await this.flush() };
  }
}
