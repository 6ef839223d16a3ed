// @ts-check
// The gallery's search box: a list below it completes fields and their values, by keys and mouse.

/** @import { Completion } from "./gallery_types.js" */

import { element } from "./dom.js";
import { completions } from "./gallery_api.js";
import { signButton } from "./gallery_icons.js";
import { completed } from "./gallery_query.js";
import { numberText } from "./gallery_text.js";

const TYPING = 220; // milliseconds that somebody who types has until the search begins
const COMPLETING = 90;
const MOST = 12;

export class SearchBox {
  /** @param {{ changed: (q: string) => void, save: () => void }} actions */
  constructor({ changed, save }) {
    this.changed = changed;
    this.timer = 0;
    this.completing = 0;
    this.number = 0;
    /** @type {Completion[]} */
    this.entries = [];
    this.active = -1;
    this.list = element("ul", {
      className: "search-list",
      id: "gallery_search_list",
      role: "listbox",
      ariaLabel: "Completions",
      hidden: true,
    });
    this.input = element("input", {
      type: "search",
      id: "gallery_search",
      role: "combobox",
      placeholder: "Search prompts, model:, date:, rating:>=4 …",
      ariaLabel: "Search pictures",
      autocomplete: "off",
      spellcheck: false,
      enterKeyHint: "search",
    });
    for (const [name, value] of [
      ["aria-autocomplete", "list"],
      ["aria-controls", this.list.id],
      ["aria-expanded", "false"],
    ]) {
      this.input.setAttribute(name, value);
    }
    this.saving = signButton("bookmark", "Save this search", save);
    this.root = element("div", { className: "gallery-search" }, this.input, this.saving, this.list);
    this.input.addEventListener("input", () => this.typed());
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.input.addEventListener("blur", () => this.close());
    // The field keeps the focus.
    this.list.addEventListener("pointerdown", (event) => event.preventDefault());
    this.list.addEventListener("click", (event) => {
      const entry = event.target instanceof Element ? event.target.closest("li") : null;
      if (entry) this.take(Number(entry.dataset.place));
    });
    this.draw();
  }

  get value() {
    return this.input.value;
  }

  /** @param {string} query from elsewhere: a word that was clicked, a saved search */
  set(query) {
    // What was typed here comes back as well: the list that is open belongs to it.
    if (this.input.value === query) return;
    this.input.value = query;
    this.close();
    this.draw();
  }

  draw() {
    this.saving.disabled = !this.value.trim();
  }

  typed() {
    this.draw();
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.changed(this.value), TYPING);
    clearTimeout(this.completing);
    this.completing = window.setTimeout(() => this.complete(), COMPLETING);
  }

  now() {
    clearTimeout(this.timer);
    clearTimeout(this.completing);
    this.number += 1;
    this.close();
    this.changed(this.value);
  }

  async complete() {
    this.number += 1;
    const { number } = this;
    const entries = await completions(this.value, this.input.selectionStart ?? this.value.length).catch(() => []);
    // The answer to what was typed before, or to somebody who has gone on.
    if (number !== this.number || document.activeElement !== this.input) return;
    this.open(entries.slice(0, MOST));
  }

  /** @param {Completion[]} entries */
  open(entries) {
    this.entries = entries;
    this.active = -1;
    this.list.replaceChildren(
      ...entries.map(({ label, count }, place) => {
        const entry = element(
          "li",
          { role: "option", id: `gallery_search_${place}`, ariaSelected: "false" },
          element("span", { textContent: label }),
        );
        if (count) entry.append(element("small", { textContent: numberText(count) }));
        entry.dataset.place = String(place);
        return entry;
      }),
    );
    this.list.hidden = !entries.length;
    this.input.setAttribute("aria-expanded", String(entries.length > 0));
    this.input.removeAttribute("aria-activedescendant");
  }

  close() {
    if (!this.list.hidden) this.open([]);
  }

  /** @param {number} place */
  choose(place) {
    this.active = place;
    for (const [at, entry] of [...this.list.children].entries()) {
      entry.ariaSelected = String(at === place);
      if (at === place) entry.scrollIntoView({ block: "nearest" });
    }
    if (place < 0) this.input.removeAttribute("aria-activedescendant");
    else this.input.setAttribute("aria-activedescendant", `gallery_search_${place}`);
  }

  /** @param {number} place */
  take(place) {
    const { query, at } = completed(this.value, this.entries[place]);
    this.input.value = query;
    this.input.setSelectionRange(at, at);
    this.close();
    this.typed();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.isComposing) return;
    const open = !this.list.hidden;
    const count = this.entries.length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const by = event.key === "ArrowDown" ? 1 : -1;
      // One place more than entries: there it is the typed text again.
      if (open) this.choose(((this.active + 1 + by + count + 1) % (count + 1)) - 1);
      else this.complete();
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (open && this.active >= 0) this.take(this.active);
      else this.now();
    } else if (event.key === "Escape" && open) {
      event.preventDefault();
      event.stopPropagation();
      this.close();
    }
  }
}
