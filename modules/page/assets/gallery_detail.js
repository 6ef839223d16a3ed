// @ts-check
// One picture of the gallery over the whole window, with what it says about how it was made and what can be done with it.

/** @import { Shot, ShotDetail } from "./gallery_types.js" */

import { button, element, send, sentence } from "./dom.js";
import * as api from "./gallery_api.js";
import { signButton } from "./gallery_icons.js";
import { phrase, promptPieces, term } from "./gallery_query.js";
import { sendPicture, useParameters } from "./gallery_send.js";
import { bytesText, momentText } from "./gallery_text.js";
import { ZoomView } from "./gallery_view.js";
import { toast } from "./messages.js";

/** @import { Actions } from "./gallery_actions.js" */
/** @import { ShotGrid } from "./gallery_grid.js" */

/** What it needs of the gallery. @typedef {{
 *   grid: ShotGrid, actions: Actions, find: (q: string) => Promise<void>, reload: () => Promise<void>,
 *   showSimilar: (shot: Shot, by: "look" | "meaning") => Promise<void>,
 * }} Gallery */

const USES = /** @type {const} */ ([
  ["all", "Everything"],
  ["prompt", "Prompt"],
  ["seed", "Seed"],
  ["size", "Size"],
]);
const TARGETS = /** @type {const} */ ([
  ["img2img", "img2img"],
  ["sketch", "Sketch"],
  ["inpaint", "Inpaint"],
  ["inpaint_sketch", "Inpaint sketch"],
  ["extras", "Extras"],
  ["pnginfo", "PNG Info"],
  ["detail", "ADetailer"],
]);

/**
 * Whether a picture may be put where others can paste it; they take PNG alone.
 * @param {string} address
 */
async function copyPicture(address) {
  const blob = await (await fetch(address)).blob();
  const png = blob.type === "image/png" ? blob : await asPng(blob);
  await navigator.clipboard.write([new ClipboardItem({ "image/png": png })]);
}

/**
 * @param {Blob} blob
 * @returns {Promise<Blob>}
 */
async function asPng(blob) {
  const bitmap = await createImageBitmap(blob);
  const canvas = element("canvas", { width: bitmap.width, height: bitmap.height });
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
  return new Promise((resolve, reject) =>
    canvas.toBlob(
      (made) => (made ? resolve(made) : reject(new Error("The picture could not be copied."))),
      "image/png",
    ),
  );
}

export class Detail {
  /** @param {Gallery} gallery */
  constructor(gallery) {
    this.gallery = gallery;
    this.index = 0;
    this.shown = 0; // the place of the picture on display, which is behind `index` while one is fetched
    /** @type {Shot | ShotDetail | null} what keys and buttons are about: the picture on display, else nothing */
    this.shot = null;
    /** @type {HTMLDialogElement | null} */
    this.dialog = null;
    /** @type {HTMLElement | null} the tab that it was opened from */
    this.from = null;
  }

  /**
   * @param {number} index in the gallery's list
   * @param {HTMLElement | null} from a tab to go back to
   */
  open(index, from = null) {
    if (!this.dialog) this.build();
    this.from = from;
    this.dialog?.showModal();
    this.stage?.focus();
    return this.show(index);
  }

  build() {
    this.image = element("img", { alt: "", draggable: false });
    const content = element("div", { className: "content" }, this.image);
    this.stage = element("div", { className: "detail-stage", tabIndex: -1 }, content);
    this.view = new ZoomView(this.stage, content, { swiped: (by) => this.step(by) });
    this.previous = signButton("previous", "Previous picture (left arrow)", () => this.step(-1), "previous");
    this.next = signButton("next", "Next picture (right arrow)", () => this.step(1), "next");
    this.info = element("div", { className: "detail-info" });
    const close = signButton("close", "Close (Esc)", () => this.dialog?.close(), "detail-close");
    this.gone = element("p", { className: "detail-gone", role: "status", hidden: true });
    const frame = element("div", { className: "detail-frame" }, this.stage, this.gone, this.previous, this.next);
    this.dialog = element(
      "dialog",
      { className: "webui-dialog gallery-detail", ariaLabel: "Picture" },
      frame,
      this.info,
      close,
    );
    this.dialog.addEventListener("keydown", (event) => this.key(event));
    this.dialog.addEventListener("close", () => this.closed());
    this.image.addEventListener("error", () => this.lost("This picture cannot be shown."));
    (document.querySelector(".gradio-container") ?? document.body).append(this.dialog);
  }

  closed() {
    this.image?.removeAttribute("src");
    this.from?.click();
    if (this.from) this.from.focus();
    else this.gallery.grid.focus(this.index);
  }

  /** @param {string} why */
  lost(why) {
    if (!this.gone || !this.image?.getAttribute("src")) return;
    this.gone.textContent = why;
    this.gone.hidden = false;
  }

  /** @param {number} index */
  async show(index) {
    const { grid } = this.gallery;
    const before = this.index;
    this.index = index;
    await grid.request(index);
    if (this.index !== index) return;
    const known = grid.items.get(index);
    if (!known) {
      // The picture before stays on display, so what is pressed next is about that one.
      this.index = before;
      return toast("The next pictures could not be read; try again in a moment.");
    }
    this.shown = index;
    grid.scrollTo(index);
    grid.stopAt(index);
    grid.draw();
    if (this.previous) this.previous.disabled = index === 0;
    if (this.next) this.next.disabled = index >= grid.total - 1;
    if (this.gone) this.gone.hidden = true;
    // The picture need not wait for what is said about it.
    if (this.image) {
      this.image.src = api.fileOf(known.id);
      this.image.alt = known.name;
    }
    this.view?.show(known.width || 1, known.height || 1);
    // Nor may what is known of the picture before stay under this one until the answer comes.
    if (this.shot?.id !== known.id) {
      this.shot = known;
      this.draw();
    }
    try {
      const shot = await api.detail(known.id);
      if (this.index !== index) return;
      this.shot = shot;
      this.draw();
    } catch (error) {
      if (this.index === index) this.lost(sentence(error));
    }
    for (const other of [index + 1, index - 1]) this.preload(other);
  }

  /** @param {number} index */
  preload(index) {
    const shot = this.gallery.grid.items.get(index);
    if (shot && this.dialog?.open) new Image().src = api.fileOf(shot.id);
  }

  /** @param {number} by */
  async step(by) {
    const { grid } = this.gallery;
    await grid.request(this.index);
    const { shot } = this;
    // Pictures came or went: what is on display has another place in the list now.
    if (shot && this.shown === this.index && grid.items.get(this.index)?.id !== shot.id) {
      this.index = [...grid.items].find(([, { id }]) => id === shot.id)?.[0] ?? this.index;
    }
    const index = this.index + by;
    if (index >= 0 && index < grid.total) await this.show(index);
  }

  /** What is known of pictures in the list has changed. */
  changed() {
    const known = this.dialog?.open ? this.gallery.grid.items.get(this.index) : undefined;
    if (!known || known.id !== this.shot?.id) return;
    const { rating, favourite, tags } = known;
    Object.assign(this.shot, { rating, favourite, tags });
    this.draw();
  }

  draw() {
    const { shot, info } = this;
    if (!shot || !info) return;
    const within = info.contains(document.activeElement);
    const focused = within ? document.activeElement?.getAttribute("data-part") : null;
    const scrolled = info.scrollTop;
    const whole = "infotext" in shot ? shot : null;
    info.setAttribute("aria-busy", String(!whole));
    info.replaceChildren(
      element("h2", { className: "no-translate", textContent: shot.name }),
      element("p", {
        className: "detail-facts no-translate",
        textContent: [`${shot.width} × ${shot.height}`, bytesText(shot.bytes), momentText(shot.created), whole?.program]
          .filter(Boolean)
          .join(" · "),
      }),
      this.marks(shot),
      this.tags(shot, whole?.boards ?? []),
      ...(whole ? this.made(whole) : []),
    );
    info.scrollTop = scrolled;
    const again = focused ? info.querySelector(`[data-part="${focused}"]`) : null;
    // A focus that is lost would take the keys away from the picture.
    if (again instanceof HTMLElement) again.focus({ preventScroll: true });
    else if (within) this.stage?.focus();
  }

  /**
   * How the picture was made, and what can be done with it.
   * @param {ShotDetail} shot
   */
  made(shot) {
    return [
      ...this.prompts(shot),
      ...this.settings(shot),
      this.buttons(
        "Use parameters",
        USES.map(([what, text]) => [text, () => this.leave(() => useParameters(shot, what))]),
        !shot.infotext,
      ),
      this.buttons(
        "Send to",
        TARGETS.map(([target, text]) => [text, () => this.leave(() => sendPicture(shot, target))]),
      ),
      this.buttons("Picture", this.fileButtons(shot)),
    ];
  }

  /** @param {Shot} shot */
  marks({ id, rating, favourite }) {
    const { actions } = this.gallery;
    const heart = signButton("heart", "Favourite (F)", () => actions.favourite([id]), "heart-button");
    heart.setAttribute("aria-pressed", String(favourite));
    heart.dataset.part = "heart";
    const stars = [1, 2, 3, 4, 5].map((count) => {
      const title = count === 1 ? "1 star" : `${count} stars`;
      const star = signButton(
        "star",
        title,
        () => actions.rate([id], count === rating ? 0 : count),
        count <= rating ? "lit" : "",
      );
      star.setAttribute("aria-pressed", String(count === rating));
      star.dataset.part = `star${count}`;
      return star;
    });
    return element(
      "div",
      { className: "detail-marks" },
      heart,
      element("span", { className: "stars", role: "group", ariaLabel: "Rating" }, ...stars),
    );
  }

  /**
   * @param {Shot} shot
   * @param {ShotDetail["boards"]} boards
   */
  tags({ id, tags }, boards) {
    const { actions } = this.gallery;
    const chips = tags.map((tag) =>
      button(tag, () => this.search(term("tag", tag)), { className: "chip no-translate" }),
    );
    const places = boards.map(({ name }) =>
      button(name, () => this.search(term("board", name)), { className: "chip board no-translate" }),
    );
    const adding = button("Tags…", () => actions.askForTags([id]), { className: "chip" });
    const boarding = button("Board…", () => actions.askForBoard([id]), { className: "chip" });
    return element("div", { className: "chips" }, ...chips, ...places, adding, boarding);
  }

  /** @param {ShotDetail} shot */
  prompts({ prompt, negative_prompt, infotext }) {
    if (!infotext)
      return [
        element("p", { className: "detail-note", textContent: "This picture says nothing about how it was made." }),
      ];
    const parts = [
      ["Prompt", prompt],
      ["Negative prompt", negative_prompt],
    ].filter(([, text]) => text);
    return parts.flatMap(([title, text]) => [element("h3", { textContent: title }), this.words(text)]);
  }

  /** @param {string} text */
  words(text) {
    const pieces = promptPieces(text).map((piece) => {
      const { search } = piece;
      return search ? button(piece.text, () => this.search(search), { className: "word" }) : piece.text;
    });
    return element("p", { className: "detail-prompt no-translate" }, ...pieces);
  }

  /** @param {ShotDetail} shot */
  settings({ fields }) {
    const rows = Object.entries(fields).flatMap(([key, value]) => {
      const field = /\s/.test(key) ? `"${key}"` : key.toLowerCase();
      const press = button(value, () => this.search(`${field}:${/^[\w.-]+$/.test(value) ? value : phrase(value)}`), {
        className: "word",
      });
      return [element("dt", { textContent: key }), element("dd", {}, press)];
    });
    return rows.length
      ? [
          element("h3", { textContent: "Settings" }),
          element("dl", { className: "detail-fields no-translate" }, ...rows),
        ]
      : [];
  }

  /**
   * @param {string} title
   * @param {[string, () => void][]} entries
   */
  buttons(title, entries, hidden = false) {
    return element(
      "section",
      { hidden },
      element("h3", { textContent: title }),
      element("div", { className: "detail-buttons" }, ...entries.map(([text, press]) => button(text, press))),
    );
  }

  /**
   * @param {ShotDetail} shot
   * @returns {[string, () => void][]}
   */
  fileButtons(shot) {
    const { actions } = this.gallery;
    /** @type {[string, () => void][]} */
    const entries = [
      ["Copy picture", () => this.copied(() => copyPicture(api.fileOf(shot.id)))],
      ["Copy parameters", () => this.copied(() => navigator.clipboard.writeText(shot.infotext))],
      ["Download", () => element("a", { href: api.fileOf(shot.id, true), download: shot.name }).click()],
    ];
    if (shot.path)
      entries.push(["Open folder", () => actions.attempt(() => send("folders/open", { picture: shot.id }))]);
    entries.push(
      ["Similar pictures", () => this.leave(() => this.gallery.showSimilar(shot, "look"))],
      ["Similar meaning", () => this.leave(() => this.gallery.showSimilar(shot, "meaning"))],
    );
    entries.push(
      shot.trashed
        ? ["Restore", () => this.away(() => actions.restore([shot.id]))]
        : ["Delete", () => this.away(() => actions.remove([shot.id]))],
    );
    return entries;
  }

  /** @param {() => Promise<void>} copy */
  async copied(copy) {
    try {
      await copy();
      toast("Copied.", "info");
    } catch {
      toast("This browser gives no access to the clipboard here.");
    }
  }

  /** @param {string} q */
  search(q) {
    this.from = null;
    this.dialog?.close();
    return this.gallery.find(q);
  }

  /**
   * What leads to another view or tab.
   * @param {() => Promise<unknown>} act
   */
  leave(act) {
    this.from = null;
    this.dialog?.close();
    return this.gallery.actions.attempt(async () => void (await act()));
  }

  /**
   * The picture leaves the list, and the next one comes up.
   * @param {() => Promise<void>} act
   */
  async away(act) {
    // Pressed once more meanwhile, it would be about a picture that is gone.
    this.shot = null;
    await act();
    const { total } = this.gallery.grid;
    if (!total) return this.dialog?.close();
    return this.show(Math.min(this.index, total - 1));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.shot) return;
    const typing = event.target instanceof Element && event.target.matches("input, select, textarea");
    if (typing) return;
    const { actions } = this.gallery;
    const ids = [this.shot.id];
    if (event.key === "ArrowLeft") this.step(-1);
    else if (event.key === "ArrowRight") this.step(1);
    else if (event.key === "Delete") this.away(() => (this.shot?.trashed ? Promise.resolve() : actions.remove(ids)));
    else if (event.key.toLowerCase() === "f") actions.favourite(ids);
    else if (/^[0-5]$/.test(event.key)) actions.rate(ids, Number(event.key));
    else if (!this.view?.key(event)) return;
    event.preventDefault();
    event.stopPropagation();
  }
}
