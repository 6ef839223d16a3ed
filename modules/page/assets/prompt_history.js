// @ts-check
// The prompts of all pictures there are, in a dialog at the prompt boxes: searched, remembered, put into the boxes.

/** @import { PromptEntry } from "./gallery_types.js" */

import { openDialog } from "./dialog.js";
import { wordDifferences } from "./differences.js";
import { marked } from "./differences_view.js";
import { button, element, need, sentence, typeInto, within } from "./dom.js";
import * as api from "./gallery_api.js";
import { signButton } from "./gallery_icons.js";
import { momentText, numberText } from "./gallery_text.js";
import { toast } from "./messages.js";

const TYPING = 200; // milliseconds
const PAGE = 30;

class History {
  /** @param {string} mode of the tab whose prompts are filled in */
  constructor(mode) {
    this.mode = mode;
    this.number = 0;
    this.timer = 0;
    /** @type {PromptEntry[]} */
    this.entries = [];
    this.total = 0;
    this.search = element("input", { type: "search", placeholder: "Search prompts", ariaLabel: "Search prompts" });
    this.favourites = element("input", { type: "checkbox" });
    this.differences = element("input", { type: "checkbox" });
    this.status = element("p", { role: "status" });
    this.list = element("ul", { className: "history-list" });
    this.more = button("Show older", () => this.load(this.entries.length), { hidden: true });
    this.search.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = window.setTimeout(() => this.load(0), TYPING);
    });
    this.favourites.addEventListener("change", () => this.load(0));
    this.differences.addEventListener("change", () => this.draw());
  }

  open() {
    this.dialog = openDialog("Prompts so far", "prompt-history");
    const only = element(
      "label",
      { className: "gallery-check" },
      this.favourites,
      element("span", { textContent: "Favourites" }),
    );
    const compared = element(
      "label",
      { className: "gallery-check" },
      this.differences,
      element("span", { textContent: "Differences from the one before" }),
    );
    this.dialog.append(
      element("div", { className: "history-bar" }, this.search, only, compared),
      this.status,
      this.list,
      this.more,
      element(
        "div",
        { className: "dialog-buttons" },
        button("Close", () => this.dialog?.close()),
      ),
    );
    this.search.focus();
    this.load(0);
  }

  /** @param {number} offset */
  async load(offset) {
    this.number += 1;
    const { number } = this;
    try {
      const { total, prompts } = await api.prompts(this.search.value, this.favourites.checked, offset, PAGE);
      if (number !== this.number) return;
      this.entries = offset ? [...this.entries, ...prompts] : prompts;
      this.total = total;
      this.draw();
    } catch (error) {
      if (number === this.number) this.status.textContent = sentence(error);
    }
  }

  draw() {
    const { entries, total } = this;
    this.status.textContent = total === 1 ? "1 prompt" : `${numberText(total)} prompts`;
    this.list.replaceChildren(...entries.map((entry, place) => this.row(entry, entries[place + 1])));
    this.more.hidden = entries.length >= total;
  }

  /**
   * @param {PromptEntry} entry
   * @param {PromptEntry | undefined} before the one that was used before it
   */
  row(entry, before) {
    const pictures = entry.pictures.map((shot) =>
      element("img", { alt: "", loading: "lazy", decoding: "async", src: api.thumbnailOf(shot) }),
    );
    const compared = this.differences.checked ? before : undefined;
    /** @param {"prompt" | "negative_prompt"} name */
    const words = (name) => (compared ? marked(wordDifferences(compared[name], entry[name])) : [entry[name]]);
    const text = element("span", { className: "history-prompt no-translate" }, ...words("prompt"));
    // Prompts that differ here alone would look the same.
    const negative = element("span", { className: "history-negative" });
    if (entry.negative_prompt || compared?.negative_prompt) {
      negative.append(
        element("span", { textContent: "Negative prompt" }),
        element("span", { className: "no-translate" }, ": ", ...words("negative_prompt")),
      );
    }
    const used = entry.count === 1 ? "1 picture" : `${numberText(entry.count)} pictures`;
    const facts = element(
      "small",
      {},
      element("span", { textContent: used }),
      " · ",
      element("span", { className: "no-translate", textContent: entry.last ? momentText(entry.last) : "" }),
    );
    const insert = button("", () => this.insert(entry), { className: "history-entry" });
    insert.append(
      element("span", { className: "history-pictures" }, ...pictures),
      element("span", { className: "history-words" }, text, negative, facts),
    );
    const heart = signButton("heart", "Favourite", () => this.like(entry, heart), "heart-button");
    heart.setAttribute("aria-pressed", String(entry.favourite));
    return element("li", {}, insert, heart);
  }

  /**
   * @param {PromptEntry} entry
   * @param {HTMLElement} heart
   */
  async like(entry, heart) {
    try {
      await api.likePrompt(entry.id, !entry.favourite);
      entry.favourite = !entry.favourite;
      heart.setAttribute("aria-pressed", String(entry.favourite));
    } catch (error) {
      toast(sentence(error));
    }
  }

  /** @param {PromptEntry} entry */
  insert(entry) {
    typeInto(need(document, `#${this.mode}_prompt textarea`, HTMLTextAreaElement), entry.prompt);
    typeInto(need(document, `#${this.mode}_neg_prompt textarea`, HTMLTextAreaElement), entry.negative_prompt);
    this.dialog?.close();
  }
}

export function watchPromptHistory() {
  document.addEventListener("click", (event) => {
    const pressed = within(event, "[id$=_prompt_history]");
    if (pressed) new History(pressed.id.replace("_prompt_history", "")).open();
  });
}
