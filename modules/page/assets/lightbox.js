// @ts-check
// A picture over the whole window, as in A1111: arrows go on, S saves, Esc or a click closes; zoom and tiling. While a
// job runs its preview can stand there instead, and its picture once it is there.

/** @import { Mode, PageSettings } from "./types.js" */

import { find, need, within } from "./dom.js";
import { leafByGamepad } from "./gamepad.js";
import { selectedIndex, thumbnails } from "./selection.js";

/** @type {Record<string, string>} */
const ICONS = {
  previous: "M15 5l-7 7 7 7",
  next: "M9 5l7 7-7 7",
  zoom: "M10 4a6 6 0 1 0 0 12a6 6 0 0 0 0-12M14.5 14.5L20 20M10 7.5v5M7.5 10h5",
  watch: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7-10-7-10-7zM12 9a3 3 0 1 0 0 6a3 3 0 1 0 0-6",
  tile: "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z",
  save: "M5 4h11l3 3v13H5zM8 4v5h7V4M8 20v-6h8v6",
  close: "M6 6l12 12M18 6L6 18",
};
/** @type {Record<string, string>} */
const NAMES = {
  previous: "Previous picture (left arrow)",
  next: "Next picture (right arrow)",
  zoom: "Fit into the window, or the picture's own size",
  watch: "Live preview of the job that runs, or the finished pictures",
  tile: "Tile the picture, to see its seams",
  save: "Save the picture (S)",
  close: "Close (Esc)",
};
const IMAGE = "[id$=_gallery] .media-button";
const PREVIEW = "[id$=_live] .preview";

// How long the last preview stays when a job is over: its picture comes in that time, if it made one.
const FADE = 3000;

const KEYS = new Map([
  ["ArrowLeft", "previous"],
  ["ArrowRight", "next"],
  ["s", "save"],
  ["S", "save"],
]);

class Lightbox {
  /** @param {() => PageSettings | undefined} settings */
  constructor(settings) {
    this.settings = settings;
    /** @type {HTMLElement} */
    this.gallery = document.body;
    this.mode = "";
    this.index = 0;
    this.live = false; // the person wants to see the preview
    this.shownLive = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.fading = undefined;
    this.dialog = document.createElement("dialog");
    this.dialog.className = "lightbox";
    this.dialog.setAttribute("aria-label", "Picture");
    this.dialog.innerHTML = `<div class="tools">${["watch", "zoom", "tile", "save", "close"].map((name) => this.button(name)).join("")}</div>
      ${this.button("previous")}<div class="picture"><img alt=""></div>${this.button("next")}<span class="place" aria-live="polite"></span>`;
    document.body.append(this.dialog);
    this.picture = need(this.dialog, ".picture", HTMLElement);
    this.image = need(this.dialog, "img", HTMLImageElement);
    this.dialog.addEventListener("click", (event) => this.act(within(event, "button")?.dataset.do ?? "close"));
    this.dialog.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("webui-preview", () => this.previewed());
    document.addEventListener("webui-filled", ({ detail }) => this.filled(detail));
  }

  /** @param {string} name */
  part(name) {
    return need(this.dialog, `.${name}`, HTMLElement);
  }

  /** @param {string} name */
  button(name) {
    return `<button type="button" class="${name}" data-do="${name}" title="${NAMES[name]}" aria-label="${NAMES[name]}"><svg viewBox="0 0 24 24" width="24" height="24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="${ICONS[name]}"/></svg></button>`;
  }

  /** @param {HTMLElement} gallery */
  open(gallery) {
    this.gallery = gallery;
    this.mode = gallery.id.replace("_gallery", "");
    this.live = this.settings()?.live_lightbox ?? false;
    const chosen = thumbnails(gallery).findIndex((item) => item.classList.contains("selected"));
    this.picture.classList.toggle("whole", this.settings()?.zoomed ?? true);
    this.show(Math.max(0, chosen));
    this.dialog.showModal();
    leafByGamepad(
      () => (this.dialog.open && this.settings()?.gamepad) || 0,
      (by) => this.step(by),
    );
  }

  /** @param {number} index */
  show(index) {
    clearTimeout(this.fading);
    const pictures = thumbnails(this.gallery);
    this.index = pictures.length ? (index + pictures.length) % pictures.length : 0;
    const preview = this.preview();
    const source = (this.live && preview) || this.finished(pictures) || preview;
    this.shownLive = Boolean(preview) && source === preview;
    // What is saved is a finished picture.
    this.part("save").hidden = this.shownLive || !this.saveButton();
    this.part("watch").hidden = !preview;
    this.part("watch").setAttribute("aria-pressed", String(this.shownLive));
    // The same once more would blink.
    if (this.image.src !== source) this.image.src = source;
    this.picture.style.backgroundImage = this.picture.classList.contains("tiled") ? `url("${source}")` : "";
    for (const name of ["previous", "next"]) this.part(name).hidden = pictures.length < 2;
    this.part("place").textContent = pictures.length > 1 ? `${this.index + 1} / ${pictures.length}` : "";
  }

  /** @param {HTMLElement[]} pictures */
  finished(pictures) {
    return (pictures[this.index] ?? this.gallery.querySelector(".media-button"))?.querySelector("img")?.src ?? "";
  }

  preview() {
    const image = find(document, `#${this.mode}_live .preview`, HTMLImageElement);
    return image && !image.hidden ? image.src : "";
  }

  previewed() {
    if (!this.dialog.open) return;
    if (this.preview() || !this.shownLive) this.show(this.index);
    else this.fading = setTimeout(() => this.dialog.open && this.show(this.index), FADE);
  }

  /**
   * The gallery shows other pictures: those of the job that is over.
   * @param {Mode} mode
   */
  async filled(mode) {
    if (this.dialog.open && mode === this.mode) this.show(await selectedIndex(mode));
  }

  /**
   * The gallery follows, so that what is under it speaks of the same picture.
   * @param {number} by
   */
  step(by) {
    this.live = false;
    this.show(this.index + by);
    thumbnails(this.gallery)[this.index]?.click();
  }

  /** @param {string} name */
  act(name) {
    if (name === "previous") this.step(-1);
    else if (name === "next") this.step(1);
    else if (name === "zoom") this.picture.classList.toggle("whole");
    else if (name === "tile") this.tile();
    else if (name === "watch") this.watch();
    else if (name === "save") this.save();
    else this.dialog.close();
  }

  tile() {
    this.picture.classList.toggle("tiled");
    this.show(this.index);
  }

  watch() {
    this.live = !this.shownLive;
    this.show(this.index);
  }

  saveButton() {
    return document.getElementById(`save_${this.mode}`);
  }

  // The server has heard which picture is meant once the hidden box says so.
  async save() {
    const box = find(document, `#${this.mode}_selected input`, HTMLInputElement);
    for (let tries = 0; box && Number(box.value) !== this.index && tries < 20; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    this.saveButton()?.click();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const name = KEYS.get(event.key);
    if (!name || this.part(name).hidden) return;
    event.preventDefault();
    event.stopPropagation();
    this.act(name);
  }
}

/** @param {() => PageSettings | undefined} settings */
export function listenForPictures(settings) {
  /** @type {Lightbox | null} */
  let box = null;
  /** @param {Event} event */
  const clicked = (event) =>
    settings()?.lightbox === false ? null : within(event, settings()?.live_lightbox ? `${IMAGE}, ${PREVIEW}` : IMAGE);
  document.addEventListener(
    "click",
    (event) => {
      const image = clicked(event);
      const frame = image?.closest("[id$=_gallery], [id$=_live]");
      if (!frame || event.button !== 0) return;
      event.preventDefault();
      event.stopPropagation();
      box ??= new Lightbox(settings);
      box.open(need(document, `#${frame.id.replace("_live", "_gallery")}`, HTMLElement));
    },
    { capture: true },
  );
  document.addEventListener("auxclick", (event) => {
    const source = event.button === 1 && within(event, IMAGE)?.querySelector("img")?.src;
    if (source) window.open(source, "_blank", "noopener");
  });
}
